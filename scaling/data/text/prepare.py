"""Documents to memory-mapped shards: streamed, restartable, the same bits on every machine.

The files are taken in the order of their content's hash. One pass reads every document, drops
repeated and empty ones and holds out those with the lowest hash, unless what is held out comes in
files of its own; a second one encodes. What is done is written down every 16 MiB, so that a killed
preparation goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scaling.base import note, progress, read_json, write_atomic
from scaling.data.batches import HELDOUT, TRAIN, eval_file
from scaling.data.folder import building, check_name, publish, start_afresh
from scaling.data.info import (
    META,
    DataInfo,
    EvalInfo,
    fingerprint,
    made_before,
    write_info,
)
from scaling.data.text.corpus import Part, documents, gather
from scaling.data.text.sources import Document, ParquetTokens, Source, TokenShards, token_type
from scaling.data.text.split import (
    SKIP,
    TO_EVAL,
    TO_HELDOUT,
    TO_SAMPLE,
    TO_TRAIN,
    Split,
    split_documents,
)
from scaling.data.text.tokenizer import (
    TOKENIZER_FILE,
    BPETokenizer,
    ByteTokenizer,
    ShardTokenizer,
    Tokenizer,
    train_bpe,
)
from scaling.data.text.tokenizer_file import NAMES, FileTokenizer, TokenizerFile

PART = 16 << 20  # bytes of text between two notes of how far we are
BATCH = 2 << 20  # bytes of text encoded at once
REQUEST, STATE, SPLIT = "request.json", "state.json", "split.npz"
WORK = 2  # version of these three files: those of another are begun anew
SHARDS = "shards"
MOST_EVALS = 200  # roles are bytes


@dataclass
class State:
    """How far the encoding is: where to read on, and how many tokens of each shard are good."""

    file: int = 0
    position: int = 0
    document: int = 0
    sizes: list[int] = field(default_factory=list)


def prepare_tokens(
    name: str,
    source: Source,
    home: Path,
    *,
    tokenizer: str | TokenizerFile = "bytes",
    vocab_size: int = 8192,
    heldout: float | Source = 0.05,
    evals: Mapping[str, Source] | None = None,
    skip_bad: bool = False,
    origin: dict[str, Any] | None = None,
) -> DataInfo:
    """Make ``home/name`` from ``source``, or find it made already.

    Parameters
    ----------
    tokenizer : {"bytes", "bpe"} or TokenizerFile
        Ignored for tokens.
    vocab_size : int
        Tokens of the BPE, at least 257.
    heldout : float or Source
        Share of the bytes to hold out, between 0 and 0.5, in whole documents; or what to hold out.
    evals : dict of str to Source, optional
        Further sets to evaluate on, by name.
    skip_bad : bool
        Leave out what is no document. It is counted, and named in part, in any case.
    origin : dict, optional
        Said in ``meta.json``; no part of the fingerprint.

    Raises
    ------
    ValueError
        For input that cannot be used, when what is evaluated is trained on too, and when ``name``
        is another data set already.
    """
    check_name(name)
    for one in evals or {}:
        check_name(one, "evaluation")
    if len(evals or {}) > MOST_EVALS:
        raise ValueError(f"{name}: {len(evals or {})} further sets; there may be {MOST_EVALS}")
    share = heldout if isinstance(heldout, int | float) else None
    if share is not None and not 0 < share <= 0.5:
        raise ValueError(f"heldout {share} must be above 0 and at most 0.5")
    encoder = _opened(source, tokenizer, vocab_size)
    kind = "bpe" if encoder is None else encoder.kind
    sources = {"train": source}
    if not isinstance(heldout, int | float):
        sources["heldout"] = heldout
    sources |= {f"eval/{one}": files for one, files in (evals or {}).items()}
    if len({files.is_text for files in sources.values()}) > 1:
        raise ValueError(f"{name}: some files hold text, others tokens: give all of one kind")
    parts = [gather(name, label, files, skip_bad) for label, files in sources.items()]
    facts = _facts(parts, kind, share)
    if kind == "bpe":
        facts["vocab_size"] = vocab_size
    if isinstance(encoder, FileTokenizer):
        facts |= encoder.asked.facts()
    content = list(parts[0].content)
    request = hashlib.sha256(
        json.dumps({"facts": facts, "content": content}, sort_keys=True).encode()
    ).hexdigest()
    with building(home, name) as partial:
        if (done := made_before(home / name, request)) is not None:
            _judge_skipped(name, home / name, skip_bad)
            return done
        if read_json(partial / REQUEST) != (work := {"request": request, "work": WORK}):
            start_afresh(partial)
            write_atomic(partial / REQUEST, json.dumps(work))
        split = split_documents(name, parts, share, partial / SPLIT, skip_bad)
        if encoder is None:
            if not (partial / TOKENIZER_FILE).exists():
                note(f"{name}: training a BPE of {vocab_size} tokens")
                train_bpe(_sample(parts[0], split), vocab_size, partial / TOKENIZER_FILE)
            encoder = BPETokenizer(partial / TOKENIZER_FILE)
        elif isinstance(encoder, FileTokenizer):
            shutil.copyfile(encoder.asked.path, partial / NAMES[kind])
        state = _encode(name, parts, partial, split, encoder)
        info = _describe(name, partial, parts, split, encoder, state)
        for leftover in (REQUEST, STATE, SPLIT):
            (partial / leftover).unlink(missing_ok=True)
        tallies = {label: asdict(tally) for label, tally in split.tallies.items()}
        write_info(
            partial, info, request=request, facts=facts, documents=tallies, origin=origin or {}
        )
        publish(partial, home / name)
    return info


def _opened(source: Source, asked: str | TokenizerFile, vocab_size: int) -> Tokenizer | None:
    """The tokenizer; None for a BPE that is still to be trained."""
    if isinstance(source, TokenShards | ParquetTokens):
        return ShardTokenizer(source.vocab_size)
    if isinstance(asked, TokenizerFile):
        return FileTokenizer(asked)
    if asked == "bytes":
        return ByteTokenizer()
    if asked != "bpe":
        raise ValueError(f"tokenizer {asked!r} is not known: choose bytes, bpe or a file")
    if not 257 <= vocab_size <= 2**24:
        raise ValueError(f"vocab_size {vocab_size} must be 257 (256 bytes, a separator) to 2^24")
    return None


def _facts(parts: Sequence[Part], kind: str, share: float | None) -> dict[str, Any]:
    """What was asked for; without other evaluations as it was before there were any."""
    others = {part.label: part.facts() for part in parts[1:]}
    heldout = others.pop("heldout") if share is None else share
    facts = {"source": parts[0].source.facts(), "tokenizer": kind, "heldout": heldout}
    return {**facts, "evals": others} if others else facts


def _judge_skipped(name: str, folder: Path, skip_bad: bool) -> None:
    """Refuse a set that was made without some bad rows where they are not to be skipped."""
    tallies = (read_json(folder / META) or {}).get("documents", {})
    skipped = [f"{n} {why}" for t in tallies.values() for why, n in t["skipped"].items()]
    if skipped and not skip_bad:
        raise ValueError(
            f"{name} was made without bad rows ({', '.join(skipped)}): mend them and choose "
            "another name, or accept this with --skip-bad"
        )


def _sample(part: Part, split: Split) -> Iterator[bytes]:
    """The documents that a BPE learns from."""
    number = 0
    for path in part.paths:
        for document, _ in documents(part.source, path, 0):
            if split.roles[number] == TO_SAMPLE:
                yield bytes(document)
            number += 1


def _shards(parts: Sequence[Part]) -> dict[int, str]:
    """Role -> the file that its documents go to; training first."""
    evals = [part.label.removeprefix("eval/") for part in parts if part.label.startswith("eval/")]
    files = {TO_TRAIN: TRAIN, TO_HELDOUT: HELDOUT}
    return files | {TO_EVAL + i: eval_file(one) for i, one in enumerate(evals)}


def _encode(
    name: str, parts: Sequence[Part], partial: Path, split: Split, encoder: Tokenizer
) -> State:
    """Write all shards, going on from where ``state.json`` says."""
    dtype = token_type(encoder.vocab_size)
    files = [
        (part.source, path, size)
        for part in parts
        for path, size in zip(part.paths, part.sizes, strict=True)
    ]
    names = _shards(parts)
    shard_of = {role: i for i, role in enumerate(names)} | {TO_SAMPLE: 0}
    state = State(**(read_json(partial / STATE) or {"sizes": [0] * len(names)}))
    with ExitStack() as stack:
        total = sum(size for *_, size in files)
        advance = stack.enter_context(progress(f"{name}: encoding", total))
        shards = []
        for shard, tokens in zip(names.values(), state.sizes, strict=True):
            file = stack.enter_context((partial / shard).open("ab"))
            file.truncate(tokens * dtype.itemsize)
            shards.append(file)
        advance(sum(size for *_, size in files[: state.file]) + state.position)

        def write(batch: list[tuple[Document, int]]) -> None:
            encoded = encoder.encode([document for document, _ in batch])
            for (_, shard), row in zip(batch, encoded, strict=True):
                shards[shard].write(row.astype(dtype).tobytes())
                state.sizes[shard] += len(row)

        def save() -> None:
            for file in shards:
                file.flush()
                os.fsync(file.fileno())
            write_atomic(partial / STATE, json.dumps(asdict(state)))

        batch: list[tuple[Document, int]] = []
        waiting = unsaved = 0
        while state.file < len(files):
            source, path, size = files[state.file]
            start = state.position
            for document, position in documents(source, path, start):
                role = int(split.roles[state.document])
                if role != SKIP:
                    batch.append((document, shard_of[role]))
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
            advance(size - start)
            state.file, state.position = state.file + 1, 0
        write(batch)
        save()
    return state


def _describe(
    name: str,
    partial: Path,
    parts: Sequence[Part],
    split: Split,
    encoder: Tokenizer,
    state: State,
) -> DataInfo:
    """What was made."""
    kind = encoder.kind
    facts = {"unit": "token", "tokenizer": kind, "vocab_size": encoder.vocab_size}
    shards = _shards(parts)
    tokenizers = [partial / NAMES[kind]] if kind in NAMES else []
    if isinstance(encoder, FileTokenizer):
        facts |= {"separator": encoder.separator, "pattern": encoder.pattern}
    elif kind == "bpe":
        tokenizers = [partial / TOKENIZER_FILE]
    files = [partial / shard for shard in shards.values()]
    held, *others = (
        EvalInfo(
            name=shard.removesuffix(".bin").removeprefix("eval-"),
            size=size,
            documents=(count := split.count(role)),
            bytes_per_token=None if kind == SHARDS else (split.sizes[role] + count) / size,
        )
        for (role, shard), size in list(zip(shards.items(), state.sizes, strict=True))[1:]
    )
    return DataInfo(
        name=name,
        fingerprint=fingerprint(facts, [*files[:2], *tokenizers, *files[2:]]),
        unit="token",
        train_size=state.sizes[0],
        heldout_size=held.size,
        vocab_size=encoder.vocab_size,
        train_documents=split.count(TO_TRAIN) + split.count(TO_SAMPLE),
        heldout_documents=held.documents,
        bytes_per_token=held.bytes_per_token,
        tokenizer=kind,
        dtype=token_type(encoder.vocab_size).name,
        evals=tuple(others),
    )
