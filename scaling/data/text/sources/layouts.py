"""Files of tokens: their type, where the tokens begin, and where documents do, where that is known.

NumPy arrays, Megatron's ``.bin`` with its ``.idx``, and the head of llm.c (modded-nanoGPT has the
same) say it themselves. nanoGPT's and other raw files do not.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.data.text.sources.content import head_of, known_kind, packing

NUMPY = b"\x93NUMPY"
MEGATRON, MEGATRON_HEAD = b"MMIDIDX\x00\x00", 34
# DType of megatron/core/datasets/indexed_dataset.py; 6 and 7 are floats.
MEGATRON_DTYPES = {1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}
# HEADERS_INFO of llm.c's dev/data/data_common.py: magic -> version and type. The head is 256 int32:
# magic, version, number of tokens, zeros.
LLM_C = {20240520: (1, "<u2"), 20240801: (7, "<u4")}
LLM_C_HEAD = 1024
SAMPLES, SAMPLE = 16, 1 << 15  # pieces of a file, and their bytes, that its type is judged by
_PRINTABLE = re.compile(rb"[\t\n\r -~]+")
FEW = 32  # tokens that say nothing of their type
SMALL, LARGE = 16, 1 << 12


@dataclass(frozen=True)
class Layout:
    """Where the tokens of a file lie.

    Attributes
    ----------
    kind : str
        ``raw``, ``numpy``, ``megatron`` or ``llm.c``.
    dtype : dtype
        Of one token.
    start, count : int
        Bytes before the first token, and the number of tokens.
    bounds : (n_documents + 1,) int64 or None
        The token with which each document begins, and the number of tokens.
    index : Path or None
        The file that says so.
    """

    kind: str
    dtype: np.dtype[Any]
    start: int
    count: int
    bounds: NDArray[np.int64] | None = None
    index: Path | None = None


def layout_of(path: Path, declared: str | None) -> Layout:
    """How tokens lie in ``path``; ``declared`` is their type where the file does not say it.

    Raises
    ------
    ValueError
        If the file is of another kind, not whole, or of another type than ``declared``.
    """
    head = head_of(path)
    index = path.with_suffix(".idx")
    if head.startswith(NUMPY):
        found = _numpy(path)
    elif index.is_file() and head_of(index).startswith(MEGATRON):
        found = _megatron(path, index)
    elif len(head) >= 12 and struct.unpack_from("<i", head)[0] in LLM_C:
        found = _llm_c(path, head)
    else:
        return _raw(path, head, declared)
    if declared is not None and np.dtype(declared) != found.dtype.newbyteorder("="):
        raise ValueError(
            f"{path} holds {found.dtype.name} ({found.kind}), not --dtype {declared}: leave "
            "--dtype out"
        )
    return found


def _numpy(path: Path) -> Layout:
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0
            if version != (1, 0):
                read = np.lib.format.read_array_header_2_0
            shape, fortran, kind = read(file)
            start = file.tell()
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} cannot be read ({error}): write it again by numpy.save") from None
    if kind.kind not in "iu" or len(shape) not in (1, 2) or (fortran and len(shape) == 2):
        raise ValueError(
            f"{path} holds {kind} of shape {shape}: tokens are integers, (n,) or (rows, n) in the "
            "order of C"
        )
    count, size = int(np.prod(shape, dtype=np.int64)), path.stat().st_size
    if size != start + count * kind.itemsize:
        raise ValueError(
            f"{path} has {size} bytes, its head says {shape} of {kind}, "
            f"{start + count * kind.itemsize} bytes: get it again"
        )
    return Layout("numpy", kind, start, count)


def _megatron(path: Path, index: Path) -> Layout:
    """By ``_IndexReader`` of megatron/core/datasets/indexed_dataset.py.

    Magic (9 bytes), version 1 (uint64), type (uint8), sequences and documents + 1 (uint64 each);
    then lengths of sequences (int32), their first bytes (int64), the sequence with which each
    document begins (int64).
    """
    raw: NDArray[np.uint8] = np.memmap(index, np.uint8, mode="r")
    head = raw[:MEGATRON_HEAD].tobytes().ljust(MEGATRON_HEAD, b"\0")
    version, code, sequences, documents = struct.unpack_from("<QBQQ", head, len(MEGATRON))
    whole = MEGATRON_HEAD + 12 * sequences + 8 * documents
    if version != 1 or len(raw) < whole or documents < 1:
        raise ValueError(
            f"{index} is no whole index of version 1: it says version {version} and has "
            f"{len(raw)} bytes, not {whole}; get it anew"
        )
    if code not in MEGATRON_DTYPES:
        raise ValueError(f"{index}: type {code} is none of whole numbers: tokens are integers")
    kind = np.dtype(MEGATRON_DTYPES[code])
    at = MEGATRON_HEAD
    lengths = np.frombuffer(raw, "<i4", sequences, at).astype(np.int64)
    pointers = np.frombuffer(raw, "<i8", sequences, at := at + 4 * sequences)
    first = np.frombuffer(raw, "<i8", documents, at + 8 * sequences)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    size = path.stat().st_size
    if ends[-1] * kind.itemsize != size:
        raise ValueError(
            f"{path} has {size} bytes, {index.name} says {ends[-1]} tokens of {kind.name}: they do "
            "not belong together"
        )
    if (
        (pointers != ends[:-1] * kind.itemsize).any()
        or (np.diff(first) < 0).any()
        or first[0] != 0
        or first[-1] != sequences
    ):
        raise ValueError(f"{index}: sequences or documents are not in their order: write it anew")
    return Layout("megatron", kind, 0, int(ends[-1]), ends[first], index)


def _llm_c(path: Path, head: bytes) -> Layout:
    magic, version, count = struct.unpack_from("<3i", head)
    expected, name = LLM_C[magic]
    kind = np.dtype(name)
    size = path.stat().st_size
    if version != expected or size != LLM_C_HEAD + count * kind.itemsize:
        raise ValueError(
            f"{path} begins as llm.c's tokens (version {version}, {count} of {kind.name}) and has "
            f"{size} bytes, not {LLM_C_HEAD + count * kind.itemsize} in version {expected}: write "
            "it anew"
        )
    return Layout("llm.c", kind, LLM_C_HEAD, count)


def _raw(path: Path, head: bytes, declared: str | None) -> Layout:
    if packed := packing(head):
        raise ValueError(f"{path} is compressed ({packed}): unpack token shards first")
    if kind := known_kind(head):
        raise ValueError(f"{path} is {kind}")
    if declared is None:
        raise ValueError(f"{path} does not say the type of its tokens: add --dtype, such as uint16")
    if np.dtype(declared).itemsize > 1 and len(head) >= FEW and _PRINTABLE.fullmatch(head):
        raise ValueError(f"{path} holds text, not tokens: give it with --text or --jsonl")
    dtype, size = np.dtype(declared).newbyteorder("<"), path.stat().st_size
    if size % dtype.itemsize:
        raise ValueError(
            f"{path}: {size} bytes are no whole number of {declared} tokens "
            f"({dtype.itemsize} bytes each): choose another --dtype"
        )
    return Layout("raw", dtype, 0, size // dtype.itemsize)


def check_type(path: Path, layout: Layout, vocab_size: int) -> None:
    """Refuse tokens that cannot be of their declared type.

    Raises
    ------
    ValueError
        If every second one is 0 or nearly so, as when wider ones are read as narrower ones; if
        one in a sample is not below ``vocab_size`` and another type would explain it; if bytes
        cannot hold ``vocab_size``.
    """
    if layout.dtype.itemsize == 1 and vocab_size > 256:
        raise ValueError(
            f"{path}: --dtype {layout.dtype.name} holds 256 tokens, --vocab-size is {vocab_size}: "
            "choose another of the two"
        )
    sample = _sample(path, layout)
    tokens = np.frombuffer(sample, layout.dtype)
    halves = _is_half_empty(tokens)
    if _fits(tokens, vocab_size) and not halves:
        return
    others = [
        name
        for name in ("uint16", "uint32", "int64")
        if _fits(other := np.frombuffer(sample, np.dtype(name).newbyteorder("<")), vocab_size)
        and not _is_half_empty(other)
    ]
    if halves:
        says = "every second token is 0 or nearly so"
    else:
        bad = tokens[(tokens < 0) | (tokens >= vocab_size)]
        says = f"token {bad[0]} is not below --vocab-size {vocab_size}"
    if halves or others:
        rest = f": they look like {others[0]}" if others else ": choose another"
        raise ValueError(f"{path}: read as --dtype {layout.dtype.name}, {says}{rest}")


def _sample(path: Path, layout: Layout) -> bytes:
    """Pieces of the tokens, spread evenly over the file; each begins with an even token."""
    size = layout.count * layout.dtype.itemsize
    starts = {i * size // SAMPLES // 16 * 16 for i in range(SAMPLES)} if size > SAMPLE else {0}
    with path.open("rb") as file:
        found = []
        for start in sorted(starts):
            file.seek(layout.start + start)
            found.append(file.read(min(SAMPLE, size - start) // 8 * 8))
    return b"".join(found)


def _fits(tokens: NDArray[Any], vocab_size: int) -> bool:
    return len(tokens) == 0 or (tokens.min() >= 0 and int(tokens.max()) < vocab_size)


def _is_half_empty(tokens: NDArray[Any]) -> bool:
    """Whether every second token is 0, or far smaller than those between."""
    if len(tokens) < FEW:
        return False
    low, high = (int(tokens[i::2].max()) for i in (0, 1))
    return high == 0 < low or (high < SMALL and low >= LARGE)
