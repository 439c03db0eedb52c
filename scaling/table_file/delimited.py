"""Tables in text: fields by commas, semicolons, tabs or white space; one line of names, or two."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from scaling.table_file.lines import Lines, Row, on_their_lines
from scaling.table_file.numbers import number_of

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = (",", ";", "\t", "|")
REMARKS = ("#", "%", "//")
"""How lines begin that are no rows."""
WHITE, WIDE = r"\s+", r"\s{2,}"
"""Of columns that are set apart by blanks; ``WIDE`` where names have blanks of their own."""

_UNITS = re.compile(
    r"[(\[]?\s*([kmbgt]|thousands?|millions?|billions?|trillions?|mn|bn|nats?|bits?|%|flops?"
    r"|params|parameters|tokens|log10|ln|(nats|bits)/\w+|[0-9.]*e[0-9]+|10\^?[0-9]+)\s*[)\]]?",
    re.IGNORECASE,
)
_RULE = re.compile(r"(?m)^(?=.*(?:---|===|:--))[ |:+=-]*$|^\(\d+ rows?\)$")
"""Lines that only draw one, between the names and the rows of Markdown and of databases, and
what these write below."""
_BARS = re.compile(r"(?m)^[ \t]*\|(.*)\|[ \t]*$")
"""Lines that begin and end with a bar."""
_DRAWN = str.maketrans(
    {
        **dict.fromkeys("│┃║", "|"),
        **dict.fromkeys("─━═┄┈", "-"),
        **dict.fromkeys("┌┐└┘├┤┬┴┼┏┓┗┛┣┫┳┻╋┡┩╇╔╗╚╝╠╣╦╩╬╞╡╪╭╮╰╯", "+"),
    }
)
"""Tables that are drawn, as libraries for terminals do, with bars in place of their lines."""
_NONE = ("-", "–", "—")
"""What stands for no unit below a name."""
_SAMPLE = 12
"""Rows that say whether a second line has names or numbers."""


@dataclass(frozen=True)
class _Layout:
    """How the lines are to be read: the first of rows is number ``skip`` (from 0)."""

    separator: str
    names: list[str]
    skip: int


def read_text(text: str, as_text: bool) -> pd.DataFrame:
    """The rows of a table in text; ``attrs`` as :func:`scaling.table_file.read_frame` says."""
    import pandas as pd

    if not text.strip():
        raise pd.errors.EmptyDataError
    text = _RULE.sub("", text.translate(_DRAWN))
    if all(_BARS.fullmatch(line) for line in text.splitlines() if line.strip()):
        text = _BARS.sub(r"\1", text)
    layout, said = _layout(text), ""
    separator = layout.separator
    try:
        frame = _parsed(text, layout, as_text)
        even = isinstance(frame.index, pd.RangeIndex)
    except pd.errors.ParserError as error:
        if "Expected" not in str(error):
            raise
        even = False
    if not even:
        text, layout, said = _evened(text, layout)
        frame = _parsed(text, layout, as_text)
    lines = _lines_of_rows(text, layout, len(frame))
    twice = _unique(layout.names)[1]
    frame.attrs |= {"lines": lines, "twice": twice, "separator": separator}
    if said:
        frame.attrs["said"] = said
    return frame


def _parsed(text: str, layout: _Layout, as_text: bool) -> pd.DataFrame:
    """The rows as pandas reads them."""
    import pandas as pd

    frame: pd.DataFrame = pd.read_csv(
        io.StringIO(_rows_of(text, layout.skip)),
        sep=layout.separator,
        engine="python" if layout.separator == WIDE else "c",
        header=None,
        names=_unique(layout.names)[0],
        skipinitialspace=True,
        dtype=str if as_text else None,
        keep_default_na=not as_text,
    )
    return frame


def _evened(text: str, layout: _Layout) -> tuple[str, _Layout, str]:
    """Rows that have more fields than there are names, as rows that do not, and what is to be said.

    Separators at the end of a line are left out, and remarks after them; a first field without a
    name is the number or the name of the row, as pandas and R write it.

    Raises
    ------
    ValueError
        If what is there without a name holds numbers.
    """
    count = len(layout.names)
    rows = [
        row
        for row in _all_fields(text, layout)
        if any(row[1]) and not row[1][0].startswith(REMARKS)
    ]
    for _, fields in rows:
        while len(fields) > count and not fields[-1]:
            fields.pop()
    longer = [(at, fields) for at, fields in rows if len(fields) > count]
    names, said = layout.names, ""
    if rows and all(len(fields) == count + 1 for _, fields in rows) and _are_labels(rows):
        names = ["", *names]
    elif longer:
        at, fields = next(
            ((at, fields) for at, fields in longer if any(map(_is_number, fields[count:]))),
            longer[0],
        )
        if any(map(_is_number, fields[count:])):
            raise ValueError(
                f"line {at + 1} has {len(fields)} fields, the line of names {count}: name each "
                "column, and put fields with separators in them between quotes, as numbers with "
                "decimal commas or with commas between thousands"
            )
        more = f" and {len(longer) - 1} others" * (len(longer) > 1)
        said = (
            f"line {at + 1}{more} have more fields than there are names: such as {fields[count]!r} "
            "is not read"
        )
        rows = [(at, fields[:count]) for at, fields in rows]
    separator = "\t" if layout.separator in (WHITE, WIDE) else layout.separator
    return on_their_lines(rows, separator), _Layout(separator, names, layout.skip), said


def _are_labels(rows: Sequence[Row]) -> bool:
    """Whether the first fields are the numbers of the rows, or differ and are no numbers."""
    first = [fields[0] for _, fields in rows]
    counted = any(first == [str(i + k) for i in range(len(first))] for k in (0, 1))
    unlike = len({*first}) == len(first) and not any(map(_is_number, first))
    return len(first) > 1 and (counted or unlike)


def _all_fields(text: str, layout: _Layout) -> Iterator[tuple[int, list[str]]]:
    """The fields of each row below the names, with the number of its line from 0."""
    rest = text.splitlines(keepends=True)[layout.skip :]
    if layout.separator in (WHITE, WIDE):
        for at, line in enumerate(rest, layout.skip):
            yield at, _fields([line], 0, layout.separator)[0]
        return
    reader = csv.reader(rest, delimiter=layout.separator, skipinitialspace=True)
    at = layout.skip
    for fields in reader:
        yield at, [field.strip() for field in fields]
        at = layout.skip + reader.line_num


def _rows_of(text: str, skip: int) -> str:
    """The text with its first lines blank, so that what is said of lines counts these too."""
    return "\n" * skip + "".join(text.splitlines(keepends=True)[skip:])


def row_lines(lines: list[int], first: int, count: int) -> Sequence[int | str]:
    """The line of each row: ``lines``, or one after the other where a field spans several."""
    plain = range(first, first + count)
    return plain if len(lines) != count or lines == list(plain) else Lines(lines)


def _lines_of_rows(text: str, layout: _Layout, count: int) -> Sequence[int | str]:
    blank = " \t\n".replace(layout.separator, "")
    rest = islice(io.StringIO(text), layout.skip, None)
    lines = [number for number, line in enumerate(rest, layout.skip + 1) if line.strip(blank)]
    return row_lines(lines, layout.skip + 1, count)


def _layout(text: str) -> _Layout:
    """Separator, names and the number of lines before the rows.

    Lines at the top that are blank, a title, or begin with ``#``, ``%``, ``//`` or Excel's
    ``sep=``, are skipped; the last of those with ``#`` has the names where none follow (as
    ``numpy.savetxt`` writes it).
    """
    lines = text.splitlines()
    telling = [i for i, line in enumerate(lines) if _says_something(line)]
    if not telling:
        raise ValueError("the file has no rows; a table has a line of names, then one row a run")
    first = telling[0]
    if len(telling) > 2 and _is_title(lines[first], lines[telling[1]]):
        first = telling[1]
    separator = _separator(lines[first:])
    names, used = _fields(lines, first, separator)
    above = next((line for line in reversed(lines[:first]) if line.startswith(REMARKS)), "")
    said, _ = _fields([above.lstrip("#%/ ")], 0, separator)
    if any(map(_is_number, names)) and len(said) == len(names) > 1:
        return _Layout(separator, said, first)
    if all(map(_is_number, names)):
        raise ValueError(
            f"line {first + 1} has numbers where names are wanted; write a line of names above"
        )
    below, more = _fields(lines, first + used, separator)
    below = ["" if field in _NONE else field for field in below]
    after, last = _fields(lines, first + used + more, separator)
    after = ["" if field in _NONE else field for field in after]
    if _names_index(names, after) and _are_levels(names, below, after.index("")):
        return _Layout(separator, _of_levels(names, below, after), first + used + more + last)
    if _names_index(names, below) and (not names[0] or all(map(_is_number, names[1:]))):
        return _Layout(separator, _of_levels([""] * len(names), names, below), first + used + more)
    if _is_cross(names, below):
        return _Layout(separator, _crossed(names, below), first + used + more)
    if len({*names[1:]}) < len(names[1:]) and all(map(_is_number, names[1:])):
        raise ValueError(
            f"line {first + 1} has numbers where names are wanted: write a line of names above, "
            "one for each run if a line is N, D or the loss of all"
        )
    sample = lines[first + used + more : first + used + more + _SAMPLE]
    rows = [_fields([row], 0, separator)[0] for row in sample]
    if _spans_both(names, below) or _is_second_header(names, below, rows):
        return _Layout(separator, _joined(names, below), first + used + more)
    if not any(map(_is_number, below)) and _is_second_header(below, after, rows[last:]):
        three = _joined(_joined(names, below), after)
        return _Layout(separator, three, first + used + more + last)
    return _Layout(separator, names, first + used)


def _says_something(line: str) -> bool:
    plain = line.strip(" \t,;|")
    return bool(plain) and not plain.startswith(REMARKS) and not re.fullmatch("sep=.", plain)


def _is_title(line: str, below: str) -> bool:
    """Whether a line is one field, perhaps in quotes, above a line of several."""
    if line.count('"') % 2 or line[:1] in SEPARATORS:  # a name of several lines, or above columns
        return False
    plain = re.sub(r'^"[^"]*"', "", line).strip("".join(SEPARATORS) + " ")
    return not any(one in plain for one in SEPARATORS) and any(one in below for one in SEPARATORS)


def _separator(lines: list[str]) -> str:
    """What stands between the fields of the line of names, quoted text left out: of several, what
    stands as often in each of the rows, else most often."""
    header = lines[0]
    for line in lines[1:]:
        if header.count('"') % 2 == 0:
            break
        header += line
    header = re.sub(r'"[^"]*"', "", header)
    rows = [line.strip() for line in lines[:_SAMPLE] if line.strip()]
    plain = [re.sub(r'"[^"]*"', "", row) for row in rows[1:]]

    def fits(separator: str) -> tuple[bool, int]:
        count = header.count(separator)
        return bool(plain) and all(row.count(separator) == count for row in plain), count

    there = [separator for separator in SEPARATORS if separator in header]
    if there:
        return max(there, key=fits)
    wide = {len(re.split(WIDE, row)) for row in rows}
    white = {len(re.split(WHITE, row)) for row in rows}
    if len(wide) == 1 and max(wide) > 1 and len(white) > 1:
        return WIDE
    return WHITE if max(white) > 1 else ","


def _fields(lines: list[str], at: int, separator: str) -> tuple[list[str], int]:
    """The fields of the row that begins at a line, and how many lines it takes."""
    if separator in (WHITE, WIDE):
        line = lines[at].strip() if at < len(lines) else ""
        fields = re.split(separator, line) if line else []
        if separator == WHITE and '"' in line:  # as R writes it
            fields = [field.strip('"') for field in re.findall(r'"[^"]*"|\S+', line)]
        return fields, 1
    reader = csv.reader(
        (f"{line}\n" for line in lines[at:]), delimiter=separator, skipinitialspace=True
    )
    try:
        fields = next(reader, [])
    except csv.Error as error:
        raise ValueError(f"line {at + 1} cannot be read ({error}); is it a table?") from None
    return [" ".join(field.split()) for field in fields], reader.line_num


def _is_second_header(names: list[str], below: list[str], rows: list[list[str]]) -> bool:
    """Whether a second line goes on with the names: words above columns of numbers."""
    words = [word for word in below if word]
    units = all(map(_UNITS.fullmatch, words)) and not all(map(_is_number, words))
    if len(below) != len(names) or not rows or (any(map(_is_number, words)) and not units):
        return False
    columns = [
        i
        for i, word in enumerate(below)
        if word and any(len(row) > i and row[i] for row in rows)
        and all(_is_number(row[i]) for row in rows if len(row) > i and row[i])
    ]  # fmt: skip
    # One word in a column of numbers is a fault of that row, not a line of names.
    return bool(columns) and (units or len(columns) > 1)


def _spans_both(names: list[str], below: list[str]) -> bool:
    """Whether a second line of words has a name of the first again, as one that spans both."""
    same = any(word and word == name for word, name in zip(below, names, strict=False))
    return (
        same
        and len(below) == len(names) != 0
        and below != names
        and not any(map(_is_number, below))
    )


def _is_cross(names: list[str], below: list[str]) -> bool:
    """Whether one word stands above a line of a word and sizes: ``Tokens`` over ``N, 2B, 10B``."""
    return (
        len(below) == len(names) > 2
        and not names[0]
        and len({*names}) == 2
        and not _is_number(below[0])
        and all(map(_is_number, below[1:]))
    )


def _crossed(names: list[str], below: list[str]) -> list[str]:
    """Their names as those of a cross table, ``N \\ Tokens``; a loss above is that of the cells."""
    (top,) = {*names} - {""}
    is_loss = re.search("loss|ppl|perplexity|bp[bc]", top, re.IGNORECASE)
    return below if is_loss or not below[0] else [f"{below[0]} \\ {top}", *below[1:]]


def _names_index(names: list[str], fields: list[str]) -> bool:
    """Whether a line has the names of the first columns alone, as pandas writes those of an index
    below the levels of its columns."""
    count = next((i for i, field in enumerate(fields) if not field), 0)
    return (
        len(fields) == len(names) > count > 0
        and not any(fields[count:])
        and not any(map(_is_number, fields[:count]))
        and not any(names[1:count])
    )


def _are_levels(names: list[str], below: list[str], count: int) -> bool:
    """Whether two lines above the names of an index are of levels, not names and a row of numbers:
    sizes stand below names that repeat."""
    tops = names[count:]
    sizes = not _is_number(below[0]) and ("" in tops or len({*tops}) < len(tops))
    return len(below) == len(names) and (sizes or not any(map(_is_number, below[count:])))


def _of_levels(names: list[str], below: list[str], index: list[str]) -> list[str]:
    """Names of two levels above the names of the index; over numbers, those of a cross table."""
    count = index.index("")
    if not all(map(_is_number, below[count:])):
        return [*index[:count], *_joined(names[count:], below[count:])]
    across = below[0] or names[0]
    corner = f"{index[count - 1]} \\ {across}" if across else index[count - 1]
    sizes = [size.removesuffix(".0") for size in below[count:]]
    tops, last = [], ""
    for name in names[count:]:
        last = name or last
        tops.append(last)
    many = len({*tops}) > 1
    cells = [f"{top}_{size}" if many else size for top, size in zip(tops, sizes, strict=True)]
    return [*index[: count - 1], corner, *cells]


def _joined(names: list[str], below: list[str]) -> list[str]:
    """Names of two lines as one: ``Params`` over ``M`` is ``Params (M)``, ``val`` over ``loss``
    is ``val.loss``; an empty field of the first line continues the one to its left."""
    if all(map(_UNITS.fullmatch, filter(None, below))):
        return [
            f"{name} ({unit.strip('()[] ')})" if unit else name
            for name, unit in zip(names, below, strict=True)
        ]
    found, last = [], ""
    for name, word in zip(names, below, strict=True):
        last = last if not name or name.startswith("Unnamed: ") else name
        found.append(".".join(dict.fromkeys(filter(None, (last, word)))))
    return found


def _unique(names: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """The names, each once (``loss``, ``loss.1``), and what became of those that were twice."""
    found: list[str] = []
    twice: dict[str, list[str]] = {}
    for i, name in enumerate(names):
        name = name or f"Unnamed: {i}"
        unique, count = name, 0
        while unique in found:
            count += 1
            unique = f"{name}.{count}"
        if count:
            twice.setdefault(name, [name]).append(unique)
        found.append(unique)
    return found, twice


def _is_number(text: str) -> bool:
    """Whether a field is a number as people write them, decimal commas too, and percentages."""
    try:
        number_of(text.replace(",", ".", 1) if text.count(",") == 1 else text.rstrip("%"))
    except ValueError:
        return False
    return True
