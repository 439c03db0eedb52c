"""``scaling.report``: one line a call, without any dependency."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scaling import report, reporting

ROOT = Path(__file__).parents[2]


def test_one_line_of_json_a_call(tmp_path, monkeypatch):
    path = tmp_path / "reports"
    monkeypatch.setenv("SCALING_REPORT", str(path))
    report(step=np.int64(5), loss=np.float32(0.5), acc=1)
    report(step=6, note=2.0)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [{"step": 5, "loss": 0.5, "acc": 1}, {"step": 6, "note": 2.0}]


@pytest.mark.parametrize("value", ["3", True, [1.0], np.zeros(2)])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match=r"^scaling.report: acc is no number"):
        report(step=1, loss=2.0, acc=value)


def test_where_nobody_listens_it_warns_once(monkeypatch, capsys):
    monkeypatch.delenv("SCALING_REPORT", raising=False)
    monkeypatch.setattr(reporting, "_warned", False)
    report(step=1, loss=2.0)
    report(step=2, loss=2.0)
    assert capsys.readouterr().err.count("\n") == 1


def test_it_needs_the_standard_library_alone(tmp_path):
    """As another interpreter has it, one without anything that we depend on."""
    code = (
        "import sys; sys.path.append(sys.argv[1])\n"
        "from scaling import report; report(step=1, loss=2.5)\n"
        "assert not {'lazy_loader', 'numpy', 'torch'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(ROOT)]
    environment = {"SCALING_REPORT": str(tmp_path / "r")}
    subprocess.run(command, check=True, env=environment)
    assert json.loads((tmp_path / "r").read_text()) == {"step": 1, "loss": 2.5}
