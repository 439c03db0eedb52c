"""The command ``scaling runs``: the run table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from analysis.commands.loading import table_of
from analysis.commands.options import TABLE, Source, output_of, read
from analysis.tables import records, write_table
from scaling import RUN_COLUMNS
from scaling.base import note, print_json, print_table

if TYPE_CHECKING:
    import argparse

    import pandas as pd

_SHOWN = (
    "run_id", "name", "num_params", "num_tokens", "flops", "loss", "perplexity", "status",
    "exclude_reason",
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """How much is shown; ``filter`` is another name for the source's ``where``."""

    filter: str | None = None
    limit: int = 60
    json: bool = False


def run(args: argparse.Namespace) -> int:
    """``scaling runs``."""
    source, asked, output = read(Source, args), read(Options, args), output_of(args, TABLE)
    if asked.filter:
        if source.where:
            raise ValueError("--filter and --where are the same: give one")
        source = replace(source, where=asked.filter)
    table = table_of(source)
    if output:
        write_table(table, output)
        note(f"{len(table)} rows written to {output}")
    if asked.json:
        print_json(records(table))
    elif not output:
        shown = _shown(table)
        rows = table[shown].head(asked.limit).itertuples(index=False, name=None)
        print_table(f"{source.name}: {len(table)} runs", shown, rows)
        if len(table) > asked.limit:
            note(f"{len(table) - asked.limit} more rows; --limit, --json or -o FILE show them")
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


def _says(values: pd.Series) -> bool:
    """Whether a column holds anything."""
    return bool((values.notna() & (values.astype(str) != "")).any())
