"""Labelled examples from files: what a source offers, and what all formats share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

OPEN, TRAINING, HELD = range(3)  # the part of an example: not said, to train on, held out


class Unusable(str):
    """In place of a content: why the example cannot be used."""

    __slots__ = ()


# Encoded images, or arrays; None where it is missing.
Content = Path | bytes | NDArray[Any] | Unusable | None


@dataclass(frozen=True)
class Vocabulary:
    """What turns texts into tokens.

    Attributes
    ----------
    encode : callable
        Texts (UTF-8) to the tokens of each, the one that fills up shorter texts at the end.
    size : int
        Number of tokens.
    kind : str
        What a data set's ``tokenizer`` is called.
    facts : dict
        What the tokens depend on.
    files : dict of str to bytes
        What is kept beside the data: name to content.
    """

    encode: Callable[[list[bytes]], list[NDArray[np.unsignedinteger]]]
    size: int
    kind: str
    facts: Mapping[str, Any]
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Index:
    """All examples of a source in the order in which it reads them.

    Attributes
    ----------
    digests : (n,) uint64
        64 bits of the sha256 of each content.
    labels : (n,) int64
    parts : (n,) uint8
        ``OPEN`` for all, or ``TRAINING`` or ``HELD`` for each.
    classes : tuple of str
        Names of the labels, where they have any.
    about : dict
        Fields of the data set's ``DataInfo`` that the arrays do not say.
    files : dict of str to bytes
        What is kept beside the arrays: name to content.
    """

    digests: NDArray[np.uint64]
    labels: NDArray[np.int64]
    parts: NDArray[np.uint8]
    classes: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


class LabelledSource(Protocol):
    """Files, and how labelled examples are read from them."""

    def facts(self) -> dict[str, Any]:
        """How the files are read, without their names."""

    def index(self) -> Index:
        """Digests, labels and parts, in an order that depends on content alone."""

    def read(self, position: int) -> Iterator[tuple[str, Content]]:
        """From example ``position`` on: what to call it in a message, and its content."""


def digest(content: bytes | NDArray[Any]) -> int:
    """64 bits of the sha256 of a content: its identity for the order and the split."""
    raw = content if isinstance(content, bytes) else np.ascontiguousarray(content).tobytes()
    return int.from_bytes(hashlib.sha256(raw).digest()[:8], "big")


def whole_labels(name: str, labels: NDArray[Any]) -> NDArray[np.int64]:
    """Labels as whole numbers from 0.

    Raises
    ------
    ValueError
        If they are not, or name more classes than there are examples.
    """
    if labels.dtype.kind not in "iub" and not (
        labels.dtype.kind == "f" and bool((labels == np.rint(labels)).all())
    ):
        raise ValueError(f"{name} holds {labels.dtype}, not whole numbers from 0: convert it")
    whole = labels.astype(np.int64)
    if len(whole) and (whole.min() < 0 or whole.max() >= max(len(whole), 2)):
        raise ValueError(
            f"{name} goes from {whole.min()} to {whole.max()} over {len(whole)} examples: labels "
            "are numbers of classes, from 0; number them anew"
        )
    return whole
