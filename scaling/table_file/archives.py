"""Archives of tables, ``.zip`` and ``.tar``: one table, or a folder of them."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from scaling.table_file.packed import PACKINGS, kind_of

ARCHIVES = (".zip", ".tar", ".tgz")
LARGEST = 2**31
"""Bytes that are unpacked at most."""


def is_archive(path: Path) -> bool:
    """Whether a file's suffix is that of an archive, packed or not.

    >>> [is_archive(Path(name)) for name in ("runs.zip", "runs.csv.zip", "runs.tar.gz", "runs.gz")]
    [True, True, True, False]
    """
    suffix = path.suffix.lower()
    return suffix in ARCHIVES or (suffix in PACKINGS and kind_of(path) == ".tar")


@contextmanager
def unpacked(path: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """The one table in an archive, or a folder with its tables, as long as the context lasts.

    Tables are files of the kinds ``suffixes``, in the folders in which they are; hidden ones, and
    what macOS adds, are none.

    Raises
    ------
    ValueError
        If it is no archive, or has no table.
    """
    with tempfile.TemporaryDirectory() as made:
        folder, size = Path(made), 0
        try:
            for name, length, content in _members(path):
                place = PurePosixPath(name.replace("\\", "/"))
                hidden = any(part.startswith((".", "__MACOSX")) for part in place.parts)
                if hidden or place.is_absolute() or kind_of(Path(place)) not in suffixes:
                    continue
                size += length
                if size > LARGEST:
                    raise ValueError(
                        f"{path}: it unpacks to more than {LARGEST / 2**30:g} GiB; unpack it, and "
                        "name its folder or one file"
                    )
                target = folder / place
                target.parent.mkdir(parents=True, exist_ok=True)
                with content as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out)
        except (zipfile.BadZipFile, tarfile.TarError, OSError, EOFError, RuntimeError) as error:
            raise ValueError(
                f"{path}: it cannot be unpacked ({error}); copy it again, or unpack it yourself"
            ) from None
        files = [file for file in folder.rglob("*") if file.is_file()]
        if not files:
            raise ValueError(f"{path}: it has no table in it ({', '.join(suffixes)})")
        if len(files) == 1:
            yield files[0]
        else:
            while len(inside := [*folder.iterdir()]) == 1 and inside[0].is_dir():
                folder = inside[0]
            yield folder


def _members(path: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Name, size and content of each file in an archive."""
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if not entry.is_dir():
                    yield entry.filename, entry.file_size, archive.open(entry)
        return
    with tarfile.open(path) as packed:
        for member in packed:
            content = packed.extractfile(member) if member.isfile() else None
            if content is not None:
                yield member.name, member.size, content
