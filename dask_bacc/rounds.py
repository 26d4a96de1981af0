"""A function that is mapped over the same chunks again and again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from dask_bacc.coding import Code
from dask_bacc.graphs.call import Call
from dask_bacc.policy.options import Combine, RunOptions
from dask_bacc.results.memory import RoundsMemory
from dask_bacc.run import CodedRun

#: Options of a run that are handed to the cluster, and those that decide when it ends.
WISHES = ("workers", "resources", "priority")
CHOICES: dict[str, Any] = {
    "enough": None,
    "rtol": None,
    "deadline": None,
    "decoder": None,
    "launch": "eager",
    "cancel": "cancel",
    "suspects": "keep",
    "copies": None,
    "retries": 0,
}
#: Share of the blocks that many results are waited for at least once all chunks are known: the
#: estimate decides whether it is enough.
FEW = 0.5


def few_of(k: int) -> int:
    """Results that are waited for at least, of so many blocks, once all chunks are known."""
    return max(1, round(FEW * k))


class CodedRounds:
    """A function over the chunks of a coded array, round after round; made by `CodedArray.rounds`.

    Call it with the arguments of a round; it gives a `CodedRun`. The next round knows what it
    returned once its answer is there.

    Attributes
    ----------
    memory : RoundsMemory
        What rounds have returned, at most `keep` results of every chunk; pickle it to go on
        later, over the same chunks.
    """

    def __init__(
        self,
        start: Callable[..., CodedRun[Any]],
        checked: Callable[[Mapping[str, Any]], RunOptions],
        code: Code,
        func: Callable[..., Any],
        combine: Combine,
        keep: int,
        memory: RoundsMemory | None,
        options: Mapping[str, Any],
    ) -> None:
        if not callable(func):
            raise TypeError(f"func must be callable, got {type(func).__name__}")
        known = {*CHOICES, *WISHES, "client"}
        if strays := sorted(options.keys() - known):
            raise TypeError(
                f"{', '.join(strays)} {'is no option' if len(strays) == 1 else 'are no options'} "
                f"of rounds, which are {', '.join(sorted(known))}; arguments of the function are "
                "given to each round"
            )
        if keep < 1:
            raise ValueError(f"keep must be at least 1 result of every chunk, got {keep}")
        if combine == "list":
            raise ValueError("combine='list' has no numbers to remember; use map")
        self._said = {"combine": combine} | {
            name: options.get(name, default) for name, default in CHOICES.items()
        }
        chosen = checked(self._said)
        decoder = chosen.decoder
        if not (decoder.uses_gram and decoder.estimates_error):
            raise ValueError(
                f"rounds remember by kriging, and decoder={decoder.name!r} is another; use "
                "decoder='kriging', or map"
            )
        self._start, self._code, self._func = start, code, func
        # Without an estimate nobody knows whether few results are enough.
        self._may_be_few = options.get("enough") is None and math.isfinite(chosen.rtol)
        self._wishes = {name: options.get(name) for name in WISHES}
        self._client = options.get("client")
        self.memory = RoundsMemory(keep) if memory is None else memory

    def __call__(self, *args: Any, **kwargs: Any) -> CodedRun[Any]:
        """Run the function on every chunk with these arguments.

        Parameters
        ----------
        *args, **kwargs
            As in `CodedArray.map`; all of them are the function's.

        Returns
        -------
        CodedRun
        """
        said = dict(self._said)
        if self._may_be_few and self.memory.has(range(self._code.n)):
            said["enough"] = few_of(self._code.k)
        call = Call(self._func, args, kwargs)
        return self._start(call, said, self._wishes, self._client, self.memory)

    def __repr__(self) -> str:
        name = getattr(self._func, "__name__", self._func)
        memory = self.memory
        return f"<CodedRounds of {name}: {memory.turns} begun, {memory.nbytes:,} bytes kept>"
