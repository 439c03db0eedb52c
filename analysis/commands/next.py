"""The command ``scaling next``: the runs to do next, as a table and as a sweep file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.commands.loading import cost_of, family_of, fit_of, table_of
from analysis.compute import NextRuns, next_runs, settings, sweep_text
from analysis.tables import load_specs
from analysis.wording import count
from scaling.base import note, print_json, print_table

if TYPE_CHECKING:
    import pandas as pd


def next(args: argparse.Namespace) -> int:
    """``scaling next``: the runs that make a number most certain for a budget."""
    table = table_of(args)
    fitted = fit_of(args, table)
    family = family_of(args)
    found = next_runs(
        fitted,
        args.flops,
        args.target,
        at=args.at,
        cost=cost_of(args, table, family, [args.flops]),
        most=args.runs,
        reach=args.reach,
    )
    if args.output:
        _write(args, table, found, family)
    if fitted.status != "ok":
        note(f"fit: {fitted.status}")
    if args.json:
        print_json(found.to_dict())
        return 0
    rows = [(count(x.num_params), count(x.num_tokens), x.flops, x.seeds) for x in found.runs]
    print_table(f"runs for {found.flops:.4g} FLOPs", ("N", "D", "flops, each", "seeds"), rows)
    before, after = found.errors
    print(
        f"standard error of {found.what}: {before} now, {after} with these runs, if the law holds "
        f"(noise of a run {100 * found.noise:.2g} %)"
    )
    return 0


def _write(
    args: argparse.Namespace,
    table: pd.DataFrame,
    found: NextRuns,
    family: tuple[str, dict[str, Any]] | None,
) -> None:
    """Write proposed runs as a sweep file (``.yaml``)."""
    path = Path(args.output)
    if path.suffix not in (".yaml", ".yml"):
        raise ValueError(f"-o {path}: a sweep file is written as .yaml")
    specs = load_specs(args.source, root=args.root, tracking_uri=args.tracking_uri)
    known = settings(specs) if specs and family is not None else None
    seeds = table["seed"].max() if "seed" in table.columns else None
    name, options = family or (None, None)
    first_seed = 0 if seeds is None or seeds != seeds else int(seeds) + 1
    text = sweep_text(found, path.stem, name, options, known, first_seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    note(f"written to {path}; scaling sweep {path} previews it")
