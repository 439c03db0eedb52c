"""Documents out of Parquet: a column of text of any Arrow type, or of lists of tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scaling.data.info import sha256_of
from scaling.data.text.sources.source import BadRow, Document, text_of, token_type

ROWS = 1024  # read at once
STRINGS = ("string", "large_string", "string_view")
BYTES = ("binary", "large_binary", "binary_view", "fixed_size_binary")
LISTS = ("list", "large_list", "fixed_size_list", "list_view", "large_list_view")


@dataclass(frozen=True)
class ParquetColumn:
    """Each row of a text column is one document.

    ``column`` may name a field inside structs, ``data.text``. Its type is any of Arrow's strings,
    or binary with UTF-8 in it; dictionaries of these too.
    """

    paths: tuple[Path, ...]
    column: str
    is_text = True

    def facts(self) -> dict[str, Any]:
        """How the files are read, without their names."""
        return {"kind": "parquet", "column": self.column}

    def identify(self, path: Path) -> tuple[str, int]:
        """The sum of the file and its rows."""
        return _identify(path, self.column, "text")

    def read(self, path: Path, position: int) -> Iterator[tuple[Document | BadRow, int]]:
        """The documents; ``position`` is a row number."""
        for row, value in _rows(path, self.column, position):
            try:
                text = value.as_py()
            except UnicodeDecodeError:  # Arrow does not check its strings
                text = value.as_buffer().to_pybytes()
            yield text_of(f"{path}, row {row}", f"column {self.column!r}", text), row + 1


@dataclass(frozen=True)
class ParquetTokens:
    """Each row of a column of lists of integers is the tokens of one document."""

    paths: tuple[Path, ...]
    column: str
    vocab_size: int
    is_text = False

    def facts(self) -> dict[str, Any]:
        """How the files are read, without their names."""
        return {"kind": "parquet-tokens", "column": self.column, "vocab_size": self.vocab_size}

    def identify(self, path: Path) -> tuple[str, int]:
        """The sum of the file and its rows."""
        return _identify(path, self.column, "tokens")

    def read(self, path: Path, position: int) -> Iterator[tuple[Document | BadRow, int]]:
        """The documents; ``position`` is a row number."""
        for row, value in _rows(path, self.column, position):
            yield self._tokens(f"{path}, row {row}", value), row + 1

    def _tokens(self, where: str, value: Any) -> Document | BadRow:
        what = f"column {self.column!r}"
        tokens = value.values
        if tokens is None:
            return BadRow(where, "null", f"{what} is null")
        if tokens.null_count:
            return BadRow(where, "null", f"{what} has a null among its tokens")
        found = tokens.to_numpy(zero_copy_only=False)
        wrong = (found < 0) | (found >= self.vocab_size)
        if wrong.any():
            first = found[int(wrong.argmax())]
            return BadRow(
                where,
                "token out of range",
                f"{what} has token {first}, not in 0 to {self.vocab_size - 1} (--vocab-size)",
            )
        return np.asarray(found, token_type(self.vocab_size))


def column_kind(path: Path, column: str) -> str:
    """What a column holds: ``text`` or ``tokens``.

    Raises
    ------
    ValueError
        If there is no such column, or it holds neither.
    """
    import pyarrow as pa

    with open_parquet(path) as file:
        schema = file.schema_arrow
    kind = schema.field(column).type if column in schema.names else _inside(schema, column)
    if kind is None:
        raise ValueError(
            f"{path}: no column {column!r}; it has {', '.join(schema.names)}: choose one with "
            "--column"
        )
    if is_one_of(kind, (*STRINGS, *BYTES)):
        return "text"
    if is_one_of(kind, LISTS) and pa.types.is_integer(kind.value_type):
        return "tokens"
    raise ValueError(
        f"{path}: column {column!r} holds {kind}, not text or lists of tokens: choose another "
        "with --column"
    )


def is_one_of(kind: Any, names: Iterable[str]) -> bool:
    """Whether ``pyarrow.types`` calls a type, or the values of a dictionary, one of these names.

    A type that this pyarrow does not know yet is none.
    """
    import pyarrow as pa

    kind = getattr(kind, "storage_type", kind)  # of an extension type, such as JSON
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = (getattr(pa.types, f"is_{name}", None) for name in names)
    return any(test(plain) for test in tests if test is not None)


def _inside(schema: Any, column: str) -> Any:
    """The type of ``b`` in the struct ``a``, for ``a.b``; None if there is none."""
    import pyarrow as pa

    names = column.split(".")
    kind = schema.field(names[0]).type if names[0] in schema.names else None
    for name in names[1:]:
        if kind is None or not pa.types.is_struct(kind) or kind.get_field_index(name) < 0:
            return None
        kind = kind.field(name).type
    return kind


def _identify(path: Path, column: str, wanted: str) -> tuple[str, int]:
    if (found := column_kind(path, column)) != wanted:
        raise ValueError(f"{path}: column {column!r} holds {found}, the other files' {wanted}")
    with open_parquet(path) as file:
        return sha256_of(path).hex(), int(file.metadata.num_rows)


def _rows(path: Path, column: str, position: int) -> Iterator[tuple[int, Any]]:
    """The number and the Arrow scalar of each row from number ``position`` on."""
    import pyarrow as pa
    import pyarrow.compute as pc

    row = 0
    try:
        with open_parquet(path) as file:
            names = [] if column in file.schema_arrow.names else column.split(".")[1:]
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if row + rows <= position:
                    row += rows
                    continue
                for batch in file.iter_batches(ROWS, row_groups=[group], columns=[column]):
                    values = batch.column(0)
                    for value in pc.struct_field(values, names) if names else values:
                        row += 1
                        if row > position:
                            yield row - 1, value
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise ValueError(f"{path} is damaged after row {row} ({error}); get it again") from None


def open_parquet(path: Path) -> Any:
    """The file, opened; ``ValueError`` if it is no Parquet file, or not whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise ValueError(f"{path}: no Parquet file ({error})") from None
