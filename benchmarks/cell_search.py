"""DARTS against random search of equal FLOPs, each cell that was found retrained with three seeds.

    python benchmarks/cell_search.py [--seeds 0 1 2] [--workers 2] [--table cells.csv]
    python benchmarks/cell_search.py --draw benchmarks/cell_search.csv cell-search.png

Needs fashion-mnist (``scaling data fetch fashion-mnist``). Searches by
``examples/darts_search.yaml`` and ``examples/darts_random.yaml``; a search's seed is that of its
training, and random search draws other cells with each. Both choose by examples of the training
part: no search sees the test images, on which the retrained networks are judged. What is done
already is not done again. Prints a table for each way, a row a search. ``--table`` keeps the
retrained networks, a row each; ``--draw`` draws such a table. ``--divide 100`` takes a hundredth
of all examples and FLOPs: a try, in a store of its own.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from matplotlib.figure import Figure

from analysis import load_runs
from analysis.plotting import save
from analysis.plotting.style import styled
from cluster import submit
from scaling.base import Store
from scaling.data import open_data
from scaling.data.images import prepare_labelled, source_of
from scaling.families.vision.wired.cells import random_cells, write_cell
from sweeps import load_sweep

ROOT = Path(__file__).resolve().parents[1]
HALVES = "fashion-halves"  # trained on and chosen by as a search does: every second example
RETRAINED, SEEDS, CONTROLS = 12_800, (0, 1, 2), (100, 101, 102)
NAMES = {1: "DARTS, first order", 2: "DARTS, second order"}
RANDOM, CONTROL = "random search", "random cells, not chosen"
COLOURS = {NAMES[2]: "#d55e00", NAMES[1]: "#e69f00", RANDOM: "#0072b2", CONTROL: "#999999"}


def prepare_halves() -> None:
    """The training examples of Fashion-MNIST as two halves, one of them held out."""
    data = open_data("fashion-mnist")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "halves.npz"
        parts = {
            f"{part}_{kind}": getattr(data, f"train_{source}")[i::2]
            for i, part in enumerate(("train", "val"))
            for kind, source in (("images", "inputs"), ("labels", "labels"))
        }
        np.savez(path, **parts)
        prepare_labelled(HALVES, source_of((path,)), Store.at().data_dir)


def example(file: str, divide: int = 1) -> dict[str, Any]:
    """A sweep file of the examples, with a part of its training and evaluation."""
    sheet: dict[str, Any] = yaml.safe_load((ROOT / "examples" / file).read_text())
    if divide > 1:
        amounts = {"flops", "num_examples", "curve_examples", "final_examples"}
        for key in amounts & {*sheet["fixed"]}:
            sheet["fixed"][key] = int(float(sheet["fixed"][key]) / divide)
    return sheet


def done(sheet: dict[str, Any], workers: int) -> pd.DataFrame:
    """The runs of a sweep, trained on this machine."""
    submit(load_sweep(sheet), on="local", workers=workers, wait=True)
    return load_runs(sheet["name"])


def search(
    seed: int, workers: int, divide: int
) -> tuple[dict[str, dict[str, str]], dict[str, Any]]:
    """The cell that each way chose, and what it spent in FLOPs and seconds."""
    sheet = example("darts_search.yaml", divide)
    runs = done({**sheet, "name": f"darts-search-{seed}", "seeds": [seed]}, workers)
    cells, spent = {}, {}
    for _, run in runs.iterrows():
        way = NAMES[int(run["order"])]
        cells[way] = {kind: run[f"found/{kind}"] for kind in ("normal", "reduce")}
        spent[way] = run["flops"], run["seconds"]
    prepare_halves()
    sheet = example("darts_random.yaml", divide)
    drawn = sheet["grid"]["product"]["cell_seed"]
    sheet |= {"name": f"darts-random-{seed}", "data": HALVES, "seeds": [seed]}
    sheet["fixed"]["final_examples"] = 5000 // divide
    sheet["grid"] = {"product": {"cell_seed": [len(drawn) * seed + n for n in drawn]}}
    tried = done(sheet, workers)
    best = tried.loc[tried["loss"].idxmin()]
    cells[RANDOM] = random_cell(int(best["cell_seed"]))
    spent[RANDOM] = (tried["flops"].sum(), tried["seconds"].sum())
    return cells, spent


def random_cell(seed: int) -> dict[str, str]:
    """A cell of ``examples/darts_random.yaml``."""
    fixed = example("darts_random.yaml")["fixed"]
    drawn = random_cells(fixed["nodes"], tuple(fixed["operations"]), seed)
    return dict(zip(("normal", "reduce"), map(write_cell, drawn), strict=True))


def retrained(
    name: str, cells: dict[str, dict[str, str]], seeds: Sequence[int], workers: int, divide: int
) -> pd.DataFrame:
    """Each cell trained on all training examples with each of the seeds, a sweep a cell."""
    fixed = example("darts_random.yaml", divide)["fixed"]
    kept = {k: v for k, v in fixed.items() if k not in ("cell", "nodes", "operations")}
    judged_by = 0 if divide == 1 else 10_000 // divide  # 0: all
    kept |= {"num_examples": RETRAINED // divide, "final_examples": judged_by}
    tables = []
    for i, (way, cell) in enumerate(cells.items()):
        sheet = {
            "name": f"{name}-{i}",
            "data": "fashion-mnist",
            "family": "darts",
            "seeds": list(seeds),
            "fixed": kept,
            "runs": [cell],
        }
        tables.append(done(sheet, workers).assign(way=way))
    return pd.concat(tables, ignore_index=True)


def draw(runs: pd.DataFrame) -> Figure:
    """Test error against size: the mean of each search's cell, and each network trained of it."""
    with styled():
        figure = Figure(figsize=(5.6, 3.4))
        axes = figure.subplots()
        for way, colour in COLOURS.items():
            mine = runs[runs["way"] == way]
            means = mine.groupby("search")[["num_params", "error"]].mean()
            axes.plot(mine["num_params"], 100 * mine["error"], "o", color=colour, ms=3, alpha=0.5)
            axes.plot(means["num_params"], 100 * means["error"], "D", color=colour, label=way, ms=6)
        axes.set_xlabel("N: parameters of the retrained network")
        axes.set_ylabel("error on the test images (%)")
        axes.legend(fontsize=8)
    return figure


def tell(runs: pd.DataFrame) -> None:
    """Prints each way's searches, and their mean."""
    for way in COLOURS:
        each = runs[runs["way"] == way].groupby("search")[["num_params", "flops", "error", "loss"]]
        print(way, each.mean().to_string(), sep="\n")
        size, flops, error, loss = each.mean().mean()
        spread = 100 * each.mean()["error"].std(ddof=1)
        print(
            f"  mean of {len(each)}: N {size:.0f}  C {flops:.3g}  error {100 * error:.2f} % ± "
            f"{spread:.2f} over searches  loss {loss:.4f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the searches")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--divide", type=int, default=1)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--draw", type=Path, nargs=2, metavar=("TABLE", "FIGURE"))
    args = parser.parse_args()
    if args.draw:
        print(save(draw(pd.read_csv(args.draw[0])), args.draw[1]))
        return
    tables = []
    for seed in args.seeds:
        cells, spent = search(seed, args.workers, args.divide)
        for way, cell in cells.items():
            flops, seconds = spent[way]
            print(
                f"{way}, seed {seed}: {flops:.3g} FLOPs, {seconds:.0f} s",
                *cell.values(),
                sep="\n  ",
            )
        runs = retrained(f"cells-found-{seed}", cells, SEEDS, args.workers, args.divide)
        tables.append(runs.assign(search=seed))
    controls = {f"{CONTROL} {n}": random_cell(n) for n in CONTROLS}
    runs = retrained("cells-controls", controls, SEEDS[:1], args.workers, args.divide)
    tables.append(runs.assign(search=runs["way"].str.split().str[-1], way=CONTROL))
    runs = pd.concat(tables, ignore_index=True)
    tell(runs)
    if args.table:
        kept = ["way", "search", "seed", "num_params", "flops", "error", "loss"]
        runs[kept].to_csv(args.table, index=False)


if __name__ == "__main__":
    main()
