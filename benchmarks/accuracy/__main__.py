"""How large the error is and how well it is predicted: codes, decoders, functions, data.

Run with ``python -m benchmarks.accuracy``; takes an hour and a half on two cores and writes
``docs/images/accuracy.png``. Every draw makes new blocks and a new function; all codes get the
same ones, all decoders of a code the same results. A cell is one code, function, kind of data,
setting and pattern of missing chunks.
"""

from __future__ import annotations

import argparse
import itertools
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from threadpoolctl import threadpool_limits

from benchmarks import figures
from benchmarks.accuracy.cases import FITS, classify, corrupt, fitting_time, honest
from benchmarks.accuracy.draws import CODES, draws_of, start
from benchmarks.accuracy.report import report
from benchmarks.workloads import BATCH, DATA, FUNCTIONS, Network

#: k, n, missing.
SETTINGS = (
    (8, 9, 1),
    (8, 12, 2),
    (8, 16, 4),
    (8, 40, 8),
    (16, 20, 2),
    (16, 24, 4),
    (32, 40, 4),
    (64, 80, 8),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.accuracy", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--draws", type=int, default=30, help="draws of each cell")
    parser.add_argument("--codes", nargs="+", default=CODES, choices=CODES)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one setting, one kind of data, hardly trained networks: to see that all of it runs",
    )
    parser.add_argument("--records", type=Path, help="file to keep the answers' errors in")
    figures.add_option(parser, "accuracy.png")
    options = parser.parse_args()
    if options.quick:
        settings, kinds, fits, classified = SETTINGS[1:2], DATA[-1:], FITS[:1], 1
        network, digits = Network.mnist(200), Network.digits(200)
    else:
        settings, kinds, fits, classified = SETTINGS, DATA, FITS, 10
        network, digits = Network.mnist(), Network.digits()
    tasks = [
        (function, data, setting, options.draws, tuple(options.codes))
        for setting, function, data in itertools.product(reversed(settings), FUNCTIONS, kinds)
    ]
    if options.records is not None and options.records.exists():
        records = pickle.loads(options.records.read_bytes())
    else:
        with ProcessPoolExecutor(initializer=start, initargs=(network,)) as pool:
            records = list(itertools.chain.from_iterable(pool.map(draws_of, tasks)))
        if options.records is not None:
            options.records.write_bytes(pickle.dumps(records))
    report(records, options.figure)
    with threadpool_limits(1):
        for title, classifier in (
            ("digits of 8 x 8 pixels", digits),
            ("digits of 28 x 28 pixels", network),
        ):
            classify(title, classifier, 4 * classified * options.draws, batch=1)
            classify(title, classifier, classified * options.draws, batch=BATCH)
        corrupt(network, options.draws)
        honest(network, options.draws)
        fitting_time(fits)


if __name__ == "__main__":
    main()
