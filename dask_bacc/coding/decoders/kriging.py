"""The decoder that learns the function's smoothness from the results, and its own error."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from dask_bacc.coding._typing import BoolArray, FloatArray, IndexArray
from dask_bacc.coding.codes import Code
from dask_bacc.coding.decoders.base import Decoder, Evidence, Solution
from dask_bacc.coding.kriging.alike import RULE
from dask_bacc.coding.kriging.fitted import FEWEST, Fitted
from dask_bacc.coding.kriging.kernels import centred
from dask_bacc.coding.kriging.outlook import Outlook, Space
from dask_bacc.coding.kriging.rows.by_rows import ByRows, krige_rows

#: Errors of left-out results, over the noise that is seen where blocks are the points, up to which
#: rows say that there is none: no result is predicted better than its own noise lets it be.
OF_NOISE = 0.5


@dataclass(frozen=True)
class Kriging(Decoder):
    """Gaussian process regression over the blocks themselves, with an error for every block.

    The function is taken for a draw of a Gaussian process over blocks, with a constant, a linear
    and one of several curved covariances; results and blocks are points whose distances come from
    the blocks' inner products. Fits of the families are averaged by their posterior.

    Choose it for any function: it is exact for affine functions from ``k + 1`` results and for
    quadratic ones once the results determine them.

    Notes
    -----
    Give the blocks' inner products to `dask_bacc.coding.decode` as `gram`. Without them blocks are
    taken for unrelated and equally large. With `p` outputs the error estimate is widened by
    ``sqrt(1 + 2 / p)``, since hyper-parameters that few outputs choose are themselves uncertain,
    and with `m` results of no more than as many blocks by ``sqrt(1 + 30 / m**2 + 600 / m**4)``.
    The variance of a block that is not wholly known is at least what results differ by, times
    twice the share that is not known. Results that are alike say little of others
    (`dask_bacc.coding.kriging.alike`). Given as `rows`, the rows of blocks are points where every
    result is predicted clearly better from the others so; the name of the kernel then ends in
    "of rows". Noise that is seen where blocks are the points is none where rows predict results
    better than it lets them be.

    References
    ----------
    Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), chapters 2 and 5.

    Examples
    --------
    >>> from dask_bacc.coding import Berrut, decode
    >>> code = Berrut(3, 6, systematic=True)
    >>> blocks = np.array([[1.0, 2.0, 0.0], [3.0, 1.0, 2.0], [2.0, 2.0, 5.0]])
    >>> chunks = 2 * code.encode(blocks) + 1
    >>> results = {i: chunks[i] for i in (0, 3, 4, 5)}
    >>> decoded = decode(code, results, "kriging", gram=blocks @ blocks.T)
    >>> np.abs(decoded.blocks - (2 * blocks + 1)).max() < 1e-6
    np.True_
    """

    uses_results: ClassVar[bool] = True
    uses_gram: ClassVar[bool] = True
    estimates_error: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """``"kriging"``."""
        return "kriging"

    def recovered(self, code: Code, chunks: IndexArray) -> BoolArray:
        """All blocks from `FEWEST` results on, or as many as there are blocks; else none."""
        fewest, copies = min(code.k, FEWEST), -(-code.n // code.k)
        enough = len(chunks) >= fewest
        if enough and len(chunks) < fewest * copies:
            # Copies say nothing more.
            enough = len(np.unique(code.generator[chunks], axis=0)) >= fewest
        return np.full(code.k, enough)

    def checks(self, code: Code, count: int) -> bool:
        """Two results more than an affine function needs, and two for each corrupted one."""
        return _most_suspects(code, count) > 0

    def solve(self, evidence: Evidence) -> Solution:
        """Weights and RMS errors, averaged over families."""
        assert evidence.results_gram is not None
        k = evidence.code.k
        if not np.trace(evidence.results_gram) > 0:
            return _from_zeros(evidence)
        space = _space(evidence)
        unknown, blur = np.zeros(k), np.zeros(k)
        if evidence.located is not None:
            unknown, blur = evidence.located.unknown, evidence.located.blur / space.unit
        fitted = Fitted.to(
            space.geometry(evidence.chunks),
            k,
            evidence.results_gram,
            evidence.outputs,
            evidence.memory.get(self.name),
            evidence.values,
        )
        found = _beyond_doubt(evidence, fitted, unknown, blur)
        found, by_rows = _with_rows(evidence, found, unknown, blur)
        fitted, weights, variance = found.fitted, found.weights, found.variance
        evidence.memory[self.name] = fitted.ensemble
        # What differs where blocks are the same is noise, or blocks differ by less than rounding.
        scatter = fitted.scatter
        noise = np.sqrt(max(fitted.conditioned.noise_variance(), scatter))
        kernel = fitted.ensemble.best.family.name
        unforeseen = fitted.unforeseen_variance(evidence.square)
        variance = np.maximum(variance, unforeseen)
        variance = variance + evidence.rounding**2 / 4 * _square_of_rounded(weights, evidence)
        if by_rows is not None:
            assert evidence.rows is not None
            # The results' inner products may be of sketches that have fewer and larger numbers.
            numbers = evidence.rows.count * evidence.rows.results.shape[2]
            variance[by_rows.weights.blocks] = by_rows.variance * numbers / evidence.outputs
            unforeseen = 0.0
            kernel = f"{by_rows.fit.fitted.ensemble.best.family.name} of rows"
        return Solution(
            weights,
            np.sqrt(variance + scatter),
            kernel=kernel,
            noise=noise,
            suspects=found.suspects,
            doubt=found.doubt,
            alike=float(np.sqrt(unforeseen)),
            rows=None if by_rows is None else by_rows.weights,
            outlook=Outlook(fitted.conditioned.parts, space),
        )


@dataclass(frozen=True, eq=False)
class _Estimates:
    """Of the blocks, with results that look corrupted put aside or reckoned with."""

    fitted: Fitted
    weights: FloatArray
    variance: FloatArray
    #: positions of results that look corrupted
    suspects: IndexArray
    #: ``(m,)`` RMS by which each result itself may be off
    doubt: FloatArray


def _beyond_doubt(
    evidence: Evidence, fitted: Fitted, unknown: FloatArray, blur: FloatArray
) -> _Estimates:
    """Estimates that are right whether or not some results are corrupted, or without those."""
    k, m = evidence.code.k, len(evidence.chunks)
    most = _most_suspects(evidence.code, fitted.observations.count)
    aside = fitted.outliers(most, trusting=evidence.replace)
    nobody, doubt = np.zeros(0, dtype=np.intp), np.zeros(m)
    weights, variance = fitted.estimates(unknown, blur)
    if not len(aside):
        return _Estimates(fitted, weights, variance, nobody, doubt)
    suspects = np.flatnonzero(fitted.merging[aside].any(axis=0))
    clean = fitted.without(aside)
    others, of_others = clean.estimates(unknown, blur)
    skewed = fitted.may_be_skewed(aside)
    if evidence.replace and not skewed:
        return _Estimates(clean, others, of_others, suspects, doubt)
    # Whether they are the function's own or not, the answer is within its bar.
    wrong = np.eye(m)[suspects] - clean.weights(k + suspects)
    doubt[suspects] = np.sqrt(fitted.mean_square(wrong))
    variance = np.maximum(variance, of_others) + fitted.mean_square(weights - others) / 4
    weights = (weights + others) / 2
    return _Estimates(fitted, weights, variance, nobody if skewed else suspects, doubt)


def _with_rows(
    evidence: Evidence, found: _Estimates, unknown: FloatArray, blur: FloatArray
) -> tuple[_Estimates, ByRows | None]:
    """Answers by rows too, if these are better points than blocks."""
    if found.doubt.any() or found.fitted.scatter > 0:
        return found, None
    by_rows = _by_rows(evidence, found.fitted, blur)
    if by_rows is None or not found.fitted.conditioned.noise_variance() > 0:
        return found, by_rows
    # What rows tell of each other is no noise, and only looks like it where blocks are the points.
    quiet = _beyond_doubt(evidence, found.fitted.without_noise(), unknown, blur)
    return (found, None) if quiet.doubt.any() else (quiet, by_rows)


def _by_rows(evidence: Evidence, fitted: Fitted, blur: FloatArray) -> ByRows | None:
    """Answers for the blocks that have not returned, if rows are better points than blocks."""
    rows, own = evidence.rows, evidence.code.own_blocks[evidence.chunks]
    if rows is None or (evidence.located is not None and evidence.located.unknown.any()):
        return None
    if not np.isfinite(rows.blocks).all():
        return None
    # Of several results at the same point, all of them alike, one will do.
    used = np.argmax(fitted.merging > 0, axis=1)
    lost = np.setdiff1d(np.arange(evidence.code.k), own[fitted.merging.any(axis=0)])
    if not len(lost):
        return None
    memory, to_beat = evidence.memory, fitted.left_out()
    if (noise := fitted.conditioned.noise_variance()) > 0:
        to_beat = np.minimum(to_beat, OF_NOISE**2 * noise * evidence.outputs)
    found = krige_rows(
        rows.among(np.arange(evidence.code.k), used),
        evidence.code.generator[evidence.chunks[used]],
        lost,
        to_beat,
        blur[lost],
        evidence.rounding,
        memory.get("rows"),
    )
    if found is not None:
        memory["rows"] = found.fit
        found = replace(found, weights=found.weights.moved(np.arange(evidence.code.k), used))
    return found


def _from_zeros(evidence: Evidence) -> Solution:
    """Zeros, of which nothing is known but that these results are."""
    k, m = evidence.code.k, len(evidence.chunks)
    own = evidence.code.own_blocks[evidence.chunks]
    lost = k - len(np.unique(own[own >= 0]))
    error = np.sqrt(min(RULE / m, 1.0) * evidence.square)
    if not error > 0:
        # In units of an answer that is zero but for what is lost.
        error = np.sqrt(k / max(lost, 1))
    return Solution(np.full((k, m), 1.0 / m), np.full(k, error), kernel="zero", alike=float(error))


def _square_of_rounded(weights: FloatArray, evidence: Evidence) -> FloatArray:
    """Mean square of what is rounded in sums of results: each of them, and the sum."""
    assert evidence.results_gram is not None
    squares = np.diag(evidence.results_gram) / evidence.outputs
    rounded: FloatArray = (weights**2) @ squares + squares.mean()
    return rounded


def _most_suspects(code: Code, count: int) -> int:
    return (count - code.k - 2) // 2


def _space(evidence: Evidence) -> Space:
    """Where the blocks and the chunks of a code are."""
    code = evidence.code
    if evidence.located is None and code.data_nodes is not None and code.chunk_nodes is not None:
        # All that is known of the blocks is that chunks vary smoothly along the nodes.
        nodes, known = code.data_nodes, code.chunk_nodes
        unit = float(np.mean(np.concatenate([nodes, known[evidence.chunks]]) ** 2))
        return Space(nodes[:, None], known[:, None], np.eye(1) / unit)
    if evidence.located is None:
        return Space(np.eye(code.k), code.generator, np.eye(code.k))
    # Rows sum to one, so all points move alike.
    before = evidence.located.gram
    gram = centred(before)
    scale = float(np.mean(np.diag(gram)))
    scale = scale if scale > 0 else 1.0
    return Space(np.eye(code.k), code.generator, gram / scale, before / scale, scale)
