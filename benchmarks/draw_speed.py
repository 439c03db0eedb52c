"""Seconds of 1,000 bootstrap draws by law, each on a public table that the law is for.

Run: ``OMP_NUM_THREADS=1 python benchmarks/draw_speed.py [DRAWS] [LAW ...]`` (100 draws, scaled to
1,000, and all laws unless given). Processor time says what a busy machine's wall time does not.
To compare two versions run both in turn, ``PYTHONPATH`` at each.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pandas as pd

from analysis import LAWS, Estimand, fit, load_runs

DATA = Path(__file__).parents[1] / "tests" / "published" / "data"


def curve() -> pd.DataFrame:
    """A learning curve of Alabdulmohsin et al. 2022, the rows that they fit."""
    curves = load_runs(DATA / "learning_curves_vision.csv")
    one = (curves["task"] == "bird_5") & (curves["model"] == "MiX/B/16")
    return curves[one & (curves["is_training"] == 1)].reset_index(drop=True)


def tables() -> dict[str, tuple[str, pd.DataFrame, Estimand]]:
    """For each law the name of its table, the table, and its columns."""
    plane = load_runs(DATA / "chinchilla.csv", where="not excluded")
    curves, by_data = curve(), Estimand(x_col="num_tokens")
    found = {
        law: ("chinchilla", plane, Estimand())
        for law in ("kaplan", "chinchilla", "chinchilla_symmetric")
    }
    found |= dict.fromkeys(
        ("power", "power_floor", "m3", "m4", "bnsl0", "bnsl1", "bnsl2", "bnsl3"),
        ("learning_curves_vision", curves, by_data),
    )
    found["repeated_data"] = (
        "datablations", load_runs(DATA / "datablations_repeated_data.csv"), Estimand()
    )  # fmt: skip
    found["gadre"] = (
        "gadre_overtraining",
        load_runs(DATA / "gadre_overtraining.csv", columns={"loss": "loss_c4_val"}),
        Estimand(),
    )
    steps = load_runs(DATA / "steplaw_lr_batch.csv")
    best = steps.loc[steps.groupby(["num_params", "num_tokens"])["loss"].idxmin()]
    best = best.reset_index(drop=True)
    found |= {law: ("steplaw, best of each", best, Estimand())
              for law in ("step_law_lr", "step_law_batch")}  # fmt: skip
    return found


def main(draws: int, laws: list[str]) -> None:
    """A line for each law."""
    for law, (name, runs, estimand) in tables().items():
        if laws and law not in laws:
            continue
        alone = fit(law, runs, estimand, starts=0)
        begin, wall = time.process_time(), time.perf_counter()
        fit(law, runs, estimand, starts=0)
        once = time.process_time() - begin
        begin, wall = time.process_time(), time.perf_counter()
        f = fit(law, runs, estimand, bootstrap=draws, starts=0)
        spent, wall = time.process_time() - begin - once, time.perf_counter() - wall
        failed = draws - len(f.draws) if f.draws is not None else 0
        print(
            f"{law:22s} {name:24s} {alone.n_runs:4d} rows {1000 * spent / draws:8.2f} s processor "
            f"{1000 * wall / draws:8.2f} s wall, {failed} failed",
            flush=True,
        )
    left = sorted(set(LAWS) - set(tables()))
    print(f"not here: {', '.join(left)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100, sys.argv[2:])
