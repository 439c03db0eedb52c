"""What the descriptions of commands share: the source, and numbers for ``argparse``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from scaling import COLUMN_FLAGS, number_of


def parser_of(subparsers: Any, name: str, help: str, json: bool = True) -> argparse.ArgumentParser:
    """A command of that name, which the file of its name in ``analysis.commands`` does."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        argument_default=argparse.SUPPRESS,
    )
    if json:
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def run(args: argparse.Namespace) -> int:
        return int(import_module(f"analysis.commands.{name}").run(args))

    parser.set_defaults(run=run)
    return parser


def command(subparsers: Any, name: str, help: str, json: bool = True) -> argparse.ArgumentParser:
    """A command on a SOURCE, with the arguments that all of them share."""
    parser = parser_of(subparsers, name, help, json)
    add_source(parser)
    return parser


def add_source(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    """Which runs, where they are kept, and which of their rows and columns are meant."""
    parser.add_argument(
        "name",
        metavar="SOURCE",
        nargs=nargs,
        help="a sweep's name or folder, an MLflow experiment, or a table: .csv, .jsonl, .xlsx, ...",
    )
    parser.add_argument("--root", metavar="DIR", help="where sweeps are kept ($SCALING_HOME)")
    parser.add_argument("--tracking-uri", metavar="URI", help="read SOURCE from this MLflow store")
    parser.add_argument(
        "--where", metavar="EXPR", help="keep these rows, as in 'num_params > 1e6 and seed == 0'"
    )
    for column, flag in COLUMN_FLAGS.items():
        parser.add_argument(
            flag, dest="columns", action="append", type=partial(_pair, column), metavar="COL",
            help=f"column of {column}, or a formula as in '1 - accuracy'",
        )  # fmt: skip
    parser.add_argument(
        "--col", dest="columns", action="append", type=_named, metavar="NAME=COL",
        help="column, or formula, of another input of a law, as in 'dense_params=params'",
    )  # fmt: skip
    parser.add_argument("--last-by", metavar="COL", help="the last row of each value, as of runs")
    parser.add_argument(
        "--frontier", action="store_true", help="only rows that none beats in FLOPs and loss"
    )
    parser.add_argument(
        "--unpivot", metavar="PATTERN",
        help="columns that are a run each, as in 'loss_{num_params}'; none leaves all as they are",
    )  # fmt: skip
    parser.add_argument("--decimal", metavar="MARK", help="decimal mark of the file: . or ,")


def _pair(column: str, text: str) -> tuple[str, str]:
    return column, text


def _named(text: str) -> tuple[str, str]:
    name, _, column = (part.strip() for part in text.partition("="))
    if not name.isidentifier() or not column:
        raise argparse.ArgumentTypeError(f"{text!r} is not as dense_params=params")
    return name, column


def positive(text: str) -> float:
    """A number above 0, and finite."""
    value = _number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def count(text: str) -> int:
    """A whole number from 0 on."""
    value = _number(text, int)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return int(value)


def positives(text: str) -> tuple[float, ...]:
    """Positive numbers with commas between them."""
    return tuple(positive(one) for one in text.split(","))


def share(text: str) -> float:
    """A number between 0 and 1."""
    value = _number(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def rate(text: str) -> float:
    """An error as a share, or in percent: 0.05, 5%; from 0 on, for a loss may be above 1."""
    value = _number(text.rstrip().removesuffix("%").rstrip())
    if text.rstrip().endswith("%"):
        value /= 100
        if value > 1:
            raise argparse.ArgumentTypeError(f"{text} is above 100 %")
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is below 0, or no finite number")
    return value


def _number(text: str, kind: Callable[[str], float] = number_of) -> float:
    """``text`` as a number of a kind, ``7B`` as in a table, or a message that argparse shows."""
    try:
        return kind(text)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from None
