"""The commands in this process, and somebody's file."""

from __future__ import annotations

import pytest

import scaling.cli


@pytest.fixture
def scaling_command(monkeypatch, capsys):
    """Runs a command in this process; returns exit code, stdout, stderr."""
    monkeypatch.setattr(scaling.cli, "DOORS", ("analysis.cli",))

    def run(*words):
        try:
            code = scaling.cli.main([str(word) for word in words])
        except SystemExit as stop:
            code = stop.code
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


@pytest.fixture
def table(planted_runs, tmp_path):
    """The planted runs as somebody's file: other names, two outliers."""
    frame = planted_runs[["num_params", "num_tokens", "flops", "loss"]].copy()
    frame.columns = ["N", "D", "FLOPs", "val_loss"]
    frame["excluded"] = False
    frame.loc[[3, 8], ["val_loss", "excluded"]] = [9.0, True]
    frame["kind"] = "old"
    path = tmp_path / "runs.csv"
    frame.to_csv(path, index=False)
    return path
