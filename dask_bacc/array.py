"""The coded array: a dask collection of coded chunks over which functions are mapped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

import numpy as np
from distributed import Client

from dask_bacc.asked import annotated, check_names, options_of
from dask_bacc.coding import Decoder
from dask_bacc.coding.decode import Suspects
from dask_bacc.coding.linear import rounding
from dask_bacc.collection import CodedChunks
from dask_bacc.graphs.call import Call, Chunks, run_graph
from dask_bacc.graphs.encode import key_of
from dask_bacc.policy.options import Cancel, Combine, Launch
from dask_bacc.results.encoded import Encoded
from dask_bacc.results.gaps import BlockGaps, FindGaps, gaps_of_blocks, known_gaps
from dask_bacc.results.joining import Cut
from dask_bacc.results.memory import RoundsMemory
from dask_bacc.rounds import CodedRounds
from dask_bacc.run import CodedRun
from dask_bacc.runtime.start import start

if TYPE_CHECKING:
    from xarray import DataArray

#: The arrays that answers are: NumPy's, or DataArrays where these were encoded.
A = TypeVar("A")
#: What a function returns.
R = TypeVar("R")
#: What a function may return for one array of an answer.
Returned = np.ndarray[Any, Any] | np.generic | complex


class CodedArray(CodedChunks, Generic[A]):
    """Coded chunks of one or several arrays; made by `dask_bacc.encode`.

    A dask collection: ``persist()`` makes the chunks once for many runs, ``compute()`` gives them
    stacked on a new first axis (a tuple, if several arrays were encoded).

    Attributes
    ----------
    code : Code
        The code that made the chunks.
    parts : tuple of Part
        One for every encoded array.
    """

    # Options are said in full where they are, and types of answers here.

    @overload
    def map(
        self,
        func: Callable[..., Returned],
        *args: Any,
        combine: Literal["concat", "stack", "sum", "mean"] = "concat",
        **options: Any,
    ) -> CodedRun[A]: ...

    @overload
    def map(
        self, func: Callable[..., R], *args: Any, combine: Literal["list"], **options: Any
    ) -> CodedRun[list[R]]: ...

    @overload
    def map(
        self: CodedArray[DataArray], func: Callable[..., Any], *args: Any, **options: Any
    ) -> CodedRun[Any]: ...

    @overload
    def map(self, func: Callable[..., R], *args: Any, **options: Any) -> CodedRun[R]: ...

    def map(
        self,
        func: Callable[..., Any],
        *args: Any,
        enough: int | None = None,
        rtol: float | None = None,
        deadline: float | None = None,
        decoder: str | Decoder | None = None,
        combine: Combine = "concat",
        launch: Launch = "eager",
        cancel: Cancel = "cancel",
        suspects: Suspects = "keep",
        copies: bool | None = None,
        retries: int = 0,
        workers: str | Sequence[str] | None = None,
        resources: Mapping[str, float] | None = None,
        priority: int | None = None,
        client: Client | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> CodedRun[Any]:
        """Run a function on every coded chunk, and decode from whichever results come first.

        Returns at once. Decoding starts when at least `enough` results are in, every block has an
        answer and the estimated error is at most `rtol`; when every block's own result is in, so
        that nothing is estimated; when all chunks have ended; or at the deadline with what has
        come. What is left is cancelled.

        Parameters
        ----------
        func : callable
            ``func(*blocks, *args, **kwargs)`` gets one block of every encoded array, of NumPy or
            the library that the array's chunks are of (CuPy, say), and returns an array of
            numbers, or a tuple, list or dict of them; the answer is of the library that it
            returns. DataArrays that it returns keep their dimensions. Thousands of numbers in a
            list cost as little as in an array.
        *args
            Passed on; futures and dask collections among them arrive as their values.
        enough : int, optional
            Results to wait for at least, 1 to `n`; by default `k`. If only workers that do not
            respond can bring others, fewer do that are within `rtol`, with a warning.
        rtol : float, optional
            Largest estimated error of the answer, RMS error over the results' RMS value, at which
            it is good enough; by default the configured one (``bacc.rtol``), ``inf`` for any.
            Decoders that estimate none stop by `enough` alone.
        deadline : float, optional
            Seconds from now after which the answer is decoded from what has come. Fetching results
            that stayed on workers may take as long again, five seconds at least.
        decoder : str or Decoder, optional
            By default the configured one (``bacc.decoder``), or the one that suits the code.
        combine : {"concat", "stack", "sum", "mean", "list"}
            How the blocks' answers are put together: along the axis that was cut (of DataArrays
            that the function returns, the dimension), on a new first axis, or reduced over blocks.
            With ``"list"`` they may be anything that pickles, and the answer is a list with one
            element a block; for codes that mix no blocks.
            Where arrays were cut along different axes, results are joined as the array whose
            blocks have their shape.
        launch : {"eager", "backup"}
            Whether all chunks are submitted at once, or the blocks alone and parity chunks only
            when some are late (``bacc.backup``), one for each and more if the estimate asks for
            it.
        cancel : {"cancel", "keep", "restart"}
            What happens to chunks that still run when the answer is decoded: they are cancelled
            and keep their threads until they return; or they go on, and `CodedRun.partials` gives
            better answers as they return; or they are cancelled and their workers restarted, once
            they hold nothing else.
        suspects : {"keep", "replace"}
            What happens to results that look corrupted. They are kept: no block's own result is
            ever replaced, the doubt is in its error, and the report and a warning name it. Or they
            are replaced by what the others say, and linear functions that explain all others are
            believed in; choose it for functions without kinks, with `enough` above ``k + 4``, so
            that there are results to compare.
        copies : bool, optional
            Whether blocks that are late may run once more on idle workers while they run; what
            comes first counts (``bacc.backup``). Say no if the function must not run twice. By
            default the configured one (``bacc.copies``), which is yes. Copies are exact, and
            parity is launched, or waited for, only where fewer chunks are likely to do; with
            ``rtol=0`` and no deadline, for blocks that are lost alone.
        retries : int
            How often a chunk that raises is tried again.
        workers, resources, priority : optional
            As in `distributed.Client.map`; ``dask.annotate`` does the same.
        client : distributed.Client, optional
            By default the current one; where there was none, an in-process cluster is started.
        kwargs : mapping, optional
            Passed on by name, whatever the names.
        **more
            Passed on as well. Where an option of this method is a parameter of `func` too, it has
            to be in `kwargs` to be that; an empty mapping says that it is not.

        Returns
        -------
        CodedRun

        Raises
        ------
        TypeError, ValueError
            For a `func` that is not callable, options out of their ranges, and options that may
            be meant for the function.
        """
        if not callable(func):
            raise TypeError(f"func must be callable, got {type(func).__name__}")
        said = {
            "enough": enough,
            "rtol": rtol,
            "deadline": deadline,
            "decoder": decoder,
            "combine": combine,
            "launch": launch,
            "cancel": cancel,
            "suspects": suspects,
            "copies": copies,
            "retries": retries,
        }
        wishes: dict[str, Any] = {"workers": workers, "resources": resources, "priority": priority}
        if kwargs is None:
            check_names(func, {**said, **wishes, "client": client}, CodedArray.map)
        return self._start(Call(func, args, {**more, **(kwargs or {})}), said, wishes, client)

    def rounds(
        self,
        func: Callable[..., Any],
        *,
        combine: Combine = "sum",
        keep: int = 2,
        memory: RoundsMemory | None = None,
        **options: Any,
    ) -> CodedRounds:
        """Run a function on every coded chunk round after round, with arguments that move.

        What a block returned in a round or two before tells far more of it than mixtures of it
        do: answers are decoded from results of earlier rounds as well, as far as that makes their
        estimated error smaller. Persist the coded array, so that chunks are made once.

        Parameters
        ----------
        func : callable
            As in `map`.
        combine : {"sum", "mean", "concat", "stack"}
            As in `map`.
        keep : int
            Results of every chunk that are kept, here, for rounds to come.
        memory : RoundsMemory, optional
            Of rounds before, ``rounds.memory``, which may be pickled.
        **options
            As in `map`, but for `kwargs`. By default `enough` is half of `k` from the
            second round on: the estimate decides. With ``rtol=inf``, which has none, it is `k`.

        Returns
        -------
        CodedRounds
            To be called with the arguments of a round.

        Raises
        ------
        TypeError, ValueError
            As `map`, and for decoders that estimate no errors.
        """
        checked = partial(options_of, self.code)
        return CodedRounds(self._start, checked, self.code, func, combine, keep, memory, options)

    def _start(
        self,
        call: Call,
        said: dict[str, Any],
        wishes: dict[str, Any],
        client: Client | None,
        memory: RoundsMemory | None = None,
    ) -> CodedRun[Any]:
        """A run by these options."""
        options = options_of(self.code, said)
        launch, combine, deadline = options.launch, options.combine, options.deadline
        if self._gaps is not None and combine == "list":
            raise ValueError(
                "combine='list' copies results as they are; encode without nan='fill'"
            )
        encoded = Encoded(
            cuts=tuple(Cut(part.shape, part.axis, part.dim) for part in self.parts),
            label=self._label,
            precision=rounding(part.dtype for part in self.parts),
            integers=any(part.integers for part in self.parts),
            gaps=self._find_gaps(deadline, client, wishes),
        )
        chunks = Chunks(
            self._graph,
            [
                [key_of(self._graph, part.name, i, launch == "backup") for part in self.parts]
                for i in range(self.n)
            ],
            [part.shape for part in self.parts],
        )
        with annotated(**wishes):
            graph_of = partial(run_graph, chunks, call)
            earlier = None if memory is None else memory.begin((call.args, call.kwargs))
            answer = start(
                graph_of, self.code, options, encoded, self._sketches(), client, earlier
            )
        return CodedRun(answer)

    def _find_gaps(
        self, deadline: float | None, client: Client | None, wishes: dict[str, Any]
    ) -> FindGaps | None:
        """What tells where blocks had NaN; None if they were not filled.

        What only workers have is looked at by a run of its own, once for data that stays as it is.
        """
        if (gaps := self._gaps) is None:
            return None
        if (known := gaps.known) is not None:
            return partial(known_gaps, known)
        assert gaps.blocks is not None
        graph = gaps.blocks.__dask_graph__()
        blocks: CodedArray[Any] = CodedArray(graph, gaps.blocks.parts, gaps.blocks.code)
        run = blocks.map(
            gaps_of_blocks, combine="list", deadline=deadline, client=client, kwargs={}, **wishes
        )

        async def find() -> BlockGaps:
            found: BlockGaps = await run._answer.here()
            if blocks._is_pinned:
                gaps.known = found
            return found

        return find
