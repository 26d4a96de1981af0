"""Gradients of modules over blocks, held against PyTorch's own over all rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dask_bacc.learn.model import (
    BESIDE,
    Model,
    check_module,
    flat_weights,
    set_flat,
    set_gradient,
    summed_gradient,
)

ROWS, COLUMNS, CLASSES = 30, 6, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, COLUMNS)).astype(np.float32)
Y = np.eye(CLASSES, dtype=np.float32)[RNG.integers(CLASSES, size=ROWS)]


def small(*middle: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(COLUMNS, 8), nn.Tanh(), *middle, nn.Linear(8, CLASSES))


def ours(*args) -> np.ndarray:
    """The gradient with the whole loss after it."""
    total = summed_gradient(*args)
    return np.append(total[:-1], total[-1] / BESIDE)


def theirs(module: nn.Module, criterion: nn.Module) -> np.ndarray:
    module.zero_grad()
    loss = criterion(module(torch.from_numpy(X)), torch.from_numpy(Y))
    loss.backward()
    parts = [p.grad.numpy().ravel() for p in module.parameters()]
    return np.concatenate([*parts, [loss.item()]])


@pytest.mark.parametrize(
    ("criterion", "whole"),
    [
        (nn.CrossEntropyLoss(), nn.CrossEntropyLoss(reduction="sum")),
        (
            nn.CrossEntropyLoss(label_smoothing=0.1),
            nn.CrossEntropyLoss(reduction="sum", label_smoothing=0.1),
        ),
    ],
)
def test_blocks_add_up_to_the_gradient_of_all_rows(criterion, whole):
    module = small()
    model, weights = Model.of(module, criterion, seed=0), flat_weights(module)
    parts = [
        ours(x, y, weights, model, "0")
        for x, y in zip(np.split(X, 3), np.split(Y, 3), strict=True)
    ]
    np.testing.assert_allclose(np.sum(parts, axis=0), theirs(module, whole), rtol=1e-4, atol=1e-5)


def test_squares_are_means_over_outputs_and_sums_over_rows():
    module = small()
    found = ours(X, Y, flat_weights(module), Model.of(module, nn.MSELoss(), 0), "0")
    np.testing.assert_allclose(found, ROWS * theirs(module, nn.MSELoss()), rtol=1e-4, atol=1e-5)


def test_the_gradient_of_mixed_targets_is_linear_in_them():
    """Also with weights below zero, where the loss itself says nothing."""
    module = small()
    model, weights = Model.of(module, nn.CrossEntropyLoss(), seed=0), flat_weights(module)
    other = Y[::-1]
    mixed = ours(X, 1.5 * Y - 0.5 * other, weights, model, "0")
    apart = [ours(X, y.copy(), weights, model, "0") for y in (Y, other)]
    np.testing.assert_allclose(mixed, 1.5 * apart[0] - 0.5 * apart[1], rtol=1e-3, atol=1e-4)


def test_rows_of_all_chunks_have_the_same_masks():
    """A round's dropout is the same wherever it runs, and another in the next."""
    module = small(nn.Dropout(0.5))
    model, weights = Model.of(module, nn.CrossEntropyLoss(), seed=3), flat_weights(module)
    first, again, later = (ours(X, Y, weights, model, turn) for turn in "007")
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, later)


def test_weights_and_gradients_go_in_as_they_came_out():
    module, other = small(), small()
    set_flat(other, 2 * flat_weights(module))
    np.testing.assert_array_equal(flat_weights(other), 2 * flat_weights(module))
    set_gradient(other, flat_weights(module))
    for parameter, weights in zip(other.parameters(), module.parameters(), strict=True):
        np.testing.assert_array_equal(parameter.grad.numpy(), weights.detach().numpy())


def test_frozen_parameters_stay_out():
    module = small()
    module[0].weight.requires_grad_(False)
    weights = flat_weights(module)
    assert weights.size == sum(p.numel() for p in module.parameters()) - COLUMNS * 8
    found = ours(X, Y, weights, Model.of(module, nn.CrossEntropyLoss(), 0), "0")
    assert found.size == weights.size + 1


@pytest.mark.parametrize(
    ("module", "error", "said"),
    [
        (small(nn.BatchNorm1d(8)), ValueError, "layer '2' is a BatchNorm1d.*GroupNorm"),
        (small().half(), TypeError, "must be float32 or float64, got torch.float16"),
        (3, TypeError, "module must be a torch.nn.Module, got int"),
    ],
)
def test_what_cannot_be_trained_on_mixtures_is_refused(module, error, said):
    with pytest.raises(error, match=said):
        check_module(module)


def test_batch_norm_without_statistics_and_group_norm_are_fine():
    check_module(small(nn.GroupNorm(2, 8)))
    check_module(small(nn.BatchNorm1d(8, track_running_stats=False)))
