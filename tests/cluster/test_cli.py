"""The commands as a user types them."""

from __future__ import annotations

import io
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import submit
from cluster.status.display import duration, render, summary
from cluster.status.sweep import sweep_status
from scaling.base import Store
from scaling.cli import main
from sweeps.sweep import Sweep
from tests.browser import CHROMIUM
from tests.cluster.tracking.test_mlflow_page import assert_it_answers_its_own, served
from tests.grid import specs_over


@pytest.fixture
def sweep_file(make_sweep, tmp_path):
    path = tmp_path / "tiny.jsonl"
    make_sweep(seed=[0, 1]).write(path)
    return str(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_data, empty_store):
    """A sweep that was done, the root that it is in, and a copy of that."""
    root = tmp_path_factory.mktemp("done")
    shutil.copy(empty_store, root / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCALING_HOME", str(root))
        patch.setenv("SCALING_DATA", str(tiny_data))
        sweep = Sweep.of("tiny", specs_over(seed=[0, 1]))
        submit(sweep, on="inline")
    return sweep, root, shutil.copytree(root, tmp_path_factory.mktemp("kept") / "root")


@pytest.fixture
def done(trained, tiny, monkeypatch):
    """That sweep as it was then, in its place: where its store is decides what is shipped."""
    sweep, root, kept = trained
    for folder in filter(Path.is_dir, root.iterdir()):
        shutil.rmtree(folder)
    shutil.copytree(kept, root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("mlflow.db*"))
    monkeypatch.setenv("SCALING_HOME", str(root))
    return sweep


def said(capsys):
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("store_ready")
def test_submit_prints_what_it_did(sweep_file, capsys):
    assert main(["submit", sweep_file, "--on", "inline", "--json"]) == 0
    first = said(capsys)
    assert (len(first["submitted"]), first["skipped"], first["job_ids"]) == (2, [], [])
    assert main(["submit", sweep_file, "--on", "inline", "--json"]) == 0
    assert said(capsys)["submitted"] == []


def test_a_dry_run_lists_the_runs(sweep_file, capsys):
    assert main(["submit", sweep_file, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "2 runs to do, 0 left out" in out
    assert main(["submit", sweep_file, "--dry-run", "--json"]) == 0
    assert len(said(capsys)["submitted"]) == 2


@pytest.mark.usefixtures("store_ready")
def test_a_failed_run_makes_the_exit_code_one_and_retry_runs_it(sweep_file, capsys, monkeypatch):
    import scaling.training.loop as trainer

    with monkeypatch.context() as broken:
        broken.setattr(trainer, "make_task", lambda *a: 1 / 0)
        assert main(["submit", sweep_file, "--on", "inline"]) == 1
    capsys.readouterr()
    assert main(["status", "tiny", "--json"]) == 0
    status = said(capsys)
    assert status["counts"] == {"failed": 2}
    assert {run["reason"] for run in status["runs"]} == {"ZeroDivisionError: division by zero"}
    assert main(["submit", sweep_file, "--on", "inline"]) == 1
    assert "2 failed before: `scaling retry tiny`" in capsys.readouterr().out
    assert main(["retry", "tiny", "--on", "inline", "--json"]) == 0
    assert len(said(capsys)["submitted"]) == 2


@pytest.fixture
def broken(make_sweep, store_ready, monkeypatch):
    """A sweep of three runs: one out of memory, one with a bug, one done."""
    import scaling.training.loop as trainer

    sweep, make_task = make_sweep(seed=[0, 1, 2]), trainer.make_task

    def bad(spec, *args):
        if spec.seed < 2:
            raise [RuntimeError("CUDA out of memory. Tried"), KeyError("width")][spec.seed]
        return make_task(spec, *args)

    with monkeypatch.context() as patched:
        patched.setattr(trainer, "make_task", bad)
        submit(sweep, on="inline")
    return sweep


def test_status_groups_failures_with_a_log_and_the_command_that_retries_them(broken, capsys):
    assert main(["status", "tiny"]) == 0
    out = capsys.readouterr().out
    assert "tiny: 1 done, 2 failed of 3" in out
    assert "oom: 1 (N=4.89k D=8.19k seed=0)" in out
    assert "RuntimeError: CUDA out of memory. Tried" in out
    assert "scaling retry tiny --cause oom" in out
    assert "scaling retry tiny --cause other" in out
    assert "nobody works on it: `scaling retry tiny` does what is left" in out
    assert main(["status", "tiny", "--json"]) == 0
    failures = said(capsys)["failures"]
    assert {failure["cause"]: failure["count"] for failure in failures} == {"oom": 1, "other": 1}
    assert all(failure["log_tail"] for failure in failures)


def test_retry_does_only_what_broke_for_a_cause(broken, capsys):
    chosen = next(e.run_id for e in broken if e.spec.seed == 0)
    assert main(["retry", "tiny", "--cause", "oom", "--dry-run", "--json"]) == 0
    assert said(capsys)["submitted"] == [chosen]
    command = ["retry", "tiny", "--cause", "oom", "--on", "inline", "--set", "micro_batch=2"]
    assert main([*command, "--json"]) in (0, 1)
    assert said(capsys)["submitted"] == [chosen]
    assert sweep_status("tiny").counts == {"done": 2, "failed": 1}
    assert main(["retry", "tiny", "--cause", "time"]) == 2
    assert "no run of 'tiny' to retry for the cause time: there are other (1)" in (
        capsys.readouterr().err
    )
    assert main(["retry", "tiny", "--cause", "oon"]) == 2
    assert "did you mean 'oom'" in capsys.readouterr().err


def test_retry_goes_where_it_was_done_the_last_time(broken, home, monkeypatch):
    from cluster import launch

    places = []

    def submit(*arguments, on, workers, **options):
        places.append((on, workers))
        return launch.Submission("tiny", (), ())

    monkeypatch.setattr(launch, "submit", submit)
    assert main(["retry", "tiny"]) == 0
    folder = home / "sweeps" / "tiny" / "submissions"
    for path in folder.glob("*.json"):
        sent = {"slurm_jobs": ["12"], "workers": 50}
        path.write_text(json.dumps({**json.loads(path.read_text()), **sent}))
    refused = {"slurm_jobs": [], "jobs": []}
    (folder / "99991231-000000-x.json").write_text(
        json.dumps({**json.loads(path.read_text()), **refused})
    )
    monkeypatch.setenv("PATH", str(home))
    assert main(["retry", "tiny"]) == 0
    assert main(["retry", "tiny", "--workers", "3"]) == 0
    assert places == [("local", 2), ("slurm", 50), ("slurm", 3)]


def test_watch_off_a_terminal_ends_with_the_sweep(done, capsys):
    assert main(["status", "tiny", "--watch"]) == 0
    assert "all done: `scaling report tiny" in capsys.readouterr().out


def test_without_slurm_status_says_so_in_one_line(done, tmp_path, monkeypatch, capsys):
    submissions = Store.at().sweep_dir("tiny") / "submissions"
    for path in submissions.glob("*.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "slurm_jobs": ["12"]}))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["status", "tiny"]) == 0
    out = capsys.readouterr().out
    assert "2 done of 2" in out
    assert out.count("SLURM does not answer (squeue: No such file or directory") == 1
    assert main(["cancel", "tiny"]) == 1
    assert "SLURM does not answer (scancel: No such file" in capsys.readouterr().err
    assert list(submissions.glob("*.stop"))


def test_status_has_the_promised_keys(done, sweep_file, capsys):
    for name in ("tiny", sweep_file):
        assert main(["status", name, "--json"]) == 0
        status = said(capsys)
        assert status["counts"] == {"done": 2}
        assert status["flops_done"] == status["flops_total"] == done.flops
        assert {"run_id", "name", "state", "reason"} <= set(status["runs"][0])
    assert main(["status", "tiny"]) == 0
    assert "2 done of 2; 100.0% of" in capsys.readouterr().out


def test_logs_takes_the_beginning_of_an_id_or_a_name(done, capsys):
    run = done.entries[0]
    for word in (run.run_id, run.run_id[:8], run.name):
        assert main(["logs", "tiny", word]) == 0
        assert f"begin {run.run_id}" in capsys.readouterr().out
    assert main(["logs", "tiny", run.run_id, "--tail", "1"]) == 0
    assert capsys.readouterr().out.endswith(" done\n")
    assert main(["logs", "tiny", "nobody"]) == 2
    assert "0 runs of 'tiny' match 'nobody'" in capsys.readouterr().err


@pytest.mark.parametrize("lines", ["-2", "0", "few"])
def test_a_tail_of_a_log_has_a_line_at_least(lines, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["logs", "tiny", "0", "--tail", lines])
    assert stop.value.code == 2
    assert f"--tail: '{lines}' is not a whole number from 1" in capsys.readouterr().err


def test_sync_finds_all_there_and_says_what_is_missing(done, capsys):
    assert main(["sync", "tiny"]) == 0
    assert "2 runs are complete" in capsys.readouterr().out
    assert main(["sync", "tiny", "--tracking-uri", "http://127.0.0.1:9"]) == 1
    assert "run `scaling sync` again" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["status", "cancel", "retry", "sync"])
def test_an_unknown_sweep_is_wrong_input(command, capsys):
    assert main([command, "nothing"]) == 2
    err = capsys.readouterr().err
    assert "no sweep 'nothing'" in err
    assert err.count("\n") == 1


def test_cancel_with_nobody_at_work_is_no_mistake(done, capsys):
    assert main(["cancel", "tiny"]) == 0
    assert "nothing to cancel" in capsys.readouterr().out


def test_ui_needs_a_store_and_a_free_port(done, tmp_path, capsys):
    assert main(["ui", "--root", str(tmp_path)]) == 2
    assert "submit a sweep first" in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["ui", "--port", str(taken.getsockname()[1])]) == 2
    err = capsys.readouterr().err
    assert "choose another with --port" in err
    assert err.count("\n") == 1


def test_the_live_view_begins_with_the_counts(done):
    from rich.console import Console

    status = sweep_status("tiny")
    console = Console(width=80, file=io.StringIO())
    console.print(render(status))
    assert "2 done of 2" in console.file.getvalue()
    assert summary(status).startswith("tiny: 2 done of 2; 100.0% of ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (5.4, "5 s"), (75, "1 min 15 s"), (7500, "2 h 05 min"), (200_000, "2 d 7 h")],
)
def test_durations_are_readable(seconds, text):
    assert duration(seconds) == text


def test_status_needs_neither_torch_nor_mlflow():
    code = (
        "import sys, cluster.status.sweep, cluster.cli; import cluster\n"
        "heavy = {'torch', 'mlflow', 'pandas', 'numpy', 'submitit'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow  # a real MLflow server answers at the link
@pytest.mark.skipif(CHROMIUM is not None, reason="the test of its page asks it as much")
def test_ui_prints_the_link_to_the_charts_and_serves_them(done):
    with served("tiny") as (link, port):
        assert_it_answers_its_own(link, port)
