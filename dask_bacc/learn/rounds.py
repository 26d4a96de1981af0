"""Rounds of gradients, by any policy."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from distributed import Client

from dask_bacc.coding._typing import AnyArray
from dask_bacc.learn.advice import unlikeness
from dask_bacc.learn.data import Batches
from dask_bacc.learn.model import Model, summed_gradient, weighed_gradient
from dask_bacc.learn.policies import Policy
from dask_bacc.records.report import RunReport
from dask_bacc.rounds import CodedRounds
from dask_bacc.run import CodedRun


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
        self._client = client
        #: of minibatches, for each number of the round's policy
        self._rounds: dict[int, CodedRounds] = {}

    @cached_property
    def unlike(self) -> float:
        """How unlike the blocks are, as `unlikeness` has it."""
        data = self._known[self._k]
        return unlikeness(*data.targets(), data.rows * self.batches)

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
        """
        data = self.data(policy)
        coded = data.coded(batch, policy, self._n, self._client)
        options = policy.options(data.k, rtol, chances) | {
            "deadline": self._deadline,
            "client": self._client,
        }
        arguments = (weights, model, str(turn))
        run: CodedRun[Any]
        if policy.remembers:
            if batch not in self._rounds:
                self._rounds[batch] = coded.rounds(summed_gradient, **options)
            rounds = self._rounds[batch]
            rounds.rtol = rtol
            run = rounds(*arguments)
        else:
            func = summed_gradient if policy.assignment is None else weighed_gradient
            run = coded.map(func, *arguments, combine="sum", kwargs={}, **options)
        return run.result(), run.report
