"""The files of a data set before it is made: to train on, held out, and of other evaluations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scaling.base import progress
from scaling.data.text.sources import BadRow, Document, Source, UnusableFile

NAMED = 5  # bad rows named in a message
WORTH_SAYING = 0.01  # of a set that is trained on too


@dataclass(frozen=True)
class Part:
    """Files of one source in the order of their content's sums, each content once.

    Attributes
    ----------
    label : str
        ``train``, ``heldout`` or ``eval/NAME``.
    paths, content, sizes
        The files, their sums, and the positions after their last documents.
    repeated : int
        Files left out because another one has the same content.
    unusable : dict of str to int
        Files left out because they hold no text: reason -> count.
    """

    label: str
    source: Source
    paths: tuple[Path, ...]
    content: tuple[str, ...]
    sizes: tuple[int, ...]
    repeated: int = 0
    unusable: dict[str, int] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """What the part is made of, without names of files."""
        return {"source": self.source.facts(), "content": list(self.content)}


def gather(name: str, label: str, source: Source, skip_bad: bool) -> Part:
    """Read every file once to know its content.

    Raises
    ------
    ValueError
        If a file is of another kind and not skipped, or nothing is left.
    """
    total = 0
    for path in source.paths:
        if path.is_dir():
            raise ValueError(f"{path} is a folder: name files, or a pattern such as '{path}/*'")
        total += path.stat().st_size
    if total == 0:
        raise ValueError(f"{name}: {len(source.paths)} files hold 0 bytes: choose others")
    found: dict[str, tuple[Path, int]] = {}
    unusable: Counter[str] = Counter()
    with progress(f"{name}: checking {len(source.paths)} files", total) as advance:
        for path in source.paths:
            try:
                content, size = source.identify(path)
            except UnusableFile as error:
                if not skip_bad:
                    raise ValueError(f"{error}; or leave such files out with --skip-bad") from None
                unusable[error.reason] += 1
            else:
                found.setdefault(content, (path, size))
            advance(path.stat().st_size)
    if not found:
        raise ValueError(
            f"{name}: none of {len(source.paths)} files ({label}) can be used: {_words(unusable)}"
        )
    sums = sorted(found)
    paths, sizes = zip(*(found[content] for content in sums), strict=True)
    repeated = len(source.paths) - len(found) - unusable.total()
    return Part(label, source, paths, tuple(sums), sizes, repeated, dict(unusable))


def documents(source: Source, path: Path, position: int) -> Iterator[tuple[Document, int]]:
    """The documents of one file, bad rows left out."""
    for document, after in source.read(path, position):
        if not isinstance(document, BadRow):
            yield document, after


@dataclass(frozen=True)
class Tally:
    """What became of the documents of a part: those read, and those dropped or skipped and why.

    ``trained_on`` is the share of its text that is in the documents to train on too.
    """

    documents: int = 0
    duplicates: int = 0
    empty: int = 0
    repeated_files: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    trained_on: float = 0.0

    def sentence(self) -> str:
        """The same in words; empty if all were taken."""
        counts = {
            "repeated files": self.repeated_files,
            "repeated": self.duplicates,
            "empty": self.empty,
        }
        dropped = _words({word: count for word, count in counts.items() if count})
        skipped = _words(self.skipped)
        said = [f"dropped {dropped}"] if dropped else []
        said += [f"skipped as bad {skipped}"] if skipped else []
        if self.trained_on >= WORTH_SAYING:
            said.append(f"{self.trained_on:.1%} of their text is in the files to train on too")
        return "; ".join(said)


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {word}" for word, count in sorted(counts.items()))
