"""Strategies of search at equal FLOPs, over one space of MLPs on 14 x 14 images.

    python benchmarks/strategies.py STORE [--kinds random evolution asha ...] [--seeds 0 1 2]

runs each in this process, one sweep a kind and seed; what is done already is not done again. Then

    scaling plot STORE/strategies.csv search -o search.png

``benchmarks/strategies.csv`` has the columns of it that the figure needs.

``--ladder`` instead trains the points of search-random-0 on a third and a ninth of the data too;
then ``scaling ranks ladder --by depth,width,activation,norm,dropout,lr,batch_size``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import load_runs
from cluster import submit
from sweeps import load_sweep
from sweeps.document import read_document

FILE = Path(__file__).parents[1] / "examples" / "evolution.yaml"
SETTINGS: dict[str, dict[str, Any]] = {
    "random": {},
    "evolution": {"population": 16, "tournament": 4},
    "asha": {"rungs": 3, "eta": 3},
    "halving": {"rungs": 3, "eta": 3},
    "bayes": {"startup": 16},
    "genetic": {"population": 16},
}


def main() -> None:
    """Run the searches, seed by seed, and write their table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--kinds", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--ladder", action="store_true")
    args = parser.parse_args()
    content = read_document(FILE).value
    if args.ladder:
        ladder(args.store, content)
        return
    tables = []
    for seed in args.seeds:
        for kind in args.kinds:
            name = f"search-{kind}-{seed}"
            budget = float(content["strategy"]["budget"])
            strategy = {"kind": kind, "seed": seed, "budget": budget, **SETTINGS[kind]}
            began = time.perf_counter()
            sweep = load_sweep({**content, "name": name, "strategy": strategy})
            submit(sweep, on="inline", root=args.store)
            runs = load_runs(name, root=args.store)
            print(f"{name}: {len(runs)} runs in {time.perf_counter() - began:.0f} s", flush=True)
            tables.append(runs)
            pd.concat(tables).to_csv(args.store / "strategies.csv", index=False)


def ladder(store: Path, content: dict[str, Any]) -> None:
    """The same random points at three sizes of data."""
    points = [dict(entry.point) for entry in load_sweep("search-random-0", root=store)]
    fixed = dict(content["fixed"])
    size = fixed.pop("num_examples")
    sweep = {key: content[key] for key in ("data", "family")} | {
        "name": "ladder",
        "fixed": fixed,
        "runs": [{**p, "num_examples": size // k} for k in (9, 3, 1) for p in points],
    }
    submit(load_sweep(sweep), on="inline", root=store)


if __name__ == "__main__":
    main()
