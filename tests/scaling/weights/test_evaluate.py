"""Kept weights evaluated: the right numbers, in the journal, as columns."""

from __future__ import annotations

import json
import math
import re
import shlex
import shutil
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from analysis.tables import load_runs
from scaling.base import WorkError
from scaling.data import find_prepared, open_data
from scaling.data.batches import prepare_examples
from scaling.run.journal import begin_anew, end, read_journal
from scaling.weights import CommandTask, evaluate, find_task, load_model
from scaling.weights.code_tasks import metrics


@pytest.fixture
def run(llama, tmp_path):
    """A copy of the kept run, for its journal grows."""
    return shutil.copytree(llama, tmp_path / "runs" / "0123456789abcdef")


def asked(run_dir, task, **options):
    """The columns of the end, and whether they were computed now."""
    found = list(evaluate(run_dir, task, **options))
    assert [one.problem for one in found] == [""] * len(found)
    return found[-1].values, found[-1].is_new


def problem(run_dir, task):
    (one,) = evaluate(run_dir, task)
    assert one.values == {}
    return one.problem


def test_its_own_data_give_the_loss_that_the_run_reported(run):
    values, _ = asked(run, find_task("tiny"))
    last = end(read_journal(run))
    assert values == {f"eval/tiny/{key}": last[key] for key in ("loss", "loss_se", "bits_per_byte")}


def test_another_text_is_read_as_a_loop_of_ones_own_would(run):
    values, is_new = asked(run, find_task("noise", "other"))
    assert is_new
    model, windows = load_model(run).model, open_data("noise").heldout_windows(32)
    with torch.no_grad():
        tokens = torch.from_numpy(windows)
        loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
    assert values["eval/other/loss"] == pytest.approx(float(loss), rel=1e-6)
    assert values["eval/other/loss"] > end(read_journal(run))["loss"] + 1


def test_numbers_last_and_are_not_asked_for_twice(run, texts):
    before = end(read_journal(run))
    first, _ = asked(run, find_task("noise"))
    assert asked(run, find_task("noise")) == (first, False)
    limited, is_new = asked(run, find_task("noise", limit=64))
    assert is_new
    assert limited != first
    every = list(evaluate(run, find_task("noise"), every=True))
    assert [(one.step // 128, one.is_new) for one in every] == [(20, True), (64, False)]
    assert end(read_journal(run)) == before
    table = load_runs(str(run.parent))
    assert table.loc[0, "eval/noise/loss"] == limited["eval/noise/loss"]  # the newest, of the end
    assert table.loc[0, "loss"] == before["loss"]
    as_loss = load_runs(str(run.parent), columns={"loss": "eval/noise/loss"})
    assert as_loss.loc[0, "loss"] == limited["eval/noise/loss"]
    begin_anew(run, 9)
    assert "eval/noise/loss" not in load_runs(str(run.parent))


def test_inputs_are_standardised_as_those_that_the_run_was_trained_on(perceptron, tmp_path):
    run = shutil.copytree(perceptron, tmp_path / "run")
    digits = open_data("digits")
    shifted = {
        "train_inputs": np.zeros_like(digits.train_inputs),  # another mean and deviation
        "train_labels": digits.train_labels,
        "heldout_inputs": digits.heldout_inputs,
        "heldout_labels": digits.heldout_labels,
    }
    home = tmp_path / "data"
    shutil.copytree(find_prepared("digits")[0], home / "digits")
    prepare_examples("shifted", home, lambda: shifted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCALING_DATA", str(home))
        values, _ = asked(run, find_task("shifted"))
    last = end(read_journal(run))
    assert values == {
        "eval/shifted/loss": last["loss"],
        "eval/shifted/loss_se": last["loss_se"],
        "eval/shifted/error": last["error"],
    }


@pytest.mark.parametrize(
    ("who", "data", "message"),
    [
        ("llama", "cats", "cats and tiny, .* have different tokenizers: prepare the text with"),
        ("llama", "digits", "digits has examples, family transformer sees tokens: choose"),
        ("perceptron", "tiny", "tiny has tokens, family mlp sees examples: choose other"),
        ("perceptron", "teacher:classes=3", "has 3 classes, the model 10: choose data with"),
        ("perceptron", "teacher:classes=10", "the model takes inputs of"),
    ],
)
def test_data_that_mean_something_else_are_refused(request, who, data, message):
    assert re.search(message, problem(request.getfixturevalue(who), find_task(data)))


def test_where_the_training_data_are_not_here_it_is_said(run, texts, tmp_path, monkeypatch, capsys):
    shutil.copytree(texts / "noise", tmp_path / "data" / "noise")
    monkeypatch.setenv("SCALING_DATA", str(tmp_path / "data"))
    asked(run, find_task("noise", "elsewhere"))
    assert (
        "tiny is not here as it was trained on: that noise has the same" in capsys.readouterr().err
    )


FUNCTIONS = """
import torch

def score(model, spec):
    assert not model.training and not torch.is_grad_enabled()
    logits = model(torch.zeros(1, spec.model.context, dtype=torch.long))
    return {"peak": logits.max(), "width": spec.model.width}

def one(model, spec):
    return 0.25

def words(model, spec):
    return {"a": "b"}

def fails(model, spec):
    raise KeyError("no such thing")
"""


def test_a_function_is_asked_for_numbers(run, tmp_path, monkeypatch):
    (tmp_path / "my_scores.py").write_text(FUNCTIONS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    values, _ = asked(run, find_task("my_scores:score"))
    assert values["eval/score/width"] == 16
    assert math.isfinite(values["eval/score/peak"])
    assert asked(run, find_task("my_scores:one", "mine")) == ({"eval/mine/value": 0.25}, True)
    assert asked(run, find_task("my_scores:one", "mine")) == ({"eval/mine/value": 0.25}, True)
    assert "a is str, not a number: return numbers by" in problem(run, find_task("my_scores:words"))
    assert "KeyError: 'no such thing'" in problem(run, find_task("my_scores:fails"))
    for text, message in (
        ("my_scores:nothing", "cannot be imported .AttributeError"),
        ("no_such_module:score", "cannot be imported .ModuleNotFoundError"),
        ("my_scores:torch", "is no function, but module"),
    ):
        with pytest.raises(ValueError, match=message):
            find_task(text)


def python(code, *words):
    return shlex.join([sys.executable, "-c", code, *words])


def test_a_command_gets_the_exported_model_and_ends_with_a_line_of_json(run):
    code = (
        "import json, sys, pathlib; folder = pathlib.Path(sys.argv[1]);"
        "config = json.loads((folder / 'config.json').read_text());"
        "print('reading'); print(json.dumps({'layers': config['num_hidden_layers']}))"
    )
    task = CommandTask(python(code, "{model}"), "mine")
    assert asked(run, task) == ({"eval/mine/layers": 1.0}, True)
    assert asked(run, CommandTask(python("print(0.5)", "{run_id}"), "half"))[0] == {
        "eval/half/value": 0.5
    }


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; sys.exit('out of luck')", "ended with 1: out of luck"),
        ("print('done')", "the last line on stdout is 'done', which is no number"),
        ("print([1])", "value is list, not a number"),
        ("print('{}')", "said nothing"),
    ],
)
def test_a_command_that_fails_is_a_problem_of_its_run(run, code, message):
    assert message in problem(run, CommandTask(python(code, "{run_dir}"), "mine"))


def test_a_command_that_cannot_be_right_is_refused():
    with pytest.raises(ValueError, match="unknown place 'modle': did you mean 'model'"):
        CommandTask("score {modle}", "mine")
    with pytest.raises(ValueError, match=r"does not say of which run: write \{model\}"):
        CommandTask("score", "mine")
    with pytest.raises(WorkError, match="a is NoneType"):
        metrics(json.loads('{"a": null}'), "it")
