"""The columns of the run table from somebody's: stated, by a usual spelling, or with a unit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from analysis.tables.reading.doubts import SIZES
from analysis.tables.reading.header import Header, header_of
from analysis.tables.reading.likely import flags, is_ratio, varies
from analysis.tables.reading.metrics import advice, loss_by_metric, unit_of
from analysis.tables.reading.notes import Note, quoted
from analysis.tables.reading.numbers import Fault, parsed, unread
from analysis.tables.where import column_of
from scaling import COLUMN_FLAGS, COLUMNS, RUN_COLUMNS, find_column, normalise

if TYPE_CHECKING:
    import pandas as pd

_LOGS = (3.0, 40.0)
"""Between which the logarithms of sizes lie."""
_LOG10 = {"num_params": 13.0, "num_tokens": 14.0, "flops": 28.0}
"""What logarithms to base 10 of sizes stay below."""
NEAR = 0.5
"""Decades within which C is 6 N D by any usual count."""
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?[kmbt])(?![a-z0-9])", re.IGNORECASE)
_ASIDE = re.compile(r"\s*(?:[(\[][^()\[\]\d%]*(?<![\d%])[a-zA-Z↓]\d*[)\]]|(?:±|\\pm|\+/-).*)$")
"""What follows the name of a loss and says nothing of its unit."""
_MEAN = re.compile(r"[\s._/(\[-]+(mean|avg|average)(\W.*)?$", re.IGNORECASE)
"""A column's mean over seeds, beside its spread: ``loss.mean``."""
_ANY = {"n", "num", "number", "no", "of", "total", "all", "count", "metrics", "summary", "the"}
_DONE = {"seen", "consumed", "processed", "trained", "train", "training", "pretrain", "pretraining"}
_WORDS = {
    "num_params": ({"params", "parameters", "param"}, {*_ANY, "model", "trainable"}),
    "num_tokens": ({"tokens", "toks", "tok", "token"}, {*_ANY, *_DONE, "data", "d"}),
    "flops": ({"flops", "flop", "flos"}, {*_ANY, *_DONE, "compute", "c"}),
    "loss": (
        {"loss", "losses", "nll", "xent", "ce"},
        {"final", "last", "best", "min", "end", "avg", "average", "mean", "val", "valid", "l", "lm",
         "validation", "eval", "evaluation", "test", "dev", "heldout", "held", "out", "metrics",
         "summary", "pretrain", "pretraining", "cross", "entropy", "smoothed", "at", "the"},
    ),
}  # fmt: skip
"""The words of a size or the loss, and the words beside them that leave it that."""
_UNIT = re.compile(r"[(\[]([^()\[\]]+)[)\]]$")
MOST_PARAMS = 1e14
_NO_END = {
    *("diverged", "diverges", "diverge", "divergence", "did not converge", "not converged"),
    *("oom", "out of memory", "failed", "failure", "fail", "crashed", "crash", "error", "killed"),
    *("aborted", "cancelled", "canceled", "timeout", "timed out", "time out", "unstable"),
    *("exploded", "blew up", "dnf", "did not finish", "unfinished", "not run", "not trained"),
    *("skipped", "not available"),
}
"""What stands in a loss's place for a run that came to no end."""
_OF_NO_END = re.compile(r"\b(nan|inf|n/a|loss|cuda)\b|[^a-z ]")
_LABELS = ("name", "model", "modelname", "size", "modelsize", "run", "runname", "group", "series")
"""Columns whose text may say N: ``pythia-70m``."""


@dataclass(frozen=True)
class Stated:
    """What the reader says of a table: the column or formula of each run-table column, the mark."""

    columns: Mapping[str, str] = field(default_factory=dict)
    decimal: str | None = None


@dataclass
class Taken:
    """What is taken from a table, as it grows: columns, notes, faults by column, units, and the
    base of its logarithms where their names say none."""

    notes: list[str]
    columns: dict[str, pd.Series] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    units: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    untrained: dict[int, str] = field(default_factory=dict)
    base: float = 10.0


def take(frame: pd.DataFrame, stated: Stated, source: str) -> Taken:
    """The run table's columns in ``frame``, with notes on each of another name.

    Raises
    ------
    ValueError
        If a stated column is neither there nor a formula of those that are.
    """
    taken = Taken([], base=_base_of_logs(frame, stated))
    names = [str(name) for name in frame.columns]
    formulas = [c for c in RUN_COLUMNS if stated.columns.get(c.name, names[0]) not in names]
    for column in (*(c for c in RUN_COLUMNS if c not in formulas), *formulas):
        if text := stated.columns.get(column.name):
            if text not in names:
                _by_formula(frame, column.name, text, source, stated, taken)
                continue
            found, header = text, _unit(text)
        elif (one := _found(column.name, names) or _by_unit(frame, column.name, stated)) is None:
            continue
        else:
            found, header = one
            _others(frame, column.name, found, taken)
        if column.kind == "str":
            taken.columns[column.name] = frame[found]
            _say(taken, column.name, found, Header(found))
        else:
            _numbers(frame[found], column.name, found, header, stated, taken)
    for other in (name for name in stated.columns if name not in COLUMNS):
        _other(frame, other, stated.columns[other], source, stated, taken)
    _logs_by_value(frame, taken, stated)
    if "loss" not in taken.columns and (
        known := loss_by_metric(frame, stated.decimal, taken.notes)
    ):
        taken.columns["loss"], taken.units["loss"] = known
    if "num_params" not in taken.columns:
        _size_in_names(frame, taken)
    return taken


def _found(column: str, names: list[str]) -> tuple[str, Header] | None:
    """The column of another's table that holds ``column``, and what its name says of the unit.

    By its whole name, else by that without its unit, else by the last parts of a name joined by
    dots or slashes (``summary.eval/loss``), if only one column ends so.
    """
    if found := find_column(column, names):
        return found, Header(found)
    sized = column in SIZES or column == "loss"
    headers = {name: header_of(name) for name in names} if sized else {}
    if column == "loss":  # loss_1e18 is one at that budget, log_loss none
        headers = {n: one for n, one in headers.items() if one.factor == 1 and one.log != 0}
    if by_base := find_column(column, [header.base for header in headers.values()]):
        return next((name, header) for name, header in headers.items() if header.base == by_base)
    means = {_MEAN.sub("", name): name for name in names if _MEAN.search(name)}
    if by_mean := find_column(column, [*means]):
        return means[by_mean], Header(means[by_mean])
    if column == "loss" and (found := _in_brackets(names)):
        return found, Header(found)
    known = {name: headers.get(name, Header(name)) for name in names if not is_ratio(name, names)}
    parts = {name: re.split(r"[./]", header.base) for name, header in known.items()}
    for length in range(max(map(len, parts.values()), default=1) - 1, 0, -1):
        ends = {n: "/".join(all_[-length:]) for n, all_ in parts.items() if len(all_) > length}
        same = [n for n, end in ends.items()
                if len(normalise(end)) > 1 and find_column(column, [end])]  # fmt: skip
        if len(same) == 1:
            return same[0], known[same[0]]
    worded = [name for name, header in known.items() if _is_worded(column, header)]
    return (worded[0], known[worded[0]]) if len(worded) == 1 else None


def _by_unit(frame: pd.DataFrame, column: str, stated: Stated) -> tuple[str, Header] | None:
    """The one column that its unit in brackets tells: N in ``Size (B)``, D in ``Data (B tokens)``.

    Sizes in bytes, which no model has as billions, are none; nor are data of several epochs.
    """
    names = [str(name) for name in frame.columns]
    inside = {name: found[1].lower() for name in names if (found := _UNIT.search(name))}
    headers = {name: header_of(name) for name in inside}
    bases = {name: normalise(header.base) for name, header in headers.items()}
    fits: list[str] = []
    if column == "num_params":
        sized = [n for n in bases if bases[n] == "size" and headers[n].factor in (1e6, 1e9)]
        most = {n: parsed(frame[n], n, stated.decimal, headers[n].factor)[0].max() for n in sized}
        fits = [n for n in sized if most[n] < MOST_PARAMS]
    elif column == "num_tokens" and not any("epoch" in name.lower() for name in names):
        data = ("data", "dataset", "trainingdata")
        fits = [n for n in bases if bases[n] in data and "tok" in inside[n]]
    return (fits[0], headers[fits[0]]) if len(fits) == 1 else None


def _is_worded(column: str, header: Header) -> bool:
    """Whether a name has a word for a size or the loss, and else only words that add nothing."""
    if column not in _WORDS or (
        column == "loss" and (header.factor != 1 or header.log is not None)
    ):
        return False
    named, others = _WORDS[column]
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", _ASIDE.sub("", header.base)).lower()
    words = {*re.findall(r"[a-z]+|\d+", spaced)}
    return bool(words & named) and words <= named | others


def _in_brackets(names: list[str]) -> str | None:
    """The one loss whose name goes on in brackets that say nothing else: ``loss (val)``."""
    bare = {name: _ASIDE.sub("", name) for name in names}
    found = [
        name
        for name, base in bare.items()
        if base != name and header_of(name) == Header(name) and find_column("loss", [base])
    ]
    return found[0] if len(found) == 1 else None


def _base_of_logs(frame: pd.DataFrame, stated: Stated) -> float:
    """The base of logarithms whose names say none: e where one is too large for another."""
    import numpy as np

    for name in map(str, frame.columns):
        if (header := header_of(name)).log != 0:
            continue
        for column, most in _LOG10.items():
            if find_column(column, [header.base]) or stated.columns.get(column) == name:
                values, _ = parsed(frame[name], name, stated.decimal)
                if values.max() >= most:
                    return float(np.e)
    return 10.0


def _other(
    frame: pd.DataFrame, column: str, text: str, source: str, stated: Stated, taken: Taken
) -> None:
    """Take what is stated of a column that is none of the run table's: numbers, or names."""
    if text not in map(str, frame.columns):
        _by_formula(frame, column, text, source, stated, taken)
        return
    _, faults = parsed(frame[text], text, stated.decimal)
    if len(faults) < len(frame):
        unit = header_of(text) if re.search(r"[(\[,/]", text) else Header(text)  # top_k is none
        _numbers(frame[text], column, text, unit, stated, taken)
    else:
        taken.columns[column] = frame[text]
        _say(taken, column, text, Header(text))


def _others(frame: pd.DataFrame, column: str, found: str, taken: Taken) -> None:
    """A note on other columns that are spelled as one of the sizes or the loss, and not taken."""
    if column not in COLUMN_FLAGS:
        return
    names = [n for n in map(str, frame.columns) if n not in (found, column)]
    others = [n for n in names if find_column(column, [n]) and varies(frame[n], n)]
    others = [n for n in others if not n.startswith(f"{found}.")]  # names that are there twice
    if others:
        ways = " or ".join(flags(column, others[:2]))
        taken.notes.append(Note(f"{column} is {found!r} of several: {ways} takes another", column))


def _unit(name: str) -> Header:
    """What a stated column's name says of its unit, if that is of an amount that we know."""
    header = header_of(name)
    known = any(find_column(column, [header.base]) for column in (*SIZES, "loss"))
    return header if known or name.endswith((")", "]")) else Header(name)


def _numbers(
    values: pd.Series, column: str, found: str, header: Header, stated: Stated, taken: Taken
) -> None:
    """Take a column of numbers, in the unit that its name says."""

    if column == "loss":
        values, taken.untrained = _untrained(values)
    parsed_, faults = parsed(values, found, stated.decimal, header.factor)
    if faults and column not in (*SIZES, "loss", *stated.columns):
        taken.notes.append(
            Note(f"not taken for {column}: {faults[0].message.split('; ')[0]}", column)
        )
        return
    taken.faults += faults
    if header.log is not None and (column in SIZES or (column == "loss" and header.log)):
        base = header.log or taken.base
        parsed_, header = base**parsed_, replace(header, log=base)
    taken.columns[column] = parsed_
    taken.notes += [
        Note(said, column) for said in unread(values, found, COLUMN_FLAGS.get(column, ""))
    ]
    if column == "loss" and (unit := unit_of(found)):
        taken.units["loss"] = unit
    _say(taken, column, found, header)


def _untrained(values: pd.Series) -> tuple[pd.Series, dict[int, str]]:
    """The cells of a loss without words of runs that came to no end, and these by row."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values):
        return values, {}
    found = {}
    for row, cell in enumerate(values):
        text = cell.lower() if isinstance(cell, str) else ""
        plain = text.replace("-", " ").replace("didn't", "did not")
        word = " ".join(_OF_NO_END.sub("", plain).split())
        if word in _NO_END:
            found[row] = word
    return (values.where(~values.index.isin(values.index[[*found]])) if found else values), found


def _say(taken: Taken, column: str, found: str, header: Header) -> None:
    """A note on what was taken for a column, where it is of another name or unit."""
    taken.sources[column] = found
    own = f"{header.log:.6g}**{quoted(found)}" if header.log else f"the column {found!r}"
    said = f"{column} is {own}"
    unit = ""
    if column == "loss" and taken.units.get("loss", found) != found:
        unit = f", in {taken.units['loss']}{advice(found)}"
    if found != column or unit:
        taken.notes.append(Note(said + header.says + unit, column, taken=True))


def _by_formula(
    frame: pd.DataFrame, column: str, text: str, source: str, stated: Stated, taken: Taken
) -> None:
    """Take what a formula in the table's columns is, such as ``1 - accuracy``."""
    names = [str(name) for name in frame.columns]
    if text.isidentifier() or not any(name in text for name in (*names, *taken.columns)):
        raise ValueError(
            f"{source}: there is no column {text!r} for {column}; the file has {', '.join(names)}"
        )
    inside = {name: frame[name] for name in names if name in text}
    read: dict[str, pd.Series] = {}
    for name, values in inside.items():
        read[name], faults = parsed(values, name, stated.decimal)
        taken.faults += faults if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) else []
    columns = {**taken.columns, **read}
    flag = COLUMN_FLAGS.get(column, f"--col {column}=")
    taken.columns[column] = column_of(frame.assign(**columns), text, f"{source}: {flag}")
    taken.notes.append(Note(f"{column} is {text}", column, taken=True))
    if column == "loss":
        taken.units["loss"] = text


def _logs_by_value(frame: pd.DataFrame, taken: Taken, stated: Stated) -> None:
    """Turn sizes that can only be logarithms to base 10 into counts: C = 6 N D says so."""
    import numpy as np

    if not set(SIZES) <= set(taken.columns):
        return
    suspects = [name for name in SIZES if _may_be_log(taken.columns[name])]
    plain = [taken.columns[name] for name in SIZES]
    turned = [10**v if name in suspects else v for name, v in zip(SIZES, plain, strict=True)]
    if not suspects or not _off(*turned) < min(NEAR, _off(*plain)):
        return
    for name in suspects:
        values, own = taken.columns[name], quoted(taken.sources.get(name, name))
        taken.columns[name] = 10**values
        low, high = np.nanmin(values), np.nanmax(values)
        said = f"{name} is 10**{own}: {low:.4g} to {high:.4g} are logarithms, as C = 6 N D shows"
        taken.notes[:] = [n for n in taken.notes if getattr(n, "about", "") != name]
        taken.notes.append(Note(said, name, taken=True))


def _may_be_log(values: pd.Series) -> bool:
    low, high = _LOGS
    known = values.dropna()
    return len(known) > 0 and bool(known.between(low, high).all())


def _off(n: pd.Series, d: pd.Series, c: pd.Series) -> float:
    """Decades between C and 6 N D, in the median of the rows."""
    import numpy as np

    with np.errstate(all="ignore"):
        return float(np.log10(c / (6 * n * d)).abs().median())


def has_sizes(frame: pd.DataFrame) -> bool:
    """Whether the names of models say one size each."""
    taken = Taken([])
    _size_in_names(frame, taken)
    return "num_params" in taken.columns


def _size_in_names(frame: pd.DataFrame, taken: Taken) -> None:
    """N from the names of models that say one size each, as in ``pythia-70m``."""
    for name in _labels(frame):
        cells = frame[name].astype(str)
        sizes = cells.map(_SIZE.findall)
        if (sizes.map(len) == 1).all() and cells.nunique() > 1:
            found, faults = parsed(sizes.map(lambda one: one[0]), name)
            if not faults and found.nunique() > 1:
                taken.columns["num_params"] = found
                said = f"num_params is the size in the names of {name!r}"
                taken.notes.append(Note(said, "num_params", taken=True))
                return


def _labels(frame: pd.DataFrame) -> Iterator[str]:
    by_form = {normalise(str(name)): str(name) for name in frame.columns}
    return (by_form[form] for form in _LABELS if form in by_form)
