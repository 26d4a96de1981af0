"""Decoding by what the same chunks returned in earlier rounds, where that is better."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from dask_bacc.coding import Code, DecodingMatrix
from dask_bacc.coding._typing import BoolArray, FloatArray, IndexArray
from dask_bacc.coding.codes.base import Group
from dask_bacc.coding.decode import count_outputs
from dask_bacc.coding.kriging.rounds import Remembered, Rounds, remember
from dask_bacc.coding.kriging.rounds_likelihood import FAMILY
from dask_bacc.coding.located import Located
from dask_bacc.coding.matrix import GroupOutlook, within
from dask_bacc.results.gram import GrowingGram
from dask_bacc.results.leaves import SolvedLeaf, rms
from dask_bacc.results.memory import Earlier, Parameters, Past
from dask_bacc.results.result import ResultSpec
from dask_bacc.results.steps import steps_of_arguments, steps_of_results

#: Share of a block that may be unknown where what it was before is looked at.
KNOWN = 1e-6
#: Share of that by which both answers for a sum differ that counts for an error where there is but
#: one round.
DISAGREEMENT = 0.5
#: Independent outputs from which on one round tells the hyper-parameters of this model.
TELLING = 6.0
NAME = f"{FAMILY.name} over rounds"


class Remembering:
    """Decodes the results of a round by those of earlier ones, too, and sums of a first one.

    Parameters
    ----------
    code : Code
    earlier : Earlier
        What earlier rounds have left.
    reduced : bool
        Whether blocks are added up.
    """

    def __init__(self, code: Code, earlier: Earlier, *, reduced: bool) -> None:
        self._code = code
        self._earlier = earlier
        self._reduced = reduced
        #: results of earlier rounds that are like this one's
        self.past: tuple[Past, ...] = ()
        #: hyper-parameters of a round before which there was none; later ones do not start there
        self._alone: Parameters = {}
        self._grams: list[GrowingGram] = []
        self._taken: list[int] = []

    def improved(
        self,
        leaves: Sequence[SolvedLeaf],
        results: Mapping[int, ResultSpec],
        chunks: Sequence[int],
        located: Located,
        *,
        search: bool,
    ) -> list[SolvedLeaf] | None:
        """The leaves by all that is known; None if that makes no answer better.

        Weights of what was before come after those of the results.

        Parameters
        ----------
        leaves : sequence of SolvedLeaf
            How the results decode by themselves.
        results : mapping of int to ResultSpec
            In order of arrival; those of earlier calls first.
        chunks : sequence of int
            Those of the results that count, ascending.
        located : Located
            Where the blocks are.
        search : bool
            Whether to search for likelier hyper-parameters.
        """
        self._grow(results)
        known = bool((located.unknown <= KNOWN).all())
        if not known or not any(leaf.matrix.error.any() for leaf in leaves):
            return None
        if not self.past and not self._reduced:
            return None
        there = [
            self._remembered(number, leaf, results, chunks, located, search=search)
            for number, leaf in enumerate(leaves)
        ]
        if all(new is old for new, old in zip(there, leaves, strict=True)):
            return None
        return [
            _padded(new, len(self.past)) if new is old else new
            for new, old in zip(there, leaves, strict=True)
        ]

    def ages(self, estimated: BoolArray) -> tuple[tuple[int, int | None], ...]:
        """Blocks that are estimated, with the rounds since their own results came."""
        own, now = self._code.own_blocks, self._earlier.turn
        last = {int(own[past.chunk]): now - past.turn for past in self.past}
        return tuple((block, last.get(block)) for block in np.flatnonzero(estimated).tolist())

    def foreseen(self, located: Located) -> Callable[[Collection[int]], float] | None:
        """The error that is likely once some chunks have returned; None where nobody knows.

        Parameters
        ----------
        located : Located
            Where the blocks are.
        """
        if not self._earlier.past or (located.unknown > KNOWN).any():
            return None
        self._begin(self._earlier.past[-1].spec)
        leaves = [self._expected(number, located) for number in range(len(self._grams))]

        def error(chunks: Collection[int]) -> float:
            return max(leaf(chunks) for leaf in leaves)

        return error if self.past else None

    def _expected(self, number: int, located: Located) -> Callable[[Collection[int]], float]:
        """The same for a leaf."""
        outputs = count_outputs(self.past[0].spec.sketches[number])
        gram = self._grams[number].matrix
        groups, row = [], np.zeros(len(gram))
        for which, (group, columns, rounds) in enumerate(self._rounds((), gram, located, outputs)):
            if not len(columns):
                return _unknown
            found = self._remember(number, which, rounds, search=False)
            row[columns] += found.weights.sum(axis=0)
            groups.append((group, found))
        square = float(row @ gram @ row) / outputs if self._reduced else rms(gram, outputs) ** 2

        def error(chunks: Collection[int]) -> float:
            there = np.array(sorted(chunks), dtype=np.intp)
            variance = 0.0
            for group, found in groups:
                inside = there[within(there, group.chunks)] - group.chunks.start
                left = found.outlook.left_by(inside)
                whole = left.sum() if self._reduced else np.trace(left) / self._code.k
                variance += found.scale * float(whole)
            return float(np.sqrt(max(variance, 0.0) / square)) if square > 0 else np.inf

        return error

    def _grow(self, results: Mapping[int, ResultSpec]) -> None:
        """Take the results that are new into the inner products."""
        for chunk, spec in list(results.items())[len(self._taken) :]:
            if not self._taken:
                self._begin(spec)
            self._add(spec)
            self._taken.append(chunk)

    def _begin(self, like: ResultSpec) -> None:
        """Take in what earlier rounds have left that is like this."""
        self.past = tuple(p for p in self._earlier.past if p.spec.matches(like))
        self._grams = [GrowingGram() for _ in like.sketches]
        for past in self.past:
            self._add(past.spec)

    def _add(self, spec: ResultSpec) -> None:
        for gram, sketch in zip(self._grams, spec.sketches, strict=True):
            gram.add(sketch)

    def _remembered(
        self,
        number: int,
        leaf: SolvedLeaf,
        results: Mapping[int, ResultSpec],
        chunks: Sequence[int],
        located: Located,
        *,
        search: bool,
    ) -> SolvedLeaf:
        """The leaf by results of all rounds, if its error is smaller so."""
        m, p = len(chunks), len(self.past)
        if not p and (leaf.matrix.suspects or leaf.matrix.rows):
            return leaf
        place = {chunk: p + row for row, chunk in enumerate(self._taken)}
        order = [*(place[chunk] for chunk in chunks), *range(p)]
        gram = self._grams[number].matrix[np.ix_(order, order)]
        outputs = count_outputs(results[chunks[0]].sketches[number])
        unit = rms(gram[:m, :m], outputs)
        in_unit = unit / leaf.unit
        # That results of all rounds are alike says no more than that those of one are.
        alike = leaf.matrix.alike * in_unit
        weights = np.zeros((self._code.k, m + p))
        error = leaf.matrix.error * in_unit
        outlooks, variance = [], 0.0
        for which, (group, columns, rounds) in enumerate(
            self._rounds(chunks, gram, located, outputs)
        ):
            blocks = group.blocks
            if not len(columns):
                return leaf
            found = self._remember(number, which, rounds, search=search)
            weights[np.ix_(blocks, columns)] = found.weights
            # What blocks have returned themselves is as good as it was.
            kept = np.where(found.returned, error[blocks], 0.0)
            least = np.where(found.returned, 0.0, alike)
            error[blocks] = kept + np.maximum(np.sqrt(np.diag(found.covariance)), least)
            off = found.variance(np.ones(len(blocks)))
            if not p:
                if found.outputs < TELLING:
                    return leaf
                off *= 1 + 2 / found.outputs
            variance += max(off, float(least.sum()) ** 2) + float(kept.sum()) ** 2
            outlooks.append(GroupOutlook(blocks, group.chunks, found.outlook))
        matrix = DecodingMatrix(
            weights,
            error,
            kernels=(NAME,),
            noise=leaf.matrix.noise * in_unit,
            suspects=leaf.matrix.suspects,
            alike=alike,
            outlooks=tuple(outlooks),
        )
        row = weights.sum(axis=0)
        square = float(row @ gram @ row) / outputs
        if not p:
            if leaf.matrix.error.sum() * in_unit < error.sum():
                # Its error of the sum is the most that it may be, and larger for that alone.
                return leaf
            # One round tells less of its own hyper-parameters than several do.
            apart = row - leaf.matrix.weights.sum(axis=0)
            variance += DISAGREEMENT**2 * float(apart @ gram @ apart) / outputs
        of_sum = float(np.sqrt(variance / square)) if square > 0 else np.inf
        there = SolvedLeaf(matrix, unit, of_sum if self._reduced else 0.0)
        now, then = (leaf.of_sum, there.of_sum) if self._reduced else (leaf.overall, there.overall)
        return there if then < now else leaf

    def _remember(self, number: int, which: int, rounds: Rounds, *, search: bool) -> Remembered:
        """What all rounds tell of a group's blocks, from the likeliest parameters so far."""
        known, key = self._earlier, (number, which)
        if self.past:
            likeliest, start = known.found, known.found.get(key, known.start.get(key))
        else:
            # What is found in the end must not depend on what came first.
            likeliest, start = self._alone, None if search else self._alone.get(key)
        found = remember(rounds, start, search=search or not self.past)
        likeliest[key] = found.parameters
        return found

    def _rounds(
        self, chunks: Sequence[int], gram: FloatArray, located: Located, outputs: int
    ) -> Iterator[tuple[Group, IndexArray, Rounds]]:
        """Of every group the columns of its results, those of earlier rounds last, and these."""
        of_chunks = np.array([*chunks, *(past.chunk for past in self.past)], dtype=np.intp)
        rounds, steps = self._steps(of_chunks, len(chunks), gram)
        for group in self._code.groups:
            columns = within(of_chunks, group.chunks)
            yield (
                group,
                columns,
                Rounds.of(
                    group.code.generator,
                    group.code.own_blocks,
                    located.among(group.blocks).gram,
                    of_chunks[columns] - group.chunks.start,
                    rounds[columns],
                    steps,
                    gram[np.ix_(columns, columns)],
                    outputs,
                ),
            )

    def _steps(
        self, chunks: IndexArray, fresh: int, gram: FloatArray
    ) -> tuple[IndexArray, FloatArray]:
        """Of every result its round, counted from the first, and how far rounds are apart."""
        now = self._earlier.turn
        turns = sorted({past.turn for past in self.past})
        number = {turn: place for place, turn in enumerate([*turns, now])}
        rounds = np.array([len(turns)] * fresh + [number[p.turn] for p in self.past])
        arguments = [self._earlier.arguments.get(turn) for turn in number]
        shapes = {None if a is None else tuple(x.shape for x in a) for a in arguments}
        known = [a for a in arguments if a is not None and all(np.isfinite(x).all() for x in a)]
        if len(known) == len(arguments) and len(shapes) == 1:
            return rounds, steps_of_arguments(known)
        return rounds, steps_of_results(chunks, rounds, gram)


def _unknown(_: Collection[int]) -> float:
    return np.inf


def _padded(leaf: SolvedLeaf, count: int) -> SolvedLeaf:
    """The leaf with no weight for so many results of earlier rounds."""
    weights = np.pad(leaf.matrix.weights, ((0, 0), (0, count)))
    return leaf._replace(matrix=replace(leaf.matrix, weights=weights))
