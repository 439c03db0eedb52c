"""n-gram models against networks on the same tokens: by data and by size.

    scaling submit examples/ngram_orders.yaml --on inline
    scaling submit examples/ngram_networks.yaml --on inline
    python benchmarks/ngram_crossing.py [--figure docs/images/ngram-crossing.png]

Prints a table of losses (nats a byte) and draws them against D and against N, the number of stored
counts or of parameters.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis import load_runs
from analysis.plotting import INK, save
from analysis.plotting.style import COLOURS, log_axis, loss_axis, styled
from analysis.wording import count

SWEEPS = ("ngram-orders", "ngram-networks")
NETWORKS = {"transformer": ("transformer", "o", "#d55e00"), "recurrent": ("LSTM", "s", "#0072b2")}


def table() -> pd.DataFrame:
    """The finished runs of both sweeps."""
    runs = pd.concat([load_runs(sweep) for sweep in SWEEPS], ignore_index=True)
    return runs[runs["status"] == "done"]


def draw(runs: pd.DataFrame) -> Figure:
    """Loss against D, and against N."""
    grams, nets = runs[runs["family"] == "ngram"], runs[runs["family"] != "ngram"]
    orders = sorted(grams["order"].unique())
    with styled():
        figure = Figure(figsize=(8.6, 3.6))
        by_data, by_size = figure.subplots(1, 2, sharey=True)
        for axes, x in ((by_data, "num_tokens"), (by_size, "num_params")):
            for i, order in enumerate(orders):
                mine = grams[grams["order"] == order].sort_values("num_tokens")
                colour = COLOURS(i / max(1, len(orders) - 1))
                axes.plot(
                    mine[x], mine["loss"], color=colour, marker=".", label=f"{int(order)}-gram"
                )
            for family, (name, marker, colour) in NETWORKS.items():
                for size, some in nets[nets["family"] == family].groupby("num_params"):
                    some = some.sort_values("num_tokens")
                    axes.plot(
                        some[x], some["loss"], color=colour, marker=marker, ms=4, lw=1.0, ls="--",
                        mec=INK, mew=0.4, label=f"{name}, {count(size)}",
                    )  # fmt: skip
            log_axis(axes.xaxis, counts=True)
        by_data.set_xlabel("D: bytes counted or trained on")
        by_size.set_xlabel("N: stored counts or parameters")
        loss_axis(by_data, "held-out loss (nats a byte)")
        handles, labels = by_data.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", fontsize=7)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", type=Path, default=Path("docs/images/ngram-crossing.png"))
    args = parser.parse_args()
    runs = table()
    kind = runs["family"].where(runs["family"] != "ngram", "ngram " + runs["order"].astype(str))
    width = runs["width"].map(lambda w: "" if pd.isna(w) else f" {w:.0f}")
    shown = runs.assign(kind=kind + width).pivot(
        index="kind", columns="num_tokens", values=["loss", "num_params"]
    )
    print(shown.to_string(float_format=lambda v: f"{v:.4g}"))
    print("written to", save(draw(runs), args.figure))


if __name__ == "__main__":
    main()
