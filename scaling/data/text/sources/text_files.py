"""Text files, each a document or cut into blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.data.text.sources.content import identify, opened
from scaling.data.text.sources.source import BLOCK, BadRow, Document


@dataclass(frozen=True)
class TextFiles:
    """Each file is one document or, with ``blocks``, is cut into blocks of about 8 KiB.

    A block ends at a line end where the 8 KiB hold one, else at the end of a UTF-8 character.
    """

    paths: tuple[Path, ...]
    blocks: bool = False
    is_text = True

    def facts(self) -> dict[str, Any]:
        """How the files are read, without their names."""
        return {"kind": "text", "blocks": self.blocks}

    def identify(self, path: Path) -> tuple[str, int]:
        """The sum and the bytes of the text."""
        return identify(path, plain=True)

    def read(self, path: Path, position: int) -> Iterator[tuple[Document | BadRow, int]]:
        """The file, or its blocks; ``position`` is a byte offset in the text."""
        with opened(path, position) as file:
            if not self.blocks:
                if position == 0:
                    content = file.read()
                    yield content, len(content)
                return
            rest = b""
            while chunk := file.read(BLOCK - len(rest)):
                rest += chunk
                cut = _cut(rest) if len(rest) == BLOCK else len(rest)
                position += cut
                yield rest[:cut], position
                rest = rest[cut:]


def _cut(text: bytes) -> int:
    """Where to end a block: after the last line end, or before an unfinished character."""
    end = text.rfind(b"\n") + 1
    if end:
        return end
    cut = len(text)
    while cut > len(text) - 4 and text[cut - 1] & 0xC0 == 0x80:
        cut -= 1
    return cut - 1 if text[cut - 1] & 0xC0 == 0xC0 else len(text)
