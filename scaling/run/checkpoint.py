"""Checkpoints: written whole or not at all, kept with their predecessor, checked when read.

A file is a magic word, the SHA-256 of its payload, and the payload: ``torch.save`` of tensors
and plain values, read with ``weights_only=True``, so that reading one runs no code from it.

Processes that each hold a part of the tensors write it in a file of its own, before the checkpoint,
which names these files: it is whole as soon as it is there.
"""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from scaling.base import beside, note, replacing
from scaling.run.journal import checkpoint_epoch, checkpoint_names, checkpoints
from scaling.world import os

MAGIC = b"scaling-ckpt-1\n"


Write = Callable[[Path, dict[str, Any]], None]
Read = Callable[[Path], dict[str, Any]]


PARTS = "parts"  # files of a checkpoint in several; where their tensors go, and along which axis


class CheckpointError(RuntimeError):
    """A checkpoint that is not whole or not of this kind."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` to ``path`` so that a crash leaves the old file or the new one.

    Raises
    ------
    OSError
        If the disk is full or the folder read-only; the old file is untouched.
    """
    import torch

    with replacing(path) as file:
        file.write(MAGIC + bytes(hashlib.sha256().digest_size))
        payload = _Hashed(file)
        torch.save(state, payload)
        file.seek(len(MAGIC))
        file.write(payload.sha.digest())


class _Hashed:
    """A file that is written from here to its end, and the hash of what was: no copy in memory."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.sha = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def part_file(run_dir: Path, epoch: int, step: int, rank: int, size: int) -> Path:
    """Where one of ``size`` processes writes its part of the checkpoint after ``step``."""
    return run_dir / f"part.{epoch:06d}.{step:012d}.{rank}-of-{size}.pt"


def load(path: Path) -> dict[str, Any]:
    """The state in ``path``, its tensors on the CPU, and whole if they are in several files.

    Raises
    ------
    FileNotFoundError
        If there is none.
    CheckpointError
        If the file, or one that it names, is not whole.
    """
    state = _load(path)
    named = state.pop(PARTS, None)
    if named is not None:
        try:
            parts = [_load(path.with_name(name)) for name in named["files"]]
        except FileNotFoundError as error:
            raise CheckpointError(f"{path}: a part is missing: {error.filename}") from error
        _join(state, [part["tensors"] for part in parts], named["axes"])
    return state


def _join(
    state: dict[str, Any], parts: list[dict[tuple[Any, ...], Any]], axes: dict[tuple[Any, ...], int]
) -> None:
    """Put what parts have of each tensor where it belongs, joined along its axis."""
    import torch

    for place, axis in axes.items():
        inside = state
        for key in place[:-1]:
            inside = inside[key]
        inside[place[-1]] = torch.cat([part.pop(place) for part in parts], axis)


def _load(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    head = len(MAGIC) + hashlib.sha256().digest_size
    digest, payload = data[len(MAGIC) : head], data[head:]
    if data[: len(MAGIC)] != MAGIC or hashlib.sha256(payload).digest() != digest:
        raise CheckpointError(f"{path}: checkpoint is corrupt ({len(data)} bytes)")
    import torch

    state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    return state


def save_latest(
    run_dir: Path, state: dict[str, Any], epoch: int = 0, *, write: Write = save
) -> None:
    """Write the run's checkpoint of ``epoch``; the one before becomes its predecessor.

    A writer replaces only files of its own epoch, and removes older ones that it has no more
    use for: a zombie that wakes up late cannot touch its successor's.
    """
    latest, previous = (run_dir / name for name in checkpoint_names(epoch))
    older = [path for path in checkpoints(run_dir) if checkpoint_epoch(path) < epoch]
    if latest.exists():
        # A link, so that there is no moment without a file of that name.
        link = beside(previous)
        os.link(latest, link)
        link.replace(previous)
    write(latest, state)
    for path in (*older[0 if previous.exists() else 1 :], *_half_written(run_dir, epoch)):
        path.unlink(missing_ok=True)
    _remove_parts(run_dir, epoch)


def _half_written(run_dir: Path, below: int) -> list[Path]:
    """What writers of epochs ``below`` that were killed meanwhile have left."""
    found = run_dir.glob(".*.pt.*")  # as `scaling.base.beside` names them
    return [path for path in found if checkpoint_epoch(path.with_name(path.name[1:])) < below]


def _remove_parts(run_dir: Path, epoch: int) -> None:
    """Remove parts that neither the newest checkpoint of ``epoch`` nor the one before it names."""
    parts = list(run_dir.glob("part.*.pt"))
    if not parts:
        return
    epochs = {checkpoint_epoch(path) for path in checkpoints(run_dir)}
    steps = sorted({_step(path) for path in parts if checkpoint_epoch(path) == epoch})[-2:]
    for path in parts:
        its = checkpoint_epoch(path)
        if (its == epoch and _step(path) not in steps) or (its < epoch and its not in epochs):
            path.unlink(missing_ok=True)


def _step(part: Path) -> int:
    return int(part.name.split(".")[2])


def load_latest(
    run_dir: Path, first: int = 0, *, read: Read = load
) -> tuple[Path, dict[str, Any]] | None:
    """The run's newest whole checkpoint and its file; None if it has none.

    Says when it falls back. Those of epochs before ``first`` do not count.
    """
    found = checkpoints(run_dir, first)
    for i, path in enumerate(found):
        try:
            return path, read(path)
        except FileNotFoundError:
            continue
        except (CheckpointError, OSError, RuntimeError, EOFError) as error:
            last = i == len(found) - 1
            note(
                f"{error}; "
                + ("starting from the beginning" if last else "going back to its predecessor")
            )
    return None


def remove(run_dir: Path, epoch: int | None = None) -> None:
    """Remove the run's checkpoints, with ``epoch`` only those up to it."""
    below = sys.maxsize if epoch is None else epoch + 1
    found = [*checkpoints(run_dir), *run_dir.glob("part.*.pt")]
    for path in [p for p in found if checkpoint_epoch(p) < below] + _half_written(run_dir, below):
        path.unlink(missing_ok=True)
