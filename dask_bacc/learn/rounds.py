"""Rounds of gradients, by any policy."""

from __future__ import annotations

import statistics
import warnings
from collections import deque
from collections.abc import Callable
from functools import cached_property
from typing import Any

from distributed import Client

from dask_bacc.coding._typing import AnyArray
from dask_bacc.learn.advice import unlikeness
from dask_bacc.learn.data import Batches
from dask_bacc.learn.model import Model, summed_gradient, weighed_gradient
from dask_bacc.learn.policies import Policy
from dask_bacc.records.errors import DecodeError
from dask_bacc.records.events import Stop
from dask_bacc.records.report import RunReport
from dask_bacc.results.memory import RoundsMemory
from dask_bacc.run import CodedRun
from dask_bacc.runtime.client import resolve_client

#: Rounds that have no limit, and times the usual seconds of a round, and seconds at least, that
#: later ones have: who waits longer waits for a worker that hangs.
FIRST, TIMES, LEAST = 3, 5.0, 10.0
#: What runs warn of, and trainings go on with: the step is shorter for one, the ledger has it.
GOES_ON = "decoded from|the estimate is above|results of chunks .* look"


class Gradients:
    """Sums of gradients over minibatches whose chunks are on workers.

    Parameters
    ----------
    cut : callable
        ``cut(count)`` gives the minibatches in so many blocks.
    k, n : int
        Blocks and chunks of policies that have more of these; of others there are `n` of each, so
        that as many workers have a part.
    deadline : float, optional
        Seconds of a round at most.
    client : distributed.Client, optional
    """

    def __init__(
        self,
        cut: Callable[[int], Batches],
        k: int,
        n: int,
        deadline: float | None,
        client: Client | None,
    ) -> None:
        self._cut = cut
        self._k, self._n = k, n
        self._known = {k: cut(k)}
        self.batches = self._known[k].batches
        self._deadline = deadline
        self.client = client
        #: what rounds have left, by minibatch
        self._memories: dict[int, RoundsMemory] = {}
        #: that the last rounds took
        self._seconds: deque[float] = deque(maxlen=20)

    @cached_property
    def unlike(self) -> float:
        """How unlike the blocks are, as `unlikeness` has it."""
        data = self._known[self._k]
        return unlikeness(*data.targets(), data.rows * self.batches)

    @property
    def at_once(self) -> bool:
        """Whether the cluster has a thread for every chunk of a round."""
        threads: dict[str, int] = resolve_client(self.client).nthreads()
        return sum(threads.values()) >= self._n

    def data(self, policy: Policy) -> Batches:
        """The minibatches as a policy has them."""
        count = self._k if policy.redundant else self._n
        if count not in self._known:
            self._known[count] = self._cut(count)
        return self._known[count]

    def of(
        self,
        batch: int,
        policy: Policy,
        rtol: float,
        chances: tuple[float, ...],
        weights: AnyArray,
        model: Model,
        turn: int,
    ) -> tuple[AnyArray, RunReport]:
        """The sum of a minibatch's gradients with its loss, and how the round went.

        Parameters
        ----------
        batch : int
        policy : Policy
        rtol : float
            Error that is good enough.
        chances : tuple of float
            Of blocks to return, for policies that weigh them.
        weights : (p,) ndarray
        model : Model
        turn : int
            Number of the round.

        Raises
        ------
        DecodeError
            If too little returned, and not only for a limit that nobody asked for.
        """
        data, patience = self.data(policy), self._patience(policy)
        options = policy.options(data.k, rtol, chances) | {"client": self.client}
        arguments = (weights, model, str(turn))
        try:
            total, report = self._mapped(batch, policy, arguments, deadline=patience, **options)
        except DecodeError:
            if patience == self._deadline:
                raise
            # All that came late was waiting for one worker.
            data.forget()
            total, report = self._mapped(batch, policy, arguments, deadline=None, **options)
        self._seconds.append(report.seconds)
        if report.stopped is Stop.DEADLINE:
            data.forget()
        return total, report

    def _mapped(
        self, batch: int, policy: Policy, arguments: tuple[Any, ...], **options: Any
    ) -> tuple[AnyArray, RunReport]:
        """The sum of what the chunks of a minibatch give."""
        data = self.data(policy)
        coded = data.coded(batch, policy, self._n, self.client)
        run: CodedRun[Any]
        if policy.remembers:
            memory = self._memories.get(batch)
            rounds = coded.rounds(summed_gradient, memory=memory, **options)
            self._memories[batch] = rounds.memory
            run = rounds(*arguments)
        else:
            func = summed_gradient if policy.assignment is None else weighed_gradient
            run = coded.map(func, *arguments, combine="sum", kwargs={}, **options)
        # The next minibatch is on workers when its round begins, and each chunk can have its own.
        data.coded((batch + 1) % self.batches, policy, self._n, self.client)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", GOES_ON)
            return run.result(), run.report

    def _patience(self, policy: Policy) -> float | None:
        """Seconds of a round at most: where estimates decide, some times what rounds take."""
        if self._deadline is not None or not policy.estimates:
            return self._deadline
        # The first ones wait for workers that import what they need.
        if len(self._seconds) < FIRST:
            return None
        return max(LEAST, TIMES * statistics.median(self._seconds))
