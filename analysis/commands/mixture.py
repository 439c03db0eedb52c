"""The command ``scaling mixture``: the best shares of a data mixture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from analysis.commands.loading import table_of
from analysis.commands.options import Source, read
from analysis.compute import best_mixture
from analysis.fits import Bootstrap, Estimand, fit
from analysis.laws import law_for
from analysis.wording import span
from scaling.base import note, print_json, print_table

if TYPE_CHECKING:
    import argparse


UNKNOWN = (float("nan"), float("nan"))
"""An interval without draws."""


@dataclass(frozen=True)
class Options:
    """The losses that count and by how much, the law, and the size for a law that takes one."""

    losses: tuple[str, ...] = ("loss",)
    weights: tuple[float, ...] = ()
    law: str = "mixture"
    num_params: float | None = None
    num_tokens: float | None = None
    bootstrap: int = 200
    level: float = 0.9
    seed: int = 0
    json: bool = False


def run(args: argparse.Namespace) -> int:
    """``scaling mixture``."""
    source, asked = read(Source, args), read(Options, args)
    if source.taken.get("loss"):
        asked = replace(asked, losses=tuple(source.taken["loss"].split(",")))
        source = replace(source, columns=tuple(c for c in source.columns if c[0] != "loss"))
    table = table_of(source)
    missing = [one for one in asked.losses if one not in table.columns]
    if missing:
        raise ValueError(
            f"no column {missing[0]!r}: name the losses by --loss-col A,B; the table has "
            f"{', '.join(map(str, table.columns))}"
        )
    law = law_for(asked.law, table)
    fits = [
        fit(law, table, Estimand(y_col=one), bootstrap=Bootstrap(asked.bootstrap), seed=asked.seed)
        for one in asked.losses
    ]
    for f in fits:
        if not f.identified:
            note(f"fit of {f.y_col}: {f.status}")
    best = best_mixture(
        fits,
        asked.weights or None,
        num_params=asked.num_params,
        num_tokens=asked.num_tokens,
        level=asked.level,
    )
    if asked.json:
        print_json({"law": law.name, "formula": law.formula, "n_runs": fits[0].n_runs}
                   | best.to_dict())  # fmt: skip
        return 0
    percent = f"{100 * asked.level:g} %"
    ci = best.shares_ci or {}
    rows = [(one, f"{r:.4f}", span(ci.get(one, UNKNOWN))) for one, r in best.shares.items()]
    print_table(f"best mixture by {law.formula}", ("share of", "", percent), rows)
    losses = [(one, f"{value:.4f}", "") for one, value in best.losses.items()]
    mean = ("weighted mean", f"{best.loss:.4f}", span(best.loss_ci or UNKNOWN))
    print_table("losses expected there", ("", "loss", percent), [*losses, mean])
    print(f"the best mixture that was run: {best.best_run:.4f} by the same laws")
    print(f"{fits[0].n_runs} runs; status: {best.status}")
    return 0
