"""``scaling sweep`` as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from scaling.cli import main
from sweeps.cli import duration
from sweeps.load import load_sweep

TEXT = """
name: widths
data: tiny
seeds: [0, 1]
fixed: {depth: 1, context: 32, batch_size: 4}
grid: {product: {width: [8, 16, 24], num_tokens: {log: [1e4, 1e6, 6]}}}
derive: {lr: {rule: 1/width, scale: 0.2}}
constraints: {num_params: {max: 18000}}
estimate: {flops_per_second: 1e9, price_per_hour: 2.0, watts: 100}
"""


@pytest.fixture
def scaling(capsys):
    """``scaling(*words)``: exit code, stdout, stderr."""

    def run(*words):
        code = main([str(word) for word in words])
        return (code, *capsys.readouterr())

    return run


@pytest.fixture
def file(tiny, tmp_path):
    path = tmp_path / "widths.yaml"
    path.write_text(TEXT)
    return path


def test_json_has_the_documented_keys(scaling, file, tmp_path):
    out = tmp_path / "new" / "widths.jsonl"
    code, stdout, stderr = scaling("sweep", file, "-o", out, "--json")
    value = json.loads(stdout)
    assert code == 0
    assert value["name"] == "widths"
    assert set(value["runs"][0]) == {"run_id", "name", "num_params", "num_tokens", "flops"}
    assert value["total_flops"] == sum(run["flops"] for run in value["runs"])
    assert value["estimate"]["flops_per_second"] == pytest.approx(1e9)
    assert value["estimate"]["price_per_hour"] == 2.0
    assert value["estimate"]["measured"] == "the sweep file"
    assert value["left_out"][0].startswith("12 runs left out: num_params above the max 18000")
    sweep = load_sweep(out)
    assert [entry.run_id for entry in sweep] == [run["run_id"] for run in value["runs"]]
    assert sweep == load_sweep(file)
    assert "24 runs written to" in stderr


def test_what_is_done_already_is_counted_and_what_is_left_is_priced(scaling, file, home, tmp_path):
    value = json.loads(scaling("sweep", file, "--json")[1])
    assert (value["done"], value["left"]) == (0, value["estimate"])
    ends = {"done": 0, "diverged": 1, "failed": 2}
    for status, i in ends.items():
        folder = home / "runs" / value["runs"][i]["run_id"]
        folder.mkdir(parents=True)
        (folder / "metrics.jsonl").write_text(f'{{"event": "end", "status": "{status}"}}\n')
    left = json.loads(scaling("sweep", file, "--json")[1])
    assert left["done"] == 2
    assert left["left"]["flops"] == sum(run["flops"] for run in value["runs"][2:])
    assert left["estimate"] == value["estimate"]
    out = scaling("sweep", file)[1]
    assert "done      2 of 24 runs are done already; the rest takes " in out


def test_table_totals_and_warnings(scaling, file):
    code, stdout, _ = scaling("sweep", file, "--workers", 2)
    assert code == 0
    assert "24 runs of 36" in stdout
    assert "saved by shared trunks" in stdout
    assert "with 2 workers (cpu, 1e+09 FLOP/s each by the sweep file)" in stdout
    assert "at 2 an hour, 1 device" in stdout
    assert "kg CO2e (1 device at 100 W, PUE 1.58, 0.433 kg/kWh)" in stdout
    assert "warning: N has 2 scales" in stdout


def test_what_became_equal_and_what_moved_is_said_in_the_preview_and_on_submit(scaling, file):
    file.write_text(
        "name: x\ndata: tiny\nfixed: {depth: 1, width: 8, context: 32, batch_size: 4, lr: 0.01, "
        "num_tokens: 700}\ngrid: {product: {optimizer: [sgd, adamw], momentum: [0.8, 0.9]}}\n"
        "estimate: {flops_per_second: 1e9}\n"
    )
    equal = "1 run equals another, since nothing reads momentum where optimizer is adamw"
    moved = "warning: 3 of 3 runs have a D that whole steps move by more than 1% (at most 8.6%: "
    _, preview, _ = scaling("sweep", file)
    assert "3 runs of 4, 1 of them repeated" in preview and equal in preview and moved in preview
    value = json.loads(scaling("sweep", file, "--json")[1])
    assert (value["repeated"], value["collapsed"]) == (1, 1)
    assert value["unread"] == ["momentum where optimizer is adamw"]
    assert moved[9:] in "".join(value["warnings"])
    code, _, stderr = scaling("submit", file, "--dry-run")
    assert code == 0 and equal in stderr and moved in stderr


def test_a_plan_of_many_runs_is_cut_in_the_middle(scaling, file):
    file.write_text(TEXT.replace("seeds: [0, 1]", "seeds: [0, 1, 2]"))
    _, stdout, _ = scaling("submit", file, "--dry-run")
    assert "... 11 more (--json)" in stdout and "36 runs to do" in stdout
    assert stdout.count("seed=") == 25
    assert len(json.loads(scaling("submit", file, "--dry-run", "--json")[1])["submitted"]) == 36


def test_a_long_table_is_cut_in_the_middle(scaling, file):
    file.write_text(TEXT.replace("seeds: [0, 1]", "seeds: [0, 1, 2]"))
    _, short, _ = scaling("sweep", file)
    _, whole, _ = scaling("sweep", file, "--all")
    assert "... 11 more (--all)" in short
    assert short.count("seed=") == 25
    assert whole.count("seed=") == 36


def test_a_written_sweep_is_previewed_like_its_file(scaling, file, tmp_path):
    out = tmp_path / "widths.jsonl"
    scaling("sweep", file, "-o", out)
    _, stdout, _ = scaling("sweep", out, "--json")
    assert len(json.loads(stdout)["runs"]) == 24


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nope.yaml"], "no sweep nope.yaml: neither a file nor"),
        (["{file}", "-o", "x.yaml"], "--out x.yaml does not end in .jsonl"),
        (["{file}", "--workers", "0"], "--workers 0 is below 1"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(scaling, file, words, message):
    code, stdout, stderr = scaling("sweep", *(word.format(file=file) for word in words))
    assert (code, stdout) == (2, "")
    assert stderr.count("\n") == 1
    assert message in stderr


def test_a_wrong_key_names_the_line(scaling, file):
    file.write_text(TEXT.replace("derive", "derived"))
    code, _, stderr = scaling("sweep", file)
    assert code == 2
    assert f"{file}:7: unknown key 'derived': did you mean 'derive'?" in stderr


@pytest.mark.parametrize(
    ("hours", "text"),
    [(50, "2.08 days"), (47, "47 h"), (1.5, "90 min"), (0.01, "36 s"), (0, "0 s")],
)
def test_durations(hours, text):
    assert duration(hours) == text


def test_import_is_light():
    code = (
        "import sys, sweeps, sweeps.cli\n"
        "for name in sweeps.__all__: getattr(sweeps, name)\n"
        "assert not {'torch', 'mlflow', 'numpy', 'pandas'} & set(sys.modules)\n"
        "assert not {name for name in sweeps.__all__ if 'sweeps.' + name in sys.modules}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
