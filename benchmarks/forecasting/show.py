"""The results as Markdown and as a figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from backtests import pooled
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plotting.style import BLUE, INK, VERMILION, new_figure, styled

PEER = "#b9c2cc"
HEADER = {"rmse": "RMSE", "interval_score": "interval score", "crps": "CRPS", "coverage": "held"}


def markdown(tables: pd.DataFrame, unanswered: pd.DataFrame, plans: pd.DataFrame) -> str:
    """All tables of the results."""
    parts = [
        "# Forecasts of public tables\n",
        "Made by `python benchmarks/forecasting FOLDER`. Scores are of errors of the logarithm, so "
        ".01 is 1 %; less is better; intervals are of 90 %. *In view* says whether a table's "
        "backtests were looked at when the forecast's rules were chosen.\n",
    ]
    for what, seen in (("not in view", False), ("in view", True)):
        some = tables[tables["in_view"] == seen]
        if len(some):
            parts += [f"## Means over the tables {what}\n", *_pooled(pooled(some))]
    parts += ["## Each table\n", *_tables(tables)]
    if len(unanswered):
        parts += ["## Without an answer\n", *_unanswered(unanswered)]
    if len(plans):
        parts += ["## Plans from the lower half of the budgets\n", *_plans(plans)]
    return "\n".join(parts) + "\n"


def _pooled(rows: pd.DataFrame) -> list[str]:
    return _grid(
        ("method", "tables", *HEADER.values(), "held, worst table",
         f"the forecast's on the same tables ({' / '.join(HEADER.values())})",
         "interval score over the forecast's (geometric mean)"),
        (
            (r.method, r.tables, *(_short(r[name]) for name in HEADER), _short(r.least_coverage),
             " / ".join(_short(r[f"forecast_{name}"]) for name in HEADER), f"{r.ratio:.2f}")
            for _, r in rows.iterrows()
        ),
    )  # fmt: skip


def _tables(tables: pd.DataFrame) -> list[str]:
    """The forecast on each table beside the peer that has the least interval score there."""
    rows = []
    for name, group in tables.groupby("table", sort=True):
        ours = group[group["method"] == "forecast"].iloc[0]
        peers = group[group["method"] != "forecast"].dropna(subset=["interval_score"])
        best = peers.loc[peers["interval_score"].idxmin()]
        unit = "" if ours["space"] == "log" else " (its own unit)"
        row = [name + unit, "yes" if ours["in_view"] else "no", ours["splits"], ours["rows"]]
        if ours["unanswered"]:
            row += [f"no answer to {ours['unanswered']}", *[""] * (len(HEADER) - 1)]
        else:
            row += [_short(ours[key]) for key in HEADER]
        rows.append((*row, best["method"], *(_short(best[key]) for key in HEADER)))
    header = ("table", "in view", "splits", "rows", *HEADER.values(), "best peer")
    return _grid((*header, *HEADER.values()), rows)


def _unanswered(counts: pd.DataFrame) -> list[str]:
    return _grid(("table", "method", "why", "splits"), counts.itertuples(index=False))


def _plans(plans: pd.DataFrame) -> list[str]:
    kinds = ("coverage", "interval_score", "width", "rmse")
    means = {
        f"mean, {what}": plans[plans["in_view"] == seen].mean(numeric_only=True)
        for what, seen in (("not in view", False), ("in view", True))
        if (plans["in_view"] == seen).any()
    }
    each = [(r.table, "yes" if r.in_view else "no", r) for _, r in plans.iterrows()]
    each += [(name, "", row) for name, row in means.items()]
    words = ("held", "interval score", "width", "RMSE")
    header = [f"{what}: {word}" for what in ("ln N*", "ln loss") for word in words]
    return _grid(
        ("table", "in view", "budgets", "farthest", *header),
        (
            (name, seen, f"{r.budgets:.0f}" if seen else "", f"x {r.beyond:.0f}" if seen else "",
             *(_short(r[f"{what}_{kind}"]) for what in ("num_params", "loss") for kind in kinds))
            for name, seen, r in each
        ),
    )  # fmt: skip


def _grid(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [*("| " + " | ".join(map(str, line)) + " |" for line in lines), ""]


def _short(value: float) -> str:
    """Three digits, without the zero before the point, as the results write numbers."""
    if not np.isfinite(value):
        return "-"
    if value >= 100 or value == 0:
        return f"{value:.0f}"
    text = f"{value:.3g}" if value >= 0.1 else f"{value:.4f}"
    return text.removeprefix("0") if value < 1 else text


def figure(tables: pd.DataFrame, plans: pd.DataFrame) -> Figure:
    """Interval scores by table, forecast and peers; and what the plans' intervals held."""
    with styled():
        drawn, axes = new_figure(9.5, 7.2, 2, width_ratios=(1.5, 1))
        _scores(axes[0], tables[tables["space"] == "log"])
        _held(axes[1], plans)
        return drawn


def _scores(axes: Axes, tables: pd.DataFrame) -> None:
    ours = tables[tables["method"] == "forecast"].set_index("table")
    order = ours.sort_values(["in_view", "interval_score"], ascending=[True, False]).index
    place = {name: i for i, name in enumerate(order[::-1])}
    peers = tables[tables["method"] != "forecast"].dropna(subset=["interval_score"])
    axes.scatter(
        peers["interval_score"], peers["table"].map(place), s=12, color=PEER, label="each peer"
    )
    for seen, fill, label in ((False, BLUE, "forecast"), (True, "white", "forecast, in view")):
        some = ours[ours["in_view"] == seen]
        axes.scatter(
            some["interval_score"], some.index.map(place), s=34, facecolor=fill, edgecolor=BLUE,
            label=label, zorder=3,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_ylim(-0.7, len(place) - 0.3)
    axes.set_yticks(list(place.values()), [_name(table) for table in place], fontsize=7)
    axes.set_xlabel("interval score of log loss (less is better)")
    axes.set_title("Held-out rows of each table")
    axes.legend(loc="upper left")


def _held(axes: Axes, plans: pd.DataFrame) -> None:
    if not len(plans):
        axes.set_axis_off()
        return
    rows = np.arange(len(plans))[::-1]
    kinds = (("num_params", BLUE, "N*", 0.12), ("loss", VERMILION, "loss at N*", -0.12))
    for what, colour, label, shift in kinds:
        seen = plans["in_view"].to_numpy()
        face = np.where(seen, "white", colour)
        axes.scatter(
            plans[f"{what}_coverage"],
            rows + shift,
            s=34,
            facecolor=face,
            edgecolor=colour,
            zorder=3,
        )
        axes.scatter([], [], s=34, color=colour, label=label)
    axes.axvline(0.9, color=INK, linewidth=0.8, linestyle="--", label="90 %")
    axes.set_ylim(-0.7, len(plans) - 0.3)
    axes.set_xlim(-0.03, 1.05)
    axes.set_yticks(rows, [_name(table) for table in plans["table"]], fontsize=7)
    axes.set_xlabel("share inside the 90 % interval")
    axes.set_title("Plans at larger budgets")
    axes.legend(loc="lower left")


def _name(table: str) -> str:
    """A table's name without what all of its kind share."""
    for word in ("__massivetext__chinchilla", "_chinchilla__massivetext", "_overtraining"):
        table = table.replace(word, "")
    return table.replace("porian_rw__", "porian ").replace("__", " ").replace("_", " ")
