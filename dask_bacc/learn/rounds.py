"""Rounds of gradients, by any policy."""

from __future__ import annotations

from typing import Any

from distributed import Client

from dask_bacc.coding._typing import AnyArray
from dask_bacc.learn.data import Batches
from dask_bacc.learn.model import Model, summed_gradient
from dask_bacc.learn.policies import Policy
from dask_bacc.records.report import RunReport
from dask_bacc.rounds import CodedRounds
from dask_bacc.run import CodedRun


class Gradients:
    """Sums of gradients over minibatches whose chunks are on workers.

    Parameters
    ----------
    data : Batches
    k, n : int
        Blocks, and chunks where there are more.
    deadline : float, optional
        Seconds of a round at most.
    client : distributed.Client, optional
    """

    def __init__(
        self, data: Batches, k: int, n: int, deadline: float | None, client: Client | None
    ) -> None:
        self._data = data
        self._k, self._n = k, n
        self._deadline = deadline
        self._client = client
        #: of minibatches, for each number of the round's policy
        self._rounds: dict[int, CodedRounds] = {}

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
        n = self._n if policy.redundant else self._k
        coded = self._data.coded(batch, policy.code, n, self._client)
        options = policy.options(self._k, rtol, chances) | {
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
            run = coded.map(summed_gradient, *arguments, combine="sum", kwargs={}, **options)
        return run.result(), run.report
