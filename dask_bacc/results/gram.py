"""Inner products of arrays that come one after the other."""

from __future__ import annotations

import numpy as np

from dask_bacc.coding._typing import AnyArray, FloatArray
from dask_bacc.coding.arrays import power_of_two
from dask_bacc.coding.rows import as_rows

#: A result larger than others by this factor sets the unit anew.
FAR = 1e6


class GrowingGram:
    """Inner products of arrays, grown by one row for each: nothing is multiplied twice.

    They are in units of a power of two, not far from the largest value of all. Of arrays with
    several rows each row has a unit of its own, so that none counts for more than another.

    Examples
    --------
    >>> gram = GrowingGram()
    >>> gram.add(np.array([[1.0, 2.0]]))
    >>> gram.add(np.array([[4.0, 0.0]]))
    >>> gram.matrix
    array([[0.3125, 0.25  ],
           [0.25  , 1.    ]])
    """

    def __init__(self) -> None:
        #: of the rows of the arrays
        self.units: FloatArray = np.ones(1)
        self._largest: FloatArray = np.zeros(1)
        self._count = 0
        # Both have room for more, so that growing costs no copy for each array.
        self._arrays: AnyArray = np.zeros((0, 0, 0))
        self._matrix: FloatArray = np.zeros((0, 0))

    @property
    def matrix(self) -> FloatArray:
        """``(m, m)`` inner products."""
        return self._matrix[: self._count, : self._count]

    @property
    def values(self) -> FloatArray:
        """``(m, s)`` the arrays, flat, real and imaginary parts apart."""
        return as_rows(self._arrays[: self._count], 0)

    def add(self, array: AnyArray) -> None:
        """One more ``(rows, length)`` array, of the shape of the others."""
        largest = np.abs(array).max(axis=1, initial=0.0)
        if not np.isfinite(largest).all():
            raise OverflowError(
                "results are too large to estimate errors, for sums of their outputs overflow; "
                'scale them down, or use decoder="berrut"'
            )
        count = self._count
        if count == 0:
            self.units, self._largest = np.ones(len(array)), np.zeros(len(array))
        # Whether rows count alike must not depend on which array came first.
        far = FAR if len(array) == 1 else 1.0
        grown = (largest > 0) & ((self._largest == 0) | (largest / far > self._largest))
        if grown.any():
            self._largest = np.where(grown, largest, self._largest)
            self._rescale(np.array([power_of_two(size) for size in self._largest.tolist()]))
        scaled = array / self.units[:, None]
        if count == len(self._arrays):
            room = 2 * count + 8
            arrays = np.zeros((room, *array.shape), np.result_type(self._arrays, scaled))
            matrix = np.zeros((room, room))
            if count:
                arrays[:count], matrix[:count, :count] = self._arrays, self.matrix
            self._arrays, self._matrix = arrays, matrix
        self._arrays = self._arrays.astype(np.result_type(self._arrays, scaled), copy=False)
        self._arrays[count] = scaled
        row = _products(self._arrays[: count + 1], scaled[None])[:, 0]
        self._matrix[count, : count + 1] = self._matrix[: count + 1, count] = row
        self._count += 1

    def _rescale(self, units: FloatArray) -> None:
        """Squares of what comes would overflow, or those of what is here vanish."""
        # A power of two below 1 has an inverse that may be infinite, so nothing is multiplied.
        growth, self.units = units / self.units, units
        if self._count and (growth != 1).any():
            self._arrays = self._arrays / growth[:, None]
            known = self._arrays[: self._count]
            self._matrix[: self._count, : self._count] = _products(known, known)


def _products(left: AnyArray, right: AnyArray) -> FloatArray:
    """Real parts of the inner products of arrays along the first axes."""
    flat: AnyArray = right.reshape(len(right), -1).conj().T
    return np.asarray((left.reshape(len(left), -1) @ flat).real)
