"""Files that are whole or not there: written in one step, read if they can be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from scaling.world import os, secrets


def beside(path: Path) -> Path:
    """A hidden name in the same folder that nobody else takes: process ids are one container's."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of ``path`` once all of it is on the disk.

    A reader, and a crash, sees the old or the new, never a part. Into a device or a pipe
    (``/dev/stdout``) it is written as it comes: nothing may take its place.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        with path.open("wb") as file:
            yield file
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside(path)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: Path, text: str) -> None:
    """Replace ``path`` by ``text``, whole or not at all."""
    with replacing(path) as file:
        file.write(text.encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in ``path``; None when the file is missing or not whole."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return value if isinstance(value, dict) else None
