"""Hosts workers as ``dask worker`` does; new ones start at once, with everything imported."""

from __future__ import annotations

from distributed.cli.dask_worker import main
from distributed.utils import get_mp_context

from benchmarks.processes.forked import IMPORTED

if __name__ == "__main__":
    get_mp_context().set_forkserver_preload(IMPORTED)
    main()
