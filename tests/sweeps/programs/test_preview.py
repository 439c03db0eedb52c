"""``scaling sweep`` of a program, as a user meets it."""

from __future__ import annotations

import json

import pytest

from scaling.cli import main
from sweeps.load import load_sweep
from tests.sweeps.programs.conftest import TEXT


@pytest.fixture
def file(trainer, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT.replace("width: [32, 64]", "width: [32, 64], opt: [sgd, adam]"))
    return path


def test_hours_that_nobody_knows_are_said_to_be_unknown(file, capsys, home):
    assert main(["sweep", str(file)]) == 0
    out = capsys.readouterr().out
    assert f"time      unknown: no finished run of program in {home}" in out
    assert "warning: the program sees opt only as $SCALING_OPTION_OPT" in out
    assert " lr " not in out and "batch" in out and "energy" not in out
    written = file.with_suffix(".jsonl")
    assert main(["sweep", str(file), "--json", "-o", str(written)]) == 0
    value = json.loads(capsys.readouterr().out)
    assert len(value["runs"]) == 4 and value["total_flops"] > 0
    assert value["estimate"]["hours"] is None and value["estimate"]["cost"] is None
    assert load_sweep(written) == load_sweep(file)


def test_a_rate_in_the_sweep_file_gives_hours_and_energy(file, capsys):
    file.write_text(file.read_text() + "estimate: {flops_per_second: 1e9, price_per_hour: 2}\n")
    assert main(["sweep", str(file)]) == 0
    out = capsys.readouterr().out
    assert "by the sweep file" in out and "energy" in out and "cost" in out
    assert "held-out" not in out, "a program's evaluations are its own"


def test_code_that_changed_is_a_warning(file, trainer, home, capsys):
    load_sweep(file).write(home / "sweeps" / "x" / "sweep.jsonl")
    (trainer / "train.py").write_text("changed")
    assert main(["sweep", str(file), "--json"]) == 0
    warnings = json.loads(capsys.readouterr().out)["warnings"]
    assert "4 of 4 runs are new" in warnings[-1]
