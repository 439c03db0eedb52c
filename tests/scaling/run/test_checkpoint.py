"""Checkpoints: whole or refused, with a predecessor, and never code."""

from __future__ import annotations

import errno
import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.run import checkpoint
from scaling.run.journal import LATEST, PREVIOUS


def test_round_trip_is_exact(tmp_path):
    state = {"w": torch.randn(3, 4), "step": 7, "curve": [{"loss": 0.1}], "none": None}
    checkpoint.save(tmp_path / "c.pt", state)
    loaded = checkpoint.load(tmp_path / "c.pt")
    assert torch.equal(loaded.pop("w"), state.pop("w"))
    assert loaded == state


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_damage_is_noticed(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damage") / "c.pt"
    checkpoint.save(path, {"w": torch.arange(5)})
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[position] ^= data.draw(st.integers(1, 255))
    else:
        content = content[:position]
    path.write_bytes(content)
    with pytest.raises(checkpoint.CheckpointError, match="corrupt"):
        checkpoint.load(path)


def test_corrupt_latest_falls_back_and_says_so(tmp_path, capsys):
    checkpoint.save_latest(tmp_path, {"step": 1})
    checkpoint.save_latest(tmp_path, {"step": 2})
    assert checkpoint.load_latest(tmp_path) == (tmp_path / LATEST, {"step": 2})
    (tmp_path / LATEST).write_bytes(b"garbage")
    assert checkpoint.load_latest(tmp_path) == (tmp_path / PREVIOUS, {"step": 1})
    assert "going back to its predecessor" in capsys.readouterr().err
    (tmp_path / PREVIOUS).write_bytes(b"garbage")
    assert checkpoint.load_latest(tmp_path) is None
    assert "starting from the beginning" in capsys.readouterr().err


def test_what_killed_writers_left_half_written_goes(tmp_path):
    """That of an earlier epoch with the next checkpoint, all with the run's end."""
    dead, own = (
        tmp_path / ".checkpoint.000001.pt.0badcafe",
        tmp_path / ".part.000002.7.1-of-2.pt.ab",
    )
    later = tmp_path / ".checkpoint.000003.pt.12345678"
    for path in (dead, own, later):
        path.write_bytes(b"half")
    checkpoint.save_latest(tmp_path, {"step": 1}, 2)
    assert not dead.exists() and own.exists() and later.exists()
    checkpoint.remove(tmp_path, 2)
    assert list(tmp_path.iterdir()) == [later]  # a successor's


def test_full_disk_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    checkpoint.save(tmp_path / "c.pt", {"step": 1})

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(tmp_path / "c.pt", {"step": 2})
    assert checkpoint.load(tmp_path / "c.pt") == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    import hashlib
    import io
    import pickle

    class Evil:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'owned'}",))

    buffer = io.BytesIO()
    torch.save({"w": Evil()}, buffer)
    payload = buffer.getvalue()
    head = checkpoint.MAGIC + hashlib.sha256(payload).digest()
    (tmp_path / LATEST).write_bytes(head + payload)
    with pytest.raises(pickle.UnpicklingError):
        checkpoint.load(tmp_path / LATEST)
    assert not (tmp_path / "owned").exists()
