"""The training loop: exact resumption, shared trunks, divergence, accounting."""

from __future__ import annotations

import json
import math

import pytest

from scaling.base import read_json
from scaling.run.journal import JOURNAL, LATEST, STATE, damaged_lines, end, points, read_journal
from scaling.schedule import curve_steps
from scaling.spec import RunSpec
from scaling.training.loop import train
from scaling.training.task import NextToken


def bits(run_dir):
    """What must be the same bits: the curve and the final values, without times."""
    events = read_journal(run_dir)
    final = end(events)
    kept = ("step", "loss", "loss_se", "train_loss", "bits_per_byte", "lr")
    curve = [{k: p[k] for k in kept} for p in points(events)]
    return curve, {k: final.get(k) for k in ("status", "loss", "loss_se", "tokens")}


def stop_after(calls):
    count = iter(range(10**9))
    return lambda: next(count) + 1 >= calls


def test_a_run_learns_and_reports_all_its_values(tiny, tmp_path):
    spec = RunSpec.resolve(**tiny)
    outcome = train(spec, tmp_path)
    assert outcome.status == "done"
    curve = points(read_journal(tmp_path))
    assert outcome.loss < curve[0]["loss"] < math.log(256) + 0.6
    assert [p["step"] for p in curve] == [128 * s for s in (*sorted(curve_steps(64)), 64)]
    assert outcome.values["bits_per_byte"] == pytest.approx(outcome.loss / math.log(2))
    assert outcome.values["flops_spent"] == spec.flops
    assert json.loads((tmp_path / "spec.json").read_text()) == spec.to_dict()
    assert read_json(tmp_path / STATE)["state"] == "done"
    assert read_json(tmp_path / STATE)["loss"] == outcome.loss != curve[-1]["loss"]
    assert not (tmp_path / LATEST).exists()


def test_a_finished_run_is_not_done_again(tiny, tmp_path):
    spec = RunSpec.resolve(**tiny)
    train(spec, tmp_path)
    before = (tmp_path / JOURNAL).read_bytes()
    assert train(spec, tmp_path).status == "done"
    assert (tmp_path / JOURNAL).read_bytes() == before


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dropout": 0.2},
        {"schedule": "cosine", "optimizer": "sgd"},
        {"optimizer": "rmsprop", "weight_decay": 2.0},
        {"parametrisation": "mup"},
    ],
)
def test_stopping_and_resuming_gives_the_same_bits(tiny, tmp_path, options):
    spec = RunSpec.resolve(**tiny, **options)
    train(spec, tmp_path / "whole")
    for calls in (7, 13, 1, 30):
        assert train(spec, tmp_path / "parts", should_stop=stop_after(calls)).status == "stopped"
    train(spec, tmp_path / "parts")
    assert bits(tmp_path / "parts") == bits(tmp_path / "whole")
    assert end(read_journal(tmp_path / "parts"))["flops_spent"] == spec.flops


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_run_from_before_decay_was_decoupled_is_finished_as_it_began(tiny, tmp_path, optimizer):
    spec = RunSpec.resolve(**tiny, optimizer=optimizer, weight_decay=2.0, decay="coupled")
    train(spec, tmp_path / "whole")
    train(spec, tmp_path / "parts", should_stop=stop_after(20))
    written = json.loads((tmp_path / "parts" / "spec.json").read_text())
    del written["optim"]["decay"]
    old = RunSpec.from_dict(written)
    assert old.run_id == spec.run_id
    train(old, tmp_path / "parts")
    assert bits(tmp_path / "parts") == bits(tmp_path / "whole")
    now = RunSpec.resolve(**tiny, optimizer=optimizer, weight_decay=2.0)
    train(now, tmp_path / "now")
    assert bits(tmp_path / "now") != bits(tmp_path / "whole")


def test_all_points_of_a_curve_see_the_same_windows(tiny, tmp_path, monkeypatch):
    asked = []
    evaluate = NextToken.evaluate

    def watched(task, model, limit, share):
        asked.append(limit)
        return evaluate(task, model, limit, share)

    monkeypatch.setattr(NextToken, "evaluate", watched)
    points = len(curve_steps(64))
    train(RunSpec.resolve(**tiny), tmp_path / "share")
    assert asked == [*points * [6 * 128], 0, 6 * 128]
    asked.clear()
    train(RunSpec.resolve(**tiny, curve_share=99), tmp_path / "all")
    assert asked == [*points * [65536], 0]  # which are all there are
    asked.clear()
    outcome = train(RunSpec.resolve(**tiny, curve_tokens=64), tmp_path / "told")
    assert asked == [*points * [64], 0]  # the last point is the final evaluation
    assert bits(tmp_path / "told")[0][-1]["loss"] == outcome.loss


def test_the_curve_does_not_touch_the_run(tiny, tmp_path):
    """The default budget, everything, and what a run from before does: one loss, to the bit."""
    settings = {"share": {}, "all": {"curve_tokens": 0}, "few": {"curve_tokens": 64}}
    found = {}
    for name, asked in settings.items():
        train(RunSpec.resolve(**tiny, **asked, dropout=0.2), tmp_path / name)
        found[name] = bits(tmp_path / name)
    assert found["share"][1] == found["all"][1] == found["few"][1]
    firsts = [found[name][0][0] for name in settings]
    assert len({first["loss"] for first in firsts}) == 3
    assert len({(first["step"], first["train_loss"]) for first in firsts}) == 1


def test_what_pads_the_vocabulary_is_learnt_to_be_nothing(tiny, tmp_path):
    """Half of 512 rows never occur: at first they cost ln 2, after a few steps next to nothing."""
    plain = train(RunSpec.resolve(**tiny), tmp_path / "plain")
    spec = RunSpec.resolve(**tiny, vocab_multiple=512)
    assert spec.columns()["num_params"] == spec.columns()["num_params_unpadded"] + 2 * 256 * 8
    assert train(spec, tmp_path / "padded").loss == pytest.approx(plain.loss, abs=0.05)


def test_a_run_goes_on_with_the_curve_that_it_began_with(tiny, tmp_path):
    old = RunSpec.resolve(**tiny, curve_tokens=65536)
    train(old, tmp_path / "whole", trunk_dir=tmp_path / "trunk")
    train(old, tmp_path / "parts", should_stop=stop_after(30))
    now = RunSpec.resolve(**tiny)
    assert now.run_id == old.run_id
    train(now, tmp_path / "parts", trunk_dir=tmp_path / "others")
    assert bits(tmp_path / "parts") == bits(tmp_path / "whole")
    assert not (tmp_path / "others").exists()
    train(now, tmp_path / "now")
    assert bits(tmp_path / "now")[0] != bits(tmp_path / "whole")[0]


def test_a_corrupt_checkpoint_costs_time_but_no_bits(tiny, tmp_path, capsys):
    spec = RunSpec.resolve(**tiny)
    train(spec, tmp_path / "whole")
    for _ in range(2):
        train(spec, tmp_path / "parts", should_stop=stop_after(20))
    (tmp_path / "parts" / LATEST).write_bytes(b"not a checkpoint")
    train(spec, tmp_path / "parts")
    assert "going back to its predecessor" in capsys.readouterr().err
    assert bits(tmp_path / "parts") == bits(tmp_path / "whole")
    # What was computed twice counts as spent twice.
    assert end(read_journal(tmp_path / "parts"))["flops_spent"] > spec.flops


def test_a_shared_trunk_gives_the_same_bits_and_spends_less(tiny, tmp_path):
    short, long = (RunSpec.resolve(**{**tiny, "num_tokens": n * 128}) for n in (40, 80))
    for spec in (short, long):
        train(spec, tmp_path / "alone" / spec.run_id)
        train(spec, tmp_path / "shared" / spec.run_id, trunk_dir=tmp_path / "trunk")
        assert bits(tmp_path / "shared" / spec.run_id) == bits(tmp_path / "alone" / spec.run_id)
    per_step = long.cost.flops_train * 128
    assert end(read_journal(tmp_path / "shared" / long.run_id))["flops_spent"] == 48 * per_step
    assert long.flops == 80 * per_step


def test_a_damaged_trunk_is_passed_over(tiny, tmp_path):
    short, long = (RunSpec.resolve(**{**tiny, "num_tokens": n * 128}) for n in (40, 80))
    train(short, tmp_path / "short", trunk_dir=tmp_path / "trunk")
    for path in (tmp_path / "trunk").iterdir():
        path.write_bytes(b"broken")
    train(long, tmp_path / "long", trunk_dir=tmp_path / "trunk")
    train(long, tmp_path / "alone")
    assert bits(tmp_path / "long") == bits(tmp_path / "alone")


def test_divergence_ends_a_run_with_its_curve_kept(tiny, tmp_path):
    spec = RunSpec.resolve(
        **{**tiny, "lr": 300.0, "optimizer": "sgd", "grad_clip": 0.0, "schedule": "constant"}
    )
    outcome = train(spec, tmp_path)
    assert outcome.status == "diverged"
    assert outcome.loss is None
    assert "training loss" in outcome.values["reason"]
    assert train(spec, tmp_path).status == "diverged"


def test_early_stopping_ends_after_the_patience(tiny, tmp_path):
    spec = RunSpec.resolve(
        **{**tiny, "lr": 1e-12, "num_tokens": 128 * 512, "early_stopping": 2, "weight_decay": 0.0}
    )
    assert spec.trunk_id is None
    outcome = train(spec, tmp_path)
    assert outcome.status == "done"
    assert outcome.values["tokens"] < spec.train.num_tokens


def test_other_data_under_the_same_name_are_refused_and_journalled(tiny, tmp_path):
    from dataclasses import replace

    spec = RunSpec.resolve(**tiny)
    other = replace(spec, data=replace(spec.data, fingerprint="0" * 16))
    with pytest.raises(ValueError, match="prepare the same data"):
        train(other, tmp_path)
    assert end(read_journal(tmp_path))["status"] == "failed"


def test_a_checkpoint_of_another_run_is_refused(tiny, tmp_path):
    train(RunSpec.resolve(**tiny), tmp_path, should_stop=stop_after(5))
    with pytest.raises(ValueError, match="use another folder"):
        train(RunSpec.resolve(**tiny, seed=1), tmp_path)


def test_bfloat16_is_close_to_float32(tiny, tmp_path):
    full = train(RunSpec.resolve(**tiny), tmp_path / "full")
    half = train(RunSpec.resolve(**tiny, precision="bfloat16"), tmp_path / "half")
    assert half.loss == pytest.approx(full.loss, rel=0.02)
    assert half.loss != full.loss


@pytest.mark.parametrize("context", [5, 32])
def test_unique_tokens_are_those_that_the_steps_predict(tiny, tmp_path, context):
    """Against the batches themselves: each place of the data that was predicted, counted once."""
    from dataclasses import replace

    import numpy as np

    from scaling.data import describe_data, open_data

    size = describe_data("tiny").train_size
    for passes in (0.3, 2.5):
        tokens = round(passes * size)
        spec = RunSpec.resolve(
            **{**tiny, "context": context, "num_tokens": tokens, "batch_size": 64}
        )
        outcome = train(spec, tmp_path / f"{passes}")
        data = open_data("tiny")
        places = replace(data, train=np.arange(size, dtype=np.uint32))
        seen = {
            place
            for step in range(spec.num_steps)
            for place in places.batch(step, context=context, batch_size=64, seed=0)[:, 1:].flat
        }
        assert outcome.values["num_unique_tokens"] == len(seen)
        assert (len(seen) < spec.train.num_tokens) == (passes > 1)


def test_unique_examples_are_those_that_the_steps_see(tmp_path):
    from scaling.data.batches.order import batch_indices

    options = {"family": "mlp", "depth": 1, "width": 4, "data": "teacher:examples=70,heldout=10"}
    for batch_size, tokens in ((32, 64), (32, 96), (96, 96), (8, 400)):
        spec = RunSpec.resolve(**options, batch_size=batch_size, num_tokens=tokens, lr=0.01)
        outcome = train(spec, tmp_path / f"{batch_size}-{tokens}")
        batches = (batch_indices(step, batch_size, 70, 0) for step in range(spec.num_steps))
        seen = {index for batch in batches for index in batch.tolist()}
        assert outcome.values["num_unique_tokens"] == len(seen)


def test_a_damaged_point_comes_back_from_the_checkpoint(tiny, tmp_path):
    spec = RunSpec.resolve(**tiny)
    train(spec, tmp_path / "whole")
    train(spec, tmp_path / "cut", should_stop=stop_after(spec.num_steps - 1))
    journal = tmp_path / "cut" / JOURNAL
    journal.write_bytes(journal.read_bytes().replace(b'"step"', b"\0step", 2))
    assert damaged_lines(tmp_path / "cut") == 2
    assert train(spec, tmp_path / "cut").status == "done"
    assert damaged_lines(tmp_path / "cut") == 0
    assert bits(tmp_path / "cut") == bits(tmp_path / "whole")
