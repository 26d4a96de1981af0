"""Where an answer has NaN because its blocks had, if these were filled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np

from dask_bacc.coding._typing import BoolArray
from dask_bacc.coding.gaps import gaps as gaps_in
from dask_bacc.results.joining import Cut, Joining
from dask_bacc.results.result import Layout

#: Where NaN was: for every block, an array of booleans for each encoded array.
BlockGaps = Sequence[Sequence[BoolArray]]
#: Finds that out.
FindGaps = Callable[[], Awaitable[BlockGaps]]


def check_gaps(layout: Layout, cuts: Sequence[Cut]) -> None:
    """Refuse results of which nobody knows where NaN belongs.

    Raises
    ------
    ValueError
    """
    for leaf in layout.leaves:
        if not any(_fits(leaf.shape, cut) for cut in cuts):
            blocks = " or ".join(str(cut.shape) for cut in cuts)
            raise ValueError(
                "nan='fill' restores NaN in results of the shape of a block, or of another length "
                f"along the axis that was cut, or without that axis; blocks have shape {blocks}, "
                f"results {leaf.shape}: fill NaN before encode, and mask the answer"
            )


def gaps_of_answer(
    shape: tuple[int, ...],
    axis: int | None,
    gaps: BlockGaps,
    joining: Joining,
) -> BoolArray:
    """Where the answer of results of a shape has NaN.

    In a result of a block's shape, where the block has; in others, where the block has nothing
    else along the axis that was cut. A sum over blocks has NaN where one of them has.

    Parameters
    ----------
    shape : tuple of int
    axis : int or None
        Along which results are concatenated.
    gaps : sequence of sequences of bool ndarrays
        For every block, one for each encoded array.
    joining : Joining

    Examples
    --------
    >>> joining = Joining("concat", (Cut((2,), 0),))
    >>> gaps = [[np.array([True, False])], [np.array([True, True])]]
    >>> gaps_of_answer((2,), 0, gaps, joining)
    array([ True, False,  True,  True])
    >>> gaps_of_answer((1,), 0, gaps, joining)
    array([False,  True])
    """
    found = [_of_block(shape, masks, joining.cuts) for masks in gaps]
    if joining.reduces:
        anywhere: BoolArray = np.logical_or.reduce(found)
        return anywhere
    return np.stack(found) if axis is None else np.concatenate(found, axis)


def _fits(shape: tuple[int, ...], cut: Cut) -> bool:
    """Whether results are of a block's shape but for the axis that was cut."""
    rest = _without(cut.axis, cut.shape)
    alike = len(shape) == len(cut.shape) and _without(cut.axis, shape) == rest
    return alike or shape == rest


def _without(axis: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _of_block(
    shape: tuple[int, ...], masks: Sequence[BoolArray], cuts: Sequence[Cut]
) -> BoolArray:
    found = np.zeros(shape, dtype=bool)
    for mask, cut in zip(masks, cuts, strict=True):
        if shape == cut.shape:
            found |= mask
        elif _fits(shape, cut):
            found |= mask.all(axis=cut.axis, keepdims=len(shape) == len(cut.shape))
    return found


async def known_gaps(found: BlockGaps) -> BlockGaps:
    """What is known already, to whoever waits for it."""
    return found


def gaps_of_blocks(*blocks: Any) -> list[BoolArray]:
    """Where blocks of several arrays have NaN."""
    return [gaps_in(block) for block in blocks]
