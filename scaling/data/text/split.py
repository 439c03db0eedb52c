"""Which documents are trained on and which are held out: a function of their content alone."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.base import note, progress
from scaling.data.text.corpus import NAMED, Part, Tally
from scaling.data.text.overlap import Overlap
from scaling.data.text.sources import BadRow, Document, digest

SKIP, TO_TRAIN, TO_HELDOUT, TO_SAMPLE, TO_EVAL = range(5)
TOO_MUCH = 0.5  # of a set that is trained on too
SAMPLE = 32 << 20  # bytes of training text that a BPE learns from; more changes little


@dataclass(frozen=True)
class Split:
    """Each document's role: skipped, trained on, held out, trained on and in the BPE's sample, or,
    from ``TO_EVAL`` on, in one of the other evaluations.

    One byte per document, in the order in which the documents are read.

    Attributes
    ----------
    sizes : list of int
        Bytes (tokens) of the documents in each role.
    tallies : dict of str to Tally
        What was dropped, by the part's label.
    """

    roles: NDArray[np.uint8]
    sizes: list[int]
    tallies: dict[str, Tally]

    def count(self, role: int) -> int:
        """Documents in ``role``."""
        return int(np.count_nonzero(self.roles == role))


@dataclass(frozen=True)
class _Read:
    """The documents of a part: their digests and lengths, and how many each file has."""

    part: Part
    marks: NDArray[np.uint64]
    lengths: NDArray[np.int64]
    per_file: list[int]
    skipped: Counter[str]

    def distinct(self) -> NDArray[np.intp]:
        """The first of each distinct document that is not empty, in the order of their digests."""
        first = np.unique(self.marks, return_index=True)[1]
        return first[self.lengths[first] > 0]

    def tally(self, taken: int) -> Tally:
        empty = int(np.count_nonzero(self.lengths == 0))
        skipped = self.skipped + Counter(self.part.unusable)
        return Tally(
            documents=len(self.marks),
            duplicates=len(self.marks) - empty - taken,
            empty=empty,
            repeated_files=self.part.repeated,
            skipped=dict(skipped),
        )

    def file_of(self, number: int) -> Path:
        return self.part.paths[int(np.searchsorted(np.cumsum(self.per_file), number, "right"))]


def split_documents(
    name: str, parts: Sequence[Part], heldout: float | None, kept: Path, skip_bad: bool
) -> Split:
    """Read every document once; skip bad, repeated and empty ones; say who is held out.

    The parts are those to train on; to hold out, for a ``heldout`` of None; and of the other
    evaluations. With a share ``heldout`` of the bytes, the documents with the lowest hash are held
    out, as many as reach it. Needs 16 bytes of memory per document. The answer is kept in the file
    ``kept``.

    Raises
    ------
    ValueError
        With too few distinct documents, a bad row that is not to be skipped, or a document, or half
        a set, that is both trained on and evaluated.
    """
    if kept.exists():
        with np.load(kept) as saved:
            facts = json.loads(str(saved["facts"]))
            tallies = {label: Tally(**tally) for label, tally in facts["tallies"].items()}
            return Split(saved["roles"], facts["sizes"], tallies)
    overlap = Overlap()
    with progress(f"{name}: reading", sum(sum(part.sizes) for part in parts)) as advance:

        def read(part: Part, see: Callable[[int, Document], None]) -> _Read:
            return _read(name, part, skip_bad, advance, see)

        others = [read(part, _adding(overlap, part.label)) for part in parts[1:]]
        train = read(parts[0], overlap.see if others else lambda *_: None)
    roles = [_sides(name, train, heldout)]
    trained = (roles[0] == TO_TRAIN) | (roles[0] == TO_SAMPLE)
    shares = overlap.shares(trained)
    tallies = {"train": train.tally(int(np.count_nonzero(roles[0])))}
    for role, one in enumerate(others, TO_EVAL if heldout is not None else TO_EVAL - 1):
        label, chosen = one.part.label, one.distinct()
        if not len(chosen):
            raise ValueError(
                f"{name}: {label} has no document that is not empty: give more{_bad(one)}"
            )
        _refuse_overlap(name, one, chosen, train.marks[trained], shares[label])
        rows = np.zeros(len(one.marks), np.uint8)
        rows[chosen] = role if role >= TO_EVAL else TO_HELDOUT
        roles.append(rows)
        tallies[label] = replace(one.tally(len(chosen)), trained_on=shares[label])
    lengths = np.concatenate([one.lengths for one in (train, *others)])
    whole = np.concatenate(roles)
    sizes = np.bincount(whole, lengths, TO_EVAL).astype(np.int64).tolist()
    for label, tally in tallies.items():
        if said := tally.sentence():
            note(f"{name}: of {tally.documents:,} documents ({label}): {said}")
    saved_facts = {"sizes": sizes, "tallies": {k: asdict(v) for k, v in tallies.items()}}
    temporary = kept.with_name(f".{kept.name}")
    np.savez(temporary, roles=whole, facts=np.array(json.dumps(saved_facts)))
    temporary.replace(kept)
    return Split(whole, sizes, tallies)


def _adding(overlap: Overlap, label: str) -> Callable[[int, Document], None]:
    return lambda _, document: overlap.add(label, document)


def _sides(name: str, train: _Read, heldout: float | None) -> NDArray[np.uint8]:
    """The roles of the documents to train on, some of which are held out for a share."""
    first = train.distinct()  # in the order of their hash
    needed = 1 if heldout is None else 2
    if len(first) < needed:
        raise ValueError(
            f"{name}: {len(train.marks)} documents, {len(first)} of them distinct and not empty; "
            f"{'training' if heldout is None else 'the split'} needs {needed}: give more, or cut "
            f"long texts into blocks with --blocks{_bad(train)}"
        )
    seen = np.cumsum(train.lengths[first])
    held = 0
    if heldout is not None:
        held = min(int(np.searchsorted(seen, heldout * seen[-1])) + 1, len(first) - 1)
    sampled = int(np.searchsorted(seen, (seen[held - 1] if held else 0) + SAMPLE)) + 1
    roles = np.zeros(len(train.marks), np.uint8)
    roles[first] = TO_TRAIN
    roles[first[held:sampled]] = TO_SAMPLE
    roles[first[:held]] = TO_HELDOUT
    return roles


def _read(
    name: str,
    part: Part,
    skip_bad: bool,
    advance: Callable[..., Any],
    see: Callable[[int, Document], None],
) -> _Read:
    """Read the documents of a part, ``see`` each; a bad row is an error unless it is skipped."""
    marks, lengths = array("Q"), array("q")
    per_file: list[int] = []
    skipped: Counter[str] = Counter()
    for path, size in zip(part.paths, part.sizes, strict=True):
        before, documents = 0, len(marks)
        for document, position in part.source.read(path, 0):
            if isinstance(document, BadRow):
                if not skip_bad:
                    raise ValueError(document.refusal)
                if skipped.total() < NAMED:
                    note(f"{name}: skipped {document.where}: {document.says}")
                skipped[document.reason] += 1
                continue
            see(len(marks), document)
            marks.append(digest(document))
            lengths.append(len(document))
            if len(marks) % 256 == 0:
                advance(position - before)
                before = position
        advance(size - before)
        per_file.append(len(marks) - documents)
    return _Read(part, np.array(marks, np.uint64), np.array(lengths, np.int64), per_file, skipped)


def _bad(read: _Read) -> str:
    """How many rows were bad, at the end of a message."""
    bad = read.skipped + Counter(read.part.unusable)
    said = ", ".join(f"{count} {reason}" for reason, count in bad.items())
    return f" (skipped as bad: {said})" if said else ""


def _refuse_overlap(
    name: str,
    read: _Read,
    chosen: NDArray[np.intp],
    trained: NDArray[np.uint64],
    share: float,
) -> None:
    """Refuse a set that has documents, or half of its text, that are trained on too."""
    label = read.part.label
    both = chosen[np.isin(read.marks[chosen], trained)]
    if len(both):
        raise ValueError(
            f"{name}: {len(both)} of {len(chosen)} documents of {label} are among those to train "
            f"on (one in {read.file_of(int(both.min()))}): leave them out of either"
        )
    if share >= TOO_MUCH:
        raise ValueError(
            f"{name}: {share:.0%} of {label} is in the files to train on: leave it out of either"
        )
