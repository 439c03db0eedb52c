"""What the commands of ``analysis`` do; each takes the parsed arguments, returns the exit code."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.commands.designs import compound, edf, pareto
from analysis.commands.figures import plot, report
from analysis.commands.fit_text import certificate, latex_table, print_checklist
from analysis.commands.loading import (
    cost_of,
    curves_of,
    family_of,
    fit_of,
    records,
    table_of,
    write_table,
)
from analysis.commands.next import next
from analysis.compute import (
    TOO_FEW,
    Allocation,
    Approach,
    Architecture,
    NoExponentError,
    architectures,
    compare,
    method_bias,
    next_budgets,
)
from analysis.compute import isoflop as find_minima
from analysis.compute import plan as make_plan
from analysis.fits import Fit, checklist
from analysis.fits import fit as fit_law
from analysis.forecasts import backtest as run_backtest
from analysis.tables import place
from analysis.wording import count, counts, span
from scaling import RUN_COLUMNS
from scaling.base import NoAnswerError, format_value, note, print_json, print_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "backtest",
    "compound",
    "edf",
    "fit",
    "isoflop",
    "next",
    "pareto",
    "plan",
    "plot",
    "report",
    "runs",
]

_SHOWN = (
    "run_id", "name", "num_params", "num_tokens", "flops", "loss", "status", "exclude_reason"
)  # fmt: skip


def runs(args: argparse.Namespace) -> int:
    """``scaling runs``: the run table."""
    if args.filter and args.where:
        raise ValueError("--filter and --where are the same: give one")
    args.where = args.where or args.filter
    table = table_of(args)
    if args.output:
        write_table(table, Path(args.output))
        note(f"{len(table)} rows written to {args.output}")
    if args.json:
        print_json(records(table))
    elif not args.output:
        shown = _shown(table)
        rows = table[shown].head(args.limit).itertuples(index=False, name=None)
        print_table(f"{args.source}: {len(table)} runs", shown, rows)
        if len(table) > args.limit:
            note(f"{len(table) - args.limit} more rows; --limit, --json or -o FILE show them")
    return 0


def _shown(table: pd.DataFrame) -> list[str]:
    """The columns that fit a terminal: the ones that say something, then a file's own."""
    known = {column.name for column in RUN_COLUMNS}
    shown = [name for name in _SHOWN if name in table.columns and _says(table[name])]
    if _says(table["exclude_reason"]):
        shown = [name for name in shown if name != "status"]  # the reason begins with it
    else:
        shown += [name for name in table.columns if name not in known][: 8 - len(shown)]
    return shown


def fit(args: argparse.Namespace) -> int:
    """``scaling fit``: the law, its intervals and its certificate."""
    if args.latex and (args.json or args.checklist):
        raise ValueError("--latex prints one table: leave out --json and --checklist, or --latex")
    table = table_of(args)
    fitted = fit_of(args, table)
    found = fit_values(fitted, args.level)
    found["notes"] = table.attrs["notes"]
    curves = curves_of(args)
    approaches: list[Approach] = []
    if curves is not None and len(curves) and "a" in found:
        approaches = compare(table, curves=curves, fit=fitted, level=args.level, seed=args.seed)
        found["approaches"] = [approach.to_dict() for approach in approaches]
    asked = checklist(fitted, table, args.level) if args.checklist else []
    if args.json:
        found |= {"checklist": [asdict(item) for item in asked]} if asked else {}
        print_json(found)
        return 0
    if args.latex:
        print(latex_table(fitted, args.level))
        return 0
    rows = []
    unsure = {*fitted.diagnostics["unsure"]} if fitted.draws is not None else set()
    for p in fitted.law.parameters:
        at = _marked(found["ci"].get(p.name, (None, None)), p.name in unsure)
        rows.append((p.name, found["params"][p.name], *at, p.unit, p.means))
    shape = {p.name for p in fitted.law.parameters if p.role != "floor"}
    for name, what in zip(fitted.exponent_names, "ND", strict=True):
        if fitted.in_plane and found[name] is not None:
            at = _marked(found["ci"].get(name, (None, None)), bool(unsure & shape))
            rows.append((name, found[name], *at, "", f"{what}* ~ C^{name}"))
    percent = f"{100 * args.level:g} %"
    print_table(fitted.formula(), ("", "value", f"{percent} from", "to", "unit", "meaning"), rows)
    if unsure:
        print("?: not identified by these runs (see status); its interval may be far too narrow")
    print(f"{fitted.law.source}")
    print(
        f"{fitted.n_runs} runs, {len(fitted.excluded)} left out; "
        f"{fitted.loss_fn} on {fitted.space} residuals"
        + (f" (delta {fitted.delta:g})" if fitted.loss_fn == "huber" else "")
        + f", objective {fitted.objective:.6g}, R2 {fitted.r2:.5f}; status: {fitted.status}"
    )
    print(certificate(fitted))
    print_approaches(approaches, args.level)
    print_checklist(asked)
    known = table["exclude_reason"].tolist()
    for line in fitted.excluded:
        if not known[line["row"]]:
            note(f"left out, {line['reason']}: {place(table, line['row'])}")
    return 0


def _marked(ends: Sequence[Any], unsure: bool) -> tuple[Any, Any]:
    """The ends of an interval; ``?`` after the upper one where it may be too narrow."""
    low, high = ends
    return low, f"{format_value(high)} ?" if unsure and high is not None else high


def fit_values(fitted: Fit, level: float = 0.9) -> dict[str, Any]:
    """A fit as the plain values that ``scaling fit --json`` prints."""
    ci = {k: list(v) for k, v in fitted.ci(level).items()} if fitted.draws is not None else {}
    found: dict[str, Any] = {
        "law": fitted.law.name,
        "formula": fitted.formula(),
        "source": fitted.law.source,
        "status": fitted.status,
        "objective": fitted.objective,
        "params": fitted.params,
        "ci": ci,
        "level": level,
        "n_runs": fitted.n_runs,
        "r2": fitted.r2,
        "loss_fn": fitted.loss_fn,
        "delta": fitted.delta,
        "space": fitted.space,
        "excluded": list(fitted.excluded),
        "diagnostics": fitted.diagnostics,
    }
    if fitted.in_plane:
        both: tuple[float | None, float | None] = None, None
        try:
            both = fitted.exponents()
            if fitted.draws is not None:
                intervals = map(list, fitted.exponents_ci(level).values())
                ci.update(zip(fitted.exponent_names, intervals, strict=True))
        except NoAnswerError as error:
            note(f"no allocation exponents: {error}")
        found["a"], found["b"] = both
        found.update(zip(fitted.exponent_names, both, strict=True))  # as in ci
    return found


def isoflop(args: argparse.Namespace) -> int:
    """``scaling isoflop``: minima by budget, the exponents, and the method's own bias."""
    table = table_of(args)
    try:
        found = find_minima(
            table, method=args.method, noise=args.noise, draws=args.draws, seed=args.seed
        )
    except NoExponentError as error:
        if not args.json:
            _print_minima(args, [minimum.to_dict() for minimum in error.minima])
        raise
    values = found.to_dict()
    fitted = _law_of(args, table)
    bias = _bias(table, found.method, fitted)
    values["bias"] = bias
    approaches = compare(table, curves=curves_of(args), isoflop=found, fit=fitted, seed=args.seed)
    values["approaches"] = [approach.to_dict() for approach in approaches]
    values["notes"] = table.attrs["notes"]
    if args.json:
        print_json(values)
        return 0
    _print_minima(args, values["budgets"])
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


def _print_minima(args: argparse.Namespace, budgets: list[dict[str, Any]]) -> None:
    """The budgets with enough sizes as a table, and how many have too few."""
    rows = [
        (b["flops"], b["num_params"], *b["num_params_ci"], b["num_tokens"], b["loss"],
         b["n_sizes"], b["status"])
        for b in budgets if not b["status"].startswith(TOO_FEW)
    ]  # fmt: skip
    header = ("flops", "N*", "90 % from", "to", "D*", "loss", "sizes", "status")
    if rows:
        print_table(f"{args.source}: minima by {args.method}", header, rows)
    if left := len(budgets) - len(rows):
        print(f"{left} of {len(budgets)} budgets have {TOO_FEW}")


def print_approaches(approaches: list[Approach], level: float = 0.9) -> None:
    """The approaches side by side on stdout; nothing if there are none."""
    if not approaches:
        return
    percent = f"{100 * level:g} %"
    rows = [(x.name, x.method, x.a, span(x.a_ci), x.b, span(x.b_ci), x.status) for x in approaches]
    header = ("approach", "by", "a", percent, "b", percent, "status")
    print_table("N* ~ C^a and D* ~ C^b by each approach", header, rows)


def _law_of(args: argparse.Namespace, table: pd.DataFrame) -> Fit | None:
    """Chinchilla's law on the table, with draws: Approach 3 beside Approach 2."""
    try:
        return fit_law("chinchilla", table, bootstrap=args.draws, seed=args.seed)
    except ValueError as error:
        note(f"no parametric law beside the minima: {error}")
        return None


def _bias(table: pd.DataFrame, method: Any, fitted: Fit | None) -> dict[str, Any] | None:
    """The bias of the method beyond the largest budget, if there is a parametric law."""
    if fitted is None:
        return None
    try:
        bias = method_bias(table, fitted, method)
    except (ValueError, NoAnswerError) as error:
        note(f"the method's bias is not known: {error}")
        return None
    return {name: getattr(bias, name) for name in bias.__dataclass_fields__}


def plan(args: argparse.Namespace) -> int:
    """``scaling plan``: N*, D*, loss at budgets."""
    table = table_of(args)
    fitted = fit_of(args, table)
    budgets = args.flops or next_budgets(table)
    family = family_of(args)
    allocations = make_plan(
        fitted,
        budgets,
        cost=cost_of(args, table, family, budgets),
        inference_tokens=args.inference_tokens,
        unique_tokens=args.unique_tokens,
        num_params=args.num_params,
        num_tokens=args.num_tokens,
        level=args.level,
    )
    real = [_near(fitted, a, family) for a in allocations]
    if args.output:
        import pandas as pd

        write_table(pd.json_normalize([a.to_dict() for a in allocations]), Path(args.output))
        note(f"written to {args.output}")
    if fitted.status != "ok":
        note(f"fit: {fitted.status}")
    if args.json:
        print_json(
            [
                {**a.to_dict(), "architectures": [x.to_dict() for x in near]}
                for a, near in zip(allocations, real, strict=True)
            ]
        )
        return 0
    print_plan(allocations, fitted, args.level)
    _print_architectures(allocations, real)
    return 0


def _near(
    fitted: Fit, best: Allocation, family: tuple[str, dict[str, Any]] | None
) -> list[Architecture]:
    """The real models next to a best size; none, with a note, where there are none."""
    if family is None:
        return []
    try:
        return architectures(fitted, best, *family)
    except NoAnswerError as error:
        note(str(error))
        return []


def _print_architectures(allocations: list[Allocation], real: list[list[Architecture]]) -> None:
    """The real models next to each best size; fields that all of them share are left out."""
    configs = [x.config for near in real for x in near]
    if not configs:
        return
    varied = [k for k in configs[0] if any(c[k] != configs[0][k] for c in configs)]
    rows = [
        (a.flops, x.side, ", ".join(f"{k} {x.config[k]}" for k in varied), count(x.num_params),
         count(x.num_tokens), x.flops_per_token, f"{x.loss:.4f}",
         f"{100 * (x.loss_ratio - 1):+.3f} %")
        for a, near in zip(allocations, real, strict=True)
        for x in near
    ]  # fmt: skip
    header = ("flops", "size", "model", "N", "D", "FLOPs/token", "loss", "of the best")
    print_table("real architectures next to N*", header, rows)


def print_plan(allocations: list[Allocation], fitted: Fit, level: float = 0.9) -> None:
    """The plan as a table on stdout."""
    rows = [
        (a.flops, count(a.num_params), counts(a.num_params_ci), count(a.num_tokens),
         counts(a.num_tokens_ci), f"{a.loss:.4f}", span(a.loss_ci), counts(a.num_params_range),
         a.status)
        for a in allocations
    ]  # fmt: skip
    percent = f"{100 * level:g} %"
    header = ("flops", "N*", percent, "D*", percent, "loss", percent, "N within 0.1 %", "status")
    print_table(f"plan by {fitted.formula()}", header, rows)


def backtest(args: argparse.Namespace) -> int:
    """``scaling backtest``: fits on the small, predicts the large."""
    table = table_of(args)
    by = [name.strip() for name in args.by.split(",") if name.strip()] if args.by else []
    found = run_backtest(
        table, law=args.law, by=by, x_col=args.x_col, train_col=args.train_col, seed=args.seed
    )
    values = found.to_dict()
    if args.json:
        print_json(values)
        return 0
    rows = [
        (g["key"] or "all", g["law"] if g["status"] == "ok" else g["status"], g["n_train"],
         g["n_test"], g["rmse_log"], g["coverage_90"])
        for g in values["groups"]
    ]  # fmt: skip
    header = ("group", "law", "fitted", "predicted", "RMSE of log loss", "in 90 % interval")
    print_table(f"{args.source}: backtest", header, rows)
    print(f"mean RMSE of log loss {values['mean_rmse_log']:.4g}; coverage of the 90 % intervals "
          f"{values['coverage_90']:.3g}")  # fmt: skip
    return 0


def _says(values: pd.Series) -> bool:
    """Whether a column holds anything."""
    return bool((values.notna() & (values.astype(str) != "")).any())
