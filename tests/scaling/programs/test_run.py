"""A program's run: how it is called, what it reports, and how it ends."""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from scaling import train
from scaling.base import Store, read_json
from scaling.programs import code_folder, guard
from scaling.run import LOG, STATE, begin_anew, points, read_journal
from tests.scaling.programs.scripts import plain, program, quick

REPORT = "from scaling import report; report(step=100, loss=2.5, acc=0.5, epoch=3)\n"


def test_a_plain_script_from_its_sweep_to_its_loss(home, tmp_path):
    store = Store.at(home)
    spec = plain(store, steps=250)
    code = code_folder(store, spec.program.code, "")
    outcome = train(spec, tmp_path / "run", means=quick(code=code))
    assert outcome.status == "done" and 2.5 < outcome.loss < 4.5
    curve = points(read_journal(tmp_path / "run"))
    assert [point["step"] for point in curve] == [128 * 100, 128 * 200, 128 * 250]
    assert outcome.values["tokens"] == spec.num_tokens
    assert outcome.values["flops_spent"] == spec.flops
    assert read_json(tmp_path / "run" / STATE)["state"] == "done"
    again = train(spec, tmp_path / "run", means=quick(code=code))
    assert again.values == {"event": "end", **outcome.values}  # what has a result is not run again


def test_all_that_it_reports_reaches_the_journal(tmp_path):
    """A name such as ``epoch``, which the journal has a meaning for, does no harm."""
    outcome = train(program(REPORT), tmp_path)
    assert (outcome.status, outcome.loss) == ("done", 2.5)
    (point,) = points(read_journal(tmp_path))
    assert point["program/acc"] == 0.5 and point["program/epoch"] == 3
    assert outcome.values["program/epoch"] == 3


def test_what_it_is_told(tmp_path):
    script = """
        import json, os, sys
        from pathlib import Path
        Path("mine.txt").write_text("here")
        told = {k: v for k, v in os.environ.items() if k.startswith("SCALING_")}
        print(json.dumps([sys.argv[1:], told, json.load(open(os.environ["SCALING_OPTIONS_FILE"]))]))
        from scaling import report
        report(step=100, loss=1)
    """
    spec = program(script, {"model.dim": 8, "out": "{run_dir}/x", "flags": ["a", 1]})
    command = (*spec.program.command, "{model.dim}", "{num_steps}", "{out}", "{seed}", "{attempt}")
    env = {"WANDB_DIR": "{run_dir}", "SCALING_MINE": "{num_tokens}"}
    spec = replace(spec, program=replace(spec.program, command=command, env=env))
    assert train(spec, tmp_path).status == "done"
    folder = tmp_path / "program"
    words, told, options = json.loads((tmp_path / LOG).read_text().splitlines()[0])
    assert words == ["8", "10", f"{folder}/x", "0", "1"]
    assert options == {"model": {"dim": 8}, "out": f"{folder}/x", "flags": ["a", 1]}
    expected = {
        "SCALING_RUN_DIR": str(folder),
        "SCALING_OPTION_MODEL_DIM": "8",
        "SCALING_OPTION_FLAGS": '["a", 1]',
        "SCALING_SEED": "0",
        "SCALING_NUM_TOKENS": "100",
        "SCALING_NUM_STEPS": "10",
        "SCALING_TOKENS_PER_STEP": "10",
        "SCALING_ATTEMPT": "1",
        "SCALING_MINE": "100",
    }
    assert expected.items() <= told.items() and "SCALING_RESUME" not in told
    assert (tmp_path / "cwd" / "mine.txt").read_text() == "here"


def test_the_code_is_readable_where_it_works_and_its_outputs_stay_with_the_run(tmp_path):
    code = tmp_path / "code"
    (code / "conf").mkdir(parents=True)
    (code / "conf" / "a.txt").write_text("0.25")
    (code / "other.py").write_text("loss = float(open('conf/a.txt').read())")
    (code / "main.py").write_text(
        "import other\nfrom scaling import report\nreport(step=100, loss=other.loss)\n"
        "open('result.txt', 'w').write('mine')\nopen('conf/result.txt', 'w').write('too')\n"
    )
    spec = program("", command=("python", "main.py"), code="0123456789abcdef")
    outcome = train(spec, tmp_path / "run", means=quick(code=code))
    assert outcome.loss == 0.25
    assert (tmp_path / "run" / "cwd" / "result.txt").read_text() == "mine"
    assert (tmp_path / "run" / "cwd" / "conf" / "result.txt").read_text() == "too"
    files = sorted(path.name for path in code.rglob("*") if "__pycache__" not in path.parts)
    assert files == ["a.txt", "conf", "main.py", "other.py"]


def test_a_shell_line_has_its_values_quoted(tmp_path):
    line = 'echo {word} | cat; echo \'{{"step": 100, "loss": 1}}\' > {run_dir}/l.jsonl'
    spec = program(
        "",
        {"word": "a b; echo c"},
        command=(line,),
        shell=True,
        reports={"file": "l.jsonl"},
    )
    assert train(spec, tmp_path).status == "done"
    assert (tmp_path / LOG).read_text() == "a b; echo c\n"


def test_a_function_is_a_program(tmp_path):
    (tmp_path / "lab.py").write_text(
        "def run(options, run):\n"
        "    assert not run.resumed and run.attempt == 1 and not run.should_stop\n"
        "    (run.checkpoint_dir / 'a').write_text('x')\n"
        "    run.report(step=run.num_tokens, loss=options['x'] + run.seed)\n"
    )
    spec = replace(program("", {"x": 1.5}, command=(), function="lab:run"), seed=2)
    assert train(spec, tmp_path / "run", means=quick(code=tmp_path)).loss == 3.5
    spec = program("", command=(), function="lab:walk")
    outcome = train(spec, tmp_path / "run2", means=quick(code=tmp_path))
    assert outcome.values["reason"] == "exit code 2: module lab has no function 'walk'"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("pass", "reported no loss"),
        ("raise SystemExit(3)", "exit code 3, and it printed nothing"),
        (
            "import this_is_no_module",
            "exit code 1: ModuleNotFoundError: No module",
        ),
        ("print('all is well'); import os; os.abort()", "killed by SIGABRT: all is well"),
        (
            "raise RuntimeError('CUDA out of memory. Tried to allocate 2 GiB')",
            "exit code 1: RuntimeError: CUDA out of memory. Tried to allocate 2 GiB",
        ),
    ],
)
def test_how_it_fails(tmp_path, script, reason):
    outcome = train(program(script), tmp_path)
    assert outcome.status == "failed"
    assert outcome.values["reason"].startswith(reason)
    assert read_json(tmp_path / STATE)["state"] == "failed"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"command": ("no-such-trainer", "x")}, "command not found: 'no-such-trainer': install it"),
        ({"command": ("/etc/passwd",)}, "command '/etc/passwd' cannot be started: Permission"),
        ({"command": ("python", "{dept}")}, "'{dept}': there is no dept"),
        ({"reports": {"file": "{dept}.jsonl"}}, "'{dept}.jsonl': there is no dept"),
        ({"env": {"A": "{b}"}}, "'{b}': there is no b"),
        ({"command": ()}, "the program has neither a command nor a function"),
    ],
)
def test_what_cannot_be_started_says_so_in_one_line(tmp_path, changes, reason):
    outcome = train(program("pass", **changes), tmp_path)
    assert outcome.status == "failed" and outcome.values["reason"].startswith(reason)


def test_the_missing_copy_of_its_code_is_said(tmp_path):
    outcome = train(program("pass"), tmp_path / "run", means=quick(code=tmp_path / "gone"))
    assert outcome.values["reason"] == (
        f"the program's code is not in {tmp_path / 'gone'}: submit the sweep again from where it "
        "lies"
    )


def test_lines_that_cannot_be_read_are_counted_and_the_first_is_said(tmp_path):
    script = """
        import os
        lines = ['{"loss": 1}', 'oops', '{"step": 50, "loss": "NaN"}', '[1]']
        lines += GOOD
        open(os.environ["SCALING_REPORT"], "w").write("".join(line + chr(10) for line in lines))
    """
    bad = "lines of $SCALING_REPORT could not be read, the first: line 1: it has no step: "
    outcome = train(program(script.replace("GOOD", "[]")), tmp_path / "a")
    assert outcome.values["reason"].startswith(f"reported no loss; 4 {bad}")
    good = """['{"step": 100, "loss": 2}']"""
    outcome = train(program(script.replace("GOOD", good)), tmp_path / "b")
    assert outcome.status == "done" and outcome.values["note"].startswith(f"4 {bad}")
    assert f"scaling: 4 {bad}" in (tmp_path / "b" / LOG).read_text()


def test_a_loss_that_is_not_finite_ends_it_at_once(tmp_path):
    script = """
        import time
        from scaling import report
        report(step=50, loss=2.0)
        report(step=60, loss=float("nan"))
        time.sleep(600)
    """
    began = time.monotonic()
    outcome = train(program(script), tmp_path)
    assert time.monotonic() - began < 60
    assert outcome.status == "diverged" and outcome.values["tokens"] == 60
    assert outcome.values["reason"] == "reported loss nan at step 60"
    assert math.isnan(points(read_journal(tmp_path))[-1]["loss"])


def test_a_silent_program_is_stalled(tmp_path):
    spec = program("import time; time.sleep(600)")
    outcome = train(spec, tmp_path, means=quick(silent_minutes=0.01))
    assert outcome.status == "failed" and outcome.values["cause"] == "stalled"
    assert "no report and no output for 0.01 minutes" in outcome.values["reason"]


STOPPABLE = """
    import signal, sys, time, os
    from pathlib import Path
    from scaling import report
    place = Path(os.environ["SCALING_RUN_DIR"]) / "place"
    signal.signal(signal.SIGUSR1, lambda *_: (place.write_text("60"), sys.exit(EXIT)))
    if os.environ.get("SCALING_RESUME"):
        report(step=100, loss=float(place.read_text()))
        sys.exit()
    report(step=60, loss=5)
    time.sleep(600)
"""


@pytest.mark.parametrize("code", [0, 1])
def test_it_is_asked_to_stop_by_its_signal_and_goes_on_in_the_same_folder(tmp_path, code):
    spec, heard = program(STOPPABLE.replace("EXIT", str(code))), threading.Event()
    means = quick(stop_signal="SIGUSR1", stop_seconds=60)
    outcome = train(spec, tmp_path, means=means, should_stop=heard.is_set, heard=heard.set)
    assert (outcome.status, outcome.values) == ("stopped", {})
    state = read_json(tmp_path / STATE)
    assert (state["state"], state["step"], state["spent_tokens"]) == ("stopped", 60, 60)
    outcome = train(spec, tmp_path, means=means)
    assert (outcome.status, outcome.loss) == ("done", 60.0)
    events = read_journal(tmp_path)
    assert [e["attempt"] for e in events if e["event"] == "start"] == [1, 2]
    assert outcome.values["flops_spent"] == 6000 * 100
    assert outcome.values["seconds"] > state["seconds"]


def test_one_that_does_not_heed_the_signal_is_killed_after_its_time(tmp_path):
    script = """
        import signal, time
        from scaling import report
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        report(step=60, loss=5)
        time.sleep(600)
    """
    heard = threading.Event()
    began = time.monotonic()
    outcome = train(
        program(script),
        tmp_path,
        means=quick(stop_seconds=0.5),
        should_stop=heard.is_set,
        heard=heard.set,
    )
    assert outcome.status == "stopped" and time.monotonic() - began < 60


def test_one_that_was_at_its_end_when_asked_to_stop_is_done(tmp_path):
    script = "import signal, time, sys\nsignal.signal(15, lambda *_: sys.exit())\n"
    spec, heard = program(f"{script}{REPORT}time.sleep(600)"), threading.Event()
    assert train(spec, tmp_path, should_stop=heard.is_set, heard=heard.set).status == "done"


def test_without_its_lease_it_is_stopped_and_nothing_is_written(tmp_path):
    script = """
        import time
        from scaling import report
        for step in range(1, 1000):
            report(step=step, loss=5)
            time.sleep(0.05)
    """
    lost = threading.Event()
    outcome = train(program(script), tmp_path, held=lambda: not lost.is_set(), heard=lost.set)
    assert (outcome.status, outcome.values) == ("stopped", {})
    before = (tmp_path / "program" / "reports.jsonl").stat().st_size
    assert [e["event"] for e in read_journal(tmp_path)].count("end") == 0
    time.sleep(0.3)
    assert (tmp_path / "program" / "reports.jsonl").stat().st_size == before


def test_a_point_is_all_that_was_reported_of_its_step(tmp_path):
    script = """
        from scaling import report
        for step in (50, 100):
            report(step=step, train_loss=step / 10)
            report(step=step, loss=step / 20, acc=1)
    """
    train(program(script), tmp_path)
    keys = ("step", "loss", "train_loss", "program/acc")
    found = [tuple(point[key] for key in keys) for point in points(read_journal(tmp_path))]
    assert found == [(50, 2.5, 5.0, 1), (100, 5.0, 10.0, 1)]


def test_where_it_ended_is_the_data_that_it_was_trained_on(tmp_path):
    outcome = train(program("from scaling import report; report(step=70, loss=1)"), tmp_path)
    assert outcome.values["tokens"] == 70
    pattern = {"stdout": r"final (?P<loss>[\d.]+)"}
    outcome = train(program("print('final 1.5')", reports=pattern), tmp_path / "b")
    assert (outcome.loss, outcome.values["tokens"]) == (1.5, 100)  # nobody says: as planned


def test_steps_are_tokens_by_tokens_per_step(tmp_path):
    spec = program("from scaling import report; report(step=7, loss=1)", reports={"unit": "steps"})
    assert train(spec, tmp_path).values["tokens"] == 70
    outcome = train(replace(spec, tokens_per_step=0), tmp_path / "b")
    assert "unit steps needs tokens_per_step" in outcome.values["reason"]


def test_python_is_the_users_where_an_environment_is_active(tmp_path, monkeypatch):
    script = "import sys; print(sys.executable)\n" + REPORT
    fake = tmp_path / "bin" / "python"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho mine\nexec {sys.executable} "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    assert train(program(script), tmp_path / "a").status == "done"
    assert "mine" not in (tmp_path / "a" / LOG).read_text()
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path))
    assert train(program(script), tmp_path / "b").status == "done"
    assert "mine" in (tmp_path / "b" / LOG).read_text()


def test_torch_is_not_loaded_to_run_programs():
    import subprocess

    code = (
        "import sys, tempfile, pathlib\n"
        "from tests.scaling.programs.scripts import program\n"
        "from scaling import train\n"
        "train(program('pass'), pathlib.Path(tempfile.mkdtemp()))\n"
        "print([m for m in ('torch', 'mlflow', 'pandas') if m in sys.modules])"
    )
    root = Path(__file__).parents[3]
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert found.stdout.strip() == "[]"


def test_begun_anew_nothing_of_before_is_left(tmp_path):
    from scaling.programs import forget

    train(program(REPORT), tmp_path)
    begin_anew(tmp_path, 1)
    forget(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {LOG, STATE, "metrics.jsonl", "spec.json"}


def test_one_whose_worker_was_frozen_goes_on_and_is_not_failed(tmp_path, monkeypatch):
    """Its guard ends it before another could take the run over; the worker wakes up and sees it."""
    quick_guard = tmp_path / "guard.py"
    source = Path(guard.__file__).read_text()
    quick_guard.write_text(source.replace("SILENCE_SECONDS = 75.0", "SILENCE_SECONDS = 0.5"))
    monkeypatch.setattr(guard, "__file__", str(quick_guard))
    slept = []

    def freeze():
        if not slept:
            slept.append(time.sleep(2.0))
        return False

    script = "import time; time.sleep(600)"
    assert train(program(script), tmp_path / "run", should_stop=freeze).status == "stopped"
    assert read_json(tmp_path / "run" / STATE)["state"] == "stopped"
