"""Ensembles against runs alone, in turn: the time of a step, and what their losses differ by.

    python benchmarks/ensembles.py [--device cuda] [--rounds 7] [--only NAME] [--plain]

Members differ in seed, and so in their data's order, and in learning rate. Both sides are whole:
``train`` and ``train_ensemble`` of the same specs, evaluations and journals included, some runs one
after another against one ensemble of K. Rounds alternate; of each the
ratio is taken, and the median of the ratios told, so a machine that is busy slows both. Time is
processor time on a CPU (one thread), wall time on a GPU, where runs alone are replayed as CUDA
graphs, or with ``--plain`` are not. ``tolerance`` trains a few members both
ways for 200 and for 1,000 steps.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

from scaling.base import print_table
from scaling.run import points, read_journal
from scaling.spec import RunSpec
from scaling.training import Entry, most_members, train, train_ensemble

TEACHER = {"family": "mlp", "depth": 2, "batch_size": 64, "curve_examples": 64, "final_tokens": 64}
TEXT = {"data": "python-source", "tied": True, "curve_tokens": 256, "final_tokens": 256}


def mlp(features: int, width: int) -> dict:
    """An MLP of two hidden layers, in batches of 64."""
    return {**TEACHER, "data": f"teacher:features={features}", "width": width}


def transformer(depth: int, width: int, batch_size: int, context: int) -> dict:
    """A transformer on bytes."""
    shape = {"depth": depth, "width": width, "batch_size": batch_size, "context": context}
    return {**TEXT, **shape}


CASES = {
    # name: options of a run, members, steps, runs alone that are timed
    "mlp 64-8-8-10": (mlp(64, 8), 64, 300, 4),
    "mlp 64-16-16-10": (mlp(64, 16), 64, 300, 4),
    "mlp 64-32-32-10": (mlp(64, 32), 64, 300, 4),
    "mlp 784-16-16-10": (mlp(784, 16), 64, 150, 4),
    "transformer 2x32, 16x32": (transformer(2, 32, 16, 32), 16, 40, 4),
    "transformer 2x32, 4x64": (transformer(2, 32, 4, 64), 16, 60, 4),
    "transformer 4x32, 8x128": (transformer(4, 32, 8, 128), 8, 20, 3),
    "transformer 2x64, 8x64": (transformer(2, 64, 8, 64), 8, 40, 3),
}
GPU = {
    f"transformer {depth}x{width}, 16x128": (transformer(depth, width, 16, 128), 32, 100, 2)
    for depth, width in ((4, 64), (6, 128), (6, 192))
}


def specs(options: dict, members: int, steps: int) -> list[RunSpec]:
    """Members that differ in seed and rate."""
    first = RunSpec.resolve(**options, num_tokens=10**6, lr=0.002)
    train_spec = replace(first.train, num_tokens=steps * first.units_per_step)
    return [
        replace(first, train=train_spec, seed=i, optim=replace(first.optim, lr=0.002 * 1.02**i))
        for i in range(members)
    ]


def together(runs: list[RunSpec], folder: Path, device: str) -> None:
    """As a worker does: one ensemble, or on a CPU several, each as large as its caches hold."""
    most = most_members(runs[0], device)
    for first in range(0, len(runs), most):
        few = runs[first : first + most]
        train_ensemble([Entry(run, folder / run.run_id) for run in few], device=device)


def alone(runs: list[RunSpec], folder: Path, device: str, how: str = "auto") -> None:
    """One after another."""
    for run in runs:
        train(run, folder / run.run_id, device=device, compile=how)


def timed(what, runs: list[RunSpec], device: str) -> float:
    """Seconds a run."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    folder = Path(tempfile.mkdtemp())
    began = clock()
    what(runs, folder, device)
    took = clock() - began
    shutil.rmtree(folder)
    return took / len(runs)


def speed(name: str, case, rounds: int, device: str, plain: bool = False) -> list[str]:
    """A row of the table."""
    options, members, steps, few = case
    runs = specs(options, members, steps)
    single = partial(alone, how="never") if plain else alone
    timed(single, runs[:1], device)
    timed(together, runs[:2], device)
    pairs = [
        (timed(single, runs[:few], device), timed(together, runs, device)) for _ in range(rounds)
    ]
    ratios = sorted(a / b for a, b in pairs)
    cost = runs[0].cost
    return [
        name,
        f"{cost.num_params:,}",
        str(members),
        f"{median(a for a, _ in pairs) / steps * 1e6:.0f}",
        f"{median(b for _, b in pairs) / steps * 1e6:.0f}",
        f"{median(ratios):.2f}",
        f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
    ]


def tolerance(name: str, case, steps: int, device: str) -> list[str]:
    """The largest difference of a loss, over the points of the curves of four members."""
    runs = specs(case[0], 4, steps)
    folder = Path(tempfile.mkdtemp())
    alone(runs, folder / "alone", device)
    together(runs, folder / "all", device)
    found = []
    for run in runs:
        sides = [points(read_journal(folder / side / run.run_id)) for side in ("alone", "all")]
        found += [abs(a["loss"] - b["loss"]) for a, b in zip(*sides, strict=True)]
    shutil.rmtree(folder)
    return [name, str(steps), f"{max(found):.1e}"]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--without-tolerance", action="store_true")
    given = parser.parse_args()
    cases = {**CASES, **(GPU if given.device != "cpu" else {})}
    cases = {name: case for name, case in cases.items() if given.only in name}
    rows = []
    for name, case in cases.items():
        rows.append(speed(name, case, given.rounds, given.device, given.plain))
        print(*rows[-1], flush=True)
    header = ["run", "N", "members", "us a step alone", "of a member", "ratio", "range"]
    print_table("runs alone and in an ensemble", header, rows)
    if not given.without_tolerance:
        checked = [
            tolerance(name, case, steps, given.device)
            for name, case in cases.items()
            for steps in (200, 1000)
            if steps == 200 or name.startswith("mlp")
        ]
        print_table("tolerance", ["run", "steps", "largest difference of a loss"], checked)


if __name__ == "__main__":
    main()
