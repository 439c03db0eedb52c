"""Folders of runs: logs with options beside them, and what TensorBoard's own writers leave."""

from __future__ import annotations

import json

import pytest

from scaling.importing import Stated, find_runs, understand


def imported(folder, counts=(), **columns):
    found, _ = find_runs([str(folder)])
    return {run.name: run for run in understand(found, Stated.parse(columns, counts))[0]}


def log(folder, name, lines):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.json", '{"model": {"width": 64}, "lr": 0.001}'),
        ("options.yaml", "model: {width: 64}\nlr: 1e-3\n"),
        ("hparams.yaml", "model.width: 64\nlr: 0.001\ncallback: !!python/object:a.B {}\n"),
        ("args.toml", "lr = 0.001\n[model]\nwidth = 64\n"),
        ("files/config.yaml", "lr: {value: 0.001}\nmodel: {desc: null, value: {width: 64}}\n"),
    ],
)
def test_a_folder_of_logs(tmp_path, name, text):
    run = tmp_path / "ladder" / "run-1"
    log(run, "log.jsonl", [{"step": s, "tokens": 100 * s, "eval": {"loss": 3 - s}} for s in (1, 2)])
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_text(text)
    (one,) = imported(tmp_path / "ladder", ["num_params=12*model.width^2"]).values()
    assert (one.spec.source, one.spec.run) == ("logs", "run-1")
    assert one.spec.counts["num_params"] == 49152
    assert one.spec.counts["lr"] == 0.001
    assert one.spec.result == {"status": "done", "loss": 1, "tokens": 200}
    assert [(p["step"], p["loss"]) for p in one.points] == [(100, 2), (200, 1)]


def test_the_folder_may_be_the_run_itself(tmp_path):
    """What Lightning's CSVLogger writes: a row has the metrics of one moment."""
    text = "epoch,step,train_loss,val_loss\n0,49,2.5,\n0,49,,2.25\n0,99,,2.125\n"
    (tmp_path / "metrics.csv").write_text(text)
    (tmp_path / "hparams.yaml").write_text("params: 10k\ntokens: 5000\n")
    (one,) = imported(tmp_path).values()
    assert one.spec.counts["num_params"] == 10_000
    assert one.points == (
        {"step": 2474, "loss": 2.25, "train_loss": 2.5},
        {"step": 5000, "loss": 2.125},
    )


def test_a_cut_last_line_is_nothing_and_another_is_refused(tmp_path):
    log(tmp_path / "a", "log.jsonl", [{"tokens": 10, "loss": 2.5}])
    path = tmp_path / "a" / "log.jsonl"
    whole = path.read_text()
    path.write_text(whole + '{"tokens": 20, "lo')
    assert imported(tmp_path)["a"].spec.result["loss"] == 2.5
    path.write_text('{"tokens": 20, "lo\n' + whole)
    with pytest.raises(ValueError, match=r"log.jsonl, line 1: not JSON: '\{\"tokens\": 20"):
        imported(tmp_path)


def test_tensorboards_own_writer(tmp_path):
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    for name, width in (("small", 32), ("large", 64)):
        writer = SummaryWriter(tmp_path / name)
        for step in (100, 200, 300):
            writer.add_scalar("val/loss", 3.1 - step / width / 100, step)
            writer.add_scalar("tokens", 1000 * step, step)
        writer.add_hparams({"width": width, "optimizer": "adam"}, {"hparam/best": 2.5})
        writer.close()
    runs = imported(tmp_path, ["num_params=12*width^2"])
    assert set(runs) == {"small", "large"}
    small = runs["small"]
    assert small.spec.source == "tensorboard"
    assert small.spec.options == {"width": 32.0, "optimizer": "adam"}
    assert small.spec.counts["num_params"] == 12288
    assert small.spec.num_tokens == 300_000
    assert [point["step"] for point in small.points] == [100_000, 200_000, 300_000]
    assert small.spec.result["loss"] == pytest.approx(3.00625, rel=1e-7)  # it keeps 32 bits


def test_folders_within_a_run_name_its_scalars(tmp_path):
    """Keras writes a folder for training and one for validation, with the same names in them."""
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    for part, loss in (("train", 2.0), ("validation", 3.0)):
        with SummaryWriter(tmp_path / "run" / part) as writer:
            writer.add_scalar("epoch_loss", loss, 1)
    (one,) = imported(tmp_path, loss="validation/epoch_loss").values()
    assert one.spec.result["loss"] == 3.0


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("config.yaml", "a: [", "config.yaml: cannot be read"),
        ("config.json", "[1]", "config.json: it is no mapping"),
        ("config.toml", "a", "config.toml: cannot be read"),
    ],
)
def test_options_that_cannot_be_read_are_named(tmp_path, name, text, says):
    log(tmp_path / "a", "log.jsonl", [{"tokens": 10, "loss": 2.5}])
    (tmp_path / "a" / name).write_text(text)
    with pytest.raises(ValueError, match=says):
        imported(tmp_path)


def test_a_folder_without_runs_is_said_so(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no runs: a run is a folder with logs"):
        imported(tmp_path)
