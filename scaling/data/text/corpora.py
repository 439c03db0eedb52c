"""Texts from Debian packages: a dictionary, manuals, formal proofs."""

from __future__ import annotations

from pathlib import Path

from scaling.data.info import DataInfo
from scaling.data.text.prepare import prepare_tokens
from scaling.data.text.sources import TextFiles


def by_block(name: str, home: Path, files: tuple[Path, ...]) -> DataInfo:
    """Byte-level, cut into blocks of about 8 KiB; 5 % of them held out."""
    return prepare_tokens(name, TextFiles(files, blocks=True), home, heldout=0.05)


def by_file(name: str, home: Path, files: tuple[Path, ...]) -> DataInfo:
    """Byte-level, a file is a document; 10 % of the bytes held out."""
    return prepare_tokens(name, TextFiles(files), home, heldout=0.1)
