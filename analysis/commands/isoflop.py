"""The command ``scaling isoflop``: minima by budget, exponents, what they say beyond, the bias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.commands.fit_text import print_approaches
from analysis.commands.loading import curves_of, fit_of, require, table_of
from analysis.commands.options import FitOptions, Source, read
from analysis.compute import (
    BEYOND,
    IsoFlop,
    Method,
    Minimum,
    NoExponentError,
    compare,
    method_bias,
)
from analysis.compute import isoflop as find_minima
from analysis.wording import span
from scaling.base import NoAnswerError, note, print_json, print_table

if TYPE_CHECKING:
    import argparse

    import pandas as pd

    from analysis.fits import Fit


@dataclass(frozen=True)
class Options:
    """How minima are found, how their noise is drawn, and what is asked beyond the budgets.

    Raises
    ------
    ValueError
        If the exponent is not between 0 and 1.
    """

    method: Method = "parabola"
    noise: float | None = None
    draws: int = 1000
    seed: int = 0
    flops: tuple[float, ...] = ()
    exponent: float = 0.5
    json: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.exponent < 1:
            raise ValueError(
                f"--exponent {self.exponent:g} is not between 0 and 1: 0.5 grows N* as D*"
            )


def run(args: argparse.Namespace) -> int:
    """``scaling isoflop``."""
    source, asked = read(Source, args), read(Options, args)
    title = f"{source.name}: minima by {asked.method}"
    table = table_of(source)
    require(table, "num_params", "flops", "loss")
    try:
        found = find_minima(
            table, method=asked.method, noise=asked.noise, draws=asked.draws, seed=asked.seed
        )
    except NoExponentError as error:
        if not asked.json:
            _print_minima(title, error.minima)
        raise
    values = found.to_dict()
    values["beyond"] = _beyond(found, asked)
    fitted = _law_of(table, asked)
    bias = _bias(table, found.method, fitted)
    values["bias"] = bias
    curves = curves_of(source)
    approaches = compare(table, curves=curves, isoflop=found, fit=fitted, seed=asked.seed)
    values["approaches"] = [approach.to_dict() for approach in approaches]
    values["notes"] = table.attrs["notes"]
    if asked.json:
        print_json(values)
        return 0
    _print_minima(title, found.minima)
    _print_exponents(found)
    _print_beyond(values["beyond"], asked.exponent)
    print_approaches(approaches)
    if bias:
        print(
            f"bias of the method, if the parametric law with a = {bias['a_law']:.4f} is true: it "
            f"would find {bias['a']:.4f} on these sizes; at 100 x the largest budget it would "
            f"choose {bias['num_params_ratio'][-1]:.3g} N* and waste "
            f"{100 * bias['misallocated'][-1]:.2g} % of the budget"
        )
    return 0


def _print_minima(title: str, minima: Sequence[Minimum]) -> None:
    """The budgets with enough sizes as a table, and how many have too few."""
    rows = [
        (m.flops, m.num_params, *m.ci(), m.num_tokens, m.loss, m.n_sizes, m.status)
        for m in minima
        if not m.too_few
    ]
    header = ("flops", "N*", "90 % from", "to", "D*", "loss", "sizes", "status")
    if rows:
        print_table(title, header, rows)
    if left := len(minima) - len(rows):
        print(f"{left} of {len(minima)} budgets have too few sizes")


def _print_exponents(found: IsoFlop) -> None:
    """The exponents with their intervals, or why there are none."""
    if found.status != "ok":
        print(found.status)
    if not np.isfinite(found.a):
        return
    ci = found.ci()
    for name, value, what in (("a", found.a, "N* ~ C^a"), ("b", found.b, "D* ~ C^b")):
        print(f"{what}: {name} = {value:.4f} (90 %: {span(ci[name], '.4f') or 'not known'})")
    if np.isfinite(found.noise):
        print(f"noise of a loss: {100 * found.noise:.2g} %")


def _beyond(found: IsoFlop, asked: Options) -> list[dict[str, Any]]:
    """N* by the line through the minima, and by one with the given exponent, at each budget."""
    largest = max(m.flops for m in found.minima if m.status == "ok")
    fixed = found.fixed(asked.exponent)
    return [
        {
            "flops": flops,
            "num_params": float(found.num_params(flops)),
            "num_params_ci": list(found.params.ci_at(flops)),
            "exponent": asked.exponent,
            "num_params_at_exponent": float(fixed.num_params(flops)),
        }
        for flops in asked.flops or [largest * factor for factor in BEYOND]
    ]


def _print_beyond(rows: Sequence[dict[str, Any]], exponent: float) -> None:
    """N* beyond the budgets, and that its intervals are no forecast."""
    print_table(
        "the line through the minima beyond them; its intervals are its own, no forecasts",
        ("flops", "N*", "90 % from", "to", f"N* if a = {exponent:g}"),
        [
            (r["flops"], r["num_params"], *r["num_params_ci"], r["num_params_at_exponent"])
            for r in rows
        ],
    )


def _law_of(table: pd.DataFrame, asked: Options) -> Fit | None:
    """Chinchilla's law on the table, with draws: Approach 3 beside Approach 2."""
    try:
        return fit_of(table, FitOptions(bootstrap=asked.draws, seed=asked.seed))
    except ValueError as error:
        note(f"no parametric law beside the minima: {error}")
        return None


def _bias(table: pd.DataFrame, method: Method, fitted: Fit | None) -> dict[str, Any] | None:
    """The bias of the method beyond the largest budget, if there is a parametric law."""
    if fitted is None:
        return None
    try:
        return asdict(method_bias(table, fitted, method))
    except (ValueError, NoAnswerError) as error:
        note(f"the method's bias is not known: {error}")
        return None
