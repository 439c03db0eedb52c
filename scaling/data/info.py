"""What a data set is: its sizes, its unit and the fingerprint of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scaling.base import read_json, write_atomic

META = "meta.json"
FORMAT = 1  # of the files in a data set's folder


@dataclass(frozen=True)
class EvalInfo:
    """A named set of held-out documents beside those of the data set's own.

    Parameters
    ----------
    name : str
        Its losses are the columns ``eval/NAME/...``.
    size, documents : int
        Tokens and documents.
    bytes_per_token : float or None
        As in :class:`DataInfo`.
    """

    name: str
    size: int
    documents: int
    bytes_per_token: float | None = None


@dataclass(frozen=True)
class DataInfo:
    """A prepared data set in numbers.

    Parameters
    ----------
    name : str
        How to ask for it; no part of the fingerprint.
    fingerprint : str
        16 hex digits of the sha256 over content, split and tokenizer; the same on every
        machine, whatever the paths and the time.
    unit : str
        ``"token"`` or ``"example"``: what the sizes count.
    train_size, heldout_size : int
        Tokens or examples to train on, and held out.
    vocab_size : int or None
        Number of distinct tokens; None for examples that are no texts.
    num_classes : int or None
        Number of distinct labels; None for tokens.
    input_shape : tuple of int
        Shape of one example: channels first for images, ``(time,)`` for texts, ``(time,
        features)`` for frames; empty for tokens.
    train_documents, heldout_documents : int
        Documents on either side; no document is on both. Examples count as documents.
    bytes_per_token : float or None
        Bytes of the held-out documents per held-out token, separators counted as one byte
        each; None where the text is not known (token shards) and for examples.
    tokenizer : str or None
        ``"bytes"``, ``"bpe"``, ``"shards"`` (tokens came as they are), or the kind of file that
        it came in: ``"tokenizer.json"``, ``"sentencepiece"``, ``"tiktoken"``.
    dtype : str
        Type of the stored tokens or inputs.
    evals : tuple of EvalInfo
        Further sets to evaluate on.
    """

    name: str
    fingerprint: str
    unit: str
    train_size: int
    heldout_size: int
    vocab_size: int | None = None
    num_classes: int | None = None
    input_shape: tuple[int, ...] = ()
    train_documents: int = 0
    heldout_documents: int = 0
    bytes_per_token: float | None = None
    tokenizer: str | None = None
    dtype: str = "uint16"
    evals: tuple[EvalInfo, ...] = ()

    @property
    def evaluated_size(self) -> int:
        """Tokens or examples held out, those of further sets too."""
        return self.heldout_size + sum(one.size for one in self.evals)


def fingerprint(facts: dict[str, Any], files: Iterable[Path]) -> str:
    """16 hex digits of the sha256 over ``facts`` (canonical JSON) and the files' contents."""
    whole = hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode())
    for path in files:
        whole.update(f"\n{path.name} {path.stat().st_size}\n".encode())
        whole.update(sha256_of(path))
    return whole.hexdigest()[:16]


def sha256_of(path: Path) -> bytes:
    """The sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def read_info(folder: Path) -> DataInfo | None:
    """The data set in ``folder``; None when there is none.

    Raises
    ------
    ValueError
        When the folder was written by another version of this program.
    """
    meta = read_json(folder / META)
    if meta is None:
        return None
    if meta.get("format") != FORMAT:
        raise ValueError(
            f"{folder}: format {meta.get('format')!r}, this version reads {FORMAT}: "
            "remove the folder and prepare the data again"
        )
    values = dict(meta["info"])
    values["input_shape"] = tuple(values["input_shape"])
    values["evals"] = tuple(EvalInfo(**one) for one in values.get("evals", ()))
    return DataInfo(**values)


def made_before(folder: Path, request: str) -> DataInfo | None:
    """The data set in ``folder`` that this request made; None when there is none.

    Raises
    ------
    ValueError
        When another data set has the name.
    """
    info = read_info(folder)
    if info is None or (read_json(folder / META) or {}).get("request") == request:
        return info
    raise ValueError(
        f"{info.name} is another data set already (fingerprint {info.fingerprint}): "
        f"choose another name, or remove {folder}"
    )


def write_info(folder: Path, info: DataInfo, **origin: Any) -> None:
    """Write ``folder/meta.json``: the info, and where the data came from."""
    meta = {"format": FORMAT, "info": asdict(info), **origin}
    write_atomic(folder / META, json.dumps(meta, indent=2, sort_keys=True) + "\n")
