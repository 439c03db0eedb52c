"""By hand, at random, by evolution or by gradients: ways to design in one space, at equal FLOPs.

    python -m benchmarks.four_strategies [--kinds hand wiring ...] [--seeds 0 1 2] --table runs.csv
    python -m benchmarks.four_strategies --tell benchmarks/four_strategies.csv
    scaling plot benchmarks/four_strategies.csv search --metric loss -o search.png

Needs fashion-mnist (``scaling data fetch fashion-mnist``). The space is that of
``benchmarks/four_strategies.yaml``: a cell is an operation, or none, for each of its nine edges,
and all ways set width and rate too. A seed is that of a search and of its training.

* ``hand``: cells as in known networks (``DESIGNS``), by widths and rates, in a random order;
* ``wiring``: random graphs (Xie et al. 2019), each edge the same convolution; width and rate drawn;
* ``evolution``, ``random``: strategies of the sweep file, over cells, widths and rates;
* ``darts``: 15 % of the FLOPs for a search by gradients, the rest for its cell with widths
  and rates drawn.

What is done already is not done again. The best of each search is then trained anew for longer,
on all training images, and judged by the test images, which no search saw.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analysis import load_runs
from analysis.designs import compare_searches
from benchmarks.cell_search import HALVES, prepare_halves
from cluster import submit
from scaling.base import Store
from scaling.families import get_family
from scaling.families.vision.wired.graphs import random_edges
from sweeps import load_sweep
from sweeps.document import read_document

FILE = Path(__file__).with_suffix(".yaml")
KINDS = ("hand", "wiring", "evolution", "darts", "random")
BY_GRADIENTS = 0.15  # of the budget
RETRAINED = {"num_examples": 6400, "final_examples": 0}  # five times as many; judged by all
COPIES = (0, 1)  # seeds of the training anew
RATES = (0.02, 0.04, 0.08, 0.15, 0.3, 0.5)  # by hand
LETTERS = {
    ".": "none",
    "p": "max_pool_3x3",
    "i": "skip_connect",
    "s": "sep_conv_3x3",
    "d": "dil_conv_3x3",
}
# Edges into the first node (from the cell before last, the last one), the second (from these and
# the first), the third; a normal and a reduction cell each.
DESIGNS = {
    "plain": (".s ..s ...s", ".p ..s ...s"),  # VGG: one after the other, pooling between stages
    "residual": (".s .is ..is", ".s .is ..is"),  # ResNet: each adds to what it convolves
    "dense": ("is iis iiis", "is iis iiis"),  # DenseNet: each sees all before it
    "inception": (".s .d. .p..", ".s .d. .p.."),  # GoogLeNet: side by side
    "shuffle": (".i .s. ...s", ".s .s. ...s"),  # ShuffleNetV2: one part passes, one is convolved
    "dilated": (".d ..d ...d", ".p ..d ...d"),  # Yu and Koltun 2016: wider and wider
}
KEPT = (
    *("run_id", "strategy", "strategy_seed", "search_flops", "flops", "loss", "error"),
    *("num_params", "width", "lr", "normal", "reduce", "exclude_reason"),
)


def document(name: str, seed: int, **changes: Any) -> dict[str, Any]:
    """The sweep file as a search named so, with other keys."""
    return {**read_document(FILE).value, "name": f"four-{name}-{seed}", "seeds": [seed], **changes}


def by_hand(seed: int) -> Iterator[dict[str, Any]]:
    """Each design with each width and rate."""
    grid = list(product(DESIGNS, widths(), RATES))
    for place in np.random.default_rng(seed).permutation(len(grid)):
        design, width, rate = grid[place]
        normal, reduce = (
            [LETTERS[letter] for letter in text.replace(" ", "")] for text in DESIGNS[design]
        )
        yield {"normal": normal, "reduce": reduce, "width": width, "lr": rate}


def by_wiring(seed: int) -> Iterator[dict[str, Any]]:
    """Random graphs over the two values that a cell sees and its nodes."""
    rng = np.random.default_rng(seed)
    low, high = map(float, parameters()["lr"]["log"])
    graphs = (
        *(("er", p, 0, 0) for p in (0.4, 0.6, 0.8)),
        *(("ba", 0.0, m, 0) for m in (1, 2, 3)),
        *(("ws", p, 0, k) for k in (2, 4) for p in (0.25, 0.75)),
    )
    while True:
        graph, p, m, k = graphs[rng.integers(len(graphs))]
        drawn = (random_edges(graph, 5, p, m, k, int(rng.integers(2**31))) for _ in range(2))
        normal, reduce = map(wired, drawn)
        width = int(rng.choice(widths()))
        lr = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        yield {"normal": normal, "reduce": reduce, "width": width, "lr": lr}


def wired(edges: tuple[tuple[int, int], ...]) -> list[str]:
    """A convolution for each edge; a node without one into it sees the last cell."""
    found = []
    for node in (2, 3, 4):
        seen = {start for start, end in edges if end == node} or {1}
        found += ["sep_conv_3x3" if value in seen else "none" for value in range(node)]
    return found


def parameters() -> dict[str, Any]:
    """Of the space."""
    found: dict[str, Any] = read_document(FILE).value["design_space"]["space"]["parameters"]
    return found


def widths() -> list[int]:
    """Of the space."""
    return list(parameters()["width"]["choices"])


def done(sheet: dict[str, Any]) -> pd.DataFrame:
    """The runs of a sweep, trained in this process, in their order and with their cells."""
    submit(load_sweep(sheet), on="inline")
    specs = {entry.run_id: entry.spec for entry in load_sweep(sheet["name"])}
    runs = load_runs(sheet["name"]).set_index("run_id", drop=False).loc[list(specs)]
    for name in ("normal", "reduce", "width"):
        runs[name] = [getattr(spec.model, name, None) for spec in specs.values()]
    return runs.reset_index(drop=True)


def listed(name: str, seed: int, points: Iterator[dict[str, Any]]) -> pd.DataFrame:
    """The points within the space's ranges, as many as the budget allows."""
    sheet = document(name, seed)
    low, high = sheet["design_space"]["ranges"]["macs_forward"]
    budget = float(sheet["strategy"]["budget"])
    family = get_family(sheet["family"])
    shape = {"cells": 3, "resolution": 14, "in_channels": 1, "num_classes": 10}
    chosen: list[dict[str, Any]] = []
    spent = 0.0
    for point in points:
        model = {key: value for key, value in point.items() if key != "lr"}
        cost = family.cost(family.resolve({**shape, **model}))
        if point in chosen or not float(low) <= cost.macs_forward <= float(high):
            continue
        spent += cost.flops_train * sheet["fixed"]["num_examples"]
        if spent > budget:
            break
        chosen.append(point)
    sheet = {k: v for k, v in sheet.items() if k not in ("design_space", "strategy")}
    runs = done({**sheet, "runs": chosen})
    return runs.assign(search_flops=runs["flops"].cumsum())


def by_gradients(seed: int) -> pd.DataFrame:
    """A search by DARTS, then its cell with widths and rates drawn."""
    sheet = document("darts-search", seed, family="darts_search")
    budget = float(sheet["strategy"]["budget"])
    operations = parameters()["normal"]["choices"]
    own = {"nodes": 3, "operations": operations, "order": 1, "width": 4, "lr": 0.1}
    fixed = {**sheet["fixed"], **own, "alpha_lr": 0.02, "flops": BY_GRADIENTS * budget}
    del fixed["num_examples"]
    sheet = {k: v for k, v in sheet.items() if k not in ("design_space", "strategy")}
    search = done({**sheet, "fixed": fixed, "runs": [{}]}).iloc[0]
    spent = float(search["flops"])
    cell = {kind: search[f"found/{kind}"] for kind in ("normal", "reduce")}
    sheet = document("darts", seed)
    space = sheet["design_space"]
    own = {name: space["space"]["parameters"][name] for name in ("width", "lr")}
    sheet["fixed"] = {**sheet["fixed"], **cell}
    sheet["design_space"] = {**space, "space": {"name": "found", "parameters": own}}
    sheet["strategy"] = {"kind": "random", "seed": seed, "budget": budget - spent}
    runs = done(sheet)
    return runs.assign(search_flops=runs["search_flops"] + spent)


def searched(kind: str, seed: int) -> pd.DataFrame:
    """The runs of one search, with what it had cost with each."""
    if kind == "hand":
        runs = listed(kind, seed, by_hand(seed))
    elif kind == "wiring":
        runs = listed(kind, seed, by_wiring(seed))
    elif kind == "darts":
        runs = by_gradients(seed)
    else:
        sheet = document(kind, seed)
        budget = sheet["strategy"]["budget"]
        strategy = {"kind": kind, "budget": budget}
        if kind == "evolution":
            strategy = sheet["strategy"]
        runs = done({**sheet, "strategy": {**strategy, "seed": seed}})
    return runs.assign(strategy=kind, strategy_seed=seed)


def judged(runs: pd.DataFrame) -> pd.DataFrame:
    """The best of each search within the least budget that all reached, trained anew.

    As runs without what a search had cost.
    """
    end = compare_searches(runs, metric="loss").curves[0].flops[-1]
    within = runs[runs["search_flops"] <= end]
    tables = []
    for (kind, seed), mine in within.groupby(["strategy", "strategy_seed"], sort=False):
        best = mine.loc[mine["loss"].idxmin()]
        sheet = document(f"{kind}-best", int(seed), data="fashion-mnist", seeds=list(COPIES))
        point = {name: best[name] for name in ("normal", "reduce", "width", "lr")}
        sheet = {k: v for k, v in sheet.items() if k not in ("design_space", "strategy")}
        sheet |= {"fixed": {**sheet["fixed"], **RETRAINED}, "runs": [point]}
        tables.append(done(sheet).assign(strategy=kind, strategy_seed=seed, search_flops=np.nan))
    return pd.concat(tables)


def mean(values: Any, level: float = 0.9) -> str:
    """The mean with Student's t interval."""
    values = np.asarray(values, float)
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values)
    each = ", ".join(f"{v:.3f}" for v in values)
    return f"{each}: {values.mean():.3f} ({values.mean() - half:.3f} to {values.mean() + half:.3f})"


def tell(table: pd.DataFrame) -> None:
    """Prints the best so far by budget, differences from random search, and FLOPs to its best."""
    runs = table[table["search_flops"].notna()]
    found = compare_searches(runs, metric="loss")
    random = next(curve for curve in found.curves if curve.strategy == "random")
    end = random.flops[-1]
    for curve in found.curves:
        print(f"{curve.strategy}: runs {curve.runs}, at {end:.3g} FLOPs {mean(curve.final)}")
        for share in (0.25, 0.5):
            place = np.searchsorted(curve.flops, share * end)
            low, high = curve.low[place], curve.high[place]
            print(f"  at {share:g} of it {curve.best[place]:.3f} ({low:.3f} to {high:.3f})")
        if curve is not random:
            print(f"  less random: {mean(np.subtract(curve.final, random.final))}")
        mine = runs[(runs["strategy"] == curve.strategy) & (runs["search_flops"] <= end)]
        least = np.mean(random.final)
        reached = [
            rows.loc[rows["loss"] <= least, "search_flops"].min() / end
            for _, rows in mine.groupby("strategy_seed")
        ]
        print(f"  share of it to random's mean best: {np.round(reached, 2)}")
        best = mine.loc[mine.groupby("strategy_seed")["loss"].idxmin()]
        print(best[["width", "lr", "num_params", "loss", "normal", "reduce"]].to_string())
    anew = table[table["search_flops"].isna()]
    for metric in ("error", "loss"):
        means = anew.groupby(["strategy", "strategy_seed"])[metric].mean().unstack(0)
        for kind in means:
            print(f"trained anew, {metric}, {kind}: {mean(means[kind])}")
            if kind != "random":
                print(f"  less random: {mean(means[kind] - means['random'])}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--table", type=Path)
    parser.add_argument("--tell", type=Path, metavar="TABLE")
    args = parser.parse_args()
    if args.tell:
        tell(pd.read_csv(args.tell).fillna({"exclude_reason": ""}))
        return
    if not (Store.at().data_dir / HALVES).exists():
        prepare_halves()
    tables = [searched(kind, seed) for seed in args.seeds for kind in args.kinds]
    runs = pd.concat(tables, ignore_index=True)
    table = pd.concat([runs, judged(runs)], ignore_index=True)
    if args.table:
        table[[*KEPT]].to_csv(args.table, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
