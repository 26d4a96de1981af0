"""Barycentric rational decoders: the paper's (Berrut) and its higher-degree family."""

from __future__ import annotations

from dataclasses import dataclass
from operator import index

from dask_bacc.coding._typing import FloatArray
from dask_bacc.coding.barycentric import floater_hormann_weights, interpolation_matrix
from dask_bacc.coding.decoders.base import Interpolant


@dataclass(frozen=True)
class FloaterHormann(Interpolant):
    """Rational interpolant of degree `degree` over the returned nodes; degree 0 is Berrut's.

    Signs alternate over the returned set in order of its nodes, which is what keeps the
    interpolant free of poles for every subset. Choose degree 0 to compare with the published
    scheme, degree 1 for smooth functions with many results; higher degrees magnify noise badly
    on Chebyshev nodes.

    Parameters
    ----------
    degree : int
        At least 0; with `m` results at most ``m - 1`` is used.

    Raises
    ------
    ValueError
        If `degree` is negative.

    References
    ----------
    Jahani-Nezhad and Maddah-Ali, arXiv 2009.08327, eq. 10 (degree 0); Floater and Hormann,
    Numer. Math. 107 (2007).

    Examples
    --------
    >>> FloaterHormann(0).name
    'berrut'
    """

    degree: int = 1

    def __post_init__(self) -> None:
        if index(self.degree) < 0:
            raise ValueError(f"degree must be at least 0, got {self.degree}")

    @property
    def name(self) -> str:
        """``"berrut"`` for degree 0, else ``"floater-hormann"``."""
        return "berrut" if self.degree == 0 else "floater-hormann"

    def matrix(self, nodes: FloatArray, at: FloatArray, gram: FloatArray | None) -> FloatArray:
        """The interpolant's matrix."""
        return interpolation_matrix(nodes, floater_hormann_weights(nodes, self.degree), at)
