"""The command ``scaling isoflop``: minima by budget, the exponents, and the method's own bias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from analysis.commands.fit_text import print_approaches
from analysis.commands.loading import curves_of, fit_of, require, table_of
from analysis.commands.options import FitOptions, Source, read
from analysis.compute import Method, Minimum, NoExponentError, compare, method_bias
from analysis.compute import isoflop as find_minima
from scaling.base import NoAnswerError, note, print_json, print_table

if TYPE_CHECKING:
    import argparse

    import pandas as pd

    from analysis.fits import Fit


@dataclass(frozen=True)
class Options:
    """How minima are found, and how their noise is drawn."""

    method: Method = "parabola"
    noise: float | None = None
    draws: int = 1000
    seed: int = 0
    json: bool = False


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
    for name, what in (("a", "N* ~ C^a"), ("b", "D* ~ C^b")):
        low, high = values[f"{name}_ci"]
        print(f"{what}: {name} = {values[name]:.4f} (90 %: {low:.4f} to {high:.4f})")
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
