"""How the blocks' answers are put together, and along which axis."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

#: What works for results that cannot be concatenated.
_OTHERS = "combine='stack', 'sum' or 'mean'"


@dataclass(frozen=True, slots=True)
class Cut:
    """How an encoded array was cut into blocks."""

    #: of a block
    shape: tuple[int, ...]
    #: along which it was cut
    axis: int
    #: that axis's dimension, if the array was labelled
    dim: Hashable | None = None


@dataclass(frozen=True, slots=True)
class Joining:
    """How answers are put together.

    Examples
    --------
    >>> along_either = Joining("concat", (Cut((2, 3), 0), Cut((3, 2), 1)))
    >>> along_either.axis_of((2, 3)), along_either.axis_of((3, 2))
    (0, 1)
    """

    #: as `CodedArray.map` has it
    combine: str
    #: one for every encoded array
    cuts: tuple[Cut, ...]

    @property
    def reduces(self) -> bool:
        """Whether blocks are added up."""
        return self.combine in ("sum", "mean")

    def axis_of(
        self, shape: tuple[int, ...], dims: tuple[Hashable, ...] | None = None
    ) -> int | None:
        """The axis along which results are concatenated; None if they are not.

        Parameters
        ----------
        shape : tuple of int
            Of the results.
        dims : tuple of hashables, optional
            Their dimensions, if they have names.

        Raises
        ------
        ValueError
            If there is no such axis, or it is not clear which.
        """
        if self.combine != "concat":
            return None
        named = [cut.dim for cut in self.cuts if cut.dim is not None]
        if dims is not None and named:
            return _axis_by_name(dims, dict.fromkeys(named))
        if not shape:
            raise ValueError(f"scalar results cannot be concatenated; use {_OTHERS}")
        axes = {cut.axis for cut in self.cuts if cut.shape == shape}
        if len(axes) != 1:
            axes = {cut.axis for cut in self.cuts}
        if len(axes) > 1:
            raise ValueError(
                f"results of shape {shape} may be concatenated along axes "
                f"{' or '.join(map(str, sorted(axes)))}, along which the encoded arrays were cut; "
                f"let the function return a DataArray with named dimensions, or use {_OTHERS}"
            )
        (axis,) = axes
        if axis >= len(shape):
            raise ValueError(
                f"results of shape {shape} have no axis {axis} to concatenate along; use {_OTHERS}"
            )
        return axis

    def likely_rows(self, shape: tuple[int, ...], dims: tuple[Hashable, ...] | None = None) -> int:
        """The axis of results along which rows lie, if their number says nothing else."""
        cut = {cut.dim for cut in self.cuts if cut.dim is not None}
        for axis, dim in enumerate(dims or ()):
            if dim in cut:
                return axis
        alike = [cut.axis for cut in self.cuts if cut.shape == shape]
        return alike[0] if alike else self.cuts[0].axis


def _axis_by_name(dims: tuple[Hashable, ...], cut: dict[Hashable, None]) -> int:
    found = [axis for axis, dim in enumerate(dims) if dim in cut]
    if len(found) == 1:
        return found[0]
    names = " or ".join(map(repr, cut))
    if not found:
        raise ValueError(
            f"the function returns a DataArray of dimensions {dims}, without {names} to "
            f"concatenate along; use {_OTHERS}"
        )
    raise ValueError(
        f"the function returns a DataArray of dimensions {dims}, which may be concatenated along "
        f"{names}; cut all arrays along one dimension, or use {_OTHERS}"
    )
