"""The front door: JSON on stdout, one clear line for wrong input, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scaling.cli import main


def test_model_gives_the_documented_counts(capsys):
    sizes = ["depth=5", "width=128", "context=128", "vocab_size=256"]
    command = ["model", "transformer", "--json"]
    for size in sizes:
        command += ["--set", size]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["flops_forward"] == 2_359_296
    assert found["flops_train"] == 7_077_888
    assert found["num_params_block"] == 983_040
    assert found["per"] == "token"
    assert found["input_shape"] == [128]


def test_model_table_names_the_unit(capsys):
    assert main(["model", "transformer:gpt2-124m"]) == 0
    out = capsys.readouterr().out
    assert "per token" in out
    assert "124,439,808" in out


SETS = ["--set", "width=64", "--set"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["model", "transfomer"], "did you mean 'transformer'"),
        (["model", "transformer:gpt2"], "unknown transformer preset"),
        (["model", "transformer", "--set", "depth"], "is not KEY=VALUE"),
        (["model", "transformer", "--set", "depht=3"], "did you mean 'depth'"),
        (["model", "transformer", "--set", "depth=3", "--set", "heads=5"], "no multiple of heads"),
        (["model", "transformer"], "no size"),
        (["model", "gpt2-124m"], "it is a preset, transformer:gpt2-124m"),
        (["model", "encoder", "--set", "parametrisation=mup"], "families with it: transformer"),
        (["model", "resnet", "--set", "depth=50"], "did you mean 'depths'"),
        (["model", "transformer", "--set", "optimizer=muon"], "optimizer is of training"),
        (
            ["model", "recurrent", *SETS, "cell=gru", "--set", "projection=8"],
            "projection 8 has no effect: it is read where cell is lstm, and cell is gru",
        ),
        (["model", "resnet:50", "--set", "depths=[3,4,6,3"], "is not YAML: close its brackets"),
        (["model", "vit", "--set", f"dropout={'9' * 400}"], "dropout is too large"),
        (["model", "vit", "--set", f"width={'9' * 400}"], "width is too large"),
        (["model", "mlp", "--set", "width=9", "--set", "num_params=1e4"], "give either, not both"),
        (["sweep", "nowhere.yaml"], "nowhere.yaml"),
        (["submit", "nowhere.yaml"], "nowhere.yaml"),
        (["status", "nothing"], "nothing"),
        (["fit", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(command, message, capsys):
    assert main(command) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert len(captured.err.strip().splitlines()) == 1


def test_unknown_command_is_exit_2(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["fti"])
    assert stop.value.code == 2


def test_train_is_the_function_whoever_imported_the_module_first():
    import scaling.trainers
    from scaling import train

    assert train is scaling.trainers.train


def test_doctor_says_what_works(capsys):
    assert main(["doctor", "--json"]) == 0
    checks = {c["what"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["torch"]["works"]
    assert {"GPU", "SLURM", "store", "tracking", "data"} <= set(checks)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, capsys):
    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    assert main(["quickstart", "--out", str(blocker / "root")]) == 2
    err = capsys.readouterr().err.strip().splitlines()[-1]
    assert "Not a directory" in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_is_exit_1_and_says_that_work_is_kept(monkeypatch, capsys):
    def full(path):
        with Path("/dev/full").open("w") as file:
            file.write("x")

    monkeypatch.setattr("scaling.families.get_family", full)
    assert main(["model", "transformer"]) == 1
    assert "finished work is kept" in capsys.readouterr().err


def test_results_may_be_piped_to_head():
    import subprocess
    import sys

    code = subprocess.run(
        f"{sys.executable} -m scaling model transformer --set depth=2 | head -1",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in code.stderr
