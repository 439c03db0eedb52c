"""One fit by PyPI's ``chinchilla``, for ``fit_speed.py``; runs where that package is installed.

``python peer_chinchilla.py TABLE.csv`` prints JSON: processor seconds of one fit, the number of
starts, and the parameters.
"""

from __future__ import annotations

import csv
import json
import logging
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from chinchilla import Chinchilla

GRID = {
    "E": np.linspace(1, 2, 2), "A": np.geomspace(1e2, 1e4, 2), "B": np.geomspace(1e2, 1e4, 2),
    "alpha": np.linspace(0.2, 0.6, 2), "beta": np.linspace(0.2, 0.6, 2),
}  # fmt: skip


def main(table: str) -> None:
    with Path(table).open() as file:
        rows = [row for row in csv.DictReader(file) if row["excluded"] != "True"]
    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "df.csv").open("w") as file:
            file.write("C,N,D,loss\n")
            for row in rows:
                n, d = float(row["num_params"]), float(row["num_tokens"])
                file.write(f"{6 * n * d},{n},{d},{row['loss']}\n")
        logging.disable(logging.CRITICAL)
        model = Chinchilla(folder, param_grid=GRID, log_level=40)
        begin = time.process_time()
        model.fit(parallel=False)
        seconds = time.process_time() - begin
        params = {k: float(v) for k, v in model.get_params().items()}
    print(json.dumps({"seconds": seconds, "starts": 2**5, "params": params}))


if __name__ == "__main__":
    main(sys.argv[1])
