"""Progress in terminals and notebooks, of real runs."""

from __future__ import annotations

import asyncio
import gc
import io
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from distributed import Client

import dask_bacc
from tests.shared import X, local_cluster, wait_until


class Terminal(io.StringIO):
    def isatty(self):
        return True

    @property
    def shown(self):
        """What stands in the line after each write, as a terminal has it."""
        return [line.strip() for line in self.getvalue().split("\r")[1:]]


def mapped(client, function, **options):
    coded = dask_bacc.encode(X, k=8, n=8, code="uncoded")
    return coded.map(function, client=client, **options)


@pytest.fixture
def gate():
    """Workers are threads of this process here."""
    event = threading.Event()
    yield event
    event.set()


def waits(block):
    assert GATES["now"].wait(60)
    return np.tanh(block)


GATES: dict[str, threading.Event] = {}


@pytest.fixture(autouse=True)
def current(gate):
    GATES["now"] = gate


def test_a_terminal_shows_one_line_until_the_run_has_ended(local, gate):
    run = mapped(local, waits)
    terminal = Terminal()
    watching = threading.Thread(target=dask_bacc.progress, args=(run,), kwargs={"file": terminal})
    watching.start()
    wait_until(lambda: any("[>>>>....]" in line for line in terminal.shown))
    assert watching.is_alive()
    gate.set()
    watching.join(60)
    assert run.status == "finished"
    assert terminal.getvalue().count("\n") == 1
    assert terminal.getvalue().endswith("\n")
    last = terminal.shown[-1]
    assert last.startswith("[########] | 8 returned / 8 launched / 8 | ")
    assert last.endswith(f"| {run.report.stopped} | nothing is estimated")
    longest = max(map(len, terminal.getvalue().split("\r")[1:-1]))
    assert len(terminal.getvalue().split("\r")[-1]) >= longest


def test_a_file_gets_the_last_line_only(local, gate):
    gate.set()
    file = io.StringIO()
    dask_bacc.progress(mapped(local, waits), file=file)
    assert file.getvalue().count("\n") == 1
    assert "\r" not in file.getvalue()
    assert "8 returned" in file.getvalue()


def test_a_run_that_fails_or_is_cancelled_ends_the_line(local, gate):
    def fails(block):
        raise OSError

    run = mapped(local, fails)
    terminal = Terminal()
    dask_bacc.progress(run, file=terminal)
    assert terminal.shown[-1].startswith("[xxxxxxxx] | 0 returned")
    assert terminal.shown[-1].endswith("| no answer (all chunks ended)")
    with pytest.raises(dask_bacc.DecodeError):
        run.result()

    run = mapped(local, waits)
    terminal = Terminal()
    run.on_event(lambda event: event.kind == "started" and run.cancel())
    dask_bacc.progress(run, file=terminal)
    assert terminal.shown[-1].startswith("[--------] | 0 returned")
    assert terminal.shown[-1].endswith("| cancelled")
    gate.set()  # or closing the cluster waits for the threads


def test_an_asynchronous_client_waits_for_progress_without_blocking(gate):
    async def main():
        async with (
            local_cluster(1, threads=4, processes=False, asynchronous=True) as cluster,
            Client(cluster, asynchronous=True) as client,
        ):
            run = mapped(client, waits)
            terminal = Terminal()
            watching = asyncio.create_task(dask_bacc.progress(run, file=terminal))
            while "[>>>>....]" not in terminal.getvalue():
                await asyncio.sleep(0.01)
            gate.set()
            await watching
            assert terminal.shown[-1].startswith("[########]")
            await run

    asyncio.run(main())


def test_a_notebook_gets_a_grid_that_is_renewed(local, gate, monkeypatch):
    shown = []

    class Handle:
        def update(self, html):
            shown.append(html.data)

    def display(html, display_id):
        shown.append(html.data)
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    run = mapped(local, waits)
    assert dask_bacc.progress(run, notebook=True) is None
    assert "run.cancel()" in shown[0]
    wait_until(lambda: ">4</span> running" in shown[-1])
    gate.set()
    wait_until(lambda: "finished" in shown[-1])
    assert ">8</span> returned" in shown[-1]


def test_looking_at_a_run_does_not_keep_it_alive(local, gate, monkeypatch):
    shown = []
    monkeypatch.setattr(
        "IPython.display.display",
        lambda html, display_id: SimpleNamespace(update=lambda html: shown.append(html.data)),
    )
    run = mapped(local, waits)
    dask_bacc.progress(run, notebook=True)
    del run
    gc.collect()
    wait_until(lambda: shown and "cancelled" in shown[-1])
    wait_until(lambda: not [t for t in threading.enumerate() if t.name == "bacc-progress"])
    gate.set()


def test_in_a_real_notebook():
    nbformat = pytest.importorskip("nbformat")
    client_module = pytest.importorskip("nbclient")
    cells = [
        "import os, tempfile, time, numpy as np, dask_bacc\n"
        "gate = os.path.join(tempfile.mkdtemp(), 'gate')\n"
        "def slow(block):\n"
        "    while not os.path.exists(gate):\n        time.sleep(0.01)\n"
        "    return np.tanh(block)\n"
        "run = dask_bacc.encode(np.arange(16.0), k=8, n=8, code='uncoded').map(slow)\n"
        "dask_bacc.progress(run)\n"
        "print('at once', run.status)",
        "open(gate, 'w').close()\nrun.result()\n"
        "import threading\n"
        "[t.join() for t in threading.enumerate() if t.name == 'bacc-progress']",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client_module.NotebookClient(book, timeout=120).execute()
    outputs = book.cells[0].outputs
    [grid] = [o for o in outputs if o.output_type == "display_data"]
    assert "at once pending" in "".join(o.text for o in outputs if o.output_type == "stream")
    assert "finished" in grid["data"]["text/html"]
    assert ">8</span> returned" in grid["data"]["text/html"]
