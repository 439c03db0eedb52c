"""Texts with a label: tables with a column of each, or a folder of text files per class."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.data.images.labelled import (
    HELD,
    OPEN,
    TRAINING,
    Content,
    Index,
    Unusable,
    Vocabulary,
    digest,
)

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
MOST = 65_536  # bytes of a text, or tokens
READ = 1 << 20  # bytes of a text that are turned into tokens
AT_ONCE = 1000  # texts
_TRAIN, _HELD = re.compile(r"train"), re.compile(r"(test|dev|val|valid|validation)\b")
Row = tuple[int, str, str | None, bytes | None]  # part, what to call it, label, text


class LabelledTexts:
    """The first ``context`` bytes of each text (UTF-8), filled up with zeros.

    With a ``vocabulary`` they are the first tokens, filled up with that which ends a text.

    Tables are ``.csv``, ``.tsv``, ``.jsonl`` and ``.parquet`` with a column of texts and one of
    labels; a folder has a folder of files for each class. Files whose names begin with ``train``
    and with ``test``, ``dev``, ``val`` or ``validation`` are the parts to train on and held out,
    and so are folders of these names. Labels are numbered in the order of their names, whole
    numbers by themselves.
    """

    def __init__(
        self,
        paths: tuple[Path, ...],
        text: str,
        label: str,
        context: int,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        if not 1 <= context <= MOST:
            raise ValueError(f"--context {context} is not in [1, {MOST}]")
        self.context, self.vocabulary, self.fill = context, vocabulary, 0
        most = READ if vocabulary else context
        rows: list[Row] = []
        for path in paths:
            rows += _of_folder(path, most) if path.is_dir() else _of_table(path, text, label, most)
        if {part for part, *_ in rows} != {TRAINING, HELD}:
            rows = [(OPEN, *row[1:]) for row in rows]
        names = {label for *_, label, _ in rows if label is not None}
        if len(names) < 2:
            told = f"labels are all {min(names)}" if names else "none has a label"
            raise ValueError(f"{paths[0]}: {len(rows)} texts, {told}: give two classes or more")
        numbers = all(name.isdecimal() for name in names)
        self.classes = () if numbers else tuple(sorted(names))
        number = {name: int(name) if numbers else i for i, name in enumerate(sorted(names))}
        if max(number.values()) >= max(len(rows), 2):
            raise ValueError(
                f"labels go up to {max(number.values())} over {len(rows)} texts: they are numbers "
                "of classes, from 0; number them anew"
            )
        contents = self._tokens([content or b"" for *_, content in rows])
        found = [
            (part, digest(content), number.get(label or "", 0), called, label, content)
            for (part, called, label, _), content in zip(rows, contents, strict=True)
        ]
        self._rows = sorted(found, key=lambda row: row[:3])  # whatever the files' order

    def _tokens(self, texts: list[bytes]) -> list[NDArray[Any]]:
        """What is kept of each text, not filled up yet; nothing of one without content."""
        if self.vocabulary is None:
            return [np.frombuffer(text[: self.context], np.uint8) for text in texts]
        kind = np.min_scalar_type(self.vocabulary.size - 1)
        found: list[NDArray[Any]] = []
        for start in range(0, len(texts), AT_ONCE):
            encoded = self.vocabulary.encode(texts[start : start + AT_ONCE])
            found += [tokens[:-1][: self.context].astype(kind) for tokens in encoded]
        self.fill = int(encoded[0][-1])
        return found

    def facts(self) -> dict[str, Any]:
        """How the files are read, without their names."""
        facts = self.vocabulary.facts if self.vocabulary else {}
        return {"kind": "texts", "context": self.context, **facts}

    def index(self) -> Index:
        """Digests of the texts, labels and parts."""
        parts, digests, labels = zip(*(row[:3] for row in self._rows), strict=True)
        return Index(
            np.array(digests, np.uint64),
            np.array(labels, np.int64),
            np.array(parts, np.uint8),
            self.classes,
            {"vocab_size": v.size, "tokenizer": v.kind} if (v := self.vocabulary) else {},
            v.files if v else {},
        )

    def read(self, position: int) -> Iterator[tuple[str, Content]]:
        """The texts as tokens ``(context,)``."""
        for *_, called, label, content in self._rows[position:]:
            if label is None or not len(content):
                yield called, Unusable("its label is missing" if len(content) else "it has no text")
            else:
                tokens = np.full(self.context, self.fill, content.dtype)
                tokens[: len(content)] = content
                yield called, tokens


def _of_folder(root: Path, most: int) -> Iterator[Row]:
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not folders:
        raise ValueError(
            f"{root} holds no folders: give one with a folder of text files for each class, or "
            f"tables themselves ({', '.join(TABLES)}, .parquet)"
        )
    sides = {folder: _part(folder.name) for folder in folders}
    if OPEN not in sides.values() and set(sides.values()) == {TRAINING, HELD}:
        for folder, side in sides.items():
            yield from ((side, *row[1:]) for row in _of_folder(folder, most))
        return
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            with path.open("rb") as file:  # a digest of the part that is seen: copies of it are one
                yield OPEN, str(path.relative_to(root)), folder.name, file.read(most)


def _of_table(path: Path, text: str, label: str, most: int) -> Iterator[Row]:
    import pandas as pd

    bare = path.name.removesuffix(".gz")
    try:
        if bare.endswith(".parquet"):
            table = pd.read_parquet(path)
        elif bare.endswith((".jsonl", ".ndjson")):
            table = pd.read_json(path, lines=True, dtype=False)
        elif bare.endswith((".csv", ".tsv")):
            separator = "\t" if bare.endswith(".tsv") else ","
            with warnings.catch_warnings():  # of rows longer than the head
                warnings.simplefilter("error", pd.errors.ParserWarning)
                table = pd.read_csv(
                    path, sep=separator, dtype=str, keep_default_na=False, index_col=False
                )
            table = table.replace("", None)
        else:
            raise ValueError(f"it ends in none of {', '.join(TABLES)}, .parquet")
    except pd.errors.EmptyDataError:
        table = pd.DataFrame()
    except pd.errors.ParserWarning:
        raise ValueError(
            f"{path}: its first row has more fields than its head: quote texts with commas in them"
        ) from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 ({error.reason}): convert it") from None
    except (ValueError, OSError) as error:  # pandas' and pyarrow's own are of these
        raise ValueError(f"{path} cannot be read as a table of texts: {error}") from None
    if not len(table):
        raise ValueError(f"{path} has no rows: give texts and labels")
    for column, option in ((text, "--column"), (label, "--label-column")):
        if column not in table:
            raise ValueError(
                f"{path}: no column {column!r}; it has {', '.join(map(str, table.columns))}: "
                f"choose one with {option}"
            )
    if not any(isinstance(content, str) for content in table[text]):
        raise ValueError(
            f"{path}: column {text!r} holds {table[text].dtype}, no texts: choose one with --column"
        )
    for row, (content, name) in enumerate(zip(table[text], table[label], strict=True)):
        if isinstance(name, (list, tuple, dict, np.ndarray)):
            raise ValueError(
                f"{path}: row {row} has several labels ({name!r}): give one a text, of another "
                "--label-column"
            )
        missing = name is None or name != name or name == ""
        yield (
            _part(path.name),
            f"{path.name}, row {row}",
            None if missing else _name(name),
            content.encode()[:most] if isinstance(content, str) else None,
        )


def _name(label: Any) -> str:
    """A label as text; whole numbers that pandas made floats, as a column with gaps has them."""
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def _part(name: str) -> int:
    if _TRAIN.match(name):
        return TRAINING
    return HELD if _HELD.match(name.replace("_", "-")) else OPEN
