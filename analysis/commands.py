"""What the commands of ``analysis`` do; each takes the parsed arguments, returns the exit code."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis import planning
from analysis.cli import COLUMN_FLAGS
from analysis.collect import load_curves, load_runs
from analysis.fitting import Fit
from analysis.fitting import fit as fit_law
from analysis.isoflop import IsoFlop
from analysis.isoflop import isoflop as find_minima
from analysis.isoflop_bias import parabola_bias
from analysis.wording import count, counts, span
from scaling.errors import NoAnswerError
from scaling.schema import RUN_COLUMNS
from scaling.terminal import note, print_json, print_table

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = (
    "run_id", "name", "num_params", "num_tokens", "flops", "loss", "status", "exclude_reason"
)  # fmt: skip
_NAMED = tuple((flag, name) for flag, name, _ in COLUMN_FLAGS)


def runs(args: argparse.Namespace) -> int:
    """``scaling runs``: the run table."""
    if args.filter and args.where:
        raise ValueError("--filter and --where are the same: give one")
    args.where = args.where or args.filter
    table = _load(args)
    if args.output:
        _write_table(table, Path(args.output))
        note(f"{len(table)} rows written to {args.output}")
    if args.json:
        print_json(table.astype(object).where(table.notna(), None).to_dict("records"))
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
    table = _load(args)
    fitted = _fit(args, table)
    found = fit_values(fitted, args.level)
    found["notes"] = table.attrs["notes"]
    if args.json:
        print_json(found)
        return 0
    rows = []
    for parameter in fitted.law.parameters:
        low, high = found["ci"].get(parameter.name, (None, None))
        value = found["params"][parameter.name]
        rows.append((parameter.name, value, low, high, parameter.unit, parameter.means))
    for name, means in (("a", "N* ~ C^a"), ("b", "D* ~ C^b")):
        if name in found:
            low, high = found["ci"].get(name, (None, None))
            rows.append((name, found[name], low, high, "", means))
    percent = f"{100 * args.level:g} %"
    print_table(fitted.formula(), ("", "value", f"{percent} from", "to", "unit", "meaning"), rows)
    print(f"{fitted.law.source}")
    print(
        f"{fitted.n_runs} runs, {len(fitted.excluded)} left out; "
        f"{fitted.loss_fn} on {fitted.space} residuals"
        + (f" (delta {fitted.delta:g})" if fitted.loss_fn == "huber" else "")
        + f", objective {fitted.objective:.6g}, R2 {fitted.r2:.5f}; status: {fitted.status}"
    )
    known = table["exclude_reason"].tolist()
    for line in fitted.excluded:
        if not known[line["row"]]:
            note(f"left out, {line['reason']}: row {line['row']}, counted from 0")
    return 0


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
    if fitted.x_cols[:2] == ("num_params", "num_tokens"):
        try:
            found["a"], found["b"] = fitted.exponents()
            if fitted.draws is not None:
                ci.update({k: list(v) for k, v in fitted.exponents_ci(level).items()})
        except NoAnswerError as error:
            found["a"] = found["b"] = None
            note(f"no allocation exponents: {error}")
    return found


def isoflop(args: argparse.Namespace) -> int:
    """``scaling isoflop``: minima by budget, the exponents, and the method's own bias."""
    table = _load(args)
    found = find_minima(
        table, method=args.method, noise=args.noise, draws=args.draws, seed=args.seed
    )
    values = found.to_dict()
    values["bias"] = _bias(table, found.method, [m.flops for m in found.minima])
    values["notes"] = table.attrs["notes"]
    if args.json:
        print_json(values)
        return 0
    rows = [
        (b["flops"], b["num_params"], *b["num_params_ci"], b["num_tokens"], b["loss"],
         b["n_sizes"], b["status"])
        for b in values["budgets"]
    ]  # fmt: skip
    header = ("flops", "N*", "90 % from", "to", "D*", "loss", "sizes", "status")
    print_table(f"{args.source}: minima by {found.method}", header, rows)
    for name, what in (("a", "N* ~ C^a"), ("b", "D* ~ C^b")):
        low, high = values[f"{name}_ci"]
        print(f"{what}: {name} = {values[name]:.4f} (90 %: {low:.4f} to {high:.4f})")
    if values["bias"]:
        bias = values["bias"]
        print(
            f"bias of the method, if the parametric law with a = {bias['a_law']:.4f} is true: it "
            f"would find {bias['a']:.4f} on these sizes; at 100 x the largest budget it would "
            f"choose {bias['num_params_ratio'][-1]:.3g} N* and waste "
            f"{100 * bias['misallocated'][-1]:.2g} % of the budget"
        )
    return 0


def _bias(table: pd.DataFrame, method: Any, flops: list[float]) -> dict[str, Any] | None:
    """The bias of the method beyond the largest budget, if the parametric law can be fitted."""
    try:
        fitted = fit_law("chinchilla", table)
        budgets = [max(flops) * factor for factor in (1.0, 10.0, 100.0)]
        bias = parabola_bias(fitted, table, budgets, method=method)
    except (ValueError, NoAnswerError) as error:
        note(f"the method's bias is not known: {error}")
        return None
    return {name: getattr(bias, name) for name in bias.__dataclass_fields__}


def plan(args: argparse.Namespace) -> int:
    """``scaling plan``: N*, D*, loss at budgets."""
    table = _load(args)
    fitted = _fit(args, table)
    budgets = args.flops or next_budgets(table)
    allocations = planning.plan(
        fitted,
        budgets,
        cost=_cost(args, table),
        inference_tokens=args.inference_tokens,
        unique_tokens=args.unique_tokens,
        num_params=args.num_params,
        num_tokens=args.num_tokens,
        level=args.level,
    )
    if args.output:
        import pandas as pd

        _write_table(pd.json_normalize([a.to_dict() for a in allocations]), Path(args.output))
        note(f"written to {args.output}")
    if fitted.status != "ok":
        note(f"fit: {fitted.status}")
    if args.json:
        print_json([a.to_dict() for a in allocations])
        return 0
    print_plan(allocations, fitted, args.level)
    return 0


def print_plan(allocations: list[planning.Allocation], fitted: Fit, level: float = 0.9) -> None:
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


def next_budgets(table: pd.DataFrame) -> list[float]:
    """10, 100 and 1000 times the largest compute among the runs."""
    if "flops" not in table.columns or not table["flops"].notna().any():
        raise ValueError("the runs have no compute to start from: name budgets with --flops")
    return [float(table["flops"].max()) * factor for factor in (10.0, 100.0, 1000.0)]


def _cost(args: argparse.Namespace, table: pd.DataFrame) -> planning.Cost:
    if args.cost:
        return float(args.cost)
    cost = planning.cost_of(table)
    if callable(cost):
        note("cost: the runs' exact FLOPs per token (--cost 6 for C = 6 N D)")
    return cost


def backtest(args: argparse.Namespace) -> int:
    """``scaling backtest``: fits on the small, predicts the large."""
    from analysis.backtest import backtest as run_backtest

    table = _load(args)
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


def plot(args: argparse.Namespace) -> int:
    """``scaling plot``: one figure."""
    from analysis import plotting

    path = Path(args.output)
    if path.suffix.lower().removeprefix(".") not in plotting.FORMATS:
        raise ValueError(f"-o {path}: a figure is written as .{', .'.join(plotting.FORMATS)}")
    table = _load(args)
    if args.kind in ("frontier", "curves"):
        figure = plotting.frontier(table, _curves(args), _try_fit(args, table))
    elif args.kind == "scaling":
        figure = plotting.scaling(table, _fit(args, table))
    elif args.kind == "isoflop":
        figure = plotting.isoflop(table, find_minima(table, method=args.method))
    elif args.kind == "residuals":
        figure = plotting.residuals(table, _fit(args, table))
    else:
        allocations = planning.plan(
            _fit(args, table), plan_range(table), cost=planning.cost_of(table), level=args.level
        )
        figure = plotting.plan(allocations, table)
    plotting.save(figure, path)
    note(f"written to {path}")
    return 0


def plan_range(table: pd.DataFrame) -> list[float]:
    """Budgets from the smallest run's compute to 1000 times the largest's, for a figure."""
    low, high = float(table["flops"].min()), next_budgets(table)[-1]
    return [float(c) for c in np.geomspace(low, high, 30)]


def report(args: argparse.Namespace) -> int:
    """``scaling report``: one HTML file."""
    from analysis.report import write_report

    table = _load(args)
    fitted = _fit(args, table)
    path = write_report(
        Path(args.output),
        table,
        curves=_curves(args),
        fits=[fitted],
        isoflop=_minima(table),
        level=args.level,
        title=args.title or f"Scaling laws of {Path(args.source).stem}",
        how_to_run=_again(args),
    )
    note(f"written to {path}")
    return 0


def _minima(table: pd.DataFrame) -> IsoFlop | None:
    """Iso-FLOP minima, where the runs are of such a design and it succeeded."""
    try:
        return find_minima(table)
    except (ValueError, NoAnswerError):
        return None


def _again(args: argparse.Namespace) -> str:
    """The command that makes the same report."""
    words = ["scaling", "report", args.source, "-o", args.output]
    flags = {flag: f"col_{name}" for flag, name in _NAMED}
    flags |= {
        f"--{name.replace('_', '-')}": name
        for name in ("root", "tracking_uri", "where", "law", "loss_fn", "delta", "space",
                     "weights", "x_col", "bootstrap", "cluster", "level", "seed", "title")
    }  # fmt: skip
    for flag, name in flags.items():
        value = getattr(args, name)
        if value != args.parser.get_default(name):
            words += [flag, str(value)]
    return shlex.join(words)


def _load(args: argparse.Namespace) -> pd.DataFrame:
    """The run table that the arguments name; what is to be known of it goes to stderr."""
    columns = {name: getattr(args, f"col_{name}") for _, name in _NAMED}
    table = load_runs(
        args.source,
        root=args.root,
        tracking_uri=args.tracking_uri,
        where=args.where,
        columns={name: column for name, column in columns.items() if column},
    )
    for line in table.attrs["notes"]:
        note(line)
    return table


def _curves(args: argparse.Namespace) -> pd.DataFrame | None:
    """Learning curves, where the source is not a file of final losses."""
    if Path(args.source).is_file() and Path(args.source).name != "sweep.jsonl":
        return None
    return load_curves(args.source, root=args.root, tracking_uri=args.tracking_uri)


def _fit(args: argparse.Namespace, table: pd.DataFrame) -> Fit:
    """The fit that the arguments ask for."""
    law = args.law or ("power_floor" if args.x_col else "chinchilla")
    for flag, name in _NAMED:
        needed = name == "loss" or (not args.x_col and law == "chinchilla" and name != "flops")
        if needed and name not in table.columns:
            names = ", ".join(map(str, table.columns))
            raise ValueError(f"no column {name!r}: name one of {names} with {flag}")
    options: dict[str, Any] = {"space": args.space} if args.space else {}
    if args.cluster:
        options.update(resample="cluster", cluster=args.cluster)
    return fit_law(
        law,
        table,
        loss_fn=args.loss_fn,
        delta=args.delta,
        weights=args.weights,
        x_col=args.x_col,
        bootstrap=args.bootstrap,
        seed=args.seed,
        **options,
    )


def _try_fit(args: argparse.Namespace, table: pd.DataFrame) -> Fit | None:
    try:
        return _fit(args, table)
    except ValueError as error:
        note(f"drawn without a law: {error}")
        return None


def _says(values: pd.Series) -> bool:
    """Whether a column holds anything."""
    return bool((values.notna() & (values.astype(str) != "")).any())


def _write_table(table: pd.DataFrame, path: Path) -> None:
    """Write ``table`` as ``.csv``, ``.jsonl`` or ``.parquet``."""
    if path.suffix not in (".csv", ".jsonl", ".parquet"):
        raise ValueError(f"-o {path}: a table is written as .csv, .jsonl or .parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    elif path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        path.write_text("".join(json.dumps(row, default=float) + "\n" for row in rows))
