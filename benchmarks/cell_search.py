"""DARTS against random search of equal FLOPs, each cell that was found retrained with three seeds.

    python benchmarks/cell_search.py [--figure docs/images/cell-search.png]

Needs fashion-mnist (``scaling data fetch fashion-mnist``). Searches by
``examples/darts_search.yaml`` and ``examples/darts_random.yaml``; both choose by examples of the
training part: no search sees the test images, on which the retrained networks are judged. What is
done already is not done again. Prints the table and draws it.
"""

from __future__ import annotations

import argparse
import tempfile
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


def done(file: str, **changes: Any) -> pd.DataFrame:
    """The runs of a sweep file, trained here."""
    sheet = yaml.safe_load((ROOT / "examples" / file).read_text())
    fixed = changes.pop("fixed", {})
    sheet = {**sheet, **changes, "fixed": {**sheet["fixed"], **fixed}}
    submit(load_sweep(sheet), on="inline")
    return load_runs(sheet["name"])


def search() -> tuple[dict[str, dict[str, str]], dict[str, Any]]:
    """The cell that each way chose, and what it spent in FLOPs and seconds."""
    runs = done("darts_search.yaml")
    cells, spent = {}, {}
    for _, run in runs.iterrows():
        way = NAMES[int(run["order"])]
        cells[way] = {kind: run[f"found/{kind}"] for kind in ("normal", "reduce")}
        spent[way] = run["flops"], run["seconds"]
    prepare_halves()
    tried = done("darts_random.yaml", data=HALVES, fixed={"final_examples": 5000})
    best = tried.loc[tried["loss"].idxmin()]
    cells[RANDOM] = random_cell(int(best["cell_seed"]))
    spent[RANDOM] = (tried["flops"].sum(), tried["seconds"].sum())
    return cells, spent


def random_cell(seed: int) -> dict[str, str]:
    """A cell of ``examples/darts_random.yaml``."""
    fixed = yaml.safe_load((ROOT / "examples" / "darts_random.yaml").read_text())["fixed"]
    drawn = random_cells(fixed["nodes"], tuple(fixed["operations"]), seed)
    return dict(zip(("normal", "reduce"), map(write_cell, drawn), strict=True))


def retrained(cells: dict[str, dict[str, str]]) -> pd.DataFrame:
    """Every chosen cell with three seeds, and cells that nobody chose, on all training examples."""
    fixed = yaml.safe_load((ROOT / "examples" / "darts_random.yaml").read_text())["fixed"]
    kept = {k: v for k, v in fixed.items() if k not in ("cell", "nodes", "operations")}
    kept |= {"num_examples": RETRAINED, "final_examples": 0}
    tables = []
    for part, seeds, some in (
        ("found", SEEDS, cells),
        ("controls", SEEDS[:1], {f"{CONTROL} {n}": random_cell(n) for n in CONTROLS}),
    ):
        grid = {kind: [cell[kind] for cell in some.values()] for kind in ("normal", "reduce")}
        sheet = {
            "name": f"cells-{part}",
            "data": "fashion-mnist",
            "family": "darts",
            "seeds": list(seeds),
            "fixed": kept,
            "grid": {"zip": grid},
        }
        submit(load_sweep(sheet), on="inline")
        runs = load_runs(sheet["name"])
        for name, cell in some.items():
            mine = runs[(runs["normal"] == cell["normal"]) & (runs["reduce"] == cell["reduce"])]
            tables.append(mine.assign(way=CONTROL if part == "controls" else name))
    return pd.concat(tables, ignore_index=True)


def draw(runs: pd.DataFrame) -> Figure:
    """Test error of every retrained network against its size."""
    with styled():
        figure = Figure(figsize=(5.6, 3.4))
        axes = figure.subplots()
        for way, colour in COLOURS.items():
            mine = runs[runs["way"] == way]
            axes.plot(mine["num_params"], 100 * mine["error"], "o", color=colour, label=way, ms=5)
        axes.set_xlabel("N: parameters of the retrained network")
        axes.set_ylabel("error on the test images (%)")
        axes.legend(fontsize=8)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    cells, spent = search()
    for way, cell in cells.items():
        flops, seconds = spent[way]
        print(f"{way}: {flops:.3g} FLOPs, {seconds:.0f} s", *cell.values(), sep="\n  ")
    runs = retrained(cells)
    for way in COLOURS:
        mine = runs[runs["way"] == way]
        print(
            f"{way:28} N {mine['num_params'].mean():8.0f}  C {mine['flops'].mean():.3g}  "
            f"error {100 * mine['error'].mean():.2f} % ± {100 * mine['error'].std(ddof=1):.2f}  "
            f"loss {mine['loss'].mean():.4f}"
        )
    if args.figure:
        print(save(draw(runs), args.figure))


if __name__ == "__main__":
    main()
