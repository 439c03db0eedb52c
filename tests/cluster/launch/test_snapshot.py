"""The snapshot of the code: by content, whole, and what a job imports."""

from __future__ import annotations

import subprocess
import sys

from cluster.launch import snapshot as snapshots
from cluster.launch.snapshot import PACKAGES, snapshot


def test_a_job_imports_the_snapshot_and_not_the_installed_code(tmp_path):
    first = snapshot(tmp_path)
    assert snapshot(tmp_path) == first
    assert {path.name for path in first.iterdir()} == set(PACKAGES)
    assert not list(first.rglob("__pycache__"))
    assert [path.name for path in first.parent.iterdir()] == [first.name]
    code = "import cluster.work.worker; print(cluster.work.worker.__file__)"
    environment = {"PYTHONPATH": str(first), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(first / "cluster" / "work" / "worker.py")


def test_other_code_is_another_snapshot(tmp_path, monkeypatch):
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "a.py").write_text("x = 1")
    monkeypatch.setattr(snapshots, "PACKAGES", ("pkg",))
    monkeypatch.setattr(snapshots, "_folder", lambda name: package)
    before = snapshot(tmp_path)
    (package / "a.py").write_text("x = 2")
    after = snapshot(tmp_path)
    assert before != after
    assert (before / "pkg" / "a.py").read_text() == "x = 1"
    assert (after / "pkg" / "a.py").read_text() == "x = 2"
