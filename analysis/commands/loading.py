"""What parsed arguments name: the run table, its curves, the fit, the cost of a run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.cli import COLUMN_FLAGS
from analysis.compute import Cost, family_cost, size_options
from analysis.compute import cost_of as run_cost
from analysis.fits import Fit
from analysis.fits import fit as fit_law
from analysis.laws import law_for
from analysis.tables import load_curves, load_models, load_runs, usable
from scaling import RUN_COLUMNS
from scaling.base import jsonable, note, parse_settings
from scaling.families import check_options, get_family

if TYPE_CHECKING:
    import pandas as pd

NAMED = tuple((flag, name) for flag, name, _ in COLUMN_FLAGS)


FEW_GROUPS = 10
"""Groups below which draws of groups say little of how much they scatter."""


def table_of(args: argparse.Namespace) -> pd.DataFrame:
    """The run table that the arguments name; what is to be known of it goes to stderr."""
    columns = {name: getattr(args, f"col_{name}") for _, name in NAMED}
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


def curves_of(args: argparse.Namespace) -> pd.DataFrame | None:
    """Learning curves, where the source is not a file of final losses."""
    if Path(args.source).is_file() and Path(args.source).name != "sweep.jsonl":
        return None
    return load_curves(args.source, root=args.root, tracking_uri=args.tracking_uri)


def fit_of(args: argparse.Namespace, table: pd.DataFrame) -> Fit:
    """The fit that the arguments ask for."""
    name = args.law or ("power_floor" if args.x_col else "chinchilla")
    law = law_for(name, table, args.signed, dict(args.start))
    if args.x_col and "=" in name and law.inputs != (args.x_col,):
        raise ValueError(
            f"--x-col {args.x_col}: the formula is one of {', '.join(law.inputs)}; write "
            f"{args.x_col} in it, or leave --x-col out"
        )
    needed = {law.output}
    if not args.x_col and name == "chinchilla":
        needed |= {"num_params", "num_tokens"}
    for flag, column in NAMED:
        if column in needed and column not in table.columns:
            names = ", ".join(map(str, table.columns))
            raise ValueError(f"no column {column!r}: name one of {names} with {flag}")
    options: dict[str, Any] = {"space": args.space, "resample": args.resample}
    if args.cluster and args.resample != "pairs":
        raise ValueError("--cluster draws groups of rows, --resample residual none: give one")
    if args.cluster:
        options.update(resample="cluster", cluster=args.cluster)
    fitted = fit_law(
        law,
        table,
        loss_fn=args.loss_fn,
        delta=args.delta,
        asymmetry=args.asymmetry,
        weights=args.weights,
        x_col=args.x_col,
        bootstrap=args.bootstrap,
        seed=args.seed,
        **options,
    )
    groups = fitted.diagnostics["groups"]
    if args.bootstrap and groups is not None and groups < FEW_GROUPS:
        note(f"{groups} groups by {args.cluster}: intervals from fewer than {FEW_GROUPS} are rough")
    return fitted


def fit_or_none(args: argparse.Namespace, table: pd.DataFrame) -> Fit | None:
    """The fit that the arguments ask for, where the table allows it."""
    try:
        return fit_of(args, table)
    except ValueError as error:
        note(f"drawn without a law: {error}")
        return None


def family_of(args: argparse.Namespace) -> tuple[str, dict[str, Any]] | None:
    """The family of the runs and what its models share; None if the source does not say.

    ``--family`` and ``--set`` say it for a table.
    """
    if args.family:
        options = parse_settings(args.settings)
        check_options(get_family(args.family), options)
        return args.family, options
    if args.settings:
        raise ValueError("--set is of the models of --family NAME: give both")
    models = load_models(args.source, root=args.root, tracking_uri=args.tracking_uri)
    families = {family for family, _ in models}
    if len(families) != 1:
        return None
    family = families.pop()
    try:
        largest_last = sorted((m for _, m in models), key=lambda m: _count(family, m))
        return family, size_options(family, largest_last)
    except ValueError as error:
        note(f"no real architectures beside the plan: {error}")
        return None


def _count(family: str, model: dict[str, Any]) -> int:
    known = get_family(family)
    return int(known.cost(known.resolve(model)).num_params)


def cost_of(
    args: argparse.Namespace,
    table: pd.DataFrame,
    family: tuple[str, dict[str, Any]] | None,
    budgets: list[float],
) -> Cost:
    """Training FLOPs per token at size N: as asked for, by the family, as the runs show, or 6 N."""
    if args.cost:
        return float(args.cost)
    if family is not None:
        sizes = usable(table, "num_params")["num_params"]
        largest = max(float(sizes.max()), (max(budgets) / 6) ** 0.5)
        try:
            cost = family_cost(*family, float(sizes.min()), 10 * largest)
        except ValueError as error:
            if args.family:
                raise
            note(f"the family's own FLOPs are not known: {error}")
        else:
            note(f"cost: exact FLOPs per token of {family[0]} (--cost 6 for C = 6 N D)")
            return cost
    cost = run_cost(table)
    if callable(cost):
        note("cost: the runs' exact FLOPs per token (--cost 6 for C = 6 N D)")
    return cost


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write ``table`` as ``.csv``, ``.jsonl`` or ``.parquet``."""
    if path.suffix not in (".csv", ".jsonl", ".parquet"):
        raise ValueError(f"-o {path}: a table is written as .csv, .jsonl or .parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        _counted(table).to_parquet(path, index=False)
    elif path.suffix == ".csv":
        _counted(table).to_csv(path, index=False)
    else:
        rows = records(table)
        path.write_text("".join(json.dumps(jsonable(row)) + "\n" for row in rows))


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a run table as plain values; what is missing is None."""
    counted = _counted(table)
    rows = counted.astype(object).where(counted.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _counted(table: pd.DataFrame) -> pd.DataFrame:
    """The run table with counts as integers, where a column's are whole and fit into 64 bits."""
    counts = {}
    for column in RUN_COLUMNS:
        if column.kind == "int" and column.name in table.columns:
            values = table[column.name].dropna()
            if (values % 1 == 0).all() and (values.abs() < 2.0**63).all():
                counts[column.name] = "Int64"
    return table.astype(counts)
