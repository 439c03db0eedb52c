"""How long it takes to expand 10,000 runs from a sweep file's content.

    python benchmarks/expand.py

Prints the processor time of the best of five, which a busy machine disturbs least, and the
elapsed time beside it. The sweep has 20 target sizes, 25 data sizes and 20 learning rates, so no
two runs share more than their model.
"""

from __future__ import annotations

import time

from scaling.data.info import DataInfo
from sweeps import load_sweep

INFO = DataInfo("corpus", "0" * 16, "token", 10**9, 10**7, vocab_size=256)
CONTENT = {
    "name": "benchmark",
    "fixed": {"context": 128, "batch_size": 8},
    "grid": {
        "product": {
            "num_params": {"log": [1e5, 1e7, 20]},
            "num_tokens": {"log": [1e6, 1e8, 25]},
            "lr": {"log": [1e-3, 1e-1, 20]},
        }
    },
}


def main() -> None:
    best, elapsed = float("inf"), float("inf")
    for _ in range(5):
        start, busy = time.perf_counter(), time.process_time()
        sweep = load_sweep(CONTENT, info=INFO)
        best = min(best, time.process_time() - busy)
        elapsed = min(elapsed, time.perf_counter() - start)
    print(f"{len(sweep)} runs: {best:.2f} s of processor time, {elapsed:.2f} s elapsed")


if __name__ == "__main__":
    main()
