"""Reports: five sources, read as they come, and what cannot be read of them."""

from __future__ import annotations

import json
import shutil

import pytest

from scaling.programs import Reports
from scaling.programs.readers import SOURCES, Reading
from scaling.programs.readers.source import Places


def reading(folder, reports, tokens_per_step=0):
    values = {"run_dir": str(folder), "name": "a"}
    places = Places(folder, folder / "log.txt", folder / "reports.jsonl", values)
    return Reading(Reports.parse(reports), places, tokens_per_step)


def read(opened, last=False):
    return [(report.step, report.loss, dict(report.metrics)) for report in opened.new(last=last)]


def append(path, text):
    with path.open("a") as file:
        file.write(text)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "reports must be a mapping"),
        ({"fil": 1}, "unknown key of reports 'fil': did you mean 'file'?"),
        ({"file": "a.jsonl", "stdout": "x"}, "read from one place, not from file and stdout"),
        ({"file": "a.txt"}, "file 'a.txt' is none of .jsonl, .csv"),
        ({"file": 3}, r"file 3 is no path: write it as \{run_dir\}/log.jsonl"),
        ({"file": "{a.jsonl"}, "write {{ and }} for braces"),
        ({"mlflow": False}, "mlflow False: write mlflow: true"),
        ({"stdout": "(?P<loss>"}, "is no pattern"),
        ({"stdout": r"loss (\d+)"}, r"stdout has no group \(\?P<loss>"),
        ({"stdout": r"(?P<loss>\d+)", "loss": "val"}, r"stdout has no group \(\?P<val>"),
        ({"stdout": []}, "neither a pattern nor a list"),
        ({"unit": "step"}, "unknown unit 'step': did you mean 'steps'?"),
        ({"step": 3}, "step 3 is no name"),
        ({"metrics": "acc"}, "metrics 'acc' is no list of names"),
    ],
)
def test_what_is_wrong_with_reports_is_one_line(value, message):
    with pytest.raises(ValueError, match=message) as error:
        Reports.parse(value)
    assert "\n" not in str(error.value)


def test_every_source_is_a_key_and_the_other_way_round():
    assert SOURCES.keys() - {"report"} == {"file", "stdout", "tensorboard", "mlflow"}
    assert Reports.parse({}).source == "report"
    assert Reports.parse({"file": "{run_dir}/{name}.csv"}).templates == ("{run_dir}/{name}.csv",)


def test_json_lines_as_they_come(tmp_path):
    """Half a line waits; a file that is written anew is read anew."""
    path = tmp_path / "a.jsonl"
    reports = {"file": "{name}.jsonl", "step": "tokens", "loss": "eval.loss", "metrics": ["x"]}
    opened = reading(tmp_path, reports)
    assert read(opened) == []
    append(path, '{"tokens": 1, "eval": {"loss": 2}, "x": 3, "y": 4}\n\n{"tokens": 2.0, "ev')
    assert read(opened) == [(1, 2.0, {"x": 3.0})]
    append(path, 'al": {"loss": null}, "x": true}\n')
    assert read(opened) == [(2, None, {})]
    path.write_text('{"tokens": 5}\n')
    assert read(opened) == [(5, None, {})]
    path.write_text('{"tokens": 6, "x": 100000000}\n{"tokens": 7}')  # longer than what was read
    assert read(opened) == [(6, None, {"x": 1e8})]
    other = tmp_path / "b"
    other.write_text('{"tokens": 8, "x": 200000000}\n')
    other.replace(path)  # as long as what was read
    assert read(opened, last=True) == [(8, None, {"x": 2e8})]
    assert opened.problem == ""


def test_lines_of_json_that_are_no_reports(tmp_path):
    opened = reading(tmp_path, {"file": "a.jsonl"})
    lines = [
        *("not json", "[1]", '{"loss": 1}', '{"step": -1}', '{"step": 1.5}', '{"step": "3"}'),
        *('{"step": 1, "loss": "NaN"}', '{"step": true}', "[" * 100_000, '{"step": 1, "loss": 1}'),
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert read(opened, last=True) == [(1, 1.0, {})]
    assert opened.problem == (
        "9 lines of a.jsonl could not be read, the first: line 1: not JSON: 'not json'"
    )
    places = sorted(opened.bad, key=lambda place: int(place.split()[1]))
    assert places == [f"line {n}" for n in range(1, 10)]


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({}, "it has no step"),
        ({"step": -1}, "step -1 is no whole number of tokens"),
        ({"step": 1.5}, "step 1.5 is no whole number of tokens"),
        ({"step": float("nan")}, "step nan is no whole number of tokens"),
        ({"step": "3"}, "step '3' is no whole number of tokens"),
        ({"step": True}, "step True is no whole number of tokens"),
        ({"step": 1, "loss": "NaN"}, "loss 'NaN' is no number"),
    ],
)
def test_a_record_that_says_nothing_is_told_why(record, problem):
    with pytest.raises(ValueError, match=f"^{problem}$"):
        Reports().understand(record, 0)


def test_csv_with_the_empty_fields_and_headers_of_loggers(tmp_path):
    opened = reading(tmp_path, {"file": "a.csv", "unit": "steps"}, 10)
    path = tmp_path / "a.csv"
    path.write_text("step, loss,name,lr\n1,,a,0.5\n2,3.5,b,\n")
    assert read(opened) == [(10, None, {"lr": 0.5}), (20, 3.5, {})]
    append(path, "step,loss,name,lr\n3,nan,c,1\n4,5\n")
    ((step, loss, _),) = read(opened)
    assert step == 30 and loss != loss
    assert "line 6: 2 fields, and the header has 4: '4,5'" in opened.problem


def test_lines_of_output_by_their_groups(tmp_path):
    append(tmp_path / "log.txt", "step 1 loss 9\n")  # of the attempt before
    patterns = [r"step (?P<step>\d+)", r"loss (?P<loss>\S+)(?: acc (?P<acc>\S+))?"]
    opened = reading(tmp_path, {"stdout": patterns})
    append(tmp_path / "log.txt", "step 10 loss 2.5 acc 1\nbar\rstep 20\rloss 1e-1\nloss x\n")
    assert read(opened) == [
        (10, None, {}),
        (10, 2.5, {"acc": 1.0}),
        (20, None, {}),
        (20, 0.1, {}),
    ]
    assert opened.problem.endswith("line 3: loss 'x' is no number: 'loss x'")
    append(tmp_path / "log.txt", "loss 3")
    assert read(opened) == []
    assert read(opened, last=True) == [(20, 3.0, {})]


def test_tensorboards_event_files(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    opened = reading(tmp_path, {"tensorboard": "{run_dir}/tb", "loss": "val/loss"})
    assert read(opened) == []
    with SummaryWriter(tmp_path / "tb" / "version_0") as writer:
        writer.add_scalar("val/loss", 2.5, 10)
        writer.add_scalar("lr", 0.25, 10)
        writer.add_text("words", "no number", 10)
        writer.flush()
        assert read(opened) == [(10, 2.5, {}), (10, None, {"lr": 0.25})]
        writer.add_scalar("val/loss", 1.5, 20)
    with SummaryWriter(tmp_path / "tb" / "version_1") as writer:  # after a resume
        writer.add_scalar("val/loss", 1.0, 30)
    assert read(opened, last=True) == [(20, 1.5, {}), (30, 1.0, {})]


def test_tensorboards_steps_by_a_tag_that_counts_tokens(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    opened = reading(tmp_path, {"tensorboard": "tb", "step": "tokens"})
    with SummaryWriter(tmp_path / "tb") as writer:
        for step in (1, 2):
            writer.add_scalar("loss", 1 / step, step)
            writer.add_scalar("tokens", 1000 * step, step)
    assert read(opened) == [(1000, 1.0, {})]  # more may come of the second
    assert read(opened, last=True) == [(2000, 0.5, {})]


def test_without_tensorboard_the_remedy_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboard.backend.event_processing", None)
    with pytest.raises(ValueError, match=r"pip install 'scaling-lab\[tensorboard\]'"):
        reading(tmp_path, {"tensorboard": "tb"})


def test_the_mlflow_run_that_a_program_makes(tmp_path, monkeypatch, empty_store):
    """In a store of its own, which it finds by the variable that MLflow knows."""
    from mlflow import MlflowClient

    from scaling.programs.readers import mlflow as module

    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    shutil.copy(empty_store, tmp_path / "mlflow.db")  # as it would be made
    opened = reading(tmp_path, {"mlflow": True, "loss": "val_loss"})
    uri = opened.source.environment()["MLFLOW_TRACKING_URI"]
    assert uri == f"sqlite:///{tmp_path}/mlflow.db" and read(opened) == []
    client = MlflowClient(tracking_uri=uri)
    run_id = client.create_run("0").info.run_id
    client.log_metric(run_id, "val_loss", 3.0, step=10)
    client.log_metric(run_id, "val_loss", 2.0, step=20)
    assert read(opened) == [(10, 3.0, {}), (20, 2.0, {})]
    client.log_metric(run_id, "val_loss", 1.0, step=30)
    client.log_metric(run_id, "acc", 0.5, step=30)
    assert sorted(read(opened), key=str) == [(30, 1.0, {}), (30, None, {"acc": 0.5})]
    assert read(opened, last=True) == []


def test_what_scaling_report_writes_is_read(tmp_path, monkeypatch):
    from scaling import report

    opened = reading(tmp_path, {})
    monkeypatch.setenv("SCALING_REPORT", opened.source.environment()["SCALING_REPORT"])
    report(step=1, loss=float("nan"), acc=1)
    ((step, loss, metrics),) = read(opened)
    assert (step, metrics) == (1, {"acc": 1.0}) and loss != loss
    assert json.loads((tmp_path / "reports.jsonl").read_text())["acc"] == 1
