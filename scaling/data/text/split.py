"""Which documents are trained on and which are held out: a function of their content alone."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scaling.base import progress
from scaling.data.text.sources import Source, digest

SKIP, TO_TRAIN, TO_HELDOUT, TO_SAMPLE = range(4)
SAMPLE = 32 << 20  # bytes of training text that a BPE learns from; more changes little


@dataclass(frozen=True)
class Split:
    """Each document's role: skipped, trained on, held out, trained on and in the BPE's sample.

    One byte per document, in the order in which the documents are read.
    """

    roles: NDArray[np.uint8]
    heldout_bytes: int

    def count(self, role: int) -> int:
        """Documents in ``role``."""
        return int(np.count_nonzero(self.roles == role))


def split_documents(
    name: str, source: Source, paths: list[Path], heldout: float, kept: Path
) -> Split:
    """Read every document once; skip repeated and empty ones; hold out some.

    Held out are the documents with the lowest hash, as many as reach a share ``heldout`` of
    the bytes. Needs 16 bytes of memory per document. The answer is kept in the file ``kept``.

    Raises
    ------
    ValueError
        With fewer than two distinct documents.
    """
    if kept.exists():
        with np.load(kept) as saved:
            return Split(saved["roles"], int(saved["heldout_bytes"]))
    marks, lengths = array("Q"), array("q")
    sizes = [source.size(path) for path in paths]
    with progress(f"{name}: reading", sum(sizes)) as advance:
        for path, size in zip(paths, sizes, strict=True):
            before = 0
            for document, position in source.read(path, 0):
                marks.append(digest(document))
                lengths.append(len(document))
                if len(marks) % 256 == 0:
                    advance(position - before)
                    before = position
            advance(size - before)
    weights = np.array(lengths, np.int64)
    first = np.unique(np.array(marks, np.uint64), return_index=True)[1]
    first = first[weights[first] > 0]  # distinct, not empty, in the order of their hash
    if len(first) < 2:
        raise ValueError(
            f"{name}: {len(marks)} documents, {len(first)} of them distinct and not empty; the "
            "split needs 2: give more, or cut long texts into blocks with --blocks"
        )
    seen = np.cumsum(weights[first])
    held = min(int(np.searchsorted(seen, heldout * seen[-1])) + 1, len(first) - 1)
    sampled = int(np.searchsorted(seen, seen[held - 1] + SAMPLE)) + 1
    roles = np.full(len(marks), SKIP, np.uint8)
    roles[first] = TO_TRAIN
    roles[first[held:sampled]] = TO_SAMPLE
    roles[first[:held]] = TO_HELDOUT
    split = Split(roles, int(seen[held - 1]))
    temporary = kept.with_name(f".{kept.name}")
    np.savez(temporary, roles=split.roles, heldout_bytes=split.heldout_bytes)
    temporary.replace(kept)
    return split
