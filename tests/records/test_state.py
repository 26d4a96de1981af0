"""What is told of chunks, and what that makes of them."""

from __future__ import annotations

from dask_bacc.records.state import RunState


def test_a_chunk_started_before_it_said_so():
    times = iter([0.0])
    state = RunState(k=2, n=2, decoder="berrut", clock=lambda: next(times, 10.0))
    state.start(0, "tcp://a", ago=4.0)
    state.start(1, "tcp://a", ago=60.0)
    state.done(0, "tcp://a", ago=1.0)
    first, second = state.records
    assert (first.started, first.done) == (6.0, 9.0)
    assert second.started == 0


def test_the_report_of_a_state():
    state = RunState(k=2, n=5, decoder="berrut")
    state.start(0, "tcp://a")
    state.start(1, "tcp://b")
    state.start(2, "tcp://a")
    state.take_result(2)
    state.take_error(0, ValueError("no"))
    for chunk in (1, 3, 4):
        state.give_up([chunk])
    state.start(2, "tcp://late")
    report = state.report()
    assert report.returned == (2,)
    assert report.missing == (0, 1, 3, 4)
    assert report.cancelled == (1, 3, 4)
    assert report.still_running == {1: "tcp://b", 2: "tcp://late"}
    assert list(report.erred) == [0]
    assert report.chunks[2].worker == "tcp://a"
    assert report.error is None
    assert "chunk 0: ValueError: no" in str(report)
    assert "1 on tcp://b" in str(report)


def test_a_chunk_that_ends_after_it_was_given_up_is_not_running():
    state = RunState(k=1, n=1, decoder="berrut")
    state.start(0, "a")
    state.give_up([0])
    assert state.report().still_running == {0: "a"}
    state.done(0, "a")
    assert state.report().still_running == {}
    assert state.report().cancelled == (0,)


def test_a_retry_on_the_same_worker_is_no_loss():
    state = RunState(k=2, n=3, decoder="berrut")
    state.submit(range(3))
    state.start(0, "a")
    state.done(0, "a")
    state.start(0, "a")
    state.start(0, "b")
    kinds = [(e.kind, e.worker) for e in state.report().events[1:]]
    assert kinds == [
        ("started", "a"),
        ("done", "a"),
        ("started", "a"),
        ("lost", "a"),
        ("started", "b"),
    ]
