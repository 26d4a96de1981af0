"""What happens in a chaos draw, and when: a pure function of its seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

#: Workers and threads of each: draws of the same shape share a cluster.
SHAPES = ((4, 1), (6, 1), (4, 2))

#: Share of the draws that have a cluster to themselves, on which nothing has run.
COLD = 0.05
#: Share of the draws over data that is made anew by every run that have a second run at least.
AGAIN = 0.5

DATA = ("numpy", "dask", "persisted", "chunks")
FIELDS = ("smooth", "common mean")
FUNCTIONS = ("tanh", "sigmoid", "network")

#: Faults that befall a worker at some time, and those that befall chunks.
WORKER_FAULTS = ("stop", "pause", "kill", "terminate", "stop source")
CHUNK_FAULTS = ("slow", "raise", "nan", "structure", "deaf", "obedient")
#: Faults of the client's own making, and of the scheduler's.
OTHER_FAULTS = ("cancel", "drop", "pause scheduler")
FAULTS = (*WORKER_FAULTS, *CHUNK_FAULTS, *OTHER_FAULTS)

#: Rare ones end the run or take long to make good.
WEIGHTS = dict.fromkeys(FAULTS, 2.0) | {
    "stop": 4.0,
    "kill": 4.0,
    "structure": 0.7,
    "cancel": 1.0,
    "drop": 1.0,
    "pause scheduler": 1.0,
}


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong."""

    kind: str
    #: seconds after the first run was submitted; negative for before
    at: float = 0.0
    #: worker it befalls, in the order of their addresses
    worker: int = 0
    #: chunks it befalls, in every run
    chunks: tuple[int, ...] = ()
    #: seconds it lasts; of slow chunks, those they take longer
    seconds: float = 0.0


@dataclass(frozen=True)
class Draw:
    """Some runs in a row on the same data, and what goes wrong meanwhile."""

    seed: int
    #: workers and threads of each
    shape: tuple[int, int]
    k: int
    n: int
    #: where the data is: in the client, in a graph, in source blocks or in chunks on the cluster
    data: str
    #: how blocks differ
    field: str
    function: str
    launch: str
    cancel: str
    enough: int | None
    rtol: float
    deadline: float
    runs: int
    #: whether nothing has run on the cluster before
    cold: bool
    #: seconds that each chunk takes when nothing is wrong
    seconds: tuple[float, ...]
    faults: tuple[Fault, ...]
    #: whether blocks are run once more, with `Patience.gate` and `Patience.work`
    copies: bool = False
    gate: float = 1.2
    work: float = 2.0
    #: whether only the first attempts at chunks misbehave
    first_only: bool = False

    @property
    def kinds(self) -> set[str]:
        """Kinds of the faults."""
        return {fault.kind for fault in self.faults}


def draw(seed: int) -> Draw:
    """The draw of a seed.

    Parameters
    ----------
    seed : int
        Not negative.
    """
    rng = np.random.default_rng([20261, seed])
    shape = SHAPES[int(rng.integers(len(SHAPES)))]
    k = int(rng.integers(4, 11))
    n = k + int(rng.integers(2, k + 1))
    deadline = float(rng.uniform(0.4, 1.2))
    compute = float(rng.choice([0.0, 0.01, 0.03]))
    data = str(rng.choice(DATA))
    # What the first run left behind on workers is what the second may wait for.
    again = data == "dask" and rng.random() < AGAIN
    drawn = Draw(
        seed=seed,
        shape=shape,
        k=k,
        n=n,
        data=data,
        field=str(rng.choice(FIELDS)),
        function=str(rng.choice(FUNCTIONS)),
        launch=str(rng.choice(["eager", "backup"])),
        cancel=str(rng.choice(["cancel", "restart"])),
        enough=None if rng.random() < 0.7 else int(rng.integers(1, n + 1)),
        rtol=float(rng.choice([np.inf, 0.1, 0.01, 0.0])),
        deadline=deadline,
        runs=max(int(rng.choice([1, 1, 2, 3])), 1 + again),
        cold=bool(rng.random() < COLD),
        seconds=tuple(np.round(compute * rng.exponential(size=n), 4).tolist()),
        faults=(),
    )
    count = int(rng.integers(1, 4))
    weights = np.array([WEIGHTS[kind] for kind in FAULTS])
    kinds = rng.choice(FAULTS, size=count, replace=False, p=weights / weights.sum())
    # Of its own, so that all else is as it was before there were copies.
    more = np.random.default_rng([20262, seed])
    return replace(
        drawn,
        faults=tuple(_fault(str(kind), drawn, rng) for kind in kinds),
        copies=bool(more.random() < 0.7),
        gate=float(more.choice([0.0, 1.2, 1.2])),
        work=float(more.choice([2.0, 2.0, 4.0])),
        first_only=bool(more.random() < 0.5),
    )


def _fault(kind: str, drawn: Draw, rng: np.random.Generator) -> Fault:
    # Early ones are likely to find the run still going; some come before it.
    at = float(rng.choice([-0.02, 0.0, 1.0])) * float(rng.exponential(0.06))
    if kind in WORKER_FAULTS:
        worker = int(rng.integers(drawn.shape[0]))
        seconds = float(rng.uniform(0.02, 0.5)) if kind == "pause" else 0.0
        return Fault(kind, at, worker, seconds=seconds)
    if kind in CHUNK_FAULTS:
        most = 1 if kind in ("structure", "deaf") else max(1, drawn.n // 4)
        count = int(rng.integers(1, most + 1))
        chunks = sorted(rng.choice(drawn.n, size=count, replace=False).tolist())
        seconds = float(rng.uniform(0.1, 1.0)) if kind == "slow" else 0.0
        return Fault(kind, chunks=tuple(chunks), seconds=seconds)
    if kind == "pause scheduler":
        return Fault(kind, abs(at), seconds=float(rng.uniform(0.1, 1.2)))
    return Fault(kind, abs(at))
