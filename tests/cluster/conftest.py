"""What the launcher's tests share: small sweeps, and commands of our own."""

from __future__ import annotations

import os
import stat

import pytest

from sweeps.sweep import Sweep
from tests.grid import specs_over


@pytest.fixture
def make_sweep(tiny):
    """``make_sweep(name, **options)``: runs over all combinations of the listed options."""

    return lambda name="tiny", **options: Sweep.of(name, specs_over(**options))


@pytest.fixture
def command(tmp_path, monkeypatch):
    """``command(name, script)`` puts a shell script of that name first on the path."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def make(name, script):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return make
