"""How often 90 % intervals hold what was not seen, over the public tables: one table.

Run: ``OMP_NUM_THREADS=1 python benchmarks/coverage.py [FOLDER]`` (some minutes; FOLDER holds the
tables, ``tests/published/data`` unless given). Each table is cut at 1/4, 1/16 and 1/64 of its
largest N D and what lies beyond is predicted from what lies below by ``law="auto"``; learning
curves are cut where their authors cut them. Step Law's table is its best run of each (N, D).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import load_runs
from analysis.forecasts.backtest import Backtest, backtest

DATA = Path(__file__).parents[1] / "tests" / "published" / "data"
CURVES = {
    "by": ["domain", "task", "model"], "x_col": "num_examples", "train_col": "is_training"
}  # fmt: skip


def tables(folder: Path) -> Iterator[tuple[str, pd.DataFrame, dict[str, Any]]]:
    """Name, runs and the options of the backtest, of each table in ``folder``."""
    for path in sorted(folder.glob("*.csv")):
        name = path.stem
        options: dict[str, Any] = {}
        if name.startswith("learning_curves"):
            runs, options = pd.read_csv(path, comment="#"), CURVES
        else:
            runs = load_runs(path)
        if name.startswith("gadre"):
            options = {"by": ["dataset"], "y_col": "loss_c4_val"}
        for flag in {"outlier", "excluded"} & set(runs.columns):  # by those who made the table
            runs = runs[~runs[flag].astype(bool)].reset_index(drop=True)
        if name.startswith("steplaw"):
            best = runs.groupby(["num_params", "num_tokens"])["loss"].idxmin()
            runs = runs.loc[best].reset_index(drop=True)
        yield name, runs, options


def main(folder: Path) -> None:
    rows = []
    for name, runs, options in tables(folder):
        found: Backtest = backtest(runs, law="auto", **options)
        splits = [split for group in found.groups for split in group.splits]
        points = sum(split.n_test for split in splits)
        width = np.concatenate([np.log(split.high / split.low) / 2 for split in splits])
        mean = float(np.mean([group.mean("coverage_90") for group in found.groups if group.splits]))
        rows.append((name, points, len(splits), found.coverage_90, mean, found.mean_rmse_log))
        print(
            f"{name:52s} {points:6d} points {len(splits):4d} fits  held {found.coverage_90:.3f}  "
            f"mean of groups {mean:.3f}  RMSE {found.mean_rmse_log:.4f}  "
            f"half width {np.median(width):.4f}",
            flush=True,
        )
    counts, held = np.array([r[1] for r in rows]), np.array([r[3] for r in rows])
    print(f"all points {counts @ held / counts.sum():.3f}, mean of tables {held.mean():.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
