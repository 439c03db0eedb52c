"""Runs that are counted: the path of any other run, the networks' tokens, what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scaling.counting import count, smooth, train
from scaling.data import open_data
from scaling.families import get_family
from scaling.run import end, points, read_journal
from scaling.run.record import STATE
from scaling.spec import RunSpec
from scaling.trainers import train as train_any
from tests.scaling.test_spec import INFO

NGRAM = {"family": "ngram", "order": 3, "depth": None, "width": None, "lr": None}


def ngram(tiny, **options):
    given = {**tiny, **NGRAM, **options}
    return RunSpec.resolve(**{k: v for k, v in given.items() if v is not None})


def test_a_run_is_counted_on_the_tokens_of_networks(tiny, tmp_path):
    spec = ngram(tiny)
    outcome = train_any(spec, tmp_path, device="cpu", threads=1, keep=None)
    assert outcome.status == "done"
    data = open_data("tiny")
    seen = [data.batch(s, context=32, batch_size=4, seed=0) for s in range(spec.num_steps)]
    counts = count(np.concatenate(seen), 256, 3)
    held = data.heldout_windows(32)
    losses = -np.log(smooth(counts, "kneser-ney", 1.0).probabilities(held))
    values = end(read_journal(tmp_path))
    assert values["loss"] == pytest.approx(losses.mean(), rel=1e-12)
    assert values["bits_per_byte"] == pytest.approx(values["loss"] / math.log(2))
    assert values["num_params"] == counts.num_counts < spec.num_params
    assert [p["step"] for p in points(read_journal(tmp_path))] == [spec.num_tokens]
    assert values["flops_spent"] == spec.flops == 3 * spec.num_tokens
    assert not (tmp_path / "checkpoint.pt").exists() and (tmp_path / STATE).exists()
    before = read_journal(tmp_path)
    assert train(spec, tmp_path).loss == outcome.loss
    assert read_journal(tmp_path) == before


def test_the_loss_on_what_was_counted_is_that_of_its_windows(tiny, tmp_path):
    """A step's worth, which is all there is."""
    spec = ngram(tiny, num_tokens=4 * 32)
    values = train(spec, tmp_path / "usual").values
    seen = open_data("tiny").batch(0, context=32, batch_size=4, seed=0)
    losses = -np.log(smooth(count(seen, 256, 3), "kneser-ney", 1.0).probabilities(seen)).mean(1)
    assert values["loss_train"] == pytest.approx(losses.mean(), rel=1e-12)
    assert values["loss_train"] < values["loss"]
    assert values["loss_train_se"] == pytest.approx(losses.std(ddof=1) / 2, rel=1e-12)
    off = ngram(tiny, num_tokens=4 * 32, train_eval=False)
    assert off.run_id == spec.run_id == ngram(tiny, num_tokens=4 * 32, train_eval=True).run_id
    assert "loss_train" not in train(off, tmp_path / "off").values


def test_one_that_is_stopped_begins_anew(tiny, tmp_path):
    assert train(ngram(tiny), tmp_path, should_stop=lambda: True).status == "stopped"
    assert train(ngram(tiny), tmp_path).status == "done"


def test_the_table_has_the_counted_size(tiny, tmp_path, home):
    from analysis import load_runs

    spec = ngram(tiny)
    train(spec, home / "runs" / spec.run_id)
    row = load_runs(home / "runs").iloc[0]
    assert row["num_params"] == end(read_journal(home / "runs" / spec.run_id))["num_params"]
    assert (row["family"], row["status"], row["num_tokens"]) == ("ngram", "done", spec.num_tokens)


def test_what_nothing_reads_is_no_part_of_a_run(tiny):
    spec = ngram(tiny)
    assert spec.trunk_id is None
    assert "lr" not in spec.settings() and "lr" not in spec.columns()
    assert RunSpec.from_dict(spec.to_dict()) == spec
    assert RunSpec.from_dict(spec.to_dict()).run_id == spec.run_id
    given = {k: v for k, v in {**tiny, **NGRAM, "lr": 0.1}.items() if v is not None}
    assert RunSpec.resolve(**given, alone=False).run_id == spec.run_id
    with pytest.raises(ValueError, match=r"lr 0\.1 has no effect.*family is not ngram"):
        RunSpec.resolve(**given)


def test_size_is_bounded_by_the_data():
    spec = RunSpec.resolve(info=INFO, family="ngram", order=4, num_tokens=1 << 20)
    assert spec.num_params == 256 + 65536 + 2 * (1 << 20)
    cost = get_family("ngram").cost(spec.model)
    assert cost.num_params == 256 + 256**2 + 256**3 + 256**4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"order": None}, "no size: give order"),
        ({"order": 0}, r"order 0 is not in \[1, 33\]"),
        ({"order": 34}, r"order 34 is not in \[1, 33\]"),
        ({"smoothing": "kneser"}, "unknown smoothing 'kneser': did you mean 'kneser-ney'"),
        ({"smoothing": "additive", "epsilon": 0}, "epsilon 0.0 is not above 0"),
        ({"epsilon": 2}, "epsilon 2.0 has no effect"),
        (
            {"num_tokens": 1e6},
            "num_tokens 999,936 is more than one pass over tiny .*: ask for 25,984",
        ),
    ],
)
def test_bad_options_are_refused(tiny, options, words):
    with pytest.raises(ValueError, match=words):
        ngram(tiny, **options)


class Two:
    """A team of two, in one process: what the leader says is what the other hears."""

    size = 2

    def __init__(self):
        self.said = []

    def say(self, value):
        if self.leads:
            self.said.append(value)
        return self.said[-1]


def test_a_team_waits_for_its_leader_and_hears_of_its_failure(tiny, tmp_path):
    team, spec = Two(), ngram(tiny)
    team.leads = True
    outcome = train_any(spec, tmp_path / "a", team=team)
    team.leads = False
    assert train_any(spec, tmp_path / "b", team=team) == outcome
    assert not (tmp_path / "b").exists()
    team.leads = True
    with pytest.raises(FileNotFoundError):
        train_any(spec, tmp_path / "c", team=team, data_dir=tmp_path / "nowhere")
    assert end(read_journal(tmp_path / "c"))["status"] == "failed"
    team.leads = False
    assert train_any(spec, tmp_path / "d", team=team).status == "failed"
