"""A module on its way: its weights, its optimiser, and what happened so far."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from dask_bacc.coding._typing import AnyArray
from dask_bacc.learn.advice import (
    COLD,
    TRIED,
    UNLIKE,
    Advice,
    late_in_a_round,
    persistence,
    recommend,
    sooner,
    time_ignoring,
    to_begin_with,
)
from dask_bacc.learn.ledger import Ledger
from dask_bacc.learn.model import BESIDE, Model, flat_weights, set_gradient, trained
from dask_bacc.learn.policies import POLICIES, Policy, waited_for
from dask_bacc.learn.rounds import Gradients
from dask_bacc.records.report import RunReport

#: Policy that is chosen from how the first rounds went.
ADVISED = "advised"
#: What is said where policies leave out what has to wait.
LAST_ONES = (
    "policy={!r} leaves out blocks that are late, and where there are fewer threads than chunks "
    "these are always the same rows; make n smaller, or use policy='backup'"
)
#: Share of a gradient's own sampling noise that its error may be, and the most that it may be.
OF_NOISE, MOST = 0.5, 0.5
#: How much of what is known of that noise the next minibatch leaves.
KEPT = 0.8


@dataclass
class Training:
    """All that changes while a module is trained."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    #: of the learning rate; None for none
    schedule: Any
    #: what workers get
    model: Model
    #: name of the policy that is asked for, and of the one in force
    asked: str
    policy: str = field(init=False)
    gradient_rtol: float
    clip: float | None
    ledger: Ledger = field(default_factory=Ledger)
    advice: Advice | None = None
    epochs: int = 0
    #: RMS by which gradients of minibatches differ, over their size
    noise: float = 0.0
    last: AnyArray | None = None

    def __post_init__(self) -> None:
        self.policy = self.asked

    @classmethod
    def begin(
        cls,
        module: nn.Module,
        criterion: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Callable[[torch.optim.Optimizer], Any] | None,
        optimizer_params: Mapping[str, Any],
        seed: int,
        **options: Any,
    ) -> Training:
        """From the weights of a module, which stays as it is."""
        own = copy.deepcopy(module)
        chosen = optimizer(trained(own), **optimizer_params)
        schedule = None if scheduler is None else scheduler(chosen)
        return cls(own, chosen, schedule, Model.of(module, criterion, seed), **options)

    def epoch(self, gradients: Gradients, on_round: Callable[[int], Any] | None = None) -> None:
        """One step for each minibatch, each followed by a call with the number of rounds."""
        if self.asked != ADVISED and POLICIES[self.asked].leaves_out and not gradients.at_once:
            warnings.warn(LAST_ONES.format(self.asked), RuntimeWarning, stacklevel=3)
        for batch in range(gradients.batches):
            self._advise(gradients)
            self._step(gradients, batch)
            if on_round is not None:
                on_round(len(self.ledger))
        if self.schedule is not None:
            self.schedule.step()
        self.epochs += 1

    def state(self) -> dict[str, Any]:
        """All that is needed to go on."""
        return {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "rest": {name: getattr(self, name) for name in REST},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None and state["schedule"] is not None:
            self.schedule.load_state_dict(state["schedule"])
        for name, value in state["rest"].items():
            setattr(self, name, value)
        # What was asked for now counts, and not what was when the file was written.
        if self.asked != ADVISED:
            self.policy = self.asked

    def _advise(self, gradients: Gradients) -> None:
        """Choose the policy by the blocks, and anew once it is known how the first rounds went."""
        if self.asked != ADVISED or self.advice is not None:
            return
        if (rounds := len(self.ledger)) < TRIED:
            self.policy = to_begin_with(gradients.unlike, rounds, at_once=gradients.at_once)
        else:
            late, numbers = self.ledger.late[COLD:], self.ledger.numbers
            ignoring = time_ignoring(numbers["seconds"], numbers["saved"])
            persistent = persistence(late)
            self.advice = recommend(
                gradients.unlike,
                persistent,
                late_in_a_round(late),
                ignoring,
                at_once=gradients.at_once,
            )
            self.policy = self.advice.policy

    def _step(self, gradients: Gradients, batch: int) -> None:
        """One round, and a step of the optimiser."""
        begin, policy = time.perf_counter(), POLICIES[self.policy]
        rtol = self._rtol(gradients.unlike)
        weights, turn, data = flat_weights(self.module), len(self.ledger), gradients.data(policy)
        chances = self._chances(policy, data.k)
        total, report = gradients.of(batch, policy, rtol, chances, weights, self.model, turn)
        rows = data.k * data.rows
        gradient, loss = total[:-1] / rows, float(total[-1]) / (BESIDE * rows)
        error = math.nan if report.error is None else report.error
        step = min(1.0, rtol / error) if error > rtol else 1.0
        self._observe(gradient)
        if self.clip is not None and (size := float(np.linalg.norm(gradient))) > self.clip:
            gradient = gradient * (self.clip / size)
        set_gradient(self.module, step * gradient)
        self.optimizer.step()
        remembered = [age for age in report.remembered.values() if age is not None]
        self.ledger.add(
            policy.name,
            report,
            loss=loss,
            gradient_error=error,
            gradient_rtol=rtol,
            step=step,
            seconds=time.perf_counter() - begin,
            saved=sooner(report, waited_for(report.k)),
            work=report.work,
            effective_blocks=_effective(report),
            suspects=len(report.suspects),
            oldest=max(remembered, default=0),
        )

    def _rtol(self, unlike: float) -> float:
        """Error of a gradient that is good enough, by how much minibatches differ.

        Where blocks are unlike, what is missing is no random sample: its error is the same in
        round after round, and not noise.
        """
        if unlike > UNLIKE:
            return self.gradient_rtol
        return max(self.gradient_rtol, min(OF_NOISE * self.noise, MOST))

    def _observe(self, gradient: AnyArray) -> None:
        """Minibatches that follow on each other tell how much they differ."""
        if self.last is not None:
            size = float(gradient @ gradient + self.last @ self.last) / 2
            differ = float(((gradient - self.last) ** 2).sum()) / 2
            now = math.sqrt(differ / size) if size > 0 else 0.0
            self.noise = KEPT * self.noise + (1 - KEPT) * now if self.noise else now
        self.last = gradient

    def _chances(self, policy: Policy, k: int) -> tuple[float, ...]:
        """How often blocks have returned so far, as if in one more round all had."""
        if not policy.weighed:
            return ()
        who = self.ledger.who()[:, :k]
        counts = who.sum(axis=0) if len(who) else np.zeros(k)
        return tuple(((counts + 1) / (len(who) + 1)).tolist())


def _effective(report: RunReport) -> int:
    """Blocks whose own results are in the sum, as far as is known."""
    if report.error is None:
        return min(len(report.returned), report.k)
    return report.k - len(report.approximate)


#: What is kept of a training beside its weights.
REST = ("policy", "ledger", "advice", "epochs", "noise", "last")
