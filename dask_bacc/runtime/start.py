"""From chunks and a function to a run that goes on."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import dask
import numpy as np
from dask.typing import Key
from dask.utils import parse_bytes
from distributed import Client

from dask_bacc.coding import Code
from dask_bacc.coding._typing import AnyArray
from dask_bacc.engine.scheduler import total_threads
from dask_bacc.graphs.call import GraphOf
from dask_bacc.graphs.map import RunGraph
from dask_bacc.policy.first import ahead, fewest_first, is_long, without_room
from dask_bacc.policy.options import RunOptions
from dask_bacc.policy.situation import Foresight, Situation
from dask_bacc.records.state import RunState
from dask_bacc.results.encoded import Encoded
from dask_bacc.results.memory import Earlier
from dask_bacc.runtime.active import ActiveRun
from dask_bacc.runtime.answer import Answer
from dask_bacc.runtime.client import resolve_client
from dask_bacc.runtime.decide import Decider
from dask_bacc.runtime.inline import InlineResults
from dask_bacc.runtime.intake import take_message
from dask_bacc.runtime.launcher import Launcher
from dask_bacc.runtime.monitor import Monitor
from dask_bacc.runtime.monitors import subscribed
from dask_bacc.runtime.placing import places
from dask_bacc.runtime.store import Store
from dask_bacc.runtime.submit import Allowed
from dask_bacc.worker.task import Accepts


def start(
    graph_of: GraphOf,
    code: Code,
    options: RunOptions,
    encoded: Encoded,
    sketches: dict[int, list[AnyArray]],
    client: Client | None,
    earlier: Earlier | None = None,
) -> Answer:
    """Submit a function over all chunks and start to collect the results.

    Parameters
    ----------
    graph_of : callable
        Makes the graph, with the keyword arguments of `run_graph`.
    code : Code
    options : RunOptions
    encoded : Encoded
    sketches : dict
        Of chunks, by earlier runs over the same data; added to by this one.
    client : Client, optional
    earlier : Earlier, optional
        What earlier runs of the function over the same chunks have left; this one adds to it.
    """
    client = resolve_client(client)
    # Before the tasks: what is sent to the scheduler arrives in order.
    monitor, topic = subscribed(client)
    sketched = _to_sketch(code, options, encoded, sketches)
    limit = parse_bytes(dask.config.get("bacc.gather-limit"))
    earlier = _at_hand(earlier, monitor, options)
    graph = graph_of(topic=topic, sketched=sketched, limit=limit, accepts=_accepted(code, options))
    slow = monitor.speeds.slow(options.timing.slow_for)
    mixed = tuple(np.flatnonzero(code.own_blocks < 0).tolist())
    state = RunState(code.k, code.n, options.decoder.name, name=graph.name, slow=slow, mixed=mixed)
    launcher = Launcher(client, graph, _ranks(code, graph, earlier), options.retries)
    lost = graph.lost()
    chunks = [chunk for chunk in range(code.n) if chunk not in lost]
    exact = _only_exact(code, options)
    spares = options.launch == "backup" or (exact and options.enough <= code.k)
    due = state.submitted + (options.deadline or math.inf)
    decider = Decider(code, options, encoded, due, earlier)
    avoided = monitor.to_avoid(slow, code.k)
    threads = monitor.threads(workers := monitor.available(avoided, patient=True))
    if spares:
        blocks, foresight = _alone(code, options, earlier, decider, sketches)
        spare = set(chunks).difference(blocks)
    else:
        room = _room(code.k, client, threads, bool(avoided))
        spare, foresight = set(without_room(code, chunks, room)), None
    first = [chunk for chunk in chunks if chunk not in spare]
    # Kept, so that parity can be made without making the blocks again.
    sources = graph.shared_by(spare) if spare else set[Key]()
    state.spare(spare)
    run = ActiveRun(
        client=client,
        monitor=monitor,
        code=code,
        options=options,
        encoded=encoded,
        launcher=launcher,
        state=state,
        store=Store(sketches),
        decider=decider,
        earlier=earlier,
        foresight=foresight,
        inline=InlineResults(options.timing),
        situation=Situation(state),
        spares=spares or bool(spare),
        exact=exact,
        # What comes after the answer is to refine it here.
        wanted_here=options.cancel == "keep",
    )
    state.submit(first)
    state.give_up(lost)
    monitor.listen(graph.name, lambda *said: take_message(run, *said))
    try:
        seats = threads or _one_turn(graph, monitor, first, avoided)
        where = places(client, graph, code, first, seats)
        launcher.launch(first, Allowed(workers, where), sources=sources)
    except BaseException:
        monitor.forget(graph.name)
        raise
    return Answer(run)


def _room(blocks: int, client: Client, left: Mapping[str, int], avoided: bool) -> int:
    """Threads beside which parity has to wait; 0 where all chunks are launched at once.

    `left` are those of workers that are not kept off, if any are.
    """
    everyone = total_threads(client)
    # Who is merely stuck may be free any moment.
    if not avoided and not is_long(blocks, everyone):
        return 0
    return sum(left.values()) or everyone


def _one_turn(
    graph: RunGraph, monitor: Monitor, chunks: Collection[int], avoided: Collection[str]
) -> dict[str, int]:
    """Threads of all workers that take tasks, if each chunk may have one, and might have none.

    The scheduler counts what large arguments would cost to send, and sends one chunk's data to the
    worker that has them instead, where another chunk's data is already.
    """
    threads = monitor.all_threads
    if not monitor.is_fresh or len(chunks) > sum(threads.values()):
        return {}
    # Where only one worker is left, nobody is named.
    some_kept_off = monitor.available(avoided, patient=True, fewest=1)
    return threads if graph.has_common and not some_kept_off else {}


def _at_hand(earlier: Earlier | None, monitor: Monitor, options: RunOptions) -> Earlier | None:
    """What earlier runs have left on workers that respond."""
    if earlier is None or not monitor.workers:
        return earlier
    return earlier.on(monitor.workers - monitor.unresponsive(options.timing.unresponsive_after))


def _to_sketch(
    code: Code, options: RunOptions, encoded: Encoded, sketches: Mapping[int, object]
) -> dict[int, list[int]]:
    """Chunks of which nothing is known yet, with the axes along which rows of theirs lie."""
    wanted = range(code.n) if options.decoder.uses_gram else ()
    axes = [cut.axis for cut in encoded.cuts]
    return dict.fromkeys(set(wanted) - sketches.keys(), axes)


def _only_exact(code: Code, options: RunOptions) -> bool:
    """Whether only an exact answer will do.

    What is estimated is no exact answer, so that only a lost block has use for it; but whoever
    gives a deadline takes what there is by then.
    """
    return (
        options.copies
        and options.rtol == 0
        and options.deadline is None
        and options.decoder.estimates_error
        and len(code.first_copies) == code.k
    )


def _alone(
    code: Code,
    options: RunOptions,
    earlier: Earlier | None,
    decider: Decider,
    sketches: dict[int, list[AnyArray]],
) -> tuple[Collection[int], Foresight | None]:
    """Blocks that are launched without parity, and what error chunks let expect, if known."""
    if earlier is None or options.rtol == 0:
        return code.first_copies, None
    foresight = decider.foresight(sketches)
    blocks = fewest_first(
        code.first_copies,
        earlier.unheard,
        enough=options.enough,
        rtol=options.rtol,
        foresight=foresight,
    )
    return blocks, foresight


def _ranks(code: Code, graph: RunGraph, earlier: Earlier | None) -> dict[Key, int]:
    """Which tasks go ahead of others, and which give way."""
    own = code.own_blocks >= 0
    # Where workers are few, the blocks' own results come first, and nothing need be estimated.
    ranks = dict.fromkeys(graph.only_for(np.flatnonzero(~own).tolist()), -1)
    if earlier is not None:
        # What is known least comes first.
        stale = ahead(np.flatnonzero(own).tolist(), earlier.unheard)
        ranks |= {(graph.name, chunk): by for chunk, by in stale.items()}
    return ranks


def _accepted(code: Code, options: RunOptions) -> list[Accepts]:
    """What results of every chunk may be.

    NaN and infinity are a block's own, as they would be without a code; of a mixture they say
    nothing of any block. Who has what looks corrupted replaced has these replaced, too.
    """
    if options.combine == "list":
        return ["anything"] * code.n
    own = code.own_blocks >= 0 if options.suspects == "keep" else np.zeros(code.n, dtype=bool)
    return ["numbers" if is_own else "finite" for is_own in own.tolist()]
