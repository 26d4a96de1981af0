"""How often repetition loses a block: exact probabilities, by inclusion and exclusion.

Run with ``python -m benchmarks.repetition``.
"""

from __future__ import annotations

from math import comb

import numpy as np

from dask_bacc import coding


def loss_probability(k: int, n: int, missing: int) -> float:
    """Probability that some block has no copy among ``n - missing`` random chunks."""
    copies = np.bincount(coding.Repetition(k, n).own_blocks)
    # Coefficient j of this polynomial counts, with sign, the sets of blocks with j copies in all.
    signed = np.array([1], dtype=object)
    for count in copies:
        factor = np.zeros(count + 1, dtype=object)
        factor[0], factor[count] = 1, -1
        signed = np.convolve(signed, factor)
    survive = sum(
        sign * comb(n - lost, missing - lost)
        for lost, sign in enumerate(signed)
        if lost <= missing
    )
    return float(1 - survive / comb(n, missing))


def main() -> None:
    print("  k    n  missing  probability that a block is lost")
    for k, n, missing in [
        (8, 40, 8),
        (8, 40, 20),
        (8, 16, 2),
        (8, 16, 4),
        (8, 12, 2),
        (32, 40, 4),
    ]:
        print(f"{k:3}  {n:3}  {missing:7}  {loss_probability(k, n, missing):.2g}")


if __name__ == "__main__":
    main()
