"""Documents to memory-mapped shards: streamed, restartable, the same bits on every machine.

The files are taken in the order of their content's hash. One pass reads every document, drops
repeated and empty ones and holds out those with the lowest hash; a second one encodes. What is
done is written down every 16 MiB, so that a killed preparation goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scaling.base import note, progress, read_json, write_atomic
from scaling.data.batches import HELDOUT, TRAIN
from scaling.data.folder import building, check_name, publish, start_afresh
from scaling.data.info import DataInfo, fingerprint, made_before, sha256_of, write_info
from scaling.data.text.sources import Document, Source, TokenShards
from scaling.data.text.split import TO_HELDOUT, TO_SAMPLE, TO_TRAIN, Split, split_documents
from scaling.data.text.tokenizer import (
    TOKENIZER_FILE,
    BPETokenizer,
    ByteTokenizer,
    ShardTokenizer,
    Tokenizer,
    train_bpe,
)

PART = 16 << 20  # bytes of text between two notes of how far we are
BATCH = 2 << 20  # bytes of text encoded at once
REQUEST, STATE, SPLIT = "request.json", "state.json", "split.npz"


@dataclass
class State:
    """How far the encoding is: where to read on, and how much of the shards is good."""

    file: int = 0
    position: int = 0
    document: int = 0
    train_size: int = 0
    heldout_size: int = 0


def prepare_tokens(
    name: str,
    source: Source,
    home: Path,
    *,
    tokenizer: str = "bytes",
    vocab_size: int = 8192,
    heldout: float = 0.05,
    origin: dict[str, Any] | None = None,
) -> DataInfo:
    """Make ``home/name`` from ``source``, or find it made already.

    Parameters
    ----------
    tokenizer : {"bytes", "bpe"}
        Ignored for token shards.
    vocab_size : int
        Tokens of the BPE, at least 257.
    heldout : float
        Share of the bytes to hold out, between 0 and 0.5; whole documents.
    origin : dict, optional
        Said in ``meta.json``; no part of the fingerprint.

    Raises
    ------
    ValueError
        For input that cannot be used, and when ``name`` is another data set already.
    """
    check_name(name)
    if not 0 < heldout <= 0.5:
        raise ValueError(f"heldout {heldout} must be above 0 and at most 0.5")
    kind = "shards" if isinstance(source, TokenShards) else tokenizer
    if kind not in ("bytes", "bpe", "shards"):
        raise ValueError(f"tokenizer {kind!r} is not known: choose bytes or bpe")
    if kind == "bpe" and not 257 <= vocab_size <= 2**24:
        raise ValueError(f"vocab_size {vocab_size} must be 257 (256 bytes, a separator) to 2^24")
    paths, content = _in_order(name, source)
    facts = {"source": source.facts(), "tokenizer": kind, "heldout": heldout}
    if kind == "bpe":
        facts["vocab_size"] = vocab_size
    request = hashlib.sha256(
        json.dumps({"facts": facts, "content": content}, sort_keys=True).encode()
    ).hexdigest()
    with building(home, name) as partial:
        if (done := made_before(home / name, request)) is not None:
            return done
        if read_json(partial / REQUEST) != {"request": request}:
            start_afresh(partial)
            write_atomic(partial / REQUEST, json.dumps({"request": request}))
        split = split_documents(name, source, paths, heldout, partial / SPLIT)
        encoder: Tokenizer
        if isinstance(source, TokenShards):
            encoder = ShardTokenizer(source.vocab_size)
        elif kind == "bpe":
            if not (partial / TOKENIZER_FILE).exists():
                note(f"{name}: training a BPE of {vocab_size} tokens")
                train_bpe(_sample(source, paths, split), vocab_size, partial / TOKENIZER_FILE)
            encoder = BPETokenizer(partial / TOKENIZER_FILE)
        else:
            encoder = ByteTokenizer()
        state = _encode(name, source, paths, partial, split, encoder)
        info = _describe(name, partial, split, encoder, kind, state)
        for leftover in (REQUEST, STATE, SPLIT):
            (partial / leftover).unlink(missing_ok=True)
        write_info(partial, info, request=request, facts=facts, origin=origin or {})
        publish(partial, home / name)
    return info


def _in_order(name: str, source: Source) -> tuple[list[Path], list[str]]:
    """The files in the order of their content's sha256, each content once, and those sums."""
    total = 0
    for path in source.paths:
        if path.is_dir():
            raise ValueError(f"{path} is a folder: name files, or a pattern such as '{path}/*'")
        total += path.stat().st_size
    if total == 0:
        raise ValueError(f"{name}: {len(source.paths)} files hold 0 bytes: choose others")
    by_content: dict[str, Path] = {}
    with progress(f"{name}: checking {len(source.paths)} files", total) as advance:
        for path in source.paths:
            by_content.setdefault(sha256_of(path).hex(), path)
            advance(path.stat().st_size)
    content = sorted(by_content)
    return [by_content[key] for key in content], content


def _sample(source: Source, paths: list[Path], split: Split) -> Iterator[bytes]:
    """The documents that a BPE learns from."""
    number = 0
    for path in paths:
        for document, _ in source.read(path, 0):
            if split.roles[number] == TO_SAMPLE:
                yield bytes(document)
            number += 1


def _dtype(vocab_size: int) -> np.dtype[Any]:
    return np.dtype("<u2" if vocab_size <= 2**16 else "<u4")


def _encode(
    name: str,
    source: Source,
    paths: list[Path],
    partial: Path,
    split: Split,
    encoder: Tokenizer,
) -> State:
    """Write both shards, going on from where ``state.json`` says."""
    dtype = _dtype(encoder.vocab_size)
    state = State(**(read_json(partial / STATE) or {}))
    sizes = [source.size(path) for path in paths]
    with ExitStack() as stack:
        advance = stack.enter_context(progress(f"{name}: encoding", sum(sizes)))
        shards = []
        for shard, size in ((TRAIN, state.train_size), (HELDOUT, state.heldout_size)):
            file = stack.enter_context((partial / shard).open("ab"))
            file.truncate(size * dtype.itemsize)
            shards.append(file)
        advance(sum(sizes[: state.file]) + state.position)

        def write(batch: list[tuple[Document, bool]]) -> None:
            tokens = encoder.encode([document for document, _ in batch])
            for (_, held), row in zip(batch, tokens, strict=True):
                shards[held].write(row.astype(dtype).tobytes())
                if held:
                    state.heldout_size += len(row)
                else:
                    state.train_size += len(row)

        def save() -> None:
            for file in shards:
                file.flush()
                os.fsync(file.fileno())
            write_atomic(partial / STATE, json.dumps(asdict(state)))

        batch: list[tuple[Document, bool]] = []
        waiting = unsaved = 0
        while state.file < len(paths):
            start = state.position
            for document, position in source.read(paths[state.file], start):
                role = split.roles[state.document]
                if role:
                    batch.append((document, bool(role == TO_HELDOUT)))
                    waiting += len(document)
                state.document += 1
                state.position = position
                if waiting >= BATCH:
                    write(batch)
                    advance(position - start)
                    start, unsaved = position, unsaved + waiting
                    batch, waiting = [], 0
                if unsaved >= PART:
                    save()
                    unsaved = 0
            advance(sizes[state.file] - start)
            state.file, state.position = state.file + 1, 0
        write(batch)
        save()
    return state


def _describe(
    name: str, partial: Path, split: Split, encoder: Tokenizer, kind: str, state: State
) -> DataInfo:
    """What was made."""
    facts = {"unit": "token", "tokenizer": kind, "vocab_size": encoder.vocab_size}
    files = [partial / TRAIN, partial / HELDOUT]
    if kind == "bpe":
        files.append(partial / TOKENIZER_FILE)
    held = split.count(TO_HELDOUT)
    return DataInfo(
        name=name,
        fingerprint=fingerprint(facts, files),
        unit="token",
        train_size=state.train_size,
        heldout_size=state.heldout_size,
        vocab_size=encoder.vocab_size,
        train_documents=split.count(TO_TRAIN) + split.count(TO_SAMPLE),
        heldout_documents=held,
        bytes_per_token=None
        if kind == "shards"
        else (split.heldout_bytes + held) / state.heldout_size,
        tokenizer=kind,
        dtype=_dtype(encoder.vocab_size).name,
    )
