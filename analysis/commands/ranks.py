"""The command ``scaling ranks``: are designs that are best when small also best when large?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.commands.loading import table_of
from analysis.commands.options import FIGURE, Source, output_of, read
from analysis.designs import Ranks, rank_correlations
from analysis.plotting import Picture, save_all
from analysis.plotting import ranks as draw
from analysis.wording import span
from scaling.base import note, print_json, print_table

if TYPE_CHECKING:
    import argparse


@dataclass(frozen=True)
class Options:
    """What makes a design and a scale, what is good, and how intervals are drawn."""

    by: str | None = None
    scale: str | None = None
    metric: str | None = None
    draws: int = 2000
    level: float = 0.9
    seed: int = 0
    json: bool = False


def run(args: argparse.Namespace) -> int:
    """``scaling ranks``."""
    source, asked, output = read(Source, args), read(Options, args), output_of(args, FIGURE)
    found = _found(source, asked)
    if output:
        for path in save_all({"ranks": draw(found)}, output):
            note(f"written to {path}")
    if asked.json:
        print_json(found.to_dict())
        return 0
    percent = f"{100 * asked.level:g} %"
    rows = [
        (one.scale, one.n_designs, one.spearman, span(one.spearman_ci), one.kendall,
         span(one.kendall_ci), one.rank_of_best, one.regret)
        for one in found.correlations
    ]  # fmt: skip
    header = (
        *(found.scale, "designs", "Spearman", percent, "Kendall", percent),
        *("rank of its best", "regret"),
    )
    largest = found.correlations[0].largest
    print_table(f"ranks by {found.metric} against {found.scale} {largest:g}", header, rows)
    if found.is_selected:
        print("only what was promoted is at the larger scale: ranks among all would agree more")
    return 0


def figure(source: Source, asked: Options) -> Picture:
    """The figure."""
    return draw(_found(source, asked))


def _found(source: Source, asked: Options) -> Ranks:
    return rank_correlations(
        table_of(source),
        [name.strip() for name in (asked.by or "").split(",") if name.strip()],
        asked.scale,
        metric=asked.metric,
        draws=asked.draws,
        level=asked.level,
        seed=asked.seed,
    )
