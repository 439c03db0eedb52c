"""Ensembles: each member is the run alone but for rounding, with a journal of its own."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from scaling.run.checkpoint import load_latest
from scaling.run.journal import end, points, read_journal
from scaling.run.keep import Keep
from scaling.run.weights import kept
from scaling.spec import RunSpec
from scaling.training import Entry, ensemble_key, train, train_ensemble

TOLERANCE = 1e-5  # of a loss, after 200 steps in float32
MLP = {"family": "mlp", "data": "teacher:examples=2000,heldout=300", "width": 8}
MLP |= {"num_tokens": 200 * 16, "batch_size": 16, "lr": 0.01}


def together(folder, specs, **options):
    return train_ensemble([Entry(s, folder / s.run_id) for s in specs], **options)


def stop_after(calls):
    count = iter(range(10**9))
    return lambda: next(count) + 1 >= calls


def losses(run_dir):
    return [(p["step"], p["loss"], p["train_loss"]) for p in points(read_journal(run_dir))]


def assert_alike(one, other, tolerance=TOLERANCE):
    assert [p[0] for p in losses(one)] == [p[0] for p in losses(other)]
    for a, b in zip(losses(one), losses(other), strict=True):
        assert a[1:] == pytest.approx(b[1:], abs=tolerance)
    mine, alone = end(read_journal(one)), end(read_journal(other))
    assert mine["loss"] == pytest.approx(alone["loss"], abs=tolerance)
    assert mine["loss_se"] == pytest.approx(alone["loss_se"], abs=tolerance)
    for name in ("status", "tokens", "flops_spent", "num_unique_tokens", "epochs"):
        assert mine[name] == alone[name]
    seen = {name: mine[name] for name in mine if name.endswith(("_train", "_train_se"))}
    assert seen == pytest.approx({name: alone[name] for name in seen}, abs=tolerance)
    assert len(seen) == sum("train" in name for name in alone)
    assert seen or mine["status"] != "done"


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"optimizer": "sgd", "lr": 0.5, "norm": "layer", "label_smoothing": 0.1},
        {"optimizer": "sgd", "momentum": 0.0, "standardise": True, "grad_clip": 0.0},
        {"optimizer": "adam", "activation": "gelu", "curve_examples": 128},
    ],
)
def test_perceptrons_end_as_alone_after_200_steps(tmp_path, shape):
    rows = (
        {"seed": 0, "schedule": "cosine", "warmup_tokens": 160},
        {"seed": 1, "weight_decay": 0.0},
        {"seed": 1, "data_seed": 2, "lr": 0.02, "num_tokens": 60 * 16},
        {"seed": 3, "weight_decay": 1.0},
    )
    specs = [RunSpec.resolve(**{**MLP, **shape, **row}) for row in rows]
    assert len({ensemble_key(spec) for spec in specs}) == 1
    for outcome, spec in zip(together(tmp_path / "all", specs), specs, strict=True):
        assert outcome.status == "done"
        train(spec, tmp_path / "one")
        assert_alike(tmp_path / "all" / spec.run_id, tmp_path / "one")
        assert end(read_journal(tmp_path / "all" / spec.run_id))["ensemble"] == 4
        assert "ensemble" not in end(read_journal(tmp_path / "one"))
        for path in sorted((tmp_path / "one").glob("*")):
            path.unlink()


@pytest.mark.parametrize(
    "shape",
    [
        {"tied": True},
        {"mlp": "swiglu", "norm": "layernorm", "tied": False, "vocab_multiple": 10},
        {"parametrisation": "mup", "base_width": 32, "head_dim": 8},
    ],
)
def test_transformers_end_as_alone(tiny, tmp_path, shape):
    rows = ({"seed": 0}, {"seed": 1, "lr": 0.02}, {"seed": 1, "lr": 0.005, "weight_decay": 0.5})
    specs = [RunSpec.resolve(**{**tiny, **shape, **row}) for row in rows]
    together(tmp_path / "all", specs)
    for spec in specs:
        train(spec, tmp_path / spec.run_id)
        assert_alike(tmp_path / "all" / spec.run_id, tmp_path / spec.run_id)


def test_members_go_through_the_model_in_parts_where_many_do_not_fit(tiny, tmp_path, monkeypatch):
    specs = [RunSpec.resolve(**tiny, seed=seed) for seed in range(3)]
    together(tmp_path / "all", specs)
    monkeypatch.setattr("scaling.training.alike.AT_ONCE_BYTES", {"cpu": 1})
    together(tmp_path / "parts", specs)
    for spec in specs:
        assert_alike(tmp_path / "parts" / spec.run_id, tmp_path / "all" / spec.run_id)


def test_a_killed_member_resumes_alone_and_another_in_an_ensemble(tmp_path):
    specs = [RunSpec.resolve(**MLP, seed=seed) for seed in range(4)]
    whole = together(tmp_path / "whole", specs)
    entries = [
        Entry(s, tmp_path / s.run_id, should_stop=stop_after(1 + 3 * i))
        for i, s in enumerate(specs)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scaling.training.ensemble.LOOK_SECONDS", 0.0)
        assert {o.status for o in train_ensemble(entries)} == {"stopped"}
    assert load_latest(entries[2].run_dir)[1]["step"] == 7
    again = train(specs[0], entries[0].run_dir)  # alone, from where it was
    assert end(read_journal(entries[0].run_dir))["ensemble"] == 4
    train_ensemble(
        entries_without_a_wish := [replace(e, should_stop=lambda: False) for e in entries]
    )
    assert len(entries_without_a_wish) == 4
    assert again.loss == pytest.approx(whole[0].loss, abs=TOLERANCE)
    for spec in specs:
        assert_alike(tmp_path / spec.run_id, tmp_path / "whole" / spec.run_id)
        starts = [e for e in read_journal(tmp_path / spec.run_id) if e["event"] == "start"]
        assert len(starts) == 2
        assert starts[1]["step"] > 0


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_run_that_began_alone_goes_on_in_an_ensemble(tmp_path, optimizer):
    specs = [RunSpec.resolve(**MLP, seed=seed, optimizer=optimizer) for seed in range(2)]
    train(specs[0], tmp_path / specs[0].run_id, should_stop=stop_after(50))
    together(tmp_path, specs)
    train(specs[0], tmp_path / "one")
    assert_alike(tmp_path / specs[0].run_id, tmp_path / "one")


def test_a_member_that_diverges_leaves_the_others_as_they_are(tmp_path):
    wild = {"optimizer": "sgd", "momentum": 0.0, "grad_clip": 0.0}
    specs = [RunSpec.resolve(**{**MLP, **wild, "lr": lr}) for lr in (0.1, 1e6, 0.2)]
    outcomes = together(tmp_path / "all", specs)
    assert [o.status for o in outcomes] == ["done", "diverged", "done"]
    for spec in specs:
        alone = train(spec, tmp_path / spec.run_id)
        mine = end(read_journal(tmp_path / "all" / spec.run_id))
        assert mine["tokens"] == alone.values["tokens"]
        if alone.loss is not None:
            assert mine["loss"] == pytest.approx(alone.loss, abs=TOLERANCE)


def test_a_member_that_stops_early_leaves_the_others(tmp_path):
    overfit = {"data": "teacher:examples=32,heldout=300,noise=0.5", "early_stopping": 2}
    specs = [RunSpec.resolve(**{**MLP, **overfit, "seed": seed, "lr": 0.05}) for seed in range(3)]
    outcomes = together(tmp_path / "all", specs)
    alone = [train(spec, tmp_path / spec.run_id) for spec in specs]
    assert [o.values["tokens"] for o in outcomes] == [o.values["tokens"] for o in alone]
    assert any(o.values["tokens"] < s.num_tokens for o, s in zip(outcomes, specs, strict=True))


def test_members_leave_trunks_and_weights_and_the_mark_goes_with_them(tiny, tmp_path):
    specs = [RunSpec.resolve(**{**tiny, "schedule": "wsd"}, seed=seed) for seed in range(2)]
    entries = [
        Entry(s, tmp_path / s.run_id, trunk_dir=tmp_path / s.trunk_id, keep=Keep((32,)))
        for s in specs
    ]
    train_ensemble(entries)
    for entry, spec in zip(entries, specs, strict=True):
        assert [w.step for w in kept(entry.run_dir)] == [32 * spec.units_per_step, spec.num_tokens]
        assert list(entry.trunk_dir.glob("[0-9]*.pt"))
    longer = replace(specs[0], train=replace(specs[0].train, num_tokens=2 * specs[0].num_tokens))
    train(longer, tmp_path / "longer", trunk_dir=entries[0].trunk_dir)
    start, last = read_journal(tmp_path / "longer")[0], end(read_journal(tmp_path / "longer"))
    assert start["step"] > 0
    assert (start["ensemble"], last["ensemble"]) == (2, 2)


def test_a_lost_lease_ends_one_member(tmp_path, monkeypatch):
    monkeypatch.setattr("scaling.training.ensemble.LOOK_SECONDS", 0.0)
    specs = [RunSpec.resolve(**MLP, seed=seed) for seed in range(3)]
    held = {"it": True}
    entries = [Entry(s, tmp_path / s.run_id) for s in specs]
    entries[1] = replace(entries[1], held=lambda: held["it"])
    count = stop_after(20)

    def lose():
        held["it"] = held["it"] and not count()
        return False

    entries[0] = replace(entries[0], should_stop=lose)
    assert [o.status for o in train_ensemble(entries)] == ["done", "stopped", "done"]
    assert end(read_journal(entries[1].run_dir)) is None


def test_a_checkpoint_of_a_member_holds_its_own_weights_only(tmp_path, monkeypatch):
    monkeypatch.setattr("scaling.training.ensemble.LOOK_SECONDS", 0.0)
    specs = [RunSpec.resolve(**MLP, seed=seed) for seed in range(8)]
    entries = [Entry(s, tmp_path / s.run_id, should_stop=stop_after(5)) for s in specs]
    train_ensemble(entries)
    train(specs[0], tmp_path / "one", should_stop=stop_after(5))
    mine, alone = (load_latest(f) for f in (entries[0].run_dir, tmp_path / "one"))
    assert mine[0].stat().st_size < 1.2 * alone[0].stat().st_size
    assert mine[1].keys() - {"ensemble"} == alone[1].keys()
    assert torch.equal(mine[1]["rng"], alone[1]["rng"])
    for key, values in alone[1]["optimizer"]["state"].items():
        assert mine[1]["optimizer"]["state"][key].keys() == values.keys()
        assert mine[1]["optimizer"]["state"][key]["step"] == values["step"]
    named = [
        {k: v for k, v in g.items() if k != "params"} for g in alone[1]["optimizer"]["param_groups"]
    ]
    ours = [
        {k: v for k, v in g.items() if k != "params"} for g in mine[1]["optimizer"]["param_groups"]
    ]
    assert json.dumps(ours, default=str) == json.dumps(named, default=str)


@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 0.1},
        {"norm": "batch"},
        {"optimizer": "rmsprop"},
        {"precision": "bfloat16"},
        {"adaptive_clip": 0.1},
        {"family": "lenet", "data": "digits", "width": None},
    ],
)
def test_what_must_train_alone_has_no_key(options):
    given = {k: v for k, v in {**MLP, **options}.items() if v is not None}
    spec = RunSpec.resolve(**given)
    assert ensemble_key(spec) is None


def test_another_shape_is_another_key_and_is_refused(tmp_path):
    specs = [RunSpec.resolve(**{**MLP, "width": width}) for width in (8, 9)]
    assert ensemble_key(specs[0]) != ensemble_key(specs[1])
    with pytest.raises(ValueError, match="2 shapes"):
        together(tmp_path, specs)
