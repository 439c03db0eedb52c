"""``keep`` in a sweep file: read, refused at its line, no part of any run, its disk shown."""

from __future__ import annotations

import json

import pytest

from scaling.cli import main
from scaling.run import Keep
from sweeps.sweep import Sweep

GRID = """\
    name: tiny
    data: tiny
    fixed: {depth: 1, context: 32, batch_size: 4, schedule: wsd, lr: 0.01}
    grid: {product: {width: [8, 16], num_tokens: [8192, 16384]}}
    estimate: {flops_per_second: 1e9}
"""


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("", ()),
        ("keep: final", ("final",)),
        ("keep: all", ("all",)),
        ("keep: 20", (20,)),
        ("keep: [20, 100, final]", (20, 100, "final")),
    ],
)
def test_it_is_of_the_sweep_and_of_no_run(sweep, tmp_path, text, marks):
    found = sweep(GRID + f"    {text}\n")
    assert found.keep == Keep(marks)
    plain = sweep(GRID)
    assert [e.run_id for e in found] == [e.run_id for e in plain]
    found.write(tmp_path / "sweep.jsonl")
    assert Sweep.read(tmp_path / "sweep.jsonl") == found
    first, *rest = (tmp_path / "sweep.jsonl").read_text().splitlines()
    assert json.loads(first).get("keep", []) == list(marks)
    assert not any("keep" in json.loads(line) for line in rest)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "best",
            "sweep.yaml:6: keep 'best' is none of final, all, and a number of",
        ),
        ("[100, first]", "sweep.yaml:6: keep 'first' is none of final"),
        ("0", "sweep.yaml:6: keep 0 is none of final"),
        ("true", "sweep.yaml:6: keep True is none of final"),
        ("{step: 3}", "sweep.yaml:6: keep {'step': 3} is none of"),
        ("[20, 5000]", "sweep.yaml:6: no run has a step 5000 to keep: the longest has 128"),
    ],
)
def test_what_it_cannot_be_is_refused_at_its_line(sweep, value, message):
    with pytest.raises(ValueError, match="keep") as error:
        sweep(GRID + f"    keep: {value}\n")
    assert message in str(error.value)


def test_the_preview_has_its_disk(tiny, tmp_path, capsys):
    path = tmp_path / "tiny.yaml"
    path.write_text("\n".join(line.strip() for line in GRID.splitlines()) + "\nkeep: [20, 110]\n")
    assert main(["sweep", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    sizes = {run["num_params"]: run["num_tokens"] for run in shown["runs"]}
    small, large = sorted(sizes)
    # Of each width: step 20, which both runs share, 110, and the two ends.
    assert shown["keep"]["files"] == 2 * 4
    assert shown["keep"]["bytes"] == 4 * 4 * (small + large)
    assert shown["keep"]["too_late"] == 0
    assert main(["sweep", str(path)]) == 0
    total = f"{4 * 4 * (small + large) / 1000:.3g} kB"
    assert f"8 files of weights are kept, {total} when all runs" in capsys.readouterr().out
    path.write_text(path.read_text().replace("keep", "#"))
    assert main(["sweep", str(path), "--json"]) == 0
    assert "keep" not in json.loads(capsys.readouterr().out)
