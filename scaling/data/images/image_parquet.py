"""Parquet files with encoded images, as Hugging Face's data sets have them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scaling.data.images.labelled import (
    HELD,
    OPEN,
    TRAINING,
    Content,
    Index,
    Unusable,
    digest,
    whole_labels,
)
from scaling.data.info import sha256_of
from scaling.data.text.sources import BYTES, STRINGS, is_one_of, open_parquet

_TRAIN, _HELD = re.compile(r"train"), re.compile(r"(test|val|valid|validation)\b")
ROWS = 256  # read at once


class ImageParquet:
    """A row is an image, ``{"bytes": ...}`` or plain binary, and a label, a number or a name.

    A row without a label is a bad one, as is one whose image cannot be decoded.

    Files whose names begin with ``train`` and with ``test``, ``val`` or ``validation`` are the
    parts to train on and held out. Files are read in the order of their content's sha256.
    """

    def __init__(self, paths: tuple[Path, ...], image: str, label: str) -> None:
        self.image, self.label = image, label
        parts = [_part(path) for path in paths]
        if set(parts) != {TRAINING, HELD}:
            parts = [OPEN] * len(paths)
        by_content = {(part, sha256_of(p)): p for part, p in zip(parts, paths, strict=True)}
        self.files = [(part, path) for (part, _), path in sorted(by_content.items())]
        self._sizes: list[int] = []

    def facts(self) -> dict[str, Any]:
        """How the files are read, without their names."""
        return {"kind": "image-parquet", "image": self.image, "label": self.label}

    def index(self) -> Index:
        """Digests, labels and parts of all rows; named labels are numbered by their order."""
        digests, labels, parts, sizes = [], [], [], []
        for part, path in self.files:
            count = 0
            for content, label in self._rows(path, 0):
                count += 1
                digests.append(digest(content or b""))
                labels.append(label)
            parts += [part] * count
            sizes.append(count)
        self._sizes = sizes
        known = next((label for label in labels if label is not None), None)
        if known is None:
            raise ValueError(f"column {self.label!r}: every label is missing; add them")
        labels = [known if label is None else label for label in labels]  # skipped, or refused
        classes: tuple[str, ...] = ()
        if any(isinstance(label, str) for label in labels):
            classes = tuple(sorted({str(label) for label in labels}))
            number = {name: i for i, name in enumerate(classes)}
            labels = [number[str(label)] for label in labels]
        whole = whole_labels(f"column {self.label!r}", np.array(labels))
        return Index(np.array(digests, np.uint64), whole, np.array(parts, np.uint8), classes)

    def read(self, position: int) -> Iterator[tuple[str, Content]]:
        """The images of the rows."""
        for size, (_, path) in zip(self._sizes, self.files, strict=True):
            if position < size:
                for number, (content, label) in enumerate(self._rows(path, position), position):
                    usable = content if label is not None else Unusable("its label is missing")
                    yield f"{path.name}, row {number}", usable
            position = max(0, position - size)

    def _rows(self, path: Path, position: int) -> Iterator[tuple[bytes | None, Any]]:
        """Image and label of each row from ``position`` on."""
        import pyarrow as pa

        with open_parquet(path) as file:
            row = 0
            try:
                self._check(path, file.schema_arrow)
                for group in range(file.num_row_groups):
                    rows = file.metadata.row_group(group).num_rows
                    if row + rows <= position:
                        row += rows
                        continue
                    columns = [self.image, self.label]
                    for batch in file.iter_batches(ROWS, row_groups=[group], columns=columns):
                        images = _bytes_of(batch.column(self.image))
                        values = batch.column(self.label).to_pylist()
                        for content, value in zip(images, values, strict=True):
                            row += 1
                            if row > position:
                                yield content, value
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                damage = f"{path} is damaged after row {row} ({error}); get it again"
                raise ValueError(damage) from None

    def _check(self, path: Path, schema: Any) -> None:
        import pyarrow as pa

        for column, option in ((self.image, "--column"), (self.label, "--label-column")):
            if column not in schema.names:
                raise ValueError(
                    f"{path}: no column {column!r}; it has {', '.join(schema.names)}: "
                    f"choose one with {option}"
                )
        kind = schema.field(self.image).type
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            kind = kind.field("bytes").type
        if not is_one_of(kind, BYTES):
            raise ValueError(f"{path}: column {self.image!r} holds {kind}, not the bytes of images")
        kind = schema.field(self.label).type
        if not pa.types.is_integer(kind) and not is_one_of(kind, STRINGS):
            raise ValueError(f"{path}: column {self.label!r} holds {kind}, not numbers or names")


def _bytes_of(column: Any) -> list[bytes | None]:
    values: list[Any] = column.to_pylist()
    return [value.get("bytes") if isinstance(value, dict) else value for value in values]


def _part(path: Path) -> int:
    if _TRAIN.match(path.name):
        return TRAINING
    return HELD if _HELD.match(path.name.replace("_", "-")) else OPEN
