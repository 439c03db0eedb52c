"""RunSpec: identity, resolution, refusal."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.data.info import DataInfo
from scaling.families import get_family
from scaling.families.transformer import TransformerConfig
from scaling.spec import RunSpec

INFO = DataInfo("corpus", "0123456789abcdef", "token", 10**7, 10**6, vocab_size=256)
BASE = {"depth": 2, "width": 32, "num_tokens": 1 << 16, "lr": 0.005}


def resolve(**options):
    return RunSpec.resolve(info=INFO, **{**BASE, **options})


def test_literal_ids_are_pinned():
    # A change of these loses every user's finished runs: add fields with a "before" value instead.
    assert resolve().run_id == "fa2964edb0b21895"
    assert resolve(seed=1, schedule="cosine", mlp="swiglu", tied=True).run_id == "ad638cd23be8fc2f"
    assert resolve(curve_tokens=65536).trunk_id == "2e51ff6633134189"


def test_a_layer_s_experts_as_one_matrix_of_muon_are_another_run_than_each_by_itself():
    now = resolve(optimizer="muon", experts=4)
    written = now.to_dict()
    assert RunSpec.from_dict(written) == now
    before = RunSpec.from_dict({k: v for k, v in written.items() if k != "by_expert"})
    assert before.run_id == "ebdff5481638cbf5"
    with pytest.raises(ValueError, match="earlier release"):
        before.check_code()
    for dense in (resolve(optimizer="muon"), resolve(experts=4)):
        assert "by_expert" not in dense.to_dict()
        assert replace(dense, by_expert=False).run_id == dense.run_id


@pytest.mark.parametrize(
    ("options", "old", "new"),
    [
        ({"optimizer": "sgd"}, "c71ad08fc1a5a71b", "d316b000cd8ffe93"),
        ({"optimizer": "rmsprop", "weight_decay": 0.01}, "37362512d402696f", "31f3418575c7b20b"),
        ({"optimizer": "adam", "weight_decay": 0}, "79ef54d064871b6d", "79ef54d064871b6d"),
        ({}, "fa2964edb0b21895", "fa2964edb0b21895"),
    ],
)
def test_ids_changed_only_where_decay_did(options, old, new):
    # The old ids are those of the release in which all but AdamW had coupled decay.
    spec = resolve(**options)
    assert spec.run_id == new
    assert RunSpec.from_dict(spec.to_dict()) == spec
    written = spec.to_dict()
    del written["optim"]["decay"]
    found = RunSpec.from_dict(written)
    assert found.run_id == old
    assert found.optim.decay == ("decoupled" if old == new else "coupled")
    assert RunSpec.from_dict(found.to_dict()) == found
    if old != new:
        assert resolve(**options, decay="coupled").run_id == old
        assert resolve(**options, decay="coupled").trunk_id != spec.trunk_id


def test_the_curve_is_identity_where_the_result_depends_on_it():
    spec, whole = resolve(), resolve(curve_tokens=65536)
    assert (spec.train.curve_share, whole.train.curve_share) == (0.25, None)
    assert spec.run_id == whole.run_id
    written = spec.to_dict()
    del written["train"]["curve_share"]
    assert RunSpec.from_dict(written) == whole  # a run from before there was a share
    assert RunSpec.from_dict(spec.to_dict()) == spec
    # What was asked for is another run, and so is another end of it.
    assert len({resolve(curve_share=share).run_id for share in (0.25, 0.5, 0)}) == 3
    stopping = resolve(early_stopping=3)
    assert stopping.run_id != resolve(early_stopping=3, curve_tokens=65536).run_id
    assert resolve(early_stopping=3, curve_tokens=65536).run_id == "9ffc8281016d964b"
    # A trunk's checkpoint has the curve so far, which is another one.
    assert spec.trunk_id != whole.trunk_id


POINTS = DataInfo("points", "0" * 16, "example", 640, 64, num_classes=10, input_shape=(16,))
OF_EXAMPLES = {"info": POINTS, "family": "mlp", "num_examples": 640, "lr": 0.01}


@pytest.mark.parametrize("what", ["curve", "final", "warmup"])
def test_examples_are_tokens_by_their_name(what):
    asked = RunSpec.resolve(**OF_EXAMPLES, **{f"{what}_examples": "100"})
    assert asked == RunSpec.resolve(**OF_EXAMPLES, **{f"{what}_tokens": 100})
    assert asked.run_id != RunSpec.resolve(**OF_EXAMPLES).run_id
    with pytest.raises(ValueError, match=f"{what}_examples sets {what}_tokens: give either"):
        RunSpec.resolve(**OF_EXAMPLES, **{f"{what}_tokens": 100, f"{what}_examples": 100})
    with pytest.raises(ValueError, match=f"not of tokens: say {what}_tokens"):
        resolve(**{f"{what}_examples": 9})


def test_what_a_point_of_the_curve_sees_is_said_once():
    assert RunSpec.resolve(**OF_EXAMPLES).train.curve_share == 0.25
    assert RunSpec.resolve(**OF_EXAMPLES, curve_examples=100).train.curve_share is None
    with pytest.raises(ValueError, match=r"\(curve_examples\) and curve_share set what"):
        RunSpec.resolve(**OF_EXAMPLES, curve_share=0.1, curve_examples=9)


@pytest.mark.parametrize(
    ("options", "old", "new"),
    [
        ({}, "fa2964edb0b21895", "fa2964edb0b21895"),
        ({"parametrisation": "mup"}, "b87c5c6386b5ff87", "6bbd3ed01772cc9a"),
        ({"parametrisation": "mup", "base_width": 32}, "2f5043a145972b8c", "06462c692d0a1eb0"),
        (
            {"parametrisation": "mup", "width": 128, "tied": True, "optimizer": "sgd"},
            "4bbefa96c3310a1e",
            "b3581e5c4104e7a6",
        ),
    ],
)
def test_a_mup_of_before_its_base_was_whole_is_another_run(options, old, new):
    # The old ids are those of the release in which muP held for untied heads and Adam alone.
    spec = resolve(**options)
    assert spec.run_id == new
    assert RunSpec.from_dict(spec.to_dict()) == spec
    written = spec.to_dict()
    del written["model"]["base_head_dim"], written["model"]["base_depth"]
    found = RunSpec.from_dict(written)
    assert found.run_id == old
    assert RunSpec.from_dict(found.to_dict()) == found
    if old != new:
        with pytest.raises(ValueError, match="such a run can be read, not trained"):
            get_family("transformer").build(found.model)


def test_a_base_is_asked_of_whom_it_changes():
    completep = {"parametrisation": "completep"}
    assert resolve(**completep) == resolve(**completep, base_depth=2, base_head_dim=32)
    assert resolve(**completep).run_id != resolve(**completep, base_depth=1).run_id
    with pytest.raises(ValueError, match="read where parametrisation is completep"):
        resolve(parametrisation="mup", base_depth=2)


@given(
    st.fixed_dictionaries(
        {
            "depth": st.integers(1, 6),
            "width": st.sampled_from([8, 16, 64]),
            "num_tokens": st.integers(1024, 10**12),
            "lr": st.floats(1e-6, 1, allow_subnormal=False),
            "seed": st.integers(0, 2**31),
            "tied": st.booleans(),
        }
    )
)
def test_round_trip_keeps_identity(options):
    spec = RunSpec.resolve(info=INFO, **options)
    again = RunSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec
    assert again.run_id == spec.run_id
    assert spec.train.num_tokens % spec.units_per_step == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"num_tokens": 65536}, {"num_tokens": 65536.0}),
        ({"num_tokens": 65536}, {"num_tokens": "65536"}),
        ({"width": 32}, {"width": 32.0}),
        ({"num_tokens": 65536}, {"num_examples": 65536}),
        ({}, {"weight_decay": 0.1, "heads": 1}),
    ],
)
def test_equal_settings_hash_equally(one, other):
    base = {k: v for k, v in BASE.items() if k not in ("num_tokens",)}
    base["num_tokens"] = 65536
    merged = {**base, **other}
    if "num_examples" in other:
        del merged["num_tokens"]
    assert (
        RunSpec.resolve(info=INFO, **{**base, **one}).run_id
        == RunSpec.resolve(info=INFO, **merged).run_id
    )


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"lr": 0.0051},
        {"depth": 3},
        {"tied": True},
        {"schedule": "constant"},
        {"num_tokens": 1 << 17},
        {"precision": "bfloat16"},
    ],
)
def test_everything_that_affects_the_result_changes_identity(change):
    assert resolve(**change).run_id != resolve().run_id


def test_data_fingerprint_is_part_of_identity():
    other = replace(resolve().data, fingerprint="f" * 16)
    assert replace(resolve(), data=other).run_id != resolve().run_id


def test_trunk_is_shared_over_data_size_only():
    assert resolve().trunk_id == resolve(num_tokens=1 << 20, cooldown_fraction=0.1).trunk_id
    assert resolve().trunk_id != resolve(seed=1).trunk_id
    assert resolve(schedule="cosine").trunk_id is None


def test_data_seed_counts_where_it_is_not_the_seed():
    plain, same, other = resolve(), resolve(data_seed=0), resolve(data_seed=1)
    assert plain.run_id == same.run_id != other.run_id
    assert plain.trunk_id == same.trunk_id != other.trunk_id
    assert resolve(seed=1, data_seed=1).run_id == resolve(seed=1).run_id
    assert replace(same, seed=1).run_id == resolve(seed=1, data_seed=0).run_id
    assert [spec.order_seed for spec in (plain, same, other, resolve(seed=3))] == [0, 0, 1, 3]
    assert "data_seed" not in plain.to_dict() and "data_seed" not in plain.columns()
    assert other.columns()["data_seed"] == other.to_dict()["data_seed"] == 1
    for spec in (plain, same, other):
        assert RunSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_field_added_later_hashes_only_when_it_differs():
    from dataclasses import dataclass, field, make_dataclass

    from scaling.base.identity import hashed

    @dataclass(frozen=True)
    class Old:
        lr: float = 0.1

    new = make_dataclass(
        "New",
        [("lr", float, 0.1), ("ema", float, field(default=0.0, metadata={"before": 0.0}))],
        frozen=True,
    )
    assert hashed(new()) == hashed(Old())
    assert hashed(new(ema=0.9)) != hashed(Old())


def test_tokens_per_param_counts_all_parameters():
    options = {k: v for k, v in BASE.items() if k != "num_tokens"}
    spec = RunSpec.resolve(info=INFO, tokens_per_param=20, **options)
    assert spec.train.num_tokens == pytest.approx(20 * spec.cost.num_params, abs=1024)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widht": 3}, "did you mean 'width'"),
        ({"lr": "fast"}, "lr 'fast' is not a number"),
        ({"lr": -1}, r"lr -1.0 is not in \[0, inf\]"),
        ({"lr": float("nan")}, "not finite"),
        ({"depth": 1.5}, "depth 1.5 is not a whole number"),
        ({"heads": 3}, "no multiple of heads 3"),
        ({"optimizer": "admw"}, "did you mean 'adamw'"),
        ({"schedule": "wds"}, "did you mean 'wsd'"),
        ({"optimizer": "sgd", "decay": "couple"}, "unknown decay 'couple': did you mean 'coupled'"),
        ({"decay": "coupled"}, "adamw has no coupled decay: choose adam"),
        ({"num_tokens": 0}, "not in"),
        ({"precision": "fp8"}, "unknown precision"),
        ({"vocab_size": 100}, "below the data's 256"),
        ({"family": "transfomer"}, "did you mean 'transformer'"),
        ({"tokens_per_param": 20}, "give either"),
        ({"warmup_fraction": 0.1, "warmup_tokens": 100}, "give either"),
        ({"aspect": 16}, "width leaves aspect without effect: give either"),
        ({"heads": 1, "head_dim": 32}, "heads leaves head_dim without effect"),
        ({"mlp_width": 64, "mlp_ratio": 2}, "mlp_width leaves mlp_ratio without effect"),
        ({"warmup_fraction": 1.5}, r"warmup_fraction 1.5 is not in \[0, 1\]"),
        ({"early_stopping": -1}, r"early_stopping -1 is not in \[0, inf\]"),
        ({"curve_share": -0.1}, r"curve_share -0.1 is not in \[0, inf\]"),
        ({"curve_share": "much"}, "curve_share 'much' is not a number"),
        ({"curve_share": 0.1, "curve_tokens": 9}, "set what a point of the curve sees: give one"),
        ({"vocab_multiple": 0}, r"vocab_multiple 0 is not in \[1, 1e\+06\]"),
        ({"vocab_multiple": 100, "label_smoothing": 0.1}, "pad the vocabulary a share of every"),
        ({"seed": 2**63}, r"seed 9223372036854775808 is not in \[0, 9223372036854775807\]"),
        ({"seed": -1}, "seed -1 is not in"),
        ({"data_seed": -1}, "data_seed -1 is not in"),
        ({"data_seed": 0.5}, "data_seed 0.5 is not a whole number"),
        (
            {"num_tokens": 1023},
            "num_tokens 1,023 is less than one step of 1,024 tokens .batch_size 8",
        ),
        ({"lr": 10**400}, "lr is too large: the limit is"),
        ({"seed": 10**400}, "seed is too large: the limit is"),
        ({"context": 10**6}, "context 1000000 needs 1000001 tokens; corpus has 1000000 held out"),
        ({"num_params": 1e5}, "give either"),
        ({"preset": "gpt3"}, "unknown transformer preset"),
        ({"tied": "maybe"}, "neither true nor false"),
        ({"mlp": "tanh"}, "unknown mlp 'tanh': .* valid: geglu, geglu-tanh, gelu"),
    ],
)
def test_bad_options_are_refused_with_a_remedy(options, message):
    with pytest.raises(ValueError, match=message):
        resolve(**options)


def test_an_option_beside_a_preset_that_has_its_rival_is_no_mistake():
    preset = {"preset": "gpt2-124m", "num_tokens": 1 << 16, "lr": 0.005}
    spec = RunSpec.resolve(info=INFO, **preset, head_dim=32, vocab_size=50257)
    assert spec.model.heads == 12


@pytest.mark.parametrize("missing", ["lr", "num_tokens", "depth"])
def test_missing_settings_are_named(missing):
    options = {k: v for k, v in BASE.items() if k != missing}
    if missing == "depth":
        del options["width"]
    with pytest.raises(ValueError, match=r"^no "):
        RunSpec.resolve(info=INFO, **options)


def test_later_schema_is_refused():
    with pytest.raises(ValueError, match="upgrade"):
        RunSpec.from_dict({**resolve().to_dict(), "schema_version": 99})


def test_columns_after_an_early_end_are_those_of_a_shorter_run():
    spec = resolve()
    after = spec.columns_after(4096)
    shorter = spec.with_tokens(4096).columns()
    assert {k: v for k, v in after.items() if not k.endswith("_planned")} == {
        k: v for k, v in shorter.items() if v != spec.columns()[k] and k != "run_id"
    }
    assert after["flops"] == spec.cost.flops_train * 4096
    assert (after["num_tokens_planned"], after["flops_planned"]) == (65536, spec.flops)
    assert spec.columns_after(65536) == {}


def test_columns_state_the_conventions():
    spec = resolve()
    columns = spec.columns()
    assert columns["flops"] == spec.cost.flops_train * 65536
    assert columns["flops_6nd"] == 6 * columns["num_params"] * 65536
    assert isinstance(spec.model, TransformerConfig)
