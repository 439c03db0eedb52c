"""What the columns of a source mean: from runs as they were found to runs of ours."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scaling.base import Arithmetic, refuse_unknown
from scaling.imported_spec import ImportedSpec
from scaling.importing.curve import curve
from scaling.importing.found import STATES, FoundRun
from scaling.importing.numbers import count_of
from scaling.importing.run import ImportedRun
from scaling.schema import COLUMNS, find_column, normalise
from scaling.table_file import number_of

AMOUNTS = (
    "num_params",
    "num_params_non_embedding",
    "num_tokens",
    "num_unique_tokens",
    "flops",
)
"""Columns that a formula may give; above 0."""
_NUMBERS = ("bits_per_byte", "error", "lr", "seed")
_SHOWN = 12  # names in a message


@dataclass(frozen=True)
class Stated:
    """What the user says of a source.

    Attributes
    ----------
    columns : dict
        Run table's column -> the source's name for it, where no usual spelling finds it.
    counts : dict
        One of ``AMOUNTS`` -> a formula in a run's options and final values.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, Arithmetic] = field(default_factory=dict)

    @classmethod
    def parse(cls, columns: Mapping[str, str], counts: Iterable[str]) -> Stated:
        """What a command line's column options and ``NAME=FORMULA`` say.

        Raises
        ------
        ValueError
            For a name that is no amount, text that is no formula, or an amount given twice.
        """
        formulas: dict[str, Arithmetic] = {}
        for word in counts:
            name, equals, formula = (part.strip() for part in word.partition("="))
            if not equals or not formula:
                raise ValueError(f"--counts {word!r}: write it as num_params=12*depth*width**2")
            if name not in AMOUNTS:
                refuse_unknown(name, AMOUNTS, "amount", "--counts: ")
            if name in formulas or name in columns:
                raise ValueError(f"--counts: {name} is given twice")
            formulas[name] = Arithmetic(formula)
        return cls(columns, formulas)


Values = Mapping[str, Sequence[float]]
"""Columns of the run table, a value for each run; NaN where it is not known."""

Reader = Callable[[Sequence[Mapping[str, Any]], Mapping[str, str]], tuple[Values, list[str]]]
"""From the last values of each run, and the column or formula that is stated of some of the run
table's, to those columns as the reader of tables has them, and its notes."""


def understand(
    found: Sequence[FoundRun], stated: Stated | None = None, reader: Reader | None = None
) -> tuple[list[ImportedRun], list[str]]:
    """The runs in ``found``, each once, and what a reader should know of the reading.

    ``reader`` reads what is not plainly a number under a usual name: units, decimal commas,
    formulas, perplexities.

    Raises
    ------
    ValueError
        If a stated column is not there, or which one is the loss is not clear.
    """
    stated = stated or Stated()
    read, said = reader(_last(found, stated), stated.columns) if reader and found else ({}, [])
    columns, notes = _columns(found, stated, read)
    notes += [line for line in said if line not in notes]
    states = {run.state for run in found if run.state}
    if states and not any(state.lower() in STATES for state in states):  # it tells other things
        notes.append(f"no state that is known ({_some(sorted(states), 3)}): all runs have ended")
        found = [replace(run, state="") for run in found]
    runs: dict[str, ImportedRun] = {}
    places: dict[str, list[str]] = defaultdict(list)
    lost = 0
    for i, one in enumerate(found):
        own = {name: values[i] for name, values in read.items() if math.isfinite(values[i])}
        run, dropped = _understood(one, columns, stated, own)
        lost += dropped
        places[run.spec.run_id].append(one.place)
        runs.setdefault(run.spec.run_id, run)
    for run_id, where in places.items():
        if len(where) > 1:
            notes.append(
                f"run {runs[run_id].name!r} is there twice ({', '.join(where)}): kept once"
            )
    notes += _twins(runs.values())
    if lost:
        notes.append(f"{lost} records of curves say no number of tokens and are left out")
    for name in ("num_params", "num_tokens"):
        without = [run.name for run in runs.values() if _lacks(run.spec, name)]
        if without:
            flag = {"num_params": "--params-col", "num_tokens": "--tokens-col"}[name]
            notes.append(
                f"{len(without)} of {len(runs)} runs say no {name} ({_some(without, 3)}): laws in "
                f"it cannot use them; name its column with {flag}, or --counts {name}=FORMULA"
            )
    return list(runs.values()), notes


def _lacks(spec: ImportedSpec, name: str) -> bool:
    """Whether a run that could be used has none of a size."""
    usable = spec.result["status"] == "done" and "exclude_reason" not in spec.counts
    size = spec.num_tokens if name == "num_tokens" else spec.counts.get(name)
    return usable and size is None


def _last(found: Sequence[FoundRun], stated: Stated) -> list[dict[str, Any]]:
    """The last value of each name of each run, and what the run is called."""
    asked, short = {*stated.columns.values()}, _has_letters(found)
    rows = []
    for run in found:
        row = {"name": run.name} if run.run else {}
        for part in (run.options, *run.history, run.final):
            row |= {n: v for n, v in part.items() if short or len(n) > 1 or n in asked}
        rows.append(row)
    return rows


def _has_letters(found: Sequence[FoundRun]) -> bool:
    """Whether N and D may be called n and d: a table's may, a configuration's n seldom is N."""
    return any(run.source == "table" for run in found)


def _columns(
    found: Sequence[FoundRun], stated: Stated, read: Values
) -> tuple[dict[str, str], list[str]]:
    """The source's name for each column that some run has, and notes on those of other names.

    What a reader has ``read`` by another name, or a formula, has none.
    """
    said = dict.fromkeys(name for run in found for name in (*run.final, *run.options))
    logged = dict.fromkeys(name for run in found for record in run.history for name in record)
    names = list(said | logged)
    usual = [name for name in names if _has_letters(found) or len(name) > 1]
    columns: dict[str, str] = {}
    for column in (*AMOUNTS, "loss", *_NUMBERS):
        if column in stated.counts:
            continue
        if given := stated.columns.get(column):
            if given in names:
                columns[column] = given
            elif column not in read:
                refuse_unknown(given, names, "column")
        elif column == "loss":
            if known := _loss(usual, names, column in read):
                columns[column] = known
        elif name := find_column(column, usual):
            columns[column] = name
    notes = [f"{c} is the column {name!r}" for c, name in columns.items() if c != name]
    return columns, notes


def _loss(usual: list[str], names: list[str], read: bool) -> str:
    """The name of the held-out loss, where there is no doubt; none if it was read otherwise."""
    forms = ("loss", *COLUMNS["loss"].spellings)
    known = [name for name in usual if normalise(name) in forms]
    if len(known) == 1:
        return known[0]
    if known:
        raise ValueError(f"{_some(known)} may each be the loss: name one with --loss-col")
    if read:
        return ""
    if not names:
        raise ValueError("the runs say nothing: there is no option, no value and no record in them")
    raise ValueError(f"no column is known as the loss: name one of {_some(names)} with --loss-col")


def _some(names: Sequence[str], most: int = _SHOWN) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown}, ... ({len(names)} in all)" if len(names) > most else shown


def _understood(
    run: FoundRun, columns: Mapping[str, str], stated: Stated, own: Mapping[str, float]
) -> tuple[ImportedRun, int]:
    """A run of ours, and how many records of its curve could not be placed.

    ``own`` are its values as a reader has them.
    """
    word = run.state.lower()
    status = STATES.get(word, "done")
    reason = "" if status in ("done", word) else word
    counts, doubts = _counts(run, columns, stated, own)
    if word and word not in STATES:
        doubts.append(f"its state {run.state!r} is not known")
    result: dict[str, Any] = {"status": status}
    try:
        value = _value(run, columns.get("loss"))
        if (value := _exact(value, own.get("loss"))) is None:
            doubts.append("loss missing")
        elif math.isfinite(loss := number_of(value)):
            result["loss"] = loss
        elif status in ("done", "failed"):
            result["status"], reason = "diverged", f"loss is {loss}"
    except ValueError as error:
        doubts.append(f"loss: {error}")
    if (tokens := counts.pop("num_tokens", None)) is not None:
        result["tokens"] = round(tokens)
    if run.seconds is not None:
        result["seconds"] = run.seconds
    if doubts and result["status"] == "done":  # else its status is why it is not used
        counts["exclude_reason"] = "; ".join(doubts)
    plain = {**columns} if _is_plain(run, columns, own, "loss") else {**columns, "loss": ""}
    if not _is_plain(run, columns, own, "num_tokens"):
        plain.pop("num_tokens", None)  # points are placed by the run's own steps
    points, lost = curve(run, plain, result.get("tokens"), ended=result["status"] == "done")
    options, final = _plain(run.options), _plain(run.final)
    spec = ImportedSpec(run.source, run.run, options, final, result, counts)
    return ImportedRun(run.name, spec, points, reason, run.born), lost


def _exact(value: Any, read: float | None) -> Any:
    """What stands there where a reader takes it for the same number, which may be less exact."""
    if read is None:
        return value
    try:
        return value if value is not None and float(number_of(value)) == read else read
    except ValueError:
        return read


def _is_plain(
    run: FoundRun, columns: Mapping[str, str], own: Mapping[str, float], name: str
) -> bool:
    """Whether a column's values are what stands there, in the records of a curve too."""
    return name in columns and _exact(value := _value(run, columns[name]), own.get(name)) is value


def _counts(
    run: FoundRun, columns: Mapping[str, str], stated: Stated, own: Mapping[str, float]
) -> tuple[dict[str, Any], list[str]]:
    """A run's amounts and other numbers of the run table, and what could not be read of them."""
    counts: dict[str, Any] = {}
    doubts = []
    for column in AMOUNTS:
        try:
            if (amount := _amount(run, column, columns, stated, own)) is not None:
                counts[column] = amount
        except ValueError as error:
            doubts.append(f"{column}: {error}")
    for column in _NUMBERS:
        try:
            value = _value(run, columns.get(column))
            if value is not None and math.isfinite(number := number_of(value)):
                counts[column] = number
        except ValueError:
            continue  # it stays among the options, as it is
    return counts, doubts


def _value(run: FoundRun, name: str | None) -> Any:
    """A run's last value of that name: its final one, else the last in its history, else asked."""
    if name is None or name in run.final:
        return run.final.get(name or "")
    last = next((record[name] for record in reversed(run.history) if name in record), None)
    return run.options.get(name) if last is None else last


def _amount(
    run: FoundRun,
    column: str,
    columns: Mapping[str, str],
    stated: Stated,
    own: Mapping[str, float],
) -> int | float | None:
    if column not in stated.counts:
        value = _exact(_value(run, columns.get(column)), own.get(column))
        return None if value is None else count_of(value)
    values = {}
    for name, value in {**run.options, **run.final}.items():
        try:
            values[name] = number_of(value)
        except ValueError:
            values[name] = value
    return count_of(stated.counts[column].value(values))


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values that JSON holds exactly; numbers that are not finite, dates and the like as text."""
    text = json.dumps(
        dict(values), default=lambda v: v.tolist() if hasattr(v, "tolist") else str(v)
    )
    plain: dict[str, Any] = json.loads(text, parse_constant=str)
    return plain


def _twins(runs: Iterable[ImportedRun]) -> list[str]:
    """A note on runs of different ids that are equal in all that they say."""
    said = defaultdict(list)
    for run in runs:
        if "loss" in run.spec.result:
            spec = run.spec
            same = (spec.options, spec.final, spec.result, spec.counts)
            said[repr([sorted(part.items()) for part in same])].append(run.name)
    twins = [names for names in said.values() if len(names) > 1]
    return [
        f"{' and '.join(map(repr, names))} are equal in all options and values: all kept"
        for names in twins
    ]
