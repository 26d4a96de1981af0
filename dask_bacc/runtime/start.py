"""From chunks and a function to a run that goes on."""

from __future__ import annotations

import math
from collections.abc import Collection

import dask
import numpy as np
from dask.typing import Key
from dask.utils import parse_bytes
from distributed import Client

from dask_bacc.coding import Code
from dask_bacc.coding._typing import AnyArray
from dask_bacc.graphs.call import GraphOf
from dask_bacc.policy.options import RunOptions
from dask_bacc.policy.situation import Situation
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
from dask_bacc.runtime.monitors import subscribed
from dask_bacc.runtime.store import Store
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
    wanted = range(code.n) if options.decoder.uses_gram else ()
    axes = [cut.axis for cut in encoded.cuts]
    sketched = dict.fromkeys(set(wanted) - sketches.keys(), axes)
    limit = parse_bytes(dask.config.get("bacc.gather-limit"))
    graph = graph_of(topic=topic, sketched=sketched, limit=limit, accepts=_accepted(code, options))
    slow = monitor.speeds.slow(options.timing.slow_for)
    state = RunState(code.k, code.n, options.decoder.name, name=graph.name, slow=slow)
    parity = [chunk for chunk, own in enumerate(code.own_blocks) if own < 0]
    launcher = Launcher(client, graph, graph.only_for(parity), options.retries)
    lost = graph.lost()
    first: Collection[int] = [chunk for chunk in range(code.n) if chunk not in lost]
    sources = set[Key]()
    # What is estimated is no exact answer, so that only a lost block has use for it; but whoever
    # gives a deadline takes what there is by then.
    exact = (
        options.copies
        and options.rtol == 0
        and options.deadline is None
        and options.decoder.estimates_error
        and len(code.first_copies) == code.k
    )
    spares = options.launch == "backup" or (exact and options.enough <= code.k)
    if spares:
        spare = set(first).difference(code.first_copies)
        first = [chunk for chunk in first if chunk not in spare]
        # Kept, so that parity can be made without making the blocks again.
        sources = graph.shared_by(spare)
        state.spare(spare)
    due = state.submitted + (options.deadline or math.inf)
    run = ActiveRun(
        client=client,
        monitor=monitor,
        code=code,
        options=options,
        encoded=encoded,
        launcher=launcher,
        state=state,
        store=Store(sketches),
        decider=Decider(code, options, encoded, due, earlier),
        earlier=earlier,
        inline=InlineResults(options.timing),
        situation=Situation(state),
        spares=spares,
        exact=exact,
        # What comes after the answer is to refine it here.
        wanted_here=options.cancel == "keep" or earlier is not None,
    )
    state.submit(first)
    state.give_up(lost)
    monitor.listen(graph.name, lambda *said: take_message(run, *said))
    try:
        workers = monitor.available(monitor.to_avoid(slow, code.k), patient=True)
        launcher.launch(first, workers, sources=sources)
    except BaseException:
        monitor.forget(graph.name)
        raise
    return Answer(run)


def _accepted(code: Code, options: RunOptions) -> list[Accepts]:
    """What results of every chunk may be.

    NaN and infinity are a block's own, as they would be without a code; of a mixture they say
    nothing of any block. Who has what looks corrupted replaced has these replaced, too.
    """
    if options.combine == "list":
        return ["anything"] * code.n
    own = code.own_blocks >= 0 if options.suspects == "keep" else np.zeros(code.n, dtype=bool)
    return ["numbers" if is_own else "finite" for is_own in own.tolist()]
