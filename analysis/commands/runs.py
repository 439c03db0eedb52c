"""The command ``scaling runs``: the run table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from analysis.commands.loading import table_of
from analysis.commands.options import TABLE, Source, output_of, read
from analysis.tables import records, said, write_table
from scaling.base import note, print_json, print_table

if TYPE_CHECKING:
    import argparse


COLUMNS = 9  # that fit a terminal


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
        shown = said(table, COLUMNS)
        rows = table[shown].head(asked.limit).itertuples(index=False, name=None)
        print_table(f"{source.name}: {len(table)} runs", shown, rows)
        if len(table) > asked.limit:
            note(f"{len(table) - asked.limit} more rows; --limit, --json or -o FILE show them")
        if len(shown) < len(table.columns):
            note(f"{len(table.columns) - len(shown)} more columns; --json or -o FILE show them")
    return 0
