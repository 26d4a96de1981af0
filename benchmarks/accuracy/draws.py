"""Draws of blocks and functions, with the answers of all codes and decoders to each."""

from __future__ import annotations

import itertools

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.accuracy.report import BY_BLOCKS, HINDSIGHT, Record
from benchmarks.workloads import Network, draw
from dask_bacc import coding

CODES = ("berrut", "systematic", "local", "convex", "repetition", "lagrange", "uncoded")
ON_NODES = ("berrut", "floater-hormann", "spline")
DECODERS = {
    "berrut": (*ON_NODES, "least-squares", "kriging", BY_BLOCKS, HINDSIGHT),
    "systematic": (*ON_NODES, "least-squares", "kriging", BY_BLOCKS, HINDSIGHT),
    "local": ("least-squares", "kriging", HINDSIGHT),
    "convex": ("least-squares", "kriging", HINDSIGHT),
    "repetition": ("mean", "kriging"),
    "lagrange": ("polynomial",),
    "uncoded": ("mean", "kriging", HINDSIGHT),
}
#: Outputs that are kept, to see how error estimates hold with few of them; None for all.
OUTPUTS = (None, 1, 5)
#: Codes for which that is tried.
FEW_OUTPUTS = ("systematic", "local")


def missing_chunks(
    code: coding.Code, count: int, pattern: str, rng: np.random.Generator
) -> np.ndarray:
    """Random chunks, or neighbours in the order of the nodes."""
    if pattern == "random":
        return rng.permutation(code.n)[:count]
    order = np.arange(code.n) if code.chunk_nodes is None else np.argsort(code.chunk_nodes)
    first = rng.integers(code.n - count + 1)
    return order[first : first + count]


def answer(
    code: coding.Code,
    results: dict[int, np.ndarray],
    decoder: str,
    inputs: np.ndarray,
    truth: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Decoded blocks and their estimated errors."""
    if decoder == HINDSIGHT:
        flat = {i: result.reshape(-1) for i, result in results.items()}
        blocks = with_hindsight(code, flat, truth.reshape(code.k, -1))
        return blocks.reshape(truth.shape), np.full(code.k, np.nan)
    if decoder == BY_BLOCKS:
        flat = inputs.reshape(code.k, -1)
        decoded = coding.decode(code, results, "kriging", flat @ flat.T)
        return decoded.blocks, decoded.error
    if decoder != "mean":
        decoded = coding.decode(code, results, decoder, rows=inputs)
        return decoded.blocks, decoded.error
    copied = coding.decode(code, results, "first-copy")
    blocks = copied.blocks.copy()
    blocks[list(copied.lost)] = np.mean(list(results.values()), axis=0)
    return blocks, np.full(code.k, np.nan)


def with_hindsight(
    code: coding.Code, results: dict[int, np.ndarray], truth: np.ndarray
) -> np.ndarray:
    """The combination of the results that is closest to the truth.

    No decoder that combines results with the same weights for all outputs comes closer. Where
    there are not many more outputs than results it is closer than any decoder could be that does
    not know the truth: of `p` outputs, `m` are fitted by as many weights.
    """
    chunks = sorted(results)
    stacked = np.stack([results[i] for i in chunks])
    own = code.own_blocks[chunks]
    lost = np.setdiff1d(np.arange(code.k), own)
    weights = np.linalg.lstsq(stacked.T, truth[lost].T)[0].T
    blocks = truth.copy()
    blocks[lost] = weights @ stacked
    return blocks


def one_draw(
    function: str,
    data: str,
    setting: tuple[int, int, int],
    seed: int,
    network: Network,
    names: tuple[str, ...],
) -> list[Record]:
    """All codes, patterns and decoders on one set of blocks and one function."""
    k, n, missing = setting
    rng = np.random.default_rng([seed, *setting])
    blocks, mapped = draw(function, data, k, rng, network)
    truth = mapped(blocks)
    few = rng.permutation(truth[0].size)
    records = []
    for name in names:
        try:
            code = coding.get_code(name, k, k if name == "uncoded" else n)
        except ValueError:  # more parity than the code has
            continue
        results = mapped(code.encode(blocks))
        tried = OUTPUTS if name in FEW_OUTPUTS else (None,)
        for pattern, outputs in itertools.product(("random", "consecutive"), tried):
            # As many of the chunks, in proportion, as of the other codes'.
            lost = max(1, round(missing * code.n / n))
            gone = missing_chunks(code, lost, pattern, rng)
            wanted, seen = truth, results
            if outputs is not None:
                kept = few[:outputs]
                wanted, seen = (
                    whole.reshape(len(whole), -1)[:, kept] for whole in (truth, results)
                )
            returned = {i: seen[i] for i in range(code.n) if i not in gone}
            size = np.linalg.norm(wanted)
            for decoder in DECODERS[name] if outputs is None else ("kriging",):
                found, predicted = answer(code, returned, decoder, blocks, wanted)
                error = np.linalg.norm(found - wanted) / size
                bar = np.linalg.norm(predicted) * np.sqrt(wanted[0].size) / size
                records.append(
                    Record(
                        name,
                        decoder,
                        function,
                        data,
                        setting,
                        pattern,
                        outputs,
                        np.inf if np.isnan(error) else error,
                        bar,
                    )
                )
    return records


_network: Network


def start(network: Network) -> None:
    """Give a process the network for its draws, and one thread of BLAS."""
    global _network
    _network = network
    threadpool_limits(1)


def draws_of(task: tuple[str, str, tuple[int, int, int], int, tuple[str, ...]]) -> list[Record]:
    """All draws of a function, a kind of data and a setting."""
    function, data, setting, draws, names = task
    return list(
        itertools.chain.from_iterable(
            one_draw(function, data, setting, seed, _network, names) for seed in range(draws)
        )
    )
