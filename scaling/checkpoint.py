"""Checkpoints: written whole or not at all, kept with their predecessor, checked when read.

A file is a magic word, the SHA-256 of its payload, and the payload: ``torch.save`` of tensors
and plain values, read with ``weights_only=True``, so that reading one runs no code from it.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import torch

from scaling.journal import LATEST, PREVIOUS
from scaling.terminal import note

MAGIC = b"scaling-ckpt-1\n"


class CheckpointError(RuntimeError):
    """A checkpoint that is not whole or not of this kind."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` to ``path`` so that a crash leaves the old file or the new one.

    Raises
    ------
    OSError
        If the disk is full or the folder read-only; the old file is untouched.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getbuffer()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(MAGIC)
            file.write(hashlib.sha256(payload).digest())
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path) -> dict[str, Any]:
    """The state in ``path``, its tensors on the CPU.

    Raises
    ------
    FileNotFoundError
        If there is none.
    CheckpointError
        If the file is not whole.
    """
    data = path.read_bytes()
    head = len(MAGIC) + hashlib.sha256().digest_size
    digest, payload = data[len(MAGIC) : head], data[head:]
    if data[: len(MAGIC)] != MAGIC or hashlib.sha256(payload).digest() != digest:
        raise CheckpointError(f"{path}: checkpoint is corrupt ({len(data)} bytes)")
    state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    return state


def save_latest(run_dir: Path, state: dict[str, Any]) -> None:
    """Write the run's checkpoint; the one before becomes its predecessor."""
    latest = run_dir / LATEST
    if latest.exists():
        # A link, so that there is no moment without a file called LATEST.
        link = run_dir / f".{PREVIOUS}.{os.getpid()}"
        link.unlink(missing_ok=True)
        os.link(latest, link)
        link.replace(run_dir / PREVIOUS)
    save(latest, state)


def load_latest(run_dir: Path) -> dict[str, Any] | None:
    """The run's newest whole checkpoint; None if it has none. Says when it falls back."""
    for name, remedy in (
        (LATEST, "going back to its predecessor"),
        (PREVIOUS, "starting from the beginning"),
    ):
        try:
            return load(run_dir / name)
        except FileNotFoundError:
            continue
        except (CheckpointError, OSError, RuntimeError, EOFError) as error:
            note(f"{error}; {remedy}")
    return None


def remove(run_dir: Path) -> None:
    """Remove the run's checkpoints."""
    for name in (LATEST, PREVIOUS):
        (run_dir / name).unlink(missing_ok=True)
