"""Gradients of a PyTorch module over the rows of a block, as one flat array."""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from distributed.protocol.pickle import dumps, loads
from torch import nn

from dask_bacc.coding._typing import AnyArray
from dask_bacc.worker.task import should_stop

#: Numbers that come after the gradient's: the loss.
EXTRA = 1


@dataclass(frozen=True)
class Model:
    """A module and a loss, as workers get them: pickled once, without weights."""

    pickled: bytes
    #: of what is drawn at random
    seed: int = 0

    @classmethod
    def of(cls, module: nn.Module, criterion: nn.Module, seed: int) -> Model:
        """Of a module, without its weights' values mattering.

        Parameters
        ----------
        module : torch.nn.Module
        criterion : torch.nn.Module
            Gives one loss for each row, or has a ``reduction``.
        seed : int
            Of what is drawn at random in the module.
        """
        module, criterion = copy.deepcopy((module, criterion))
        setattr(criterion, "reduction", "none")  # noqa: B010
        shapes = [tuple(parameter.shape) for parameter in trained(module)]
        for parameter in trained(module):
            # Each round brings its own.
            parameter.data = parameter.data.new_empty(0)
        return cls(dumps((module, criterion, shapes)), seed)


def check_module(module: nn.Module) -> None:
    """Refuse what cannot be trained on coded data.

    Raises
    ------
    ValueError
        If a layer keeps statistics of the rows it sees.
    TypeError
        If it is no module, or has parameters of several dtypes.
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")
    for name, layer in module.named_modules():
        if getattr(layer, "track_running_stats", False):
            raise ValueError(
                f"layer {name!r} is a {type(layer).__name__}, whose running statistics would be "
                "of mixed rows; use torch.nn.GroupNorm, or track_running_stats=False"
            )
    dtypes = {parameter.dtype for parameter in module.parameters()}
    if dtypes - {torch.float32, torch.float64}:
        raise TypeError(
            f"parameters must be float32 or float64, got {', '.join(map(str, dtypes))}: coded "
            "rows are single precision at least"
        )


def flat_weights(module: nn.Module) -> AnyArray:
    """All parameters that are trained, in their order."""
    return np.concatenate([p.detach().numpy().ravel() for p in trained(module)])


def set_flat(module: nn.Module, weights: AnyArray) -> None:
    """Give the parameters these values."""
    for parameter, values in pieces(module, weights):
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(values))


def set_gradient(module: nn.Module, gradient: AnyArray) -> None:
    """Give the parameters this gradient."""
    for parameter, values in pieces(module, gradient):
        parameter.grad = torch.from_numpy(values.copy())


def trained(module: nn.Module) -> list[nn.Parameter]:
    """Parameters that are trained."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def pieces(module: nn.Module, flat: AnyArray) -> Iterator[tuple[nn.Parameter, AnyArray]]:
    """The parameters with their parts of a flat array."""
    start = 0
    for parameter in trained(module):
        size = parameter.numel()
        values = flat[start : start + size].reshape(parameter.shape)
        dtype = np.dtype(str(parameter.dtype).removeprefix("torch."))
        yield parameter, np.ascontiguousarray(values, dtype=dtype)
        start += size


#: Share of the loss beside the gradient. Of mixed rows the loss is far from smooth, and with all
#: of it covariances and bars would be those of the loss.
BESIDE = 1e-4
#: Modules hold weights and gradients, so that every thread has its own.
_own = threading.local()
#: PyTorch's random numbers are those of the whole process.
_drawing = threading.Lock()


def _unpickled(model: Model) -> tuple[nn.Module, nn.Module]:
    """The module and the loss, unpickled once for a thread."""
    if getattr(_own, "model", None) != model:
        # Workers have a thread for each task already.
        torch.set_num_threads(1)
        module, criterion, shapes = loads(model.pickled)
        for parameter, shape in zip(trained(module), shapes, strict=True):
            parameter.data = parameter.data.new_empty(shape)
        module.train()
        for layer in module.modules():
            layer.register_forward_pre_hook(_stop)
            layer.register_forward_hook(_stop_on_the_way_back)
        _own.model, _own.parts = model, (module, criterion)
    parts: tuple[nn.Module, nn.Module] = _own.parts
    return parts


def _stop(*_: Any) -> None:
    """End what was cancelled before its next layer: it keeps its worker's thread until then."""
    if should_stop():
        raise RuntimeError("cancelled")


def _stop_on_the_way_back(_layer: nn.Module, _given: Any, output: Any) -> None:
    """The same before gradients of what a layer gave."""
    if isinstance(output, torch.Tensor) and output.requires_grad:
        output.register_hook(_stop)  # type: ignore[no-untyped-call]


def draws(module: nn.Module) -> bool:
    """Whether something in the module is drawn at random."""
    return any(isinstance(layer, nn.modules.dropout._DropoutNd) for layer in module.modules())


def row_losses(criterion: nn.Module, predicted: Any, wanted: Any) -> Any:
    """One loss for each row."""
    if wanted.shape != predicted.shape and wanted.numel() == predicted.numel():
        # One number a row, with an axis of its own or without: PyTorch would take every pair.
        wanted = wanted.reshape(predicted.shape)
    losses = criterion(predicted, wanted)
    return losses if losses.ndim <= 1 else losses.flatten(1).mean(dim=1)


def weighed_gradient(
    x: AnyArray, y: AnyArray, factors: AnyArray, weights: AnyArray, model: Model, turn: str
) -> AnyArray:
    """The same of losses that are weighed, each row's by a factor, ``(r,)``."""
    return _gradient(x, y, weights, model, turn, factors)


def summed_gradient(
    x: AnyArray, y: AnyArray, weights: AnyArray, model: Model, turn: str
) -> AnyArray:
    """The gradient of the rows' losses, summed, and after it `BESIDE` of the sum of the losses.

    Parameters
    ----------
    x, y : (r, ...) ndarrays
        Rows and what is wanted of them, coded or not.
    weights : (p,) ndarray
    model : Model
    turn : str
        Number of the round; as text, for its value is no argument that moves.

    Returns
    -------
    (p + 1,) ndarray
    """
    return _gradient(x, y, weights, model, turn)


def _gradient(
    x: AnyArray,
    y: AnyArray,
    weights: AnyArray,
    model: Model,
    turn: str,
    factors: AnyArray | None = None,
) -> AnyArray:
    module, criterion = _unpickled(model)
    set_flat(module, weights)
    module.zero_grad(set_to_none=True)
    dtype = trained(module)[0].dtype
    rows, wanted = (torch.from_numpy(np.ascontiguousarray(a)).to(dtype) for a in (x, y))
    with _drawing if draws(module) else contextlib.nullcontext():
        # Rows of all chunks have the same masks: a row of a mixture stands for rows of blocks.
        torch.manual_seed(model.seed + int(turn))
        predicted = module(rows)
    losses = row_losses(criterion, predicted, wanted)
    if factors is not None:
        losses = losses * torch.from_numpy(np.ascontiguousarray(factors)).to(dtype)
    loss = losses.sum()
    loss.backward()
    parts = [
        np.zeros(p.numel(), np.float32) if p.grad is None else p.grad.numpy().ravel()
        for p in trained(module)
    ]
    return np.concatenate([*parts, [BESIDE * loss.item()]]).astype(np.float32)
