"""The blocks' inner products from small random projections of the chunks that returned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dask_bacc.coding._typing import AnyArray, FloatArray
from dask_bacc.coding.arrays import (
    as_double,
    from_numpy,
    is_foreign,
    namespace,
    power_of_two,
    to_numpy,
)
from dask_bacc.coding.codes import Code
from dask_bacc.coding.located import Located

#: Length of a sketch. A prime, so that regular patterns in the data do not fall in step with it.
#: Distances are kept to about ``sqrt(2 / SIZE)``, 2%.
SIZE = 4093
#: Elements that are projected at once, about: they and their signs stay in the cache.
_PIECE = 2**18
#: Eight signs for every random byte; drawing one by one would take longer than all the rest.
_OCTETS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1) * 2.0 - 1


def sketch(array: AnyArray, size: int = SIZE) -> AnyArray:
    """Random projection that keeps inner products in the mean and distances nearly.

    Every element gets a random sign, the same in every array, and is added to one of `size` sums.
    The projection is linear: the sketch of a coded chunk is the same combination of the blocks'
    sketches.

    Parameters
    ----------
    array : array
        Real or complex, of any library; its elements in their order are what is projected.
    size : int
        Sums to make; a prime.

    Returns
    -------
    (size,) ndarray, or the flattened array in double precision if that is shorter

    References
    ----------
    Charikar, Chen and Farach-Colton, "Finding frequent items in data streams", ICALP 2002.

    Examples
    --------
    >>> sketch(np.ones((2, 2)))
    array([1., 1., 1., 1.])
    >>> long = sketch(np.ones(10_000))
    >>> bool(0.9 < (long @ long) / 10_000 < 1.1)
    True
    """
    if is_foreign(array):
        return _sketch_there(array, size)
    found: AnyArray = sketch_each(array.reshape(1, -1), size)[0]
    return found


def sketch_each(rows: AnyArray, size: int) -> AnyArray:
    """The `sketch` of every row of a matrix, all by the same projection.

    Examples
    --------
    >>> sketch_each(np.array([[1, 2], [3, 4]]), 7)
    array([[1., 2.],
           [3., 4.]])
    """
    count, length = rows.shape
    dtype = np.result_type(rows, np.float64)
    if length <= size:
        return rows.astype(dtype, copy=False)
    total = np.zeros((count, size), dtype)
    for piece, signs in _signs(length, size, _PIECE // count):
        values = rows[:, piece].astype(dtype, copy=False)
        whole = values.shape[1] // size * size
        factors = values[:, :whole].reshape(count, -1, size), signs[:whole].reshape(-1, size)
        with np.errstate(over="ignore", invalid="ignore"):  # whoever uses it sees it
            total += np.einsum("rij,ij->rj", *factors)
            total[:, : values.shape[1] - whole] += values[:, whole:] * signs[whole:]
    return total


def _sketch_there(array: Any, size: int) -> AnyArray:
    """The same of another library's array, by its own functions."""
    xp = namespace(array)
    flat = xp.reshape(array, (-1,))
    (length,) = flat.shape
    if length <= size:
        return to_numpy(as_double(flat))
    total: AnyArray = np.zeros(size)
    for piece, signs in _signs(length, size):
        product = as_double(flat[piece]) * as_double(from_numpy(signs.astype(np.int8), array))
        rows = product.shape[0] // size
        whole = xp.reshape(product[: rows * size], (rows, size))
        total = total + to_numpy(xp.sum(whole, axis=0))
        rest = to_numpy(product[rows * size :])
        total[: len(rest)] += rest
    return total


def _signs(length: int, size: int, piece: int = _PIECE) -> Iterator[tuple[slice, FloatArray]]:
    """Pieces of an array, of whole rows of sums but for the last, and random signs for each.

    They are the same for every array of that length that is cut alike. Each piece's are lost with
    the next.
    """
    step = max(piece // size, 1) * size
    rng = np.random.default_rng(0)
    room = np.empty((-(-min(step, length) // 8), 8))
    for start in range(0, length, step):
        count = min(step, length - start)
        octets = np.frombuffer(rng.bytes(-(-count // 8)), dtype=np.uint8)
        # Any mode but the default writes without a buffer in between.
        signs = np.take(_OCTETS, octets, axis=0, out=room[: len(octets)], mode="clip")
        yield slice(start, start + count), signs.reshape(-1)[:count]


def compact(part: AnyArray) -> AnyArray:
    """A flat sketch of at most `SIZE` numbers, from one that may keep rows apart.

    Examples
    --------
    >>> compact(np.ones((2, 2)))
    array([1., 1., 1., 1.])
    """
    return part if part.ndim == 1 else sketch(part)


def locate(
    code: Code, sketches: Mapping[int, Sequence[AnyArray]], rounding: float = 0.0
) -> Located:
    """Where the blocks lie to each other, from the sketches of some chunks.

    What the chunks do not determine is taken for the blocks' mean and a deviation that is as large
    as the others' and unrelated to them.

    Parameters
    ----------
    code : Code
        Its rows sum to one.
    sketches : mapping of int to sequence of ndarrays
        For every chunk at hand, at least one, the sketches of its part of each encoded array,
        flat or with rows apart.
    rounding : float
        Share of their size to which mixed chunks are rounded. The equations that say where lost
        blocks are may magnify it a hundred thousand times.

    Returns
    -------
    Located
        The sum over encoded arrays, each scaled to a mean square norm of 1 within every group of
        the code; zero between blocks of different groups and for groups without chunks. Blocks of
        groups that are known from one block alone are taken for unrelated and equally large.

    Examples
    --------
    >>> from dask_bacc.coding import Uncoded
    >>> blocks = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> located = locate(Uncoded(2, 2), {0: blocks[:1], 1: blocks[1:]})
    >>> located.gram
    array([[1., 0.],
           [0., 1.]])
    >>> located.unknown, located.blur
    (array([0., 0.]), array([0., 0.]))
    """
    whole = Located(np.zeros((code.k, code.k)), np.ones(code.k), np.zeros(code.k))
    for group in code.groups:
        members = [i for i in sorted(sketches) if group.chunks.start <= i < group.chunks.stop]
        if members:
            rows = group.code.generator[[i - group.chunks.start for i in members]]
            part = _locate_group(rows, [sketches[i] for i in members], rounding)
            whole.gram[np.ix_(group.blocks, group.blocks)] = part.gram
            whole.unknown[group.blocks] = part.unknown
            whole.blur[group.blocks] = part.blur
    return whole


def determined_by(rows: FloatArray) -> tuple[FloatArray, int]:
    """Pseudo-inverse of some rows of a generator, and how many blocks' worth they determine."""
    inverse = np.asarray(np.linalg.pinv(rows, rcond=1e-8), dtype=np.float64)
    return inverse, round(float(np.trace(inverse @ rows)))


def _locate_group(
    rows: FloatArray, sketches: Sequence[Sequence[AnyArray]], rounding: float
) -> Located:
    """The same from the chunks of a group, which have these rows."""
    k = rows.shape[1]
    inverse, rank = determined_by(rows)
    determined = inverse @ rows
    unknown = np.clip(1 - np.diag(determined), 0.0, 1.0) if rank < k else np.zeros(k)
    if rank < min(2, k):
        # Nothing is known of how far the other blocks are from the one.
        return Located(np.eye(k), unknown, np.zeros(k))
    total, blur = np.zeros((k, k)), np.zeros(k)
    mixed = (rows != 0).sum(axis=1) > 1
    for part in zip(*sketches, strict=True):
        stacked = np.stack([compact(sketch) for sketch in part])
        largest = np.abs(stacked).max(initial=0.0)
        if not np.isfinite(largest):
            # Sums of numbers near the largest there are say nothing.
            return Located(np.eye(k), np.ones(k), np.zeros(k))
        stacked = stacked / power_of_two(largest)
        mean = stacked.mean(axis=0)
        deviations = inverse @ (stacked - mean)
        blocks = mean + deviations
        gram = (blocks @ blocks.conj().T).real
        if rank < k:
            # They are taken from their own mean, which leaves one degree of freedom less.
            spread = np.linalg.norm(deviations) ** 2 / (rank - 1)
            gram = gram + spread * (np.eye(k) - determined)
        size = np.trace(gram) / k
        size = size if size > 0 else 1.0
        total += gram / size
        # Of each product, and of sums on the way.
        rounded = mixed * rounding**2 * ((rows**2) @ np.diag(gram))
        blur += (inverse**2) @ rounded / size
    return Located(total, unknown, blur)
