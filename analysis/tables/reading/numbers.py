"""Numbers as people write them into tables, decided for a whole column at once.

``70M``, ``1.4 billion``, ``34 %``, ``1.2 x 10^9``, ``5 EFLOPs``, ``3.4 ± 0.1``, ``1,000,000``, and
``3,91`` where a comma is the decimal mark. What a comma or a point means is told by the column,
else by the rest of the file, and is refused where neither tells.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from numbers import Number
from typing import TYPE_CHECKING, Any

from analysis.tables.reading.notes import place, quoted
from scaling import number_of

if TYPE_CHECKING:
    import pandas as pd

MISSING = {
    *("", "-", "--", "–", "—", "?", "n/a", "na", "nan", "none", "null", "tbd", "missing"),
    *("#n/a", "#div/0!", "#value!", "#ref!", "#num!", "#name?"),
}
"""What stands for an unknown value, in lower case."""

SMALL = 1000
"""Plain numbers below it have no place among numbers with a unit of thousands or more."""

_WORDS = {
    "thousand": "k", "million": "m", "millions": "m", "mn": "m", "mio": "m",
    "billion": "b", "billions": "b", "bn": "b", "mrd": "b", "md": "b",
    "trillion": "t", "trillions": "t", "tn": "t",
}  # fmt: skip
_AFTER = re.compile(r"\s*(params|parameters|tokens|flops?|examples|nats)$", re.IGNORECASE)
_FLOPS = {"p": 1e15, "e": 1e18, "z": 1e21}
_SPREAD = re.compile(
    r"\s*(?:±|\+/-|\+-|_?\{?\\pm).*$|(?<=\d)\s*\(±?\d*\.?\d+\)$"
    r"|(?<=\d)\s*[\[(]\s*-?\d[\d.,]*\s*(?:[,;–—-]|to)\s*-?\d[\d.,]*\s*[\])]$"
)
_FORTRAN = re.compile(r"(?<=[\d.])d(?=[+-]\d+$)")
"""The exponent's letter of a double, as Fortran writes it: ``7.0D+07``."""
_MARKS = re.compile(
    r"(?<=[\d%kmbgt.])\s*(?:[*†‡§¶#]|\[\^?\w{1,2}\]|\([a-z]\)|\^\{?[*†‡§a-df-z]\}?){1,6}$"
    r"|(?:(?<=\.\d)|(?<=\.\d\d)|(?<=\.\d\d\d)|(?<=\.\d{4}))[¹²³⁴⁵⁶⁷⁸⁹]$"
    r"|(?<=\d)\s{1,4}#\s.*$"
)
"""Marks of footnotes after a number."""
_SCALED = re.compile(r"\s*(?:[x×*·]\s*)?10\s*(?:\^|\*\*)\s*\{?([+-]?\d+)\}?$")
_POWER = re.compile(r"(\d{1,2})\s*(?:\^|\*\*)\s*\{?(\d{1,2}(?:\.\d{1,9})?)\}?")
"""``2**30``, ``10^18.5``."""
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_IN_TEXT = re.compile(r"\\(?:text|math|num)\w*\{([^{}]*)\}")
_WRAPPED = re.compile(r"^(?:tensor|(?:np|numpy|torch)\.\w{1,20})\(([^(),]+)(?:,[^()]*)?\)$")
"""A number as Python prints it within its kind: ``tensor(3.2, device='cuda:0')``."""
_TYPESET = re.compile(r"(?<=10)[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_IN_BRACKETS = re.compile(r"\(\s*([^()]*\d[^()]*?)\s*\)")
_RANGE = re.compile(r"(\d[\d.,]*[kmbgt]?)\s*(?:[-–—−]|to|\.{2,3})\s*(\d[\d.,]*[kmbgt]?)", re.I)
_BLANKS = str.maketrans(dict.fromkeys("\u00a0\u2009\u202f", " ") | {"−": "-", "’": "'", "∞": "inf"})
LONGEST = 60
"""Characters of a cell that a message shows."""
TEXTS = 4
"""Texts in a column of numbers that a remedy names."""
_PLAIN = re.compile(r"[^a-df-z]*\d[^a-df-z]*")
_MARKED = re.compile(r"[~≈]?\s*([+-]?\d[\d.,]*)")


class NotANumberError(ValueError):
    """Text in a column of numbers."""


@dataclass(frozen=True)
class Fault:
    """A cell that cannot be read: the number of its row, and what is said of it."""

    row: int
    message: str


def numbers(values: pd.Series, name: str, source: str = "") -> pd.Series:
    """``values`` as floats; ``ValueError`` at the first that is no number, as true and text are.

    The message begins with ``source`` and says the place and the column ``name``.
    """
    found, faults = parsed(values, name)
    if faults:
        raise NotANumberError(source + faults[0].message)
    return found


def parsed(
    values: pd.Series, name: str, mark: str | None = None, factor: float = 1.0
) -> tuple[pd.Series, list[Fault]]:
    """A column as floats, NaN where it is missing or at fault, and its faults.

    Parameters
    ----------
    values : Series
        Numbers, or text as somebody wrote it.
    name : str
        The column's, for messages.
    mark : str, optional
        The decimal mark of the file, ``.`` or ``,``, where the column does not tell.
    factor : float
        What a plain number counts, as in a column ``Params (M)``; ``70M`` says it itself.
    """
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return values.astype(float) * factor, []
    cells = _unbracketed([_cell(value) for value in values])
    column = _Column(values, name, [])
    comma = _is_comma(cells, mark, column)
    found, units = [math.nan] * len(cells), [False] * len(cells)
    wrong = []
    for row, cell in enumerate(cells):
        try:
            number, units[row] = _value(cell, comma)
        except ValueError:
            wrong.append(row)
        else:
            found[row] = number if units[row] else number * factor
    for row in wrong:
        column.fault(row, column.advice(row, wrong))
    if any(units) and factor == 1:
        with_unit = str(values.iloc[units.index(True)])
        for row, number in enumerate(found):
            if not units[row] and 0 < abs(number) < SMALL:
                column.fault(row, f"has no unit where others have ({with_unit}); write it with one")
    return pd.Series(found, index=values.index, dtype=float), column.faults


@dataclass(frozen=True)
class _Column:
    """A column that is read, and the faults found in it so far."""

    values: pd.Series
    name: str
    faults: list[Fault]

    def fault(self, row: int, why: str) -> None:
        """Keep a fault of a row."""
        where = f"{place(self.values, row)}, column {self.name!r}"
        shown = repr(str(self.values.iloc[row]))
        shown = f"{shown[:LONGEST]}..." if len(shown) > LONGEST + 3 else shown
        self.faults.append(Fault(row, f"{where}: {shown} {why}"))

    def advice(self, row: int, rows: Sequence[int]) -> str:
        """What to do about one of the rows that hold text."""
        texts = [*dict.fromkeys(str(self.values.iloc[row]) for row in rows)]
        if len(rows) == len(self.values) > 1:
            what, how = _wrong(texts[0])
            how = "write one number each" if "range" in what else how.replace(" it ", " them ")
            return f"is {what}; nor is that of any other row a number: {how}"
        if (text := str(self.values.iloc[row])) == self.name:
            return "is its name again: are there two tables? keep each in a file of its own"
        what, how = _wrong(text)
        said = f"is {what}; {how}"
        if len(texts) > TEXTS:
            return f"{said}, or leave unknown values empty ({len(rows)} rows)"
        condition = f"{quoted(self.name)} " + (
            f"!= {texts[0]!r}" if len(texts) == 1 else f"not in {texts}"
        )
        those = "the row" if len(rows) == 1 else f"all {len(rows)} such rows"
        return (
            f"{said}, leave unknown values empty, or leave {those} out: --where {_typed(condition)}"
        )


def _wrong(text: str) -> tuple[str, str]:
    """What a text is that is no number, and how to write it."""
    if _RANGE.fullmatch(text.strip()):
        return "a range", "write one number, such as its middle"
    if _IN_BRACKETS.fullmatch(text.strip()):
        return "in brackets, as not all are: below 0 or an aside", "write it plainly"
    return "not a number", "write it plainly, such as 1.2e9"


def _unbracketed(cells: list[Any]) -> list[Any]:
    """The cells of a column without brackets where all that are known have them."""
    known = [cell for cell in cells if cell is not None]
    found = [_IN_BRACKETS.fullmatch(cell) if isinstance(cell, str) else None for cell in known]
    if not known or not all(found):
        return cells
    return [_IN_BRACKETS.sub(r"\1", cell) if cell else cell for cell in cells]


def _typed(condition: str) -> str:
    """A condition as a shell takes it, in double quotes where these leave it as it is."""
    if not re.search(r'["$`\\]', condition):
        return f'"{condition}"'
    return shlex.quote(condition if '"' in condition else condition.replace("'", '"'))


def _is_comma(cells: Sequence[Any], mark: str | None, column: _Column) -> bool:
    """Whether a column's decimal mark is a comma: as its numbers say, else as the file's do."""
    marks = [_mark(cell) if isinstance(cell, str) else "" for cell in cells]
    if {",", "."} <= {*marks}:
        why = "has a decimal comma and other rows a point; write one of them"
        column.fault(marks.index(","), why)
    own = next((one for one in (",", ".") if one in marks), None)
    if own is None and mark is None and "?," in marks:
        why = "may be thousands or a decimal comma; say which with --decimal . or --decimal ,"
        column.fault(marks.index("?,"), why)
    return own == "," or (own is None and mark == ",")


def plain(values: pd.Series, name: str, mark: str | None) -> pd.Series:
    """A column of text as numbers where all of it is plainly that, without units; else as it is."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values):
        return values
    cells = [_cell(value) for value in values]
    texts = {cell for cell in cells if isinstance(cell, str)}
    if not texts or not all(_PLAIN.fullmatch(text) for text in texts):
        return values
    found, faults = parsed(values, name, mark)
    return values if faults else found


def unread(values: pd.Series, name: str, option: str = "") -> list[str]:
    """What is not read of the cells of a column of numbers: ``± 0.1`` in ``3.4 ± 0.1``, ``†``.

    ``option`` is the one that takes another column, for what is proposed.
    """
    texts = {_WRAPPED.sub(r"\1", value.strip()) for value in values if isinstance(value, str)}
    said = {
        f"the spreads (± or in brackets) in {name!r} are not used": _SPREAD,
        f"the marks of footnotes in {name!r} are left out": _MARKS,
    }
    found = [one for one, part in said.items() if any(map(part.search, texts))]
    if texts and all(map(_IN_BRACKETS.fullmatch, filter(None, texts))):
        minus = f"{option} '0 - {quoted(name)}'".strip()
        found.append(f"the brackets around {name!r} are left out; if they mean below 0: {minus}")
    return found


def decimal_mark(columns: Iterable[pd.Series], semicolons: bool = False) -> str | None:
    """``,`` where some column of text can only have decimal commas and none says otherwise.

    Between ``semicolons`` one in doubt is enough: they are there as commas are decimal.
    """
    marks: set[str] = set()
    for values in columns:
        texts = {cell for cell in map(_cell, values) if isinstance(cell, str)}
        if texts and all(map(is_written, texts)):
            marks |= {_mark(text) for text in texts}
    told = "," in marks or (semicolons and "?," in marks)
    return "," if told and "." not in marks else None


def _cell(value: Any) -> Any:
    """A cell as lower-case text or as a value; None where it is missing."""
    if isinstance(value, str):
        return _text(value)
    return None if value is None or (isinstance(value, Number) and value != value) else value


@lru_cache(maxsize=1 << 16)
def _text(value: str) -> str | None:
    """The same of a text: runs say the same few things."""
    text = value.strip().translate(_BLANKS).lower()
    text = _WRAPPED.sub(r"\1", text)
    text = _TYPESET.sub(lambda power: f"^{power[0].translate(_RAISED)}", text)
    text = _IN_TEXT.sub(r"\1", text) if "\\" in text else text
    text = _MARKS.sub("", text.strip("$*")).replace("\\times", "x").replace("\\cdot", "x")
    return None if text in MISSING else text


@lru_cache(maxsize=1 << 16)
def _mark(text: str) -> str:
    """What a number says of the decimal mark: ``,`` or ``.``, with ``?`` in doubt, or nothing."""
    found = _MARKED.match(text)
    digits = found[1].lstrip("+-") if found else ""
    commas, points = digits.count(","), digits.count(".")
    if commas and points:
        return "," if digits.rindex(",") > digits.rindex(".") else "."
    if not commas and not points:
        return ""
    here, other = (",", ".") if commas else (".", ",")
    first, *groups = digits.split(here)
    grouped = all(len(group) == 3 for group in groups) and 0 < len(first) <= 3
    if not grouped or first == "0":
        return here
    return other if len(groups) > 1 else f"?{here}"


def _value(cell: Any, comma: bool) -> tuple[float, bool]:
    """The number in a cell, and whether it has a unit of its own."""
    if cell is None:
        return math.nan, False
    if isinstance(cell, bool) or not isinstance(cell, str | Number):
        raise ValueError(f"{cell!r} is not a number")
    if not isinstance(cell, str):
        return float(cell), False  # type: ignore[arg-type]
    return _number_in(cell, comma)


@lru_cache(maxsize=1 << 16)
def _number_in(cell: str, comma: bool) -> tuple[float, bool]:
    """The same of a text."""
    text = _FORTRAN.sub("e", _SPREAD.sub("", cell).lstrip("~≈ "))
    if (flops := re.search(r"\s*([pez])flops?$", text)) is not None:
        return float(number_of(_plain(text[: flops.start()], comma))) * _FLOPS[flops[1]], True
    text = _AFTER.sub("", text)
    if power := _POWER.fullmatch(text):
        return float(power[1]) ** float(power[2]), False
    if text.endswith("%"):
        return float(number_of(_plain(text[:-1], comma))) / 100, False
    if power := _SCALED.search(text):
        before = text[: power.start()].strip()
        return float(number_of(f"{_plain(before, comma) or 1}e{power[1]}")), False
    head = re.sub(r"[a-z]+$", "", text).strip()
    word = _WORDS.get(text[len(head) :].strip(), text[len(head) :].strip())
    number = float(number_of(_plain(head, comma) + word))
    return number, word in {"k", "m", "b", "g", "t"}


def _plain(text: str, comma: bool) -> str:
    """A number with a decimal point and nothing between its thousands."""
    text = text.strip().replace("'", "")
    if re.fullmatch(r"[+-]?\d{1,3}( \d{3})+(?:[.,]\d+)?", text):
        text = text.replace(" ", "")
    if comma:
        return text.replace(".", "").replace(",", ".")
    return text


def is_written(cell: Any) -> bool:
    """Whether a cell is a number, by one reading of its commas or the other."""
    for comma in (False, True):
        try:
            _value(_cell(cell), comma)
        except ValueError:
            continue
        return True
    return False
