"""Training a PyTorch module on a Dask cluster, without waiting for the slowest worker."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import dask.array as da
import numpy as np
import torch
from distributed import Client
from sklearn.base import BaseEstimator
from torch import nn

from dask_bacc.learn.advice import Advice
from dask_bacc.learn.data import Batches, plain
from dask_bacc.learn.model import Model, check_module
from dask_bacc.learn.policies import POLICIES
from dask_bacc.learn.predict import chances_of, classes_wanted, outputs_of, score_of
from dask_bacc.learn.rounds import Gradients
from dask_bacc.learn.training import ADVISED, Training

if TYPE_CHECKING:
    from xarray import Dataset


class CodedTrainer(BaseEstimator):  # type: ignore[misc]
    """Trains a module by gradients of all blocks, decoded from whichever chunks return first.

    An estimator as scikit-learn has them: parameters are kept as they are given, what is learnt
    has a trailing underscore.

    Parameters
    ----------
    module : torch.nn.Module
        Without layers that keep statistics of rows, such as BatchNorm.
    criterion : torch.nn.Module, optional
        Loss of predicted and wanted; by default `torch.nn.CrossEntropyLoss`, of classes.
    optimizer : type
        Of `torch.optim`.
    lr : float
        Learning rate; the gradient is the mean over the rows of a minibatch.
    optimizer_params : mapping, optional
        Further arguments of the optimiser, such as ``weight_decay``.
    scheduler : callable, optional
        ``scheduler(optimizer)`` gives a learning-rate schedule, stepped after every epoch.
    policy : str
        What is done about stragglers, by name as in `dask_bacc.learn.POLICIES`; by default what
        is recommended after the first rounds.
    k, n : int
        Blocks, and coded chunks; by default half as many again. Policies that code nothing have
        `n` blocks.
    batches : int
        Minibatches of an epoch: each is a slice of every block.
    max_epochs : int
        Of `fit`.
    gradient_rtol : float
        Relative error of a gradient that is good enough; more is, where minibatches differ more
        than that. Of gradients that are further off, shorter steps are taken.
    deadline : float, optional
        Seconds of a round at most; where estimates decide, by default five times what rounds
        usually take. Chunks that are waited for longer are made anew elsewhere.
    clip : float, optional
        Largest norm of a gradient, once it is decoded.
    shuffle : bool
        Whether rows of NumPy arrays are mixed before they are cut into blocks.
    valid : tuple of arrays, optional
        Rows and what is wanted of them, by which `fit` scores every epoch.
    seed : int
        Of the shuffle, and of what the module draws at random.
    client : distributed.Client, optional
        By default the current one.
    log_dir : path, optional
        Where events for TensorBoard are written.
    on_epoch : callable, optional
        Called with a line about each epoch; `print`, say.
    on_round : callable, optional
        Called after each round with the number of rounds so far; what it raises ends the training.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(160, 2)).astype("float32")
    >>> trainer = CodedTrainer(torch.nn.Linear(2, 2), lr=1.0, policy="wait")
    >>> trainer.fit(x, (x[:, 0] > 0).astype(int)).score(x, (x[:, 0] > 0).astype(int)) > 0.95
    True
    """

    _writer: Any
    _known: tuple[Any, Any, Gradients] | None

    def __init__(
        self,
        module: nn.Module,
        criterion: nn.Module | None = None,
        optimizer: type[torch.optim.Optimizer] = torch.optim.SGD,
        *,
        lr: float = 0.1,
        optimizer_params: Mapping[str, Any] | None = None,
        scheduler: Callable[[torch.optim.Optimizer], Any] | None = None,
        policy: str = ADVISED,
        k: int = 8,
        n: int | None = None,
        batches: int = 1,
        max_epochs: int = 10,
        gradient_rtol: float = 0.1,
        deadline: float | None = None,
        clip: float | None = None,
        shuffle: bool = True,
        valid: tuple[Any, Any] | None = None,
        seed: int = 0,
        client: Client | None = None,
        log_dir: str | Path | None = None,
        on_epoch: Callable[[str], Any] | None = None,
        on_round: Callable[[int], Any] | None = None,
    ) -> None:
        self.module = module
        self.criterion = criterion
        self.optimizer = optimizer
        self.lr = lr
        self.optimizer_params = optimizer_params
        self.scheduler = scheduler
        self.policy = policy
        self.k = k
        self.n = n
        self.batches = batches
        self.max_epochs = max_epochs
        self.gradient_rtol = gradient_rtol
        self.deadline = deadline
        self.clip = clip
        self.shuffle = shuffle
        self.valid = valid
        self.seed = seed
        self.client = client
        self.log_dir = log_dir
        self.on_epoch = on_epoch
        self.on_round = on_round

    def fit(self, x: Any, y: Any) -> Self:
        """Train from the module's weights on, for `max_epochs`.

        Parameters
        ----------
        x, y : (r, ...) arrays
            Rows and what is wanted of them: NumPy, dask or xarray. Of a cross-entropy, `y` are
            classes or their chances.

        Raises
        ------
        ValueError, TypeError
            For parameters and arrays that cannot be, before anything is sent.
        DecodeError
            If too many chunks failed for a gradient.
        """
        self._begin()
        return self.partial_fit(x, y, epochs=self.max_epochs)

    def partial_fit(self, x: Any, y: Any, epochs: int = 1) -> Self:
        """Train on, for some epochs; `x` and `y` as in `fit`."""
        if not hasattr(self, "training_"):
            self._begin()
        # Who goes on with the same data has it on the workers, with what rounds remember.
        known = self._known
        if (
            known is None
            or known[0] is not x
            or known[1] is not y
            or known[2].client is not self.client
        ):
            known = self._known = x, y, self._encoded(x, y)
        for _ in range(epochs):
            begin = time.perf_counter()
            self.training_.epoch(known[2], self.on_round)
            self._tell(time.perf_counter() - begin)
        return self

    def _encoded(self, x: Any, y: Any) -> Gradients:
        """Rounds of gradients over these rows."""
        order = None
        if self.shuffle and not isinstance(plain(x), da.Array):
            order = np.random.default_rng(self.seed).permutation(len(plain(x)))
        wanted, n = self._wanted(x, plain(y)), self.n or math.ceil(1.5 * self.k)

        def cut(count: int) -> Batches:
            return Batches(x, wanted, count, self.batches, order, self.seed)

        return Gradients(cut, self.k, n, self.deadline, self.client)

    def predict(self, x: Any) -> Any:
        """Classes with the largest chances, or what the module gives; lazily of dask arrays."""
        outputs = outputs_of(self.module_, x)
        return outputs.argmax(axis=1) if self._classifies else outputs

    def predict_proba(self, x: Any) -> Any:
        """Chances of the classes."""
        return chances_of(outputs_of(self.module_, x))

    def score(self, x: Any, y: Any) -> float:
        """Share of the rows whose class is right, or the coefficient of determination."""
        return score_of(self.predict(x), plain(y), classes=self._classifies)

    @property
    def module_(self) -> nn.Module:
        """The module that is trained."""
        return self.training_.module

    @property
    def advice_(self) -> Advice | None:
        """What is recommended after the first rounds, and why."""
        return self.training_.advice

    @property
    def history(self) -> Dataset:
        """Of every round what it took and how good its gradient was."""
        return self.training_.ledger.dataset()

    def save(self, path: str | Path) -> None:
        """Write all that `load` needs to go on."""
        target = Path(path)
        # Whoever is killed while writing keeps what there was before.
        draft = target.with_name(f"{target.name}.part")
        torch.save(self.training_.state(), draft)
        draft.replace(target)

    def load(self, path: str | Path) -> Self:
        """Go on from what `save` has written, with `partial_fit`; it unpickles the file."""
        self._begin()
        training = self.training_
        training.restore(torch.load(path, weights_only=False))
        # Workers get the buffers and the frozen parameters of the file, too.
        training.model = Model.of(training.module, self._criterion, self.seed)
        return self

    @property
    def _criterion(self) -> nn.Module:
        return nn.CrossEntropyLoss() if self.criterion is None else self.criterion

    @property
    def _classifies(self) -> bool:
        return isinstance(self._criterion, nn.CrossEntropyLoss)

    def _begin(self) -> None:
        """Check what was given, and start from the module's weights."""
        check_module(self.module)
        known = (ADVISED, *POLICIES)
        if self.policy not in known:
            raise ValueError(f"policy must be one of {', '.join(known)}, got {self.policy!r}")
        if not 0 < self.gradient_rtol < 1:
            raise ValueError(f"gradient_rtol must be between 0 and 1, got {self.gradient_rtol}")
        self.training_ = Training.begin(
            self.module,
            self._criterion,
            self.optimizer,
            self.scheduler,
            {"lr": self.lr, **(self.optimizer_params or {})},
            self.seed,
            asked=self.policy,
            gradient_rtol=self.gradient_rtol,
            clip=self.clip,
        )
        self._writer = self._known = None

    def _wanted(self, x: Any, y: Any) -> Any:
        """Rows of chances, where classes are given."""
        if not self._classifies or y.ndim > 1:
            return y
        return classes_wanted(self.module, x, y)

    def _tell(self, seconds: float) -> None:
        """Say how the epoch went."""
        training, last = self.training_, slice(-self.batches, None)
        ledger = training.ledger
        numbers = {
            "loss": float(np.mean(ledger.numbers["loss"][last])),
            "gradient_error": float(np.median(ledger.numbers["gradient_error"][last])),
            "seconds": seconds,
        }
        if self.valid is not None:
            numbers["score"] = self.score(*self.valid)
            ledger.checked.append((len(ledger), numbers["score"]))
        if self.on_epoch is not None:
            said = ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            self.on_epoch(f"epoch {training.epochs}: {said}, {training.policy}")
        if self.log_dir is not None:
            self._write(numbers)

    def _write(self, numbers: Mapping[str, float]) -> None:
        """Write events for TensorBoard."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(self.log_dir)
        for name, value in numbers.items():
            if math.isfinite(value):
                self._writer.add_scalar(name, value, self.training_.epochs)
        self._writer.flush()
