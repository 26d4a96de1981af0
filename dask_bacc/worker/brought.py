"""What a chunk brings back, and how it travels with a message."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dask_bacc.coding._typing import AnyArray
from dask_bacc.coding.kriging.sketch import SIZE, compact
from dask_bacc.engine.worker import dumps
from dask_bacc.results.result import FlatResult, Layout, Leaf, ResultSpec

#: An array as plain values, which take a fraction of an array's time to pickle and to read.
Bare = tuple[bytearray, str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What a chunk brings back."""

    spec: ResultSpec
    #: sketches of its blocks, one for every encoded array, if they were asked for
    sketches: list[AnyArray] | None
    #: None if it stays on the worker
    result: FlatResult | None

    def __sizeof__(self) -> int:
        """Bytes of its arrays, by which workers decide what to spill and what to move."""
        sketches = [*self.spec.sketches, *(self.sketches or ())]
        held = 0 if self.result is None else self.result.nbytes
        return held + sum(int(array.nbytes) for array in sketches)

    def packed(self) -> bytes:
        """What comes with a message; of a result that goes along, the spec is made anew."""
        sketches = compacted(self.sketches)
        plain = None if self.result is None else _plain(self.result)
        if plain is not None and all(map(_is_native, sketches or ())):
            own = None if sketches is None else [_bare(array) for array in sketches]
            return pickle.dumps((self.spec.finite, own, _bare(plain)), protocol=5)
        # Classes of a script or a notebook are pickled by value.
        packed: bytes = dumps((self.spec if self.result is None else None, sketches, self.result))
        return packed

    @property
    def is_compact(self) -> bool:
        """Whether nothing of its sketches is lost where it is packed."""
        return all(array.size <= SIZE for array in self.sketches or ())

    @classmethod
    def unpacked(cls, payload: bytes) -> ChunkResult:
        """The same where it has come."""
        spec, sketches, result = pickle.loads(payload)
        if isinstance(result, tuple):
            sketches = None if sketches is None else [_clothed(*array) for array in sketches]
            result, spec = _of_plain(_clothed(*result), finite=spec), None
        return cls(spec or result.spec(), sketches, result)


def compacted(sketches: Sequence[AnyArray] | None) -> list[AnyArray] | None:
    """Sketches that are small enough for messages: the scheduler remembers those for long."""
    if sketches is None:
        return None
    return [array if array.size <= SIZE else compact(array) for array in sketches]


def _plain(result: FlatResult) -> AnyArray | None:
    """The only leaf of a result that is a NumPy array without labels; None of any other."""
    if result.whole is not None or result.labels or result.layout.treedef != 0:
        return None
    return result.leaves[0] if _is_native(result.leaves[0]) else None


def _of_plain(array: AnyArray, *, finite: bool) -> FlatResult:
    """The result of which this is the only leaf."""
    return FlatResult(_plain_layout(array.shape[1:]), [array], (array.dtype,), {}, finite)


@lru_cache(16)
def _plain_layout(shape: tuple[int, ...]) -> Layout:
    return Layout(0, (Leaf("numpy", shape, None, (0,)),))


def _is_native(array: AnyArray) -> bool:
    """Whether bytes and the name of a dtype say all of it."""
    return type(array) is np.ndarray and array.dtype.isbuiltin == 1


def _bare(array: AnyArray) -> Bare:
    return bytearray(array.tobytes()), array.dtype.str, array.shape


def _clothed(values: bytearray, dtype: str, shape: tuple[int, ...]) -> AnyArray:
    return np.ndarray(shape, dtype, values)
