"""``scaling import``: finished runs from elsewhere as runs of a sweep."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster.launch import Adoption
    from scaling.importing import ImportedRun

_COLUMNS = (
    ("--params-col", "num_params", "parameters N"),
    ("--tokens-col", "num_tokens", "training tokens D"),
    ("--flops-col", "flops", "training FLOPs C"),
    ("--loss-col", "loss", "held-out loss"),
)
_SHOWN = ("name", "status", "num_params", "num_tokens", "flops", "loss", "points", "exclude_reason")
_ROWS = 60


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command; nothing heavy is imported."""
    parser = subparsers.add_parser(
        "import",
        help="finished runs from elsewhere as runs of a sweep: W&B, TensorBoard, MLflow, logs",
        description="Makes runs that were trained elsewhere runs of a sweep: from exports of W&B "
        "(CSV, JSON), tables of runs, a folder with a folder of logs or TensorBoard's event files "
        "for each run, or an experiment of an MLflow store. `scaling sync SWEEP` ships them.",
    )
    parser.add_argument(
        "source",
        nargs="+",
        metavar="FILE|FOLDER|URI",
        help="files that belong together, a folder of runs, or a tracking store's address",
    )
    parser.add_argument("--as", dest="sweep", required=True, metavar="SWEEP", help="the sweep")
    parser.add_argument("--experiment", metavar="NAME", help="which experiment of the store")
    for flag, column, meaning in _COLUMNS:
        parser.add_argument(
            flag, dest=column, metavar="COL", help=f"its {meaning}: a name, or a formula of names"
        )
    parser.add_argument(
        "--decimal", choices=(".", ","), help="decimal mark of numbers (as they tell)"
    )
    parser.add_argument(
        "--counts",
        action="append",
        default=[],
        metavar="NAME=FORMULA",
        help="an amount by its options and final values, such as "
        "'num_params=12*depth*width**2'; repeatable",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="runs that have other values than when they were imported: take the new ones",
    )
    parser.add_argument("--root", metavar="DIR", help="root folder (default: SCALING_HOME)")
    parser.add_argument("--dry-run", action="store_true", help="show the runs, write nothing")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """``scaling import``."""
    from functools import partial

    from analysis.tables import read_rows
    from cluster.launch import adopt
    from scaling.base import note, print_json, print_table
    from scaling.importing import Stated, find_runs, understand

    given = {column: getattr(args, column) for _, column, _ in _COLUMNS}
    columns = {column: name for column, name in given.items() if name}
    stated = Stated.parse(columns, args.counts)
    found, notes = find_runs(args.source, args.experiment, columns)
    runs, more = understand(found, stated, partial(read_rows, decimal=args.decimal))
    for line in (*notes, *more):
        note(line)
    adoption = adopt(args.sweep, runs, root=args.root, dry_run=args.dry_run, anew=args.replace)
    rows = [_row(one) for one in runs]
    if args.json:
        print_json({**adoption.to_dict(), "dry_run": args.dry_run, "runs": rows})
        return 0
    shown = [name for name in _SHOWN if any(row.get(name) not in (None, "") for row in rows)]
    table = [[row.get(name, "") for name in shown] for row in rows[:_ROWS]]
    print_table(f"{args.sweep}: {len(runs)} runs", shown, table)
    if len(rows) > _ROWS:
        note(f"{len(rows) - _ROWS} more rows; --json shows them")
    print(_said(adoption, args.dry_run))
    return 0


def _row(one: ImportedRun) -> dict[str, Any]:
    """What a run is taken for."""
    said = {"exclude_reason": one.reason} if one.reason else {}
    spec, points = one.spec, len(one.points)
    return {"name": one.name, **spec.columns(), **said, "points": points, **spec.result}


def _said(adoption: Adoption, dry_run: bool) -> str:
    """What became of the runs, in a line."""
    if not adoption.added and not adoption.updated:
        return f"nothing new: {len(adoption.unchanged)} runs are there as they are"
    parts: Sequence[tuple[int, str]] = (
        (len(adoption.added), "imported"),
        (len(adoption.updated), "updated"),
        (len(adoption.unchanged), "there already"),
    )
    counted = ", ".join(f"{count} {what}" for count, what in parts if count)
    if dry_run:
        return f"would be: {counted}"
    return f"{counted}; `scaling runs {shlex.quote(adoption.sweep)}` shows the table"
