"""What a command line asks for, as values: made once from the parsed arguments and passed on.

A value checks itself when it is made, so that nothing is refused after hours of work for what
could be seen before. The parser sets only what was given: defaults stand here and in the
``Options`` of the commands.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from scaling import COLUMN_FLAGS
from scaling.base import refuse_unknown

if TYPE_CHECKING:
    import argparse

    import pandas as pd
    from _typeshed import DataclassInstance

    from analysis.fits import Bootstrap
    from analysis.laws import Law
    from analysis.tables import TableReading

T = TypeVar("T", bound="DataclassInstance")

NO_CLUSTERS = "none"
"""Of ``--cluster``: rows are drawn one by one, whatever the table says of them."""


def read(kind: type[T], args: argparse.Namespace) -> T:
    """The value of a ``kind`` that the arguments give: each field by its name.

    A field that was not given, or that the command does not offer, has its default.
    """
    given = {f.name: getattr(args, f.name) for f in fields(kind) if hasattr(args, f.name)}
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})


def changed(value: DataclassInstance) -> dict[str, Any]:
    """The fields of a value that differ from their defaults, in their order."""
    found = {f.name: getattr(value, f.name) for f in fields(value)}
    return {f.name: found[f.name] for f in fields(value) if found[f.name] != f.default}


@dataclass(frozen=True)
class Source:
    """Which runs: the ``SOURCE``, where it is kept, which rows and columns of it."""

    name: str
    root: str | None = None
    tracking_uri: str | None = None
    where: str | None = None
    columns: tuple[tuple[str, str], ...] = ()
    """Pairs of a run table's column and the one to take for it; the last pair counts."""
    unpivot: str | None = None
    decimal: str | None = None
    last_by: str | None = None
    frontier: bool = False

    @property
    def taken(self) -> dict[str, str]:
        """The run table's columns and what is taken for each, in the order of the flags."""
        given = dict(self.columns)
        first = {name: given[name] for name in COLUMN_FLAGS if given.get(name)}
        return first | {name: text for name, text in given.items() if name not in COLUMN_FLAGS}

    @property
    def responses(self) -> tuple[str, ...]:
        """The columns of several losses, ``--loss-col loss_a,loss_b``; none where it is one."""
        names = tuple(name.strip() for name in self.taken.get("loss", "").split(","))
        return names if len(names) > 1 else ()

    @property
    def how(self) -> TableReading:
        """What is asked of the reading, and which rows are meant."""
        from analysis.tables import (
            TableReading,  # loads numpy, which describing the commands must not
        )

        return TableReading(self.unpivot, self.decimal, self.last_by, self.frontier)

    @property
    def kept(self) -> dict[str, Any]:
        """``root`` and ``tracking_uri``, as the readers of ``analysis.tables`` take them."""
        return {"root": self.root, "tracking_uri": self.tracking_uri}


@dataclass(frozen=True)
class FitOptions:
    """Which law is fitted and how, and how its intervals are drawn.

    Raises
    ------
    ValueError
        If the law is not known, has no use for ``start`` or ``signed``, no parameter to ``hold``,
        or both kinds of drawing are asked for.
    """

    law: str | None = None
    loss_fn: str = "huber"
    delta: float | None = None
    asymmetry: float = 1.0
    space: str | None = None
    weights: str | None = None
    x_col: str | None = None
    bootstrap: int = 1000
    resample: str = "auto"
    cluster: str | None = None
    level: float = 0.9
    seed: int = 0
    start: tuple[tuple[str, tuple[float, float]], ...] = ()
    signed: tuple[str, ...] = ()
    hold: tuple[tuple[str, float], ...] = ()
    pool: str | None = None

    def __post_init__(self) -> None:
        if self.cluster and self.resample == "residual":
            raise ValueError("--cluster draws groups of rows, --resample residual none: give one")
        if not self.is_formula:
            self.law_for(None)

    @property
    def drawn(self) -> Bootstrap:
        """How the intervals are drawn."""
        from analysis.fits import Bootstrap

        if self.cluster == NO_CLUSTERS:
            return Bootstrap(self.bootstrap, "pairs")
        return Bootstrap(self.bootstrap, self.resample, self.cluster)

    @property
    def law_name(self) -> str:
        """The law's name or formula; what is usual where none was given."""
        return self.law or ("power_floor" if self.x_col else "chinchilla")

    @property
    def is_formula(self) -> bool:
        """Whether the law is a formula, whose names only a table can tell."""
        return "=" in self.law_name

    def law_for(self, table: pd.DataFrame | None) -> Law:
        """The law; the columns of a ``table`` may stand in a formula."""
        # they load numpy, which describing the commands must not
        from analysis.laws import by_group, law_for

        signed = tuple(name.strip() for each in self.signed for name in each.split(","))
        law = law_for(self.law_name, table, signed, dict(self.start))
        law = law.hold(dict(self.hold)) if self.hold else law
        if self.pool is None or table is None:
            return law
        column, _, names = self.pool.partition(":")
        if column not in table.columns:
            refuse_unknown(column, map(str, table.columns), "column of groups (--pool)")
        return by_group(law, column, table, [n.strip() for n in names.split(",") if n])


def words_of(source: Source) -> list[str]:
    """The words of a command line that say which runs: the source, then what differs."""
    words = [source.name]
    for name, column in source.taken.items():
        flag = COLUMN_FLAGS.get(name)
        words += [flag, column] if flag else ["--col", f"{name}={column}"]
    for name, value in changed(source).items():
        if name not in ("name", "columns"):
            flag = f"--{name.replace('_', '-')}"
            words += [flag] if value is True else [flag, str(value)]
    return words


def flags(options: FitOptions) -> list[str]:
    """The words of a command line that say what differs from the defaults."""
    words: list[str] = []
    for name, value in changed(options).items():
        if name == "start":
            for of, (low, high) in value:
                words += ["--start", f"{of}={low},{high}"]
        elif name == "signed":
            for of in value:
                words += ["--signed", of]
        elif name == "hold":
            for of, held in value:
                words += ["--hold", f"{of}={held}"]
        else:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return words


@dataclass(frozen=True)
class ForecastOptions(FitOptions):
    """Which law forecasts, ``auto`` for the average of several; how a given one is fitted.

    Raises
    ------
    ValueError
        Also if ``auto`` is asked for with what is of one law's fit.
    """

    bootstrap: int = 0

    def __post_init__(self) -> None:
        if not self.is_auto:
            super().__post_init__()
            return
        of_a_fit = ("loss_fn", "delta", "asymmetry", "space", "start", "signed", "hold", "pool")
        for name, value in changed(self).items():
            if name in of_a_fit:
                flag = name.replace("_", "-")
                raise ValueError(
                    f"--{flag} {value}: it is of one law's fit, and auto averages several: name "
                    f"one with --law, or leave --{flag} out"
                )

    @property
    def is_auto(self) -> bool:
        """Whether several laws are averaged."""
        return self.law in (None, "auto")


@dataclass(frozen=True)
class Form:
    """What kind of file ``-o`` names: its suffixes, and what is said of any other."""

    suffixes: tuple[str, ...]
    says: str

    def path(self, output: str) -> Path:
        """``output`` as a path, or ``ValueError`` if its suffix is none of these."""
        path = Path(output)
        if path.suffix.lower() not in self.suffixes:
            raise ValueError(self.says.format(path=path))
        return path


TABLE = Form(
    (".csv", ".jsonl", ".parquet"), "-o {path}: a table is written as .csv, .jsonl or .parquet"
)
FIGURE = Form((".png", ".pdf", ".svg"), "-o {path}: a figure is written as .png, .pdf, .svg")
REPORT = Form((".html", ".htm"), "{path}: a report is written as .html")
SWEEP = Form((".yaml", ".yml"), "-o {path}: a sweep file is written as .yaml")


def output_of(args: argparse.Namespace, form: Form) -> Path | None:
    """The file of that form that ``-o`` names; None if it was not given."""
    return form.path(args.output) if hasattr(args, "output") else None
