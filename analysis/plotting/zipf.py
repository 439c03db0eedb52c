"""Figure of how often the runs of one, two and three tokens of a data set come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.plotting.style import INK, MUTED, SERIES, log_axis, styled
from analysis.wording import count

NAMES = {1: "unigrams", 2: "bigrams", 3: "trigrams"}
LONGEST = 18  # characters of a label


@dataclass(frozen=True)
class Spread:
    """The runs of one length: a curve of counts by rank, Zipf's exponent, the most frequent."""

    order: int
    ranks: Sequence[int]
    counts: Sequence[int]
    exponent: float
    labels: Sequence[str]
    most: Sequence[int]


def zipf(found: Sequence[Spread], title: str) -> Figure:
    """Counts by rank, all lengths in one panel, and a panel of the most frequent of each."""
    with styled():
        figure = Figure(figsize=(3.2 + 2.1 * len(found), 3.4))
        panels: Any = figure.subplots(1, 1 + len(found), width_ratios=[1.6, *[1.0] * len(found)])
        axes = panels[0]
        for spread, colour in zip(found, SERIES, strict=False):
            name = NAMES.get(spread.order, f"{spread.order}-grams")
            axes.plot(
                spread.ranks, spread.counts, color=colour, label=f"{name}: {spread.exponent:.2f}"
            )
        axes.set(xlabel="rank", ylabel="count", title=title)
        log_axis(axes.xaxis, counts=True, most=5)
        log_axis(axes.yaxis, counts=True, most=5)
        axes.legend(title="exponent of Zipf's law", title_fontsize=8)
        for spread, panel, colour in zip(found, panels[1:], SERIES, strict=False):
            total = range(len(spread.labels))
            panel.barh(total, spread.most, color=colour, height=0.7)
            panel.set_yticks(total, [_short(label) for label in spread.labels])
            panel.tick_params(axis="y", labelcolor=INK, length=0)
            for tick in panel.get_yticklabels():
                tick.set_fontfamily("DejaVu Sans Mono")
                tick.set_fontsize(7)
            panel.invert_yaxis()
            panel.grid(axis="y", visible=False)
            panel.set_title(NAMES.get(spread.order, ""))
            panel.xaxis.set_major_locator(MaxNLocator(3))
            panel.xaxis.set_major_formatter(_counted)
            panel.set_xlabel("count", color=MUTED)
    return figure


def _short(label: str) -> str:
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…"


def _counted(value: float, _: int) -> str:
    return count(value) if value else "0"
