"""Writes the page of the named laws from the registry, and draws each over its public table.

    python docs/draw_laws.py [--figures]

writes ``docs/laws.md``; with ``--figures`` also ``docs/images/laws/NAME.png`` of each law with a
table in ``tests/published/data``, whose licences let their points be shown. A law without one has
no figure.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from analysis.commands.laws import examples  # noqa: E402
from analysis.laws import LAWS, Law  # noqa: E402

PAGE, FIGURES = ROOT / "docs" / "laws.md", ROOT / "docs" / "images" / "laws"
DATA = ROOT / "tests" / "published" / "data"


@dataclass(frozen=True)
class Shown:
    """A law over a table: the rows of ``where`` are fitted, those of ``only`` drawn along ``x``."""

    table: str
    x: str
    group: str = ""
    where: str = ""
    only: str = ""
    x_col: str | None = None
    y_col: str | None = None
    loss_fn: str = "huber"


ONE_CURVE = Shown("learning_curves_vision", "num_examples", "task",
                  "task == 'inet_5' and model == 'MiX/B/16'", x_col="num_examples")  # fmt: skip
SHOWN = {
    **dict.fromkeys(("power", "power_floor", "m3", "m4", "bnsl1"), ONE_CURVE),
    **dict.fromkeys(
        ("kaplan", "chinchilla", "chinchilla_symmetric", "gadre", "farseer"),
        Shown("isoflop_chinchilla", "num_params", "flops", "not outlier"),
    ),
    "repeated_data": Shown("datablations_repeated_data", "num_tokens", "num_params",
                           only="num_unique_tokens == 100000000 and num_params in "
                           "(14100000, 44000000, 82700000, 146500000, 421200000)"),
    "width_depth": Shown("gemstones_cool_end", "num_tokens", "run_name",
                         only="width in (256, 512, 1024, 2048) and depth < 28"),
    "moe_routing": Shown("moe_sbase", "num_experts", "dense_params"),
    "fine_tuning": Shown("sft_flan", "sft_data_size", "group", "group == 'bart-base'"),
    **dict.fromkeys(
        ("annealing", "multi_power"),
        Shown("lr_schedules_25m", "step", "curve", only="step > 5000"),
    ),
    "sigmoid": Shown("downstream_ladder", "task_loss", "group", "group == 'arc_easy_test'",
                     x_col="task_loss", y_col="accuracy", loss_fn="mse"),
    "polynomial2": Shown("easy_questions", "flops", "group", "group == 'mmlu'",
                         y_col="brier_score_hard", loss_fn="mse"),
    **dict.fromkeys(
        ("polynomial3", "polynomial5"),
        Shown("easy_questions", "flops", "group", "group == 'mmlu'", y_col="brier_score",
              loss_fn="mse"),
    ),
}  # fmt: skip


def page() -> str:
    """The page, in Markdown."""
    parts = [
        "# Named laws",
        "<!-- made by `python docs/draw_laws.py` from the registry `analysis.laws.LAWS` -->",
        "`scaling laws` lists them and `scaling laws NAME` shows one with its bounds; `--law` "
        "takes a name, or a formula of your own ([Laws, fits, plans, predictions](analysis.md)). "
        "Points in the figures are measurements from the tables in `tests/published/data`, lines "
        "the law fitted to the filled ones; hollow points were held out. A law without a figure "
        "has no public table whose licence lets it be shown.",
    ]
    for law in LAWS.values():
        parts += [f"## {law.name}", _entry(law)]
    return "\n\n".join(parts) + "\n"


def _entry(law: Law) -> str:
    rows = [
        f"| `{p.name}` | {p.means} | {p.unit} |" for p in law.parameters
    ]  # fmt: skip
    lines = [
        f"$${law.latex}$$",
        f"`{law.output}` of {', '.join(f'`{name}`' for name in law.inputs)}. {law.source}.",
        "\n".join(["| parameter | meaning | unit |", "| --- | --- | --- |", *rows]),
    ]
    for name, values in law.published.items():
        lines.append(
            f"Published, `{name}`: " + ", ".join(f"{k} {v:.6g}" for k, v in values.items())
        )
    lines.append("```\n" + "\n".join(examples(law)) + "\n```")
    if law.name in SHOWN:
        lines.append(f"![{law.name} over {SHOWN[law.name].table}](images/laws/{law.name}.png)")
    return "\n\n".join(lines)


def draw(name: str, shown: Shown) -> None:
    """The figure of a law: points, and what it gives at them, a line a group."""
    import pandas as pd
    from matplotlib.figure import Figure

    from analysis import Estimand, fit

    table = pd.read_csv(DATA / f"{shown.table}.csv", comment="#")
    table = table.query(shown.where) if shown.where else table
    train = table["is_training"].astype(bool) if "is_training" in table else table["loss"].notna()
    estimand = Estimand(shown.loss_fn, x_col=shown.x_col, y_col=shown.y_col)
    f = fit(name, table[train], estimand, starts=4)
    table = table.assign(predicted=f.predict(table), train=train).sort_values(shown.x)
    table = table.query(shown.only) if shown.only else table
    figure = Figure(figsize=(5.2, 3.4), dpi=110, layout="constrained")
    axes = figure.subplots()
    groups = list(table.groupby(shown.group))
    for i, (group, part) in enumerate(groups):
        colour = _colour(i, len(groups))
        axes.plot(part[shown.x], part["predicted"], color=colour, lw=1.2)
        for hollow, some in ((False, part[part.train]), (True, part[~part.train])):
            axes.plot(some[shown.x], some[f.y_col], "o", ms=3.2, mew=0.7, color=colour,
                      mfc="white" if hollow else colour, alpha=0.75,
                      label=None if hollow and part.train.any() else _named(group))  # fmt: skip
    if shown.x not in ("step", "task_loss"):
        axes.set_xscale("log")
    low, high = table[f.y_col].min(), table[f.y_col].max()  # a law may leave the points far behind
    axes.set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))
    axes.set(xlabel=shown.x, ylabel=f.y_col, title=f"{name}: R² {f.r2:.4f} where fitted")
    axes.title.set_fontsize(9)
    if len(groups) <= 9:
        figure.legend(fontsize=6, title=shown.group, title_fontsize=6, frameon=False,
                      loc="outside right upper")  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    FIGURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURES / f"{name}.png")


def _colour(i: int, many: int) -> tuple[float, ...]:
    from matplotlib import colormaps

    return tuple(colormaps["viridis"](0.0 if many == 1 else 0.9 * i / (many - 1)))


def _named(group: object) -> str:
    return f"{group:.3g}" if isinstance(group, int | float | np.number) else str(group)


def main() -> None:
    """Write the page, and the figures if they are asked for."""
    PAGE.write_text(page(), encoding="utf-8")
    if "--figures" in sys.argv[1:]:
        for name, shown in SHOWN.items():
            draw(name, shown)


if __name__ == "__main__":
    main()
