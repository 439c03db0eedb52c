"""Kept weights: safetensors in ``weights/`` of a run's folder, each named by a journal line.

The file's name has the step and the epoch of its writer, and a ``kept`` line of the journal has
its name and its SHA-256: a file that no line names does not count, so what a superseded worker
leaves behind does not either.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.base import replacing
from scaling.run.journal import end, read_journal
from scaling.run.keep import Keep
from scaling.spec import RunSpec

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "weights"


@dataclass(frozen=True)
class Kept:
    """Weights that a run kept.

    Attributes
    ----------
    step : int
        Tokens (examples) seen, as in the journal.
    path : Path
    sha256 : str
    is_end : bool
        Whether they are those of the run's end.
    """

    step: int
    path: Path
    sha256: str
    is_end: bool

    def load(self) -> dict[str, Tensor]:
        """The tensors by name, on the CPU.

        Raises
        ------
        ValueError
            If the file is not what was written.
        """
        from safetensors.torch import load

        data = self.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ValueError(
                f"{self.path} is damaged ({len(data)} bytes): begin the run anew (--rerun all)"
            )
        tensors: dict[str, Tensor] = load(data)
        return tensors


def kept(run_dir: Path, events: list[dict[str, Any]] | None = None) -> list[Kept]:
    """What a run has kept, by step; ``events`` are its journal where that is read already."""
    events = read_journal(run_dir) if events is None else events
    last = end(events)
    ended = last["tokens"] if last and last["status"] == "done" else None
    found = {}
    for event in events:
        if event["event"] == "kept":
            step, path = event["step"], run_dir / WEIGHTS / event["file"]
            found[step] = Kept(step, path, event["sha256"], is_end=step == ended)
    return [found[step] for step in sorted(found) if found[step].path.is_file()]


def lacks_weights(run_dir: Path, spec: RunSpec, keep: Keep) -> bool:
    """Whether a run is done and has not all the weights that ``keep`` asks for."""
    if not keep:
        return False
    events = read_journal(run_dir)
    last = end(events)
    if last is None or last["status"] != "done":
        return False
    wanted = {step * spec.units_per_step for step in keep.steps(spec)}
    wanted = {step for step in wanted if step < last["tokens"]} | {last["tokens"]}
    return not wanted <= {weights.step for weights in kept(run_dir, events)}


@dataclass(frozen=True, order=True)
class WeightFile:
    """The file of the weights after ``step`` optimiser steps, by a writer of ``epoch``."""

    step: int
    epoch: int

    def within(self, folder: Path) -> Path:
        """Its path in the folder of a run or a trunk."""
        return folder / WEIGHTS / f"{self.step:012d}.{self.epoch:06d}.safetensors"


def weight_files(folder: Path) -> list[WeightFile]:
    """The files of weights in the folder of a run or a trunk, by step, then by epoch."""
    names = (path.name.split(".") for path in (folder / WEIGHTS).glob("[0-9]*.safetensors"))
    return sorted(WeightFile(int(step), int(epoch)) for step, epoch, _ in names)


def weights_bytes(tensors: Mapping[str, Tensor], **about: str) -> bytes:
    """What a safetensors file of the tensors has in it.

    ``about`` stands in the file's header; the same bits are the same file where it is one text at
    most, for the library writes several in any order.
    """
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return save(plain, about)


def write_weights(path: Path, data: bytes) -> str:
    """Write what :func:`weights_bytes` gave, whole or not at all; its SHA-256.

    Raises
    ------
    OSError
        If the disk is full or the folder read-only.
    """
    with replacing(path) as file:
        file.write(data)
    return hashlib.sha256(data).hexdigest()


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def share(path: Path, other: Path) -> None:
    """Give a file a second name, in another folder."""
    other.parent.mkdir(parents=True, exist_ok=True)
    other.unlink(missing_ok=True)
    os.link(path, other)


def remove_weights(folder: Path, but: Container[str] = (), epoch: int | None = None) -> None:
    """Remove weights but those named, and half written ones; with ``epoch`` of writers up to it."""
    there = folder / WEIGHTS
    for path in (*there.glob("[0-9]*.safetensors"), *there.glob(".[0-9]*.safetensors.*")):
        of_epoch = int(path.name.removeprefix(".").split(".")[1])
        if path.name not in but and (epoch is None or of_epoch <= epoch):
            path.unlink(missing_ok=True)
