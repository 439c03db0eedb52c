"""JSON Lines: a field of each line is a document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.data.text.sources.content import identify, opened
from scaling.data.text.sources.source import BadRow, Document, text_of

LONGEST = 256 << 20  # bytes of a line
_ARRAY = "; one JSON array is not JSON Lines: write a line for each of its objects"


@dataclass(frozen=True)
class JsonLines:
    """Each line is one JSON object; its ``field`` is one document. Empty lines are skipped.

    A ``field`` with dots, such as ``data.text``, is looked for inside objects too.
    """

    paths: tuple[Path, ...]
    field: str
    is_text = True

    def facts(self) -> dict[str, Any]:
        """How the files are read, without their names."""
        return {"kind": "jsonl", "field": self.field}

    def identify(self, path: Path) -> tuple[str, int]:
        """The sum and the bytes of the lines."""
        return identify(path, plain=False)

    def read(self, path: Path, position: int) -> Iterator[tuple[Document | BadRow, int]]:
        """The documents; ``position`` is the byte offset of a line."""
        number = 0  # of the line, if read from the start, as whoever asks for bad rows does
        with opened(path, position) as file:
            while line := file.readline(LONGEST):
                number += 1
                position += len(line)
                where = f"{path}, line {number}"
                if len(line) == LONGEST and not line.endswith(b"\n"):
                    while (more := file.readline(LONGEST)) and not more.endswith(b"\n"):
                        position += len(more)
                    position += len(more)
                    yield _long(where, line), position
                elif line.strip():
                    yield self._document(where, line), position

    def _document(self, where: str, line: bytes) -> Document | BadRow:
        try:
            row = json.loads(line.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            return BadRow(where, "not UTF-8", f"no valid JSON, for it is not UTF-8 ({error})")
        except (ValueError, RecursionError) as error:
            return BadRow(where, "no valid JSON", f"no valid JSON ({error})")
        if not isinstance(row, dict):
            says = f"{str(row)[:40]!r} is no JSON object"
            return BadRow(where, "no JSON object", says + (_ARRAY if isinstance(row, list) else ""))
        try:
            value = _inside(row, self.field)
        except KeyError:
            there = ", ".join(sorted(row)) or "none"
            missing = f"no field {self.field!r}"
            return BadRow(where, missing, f"{missing}; it has {there}: choose with --field")
        return text_of(where, f"field {self.field!r}", value)


def _inside(row: dict[str, Any], field: str) -> Any:
    """The value of ``field`` in a row, or of ``b`` in its ``a`` for ``a.b``."""
    if field in row:
        return row[field]
    value: Any = row
    for part in field.split("."):
        if not isinstance(value, dict):
            raise KeyError(field)
        value = value[part]
    return value


def _long(where: str, line: bytes) -> BadRow:
    says = f"the line is longer than {LONGEST >> 20} MiB"
    if line.lstrip()[:1] == b"[":
        says += _ARRAY
    return BadRow(where, f"longer than {LONGEST >> 20} MiB", says)
