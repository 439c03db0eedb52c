"""Design spaces: sizes of the paper, orders and ties, ranges on exact counts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from scaling.families import get_family
from scaling.families.base import cached_cost
from sweeps.document import Document
from sweeps.kinds.base_model import BaseModel
from sweeps.kinds.screen import SLACK, rough_counts, stages
from sweeps.kinds.spaces import SPACES, Parameter
from sweeps.load import load_sweep
from tests.sweeps.kinds.test_compound import IMAGES

FIXED = {"num_examples": 1280, "batch_size": 64, "lr": 0.001}


def sweep_of(block, family="anynet", **fixed):
    value = {"name": "x", "data": "images", "family": family, "fixed": {**FIXED, **fixed}}
    return load_sweep({**value, "design_space": block}, info=IMAGES)


# Radosavovic et al. 2020, table 2.
@pytest.mark.parametrize(
    ("name", "size"),
    [("a", 1.8e18), ("b", 6.8e16), ("c", 3.2e14), ("d", 1.3e13), ("e", 5.5e11)],
)
def test_sizes_of_the_paper(name, size):
    """The paper divides by 4! for an order; counted exactly, equal neighbours add to that."""
    space = SPACES[f"anynetx-{name}"]
    assert size * 0.95 < space.size() < size * 1.55


def test_codes_of_four_nodes_come_out_alike_often():
    parameter = Parameter("codes", (4,), each=1)
    drawn = [code for (code,) in parameter.draw(np.random.default_rng(0), 6400)]
    values, counts = np.unique(drawn, return_counts=True)
    assert len(values) == parameter.size() == 2**6
    assert stats.chisquare(counts).pvalue > 1e-4


def test_log_and_uniform_give_both_ends_their_share():
    rng = np.random.default_rng(0)
    depths = Parameter("uniform", (1, 4), 1).draw(rng, 8000)
    counts = np.bincount(depths)[1:]
    assert stats.chisquare(counts).pvalue > 1e-4
    powers = Parameter("power2", (1, 32)).draw(rng, 6000)
    values, counts = np.unique(powers, return_counts=True)
    assert values.tolist() == [1, 2, 4, 8, 16, 32]
    assert stats.chisquare(counts).pvalue > 1e-4
    widths = np.array(Parameter("log", (8, 1024), 8).draw(rng, 20000))
    assert widths.min() == 8 and widths.max() == 1024 and not (widths % 8).any()
    # Rounded up from [8 - 4, 1024], log-uniform: P(w <= x) = log(x / 4) / log(256).
    for x in (8, 32, 256):
        assert (widths <= x).mean() == pytest.approx(np.log(x / 4) / np.log(256), abs=0.015)


def test_an_order_is_uniform_over_ordered_settings():
    parameter = Parameter("choices", (1, 2, 3), each=2, order="increasing")
    drawn = parameter.draw(np.random.default_rng(1), 6000)
    settings, counts = np.unique(drawn, axis=0, return_counts=True)
    assert settings.tolist() == [[1, 1], [1, 2], [1, 3], [2, 2], [2, 3], [3, 3]]
    assert stats.chisquare(counts).pvalue > 1e-4
    assert parameter.size() == 6


@pytest.mark.parametrize("name", ["anynetx-a", "anynetx-c", "anynetx-e", "regnetx", "regnety"])
def test_models_are_within_the_ranges_and_the_space(name):
    space = SPACES[name]
    ranges = {"macs_forward": [2e8, 4e8], "num_params": [None, 2e7]}
    sweep = sweep_of(
        {"space": name, "models": 12, "seed": 3, "ranges": ranges}, space.family, resolution=112
    )
    assert len(sweep) == 12
    for entry in sweep:
        assert 2e8 <= entry.spec.cost.macs_forward <= 4e8
        assert entry.spec.cost.num_params <= 2e7
        assert entry.columns["space"] == name
        model = entry.spec.model
        assert len(model.depths) == 4
        for width, ratio, group in zip(
            model.widths, model.bottleneck_ratios, model.group_widths, strict=True
        ):
            assert round(width / ratio) % group == 0
        if name == "anynetx-c":
            assert len(set(model.bottleneck_ratios)) == 1
        if name == "anynetx-e":
            assert list(model.depths) == sorted(model.depths)


def test_one_seed_is_one_sample():
    block = {"space": "anynetx-d", "models": 5, "ranges": {"macs_forward": [1e6, 1e8]}}
    first, same = (sweep_of({**block, "seed": 1}) for _ in range(2))
    other = sweep_of({**block, "seed": 2})
    assert first == same
    assert not {e.run_id for e in first} & {e.run_id for e in other}


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ([1, 10], "0 of 3 models .* nearest .* macs_forward .* times above the max 10"),
        ([1e13, None], "0 of 3 models .* nearest .* times below the min 1e.13"),
    ],
)
def test_an_impossible_range_says_how_far_off_it_is(limits, message):
    with pytest.raises(ValueError, match=message):
        sweep_of({"space": "anynetx-a", "models": 3, "ranges": {"macs_forward": limits}})


@pytest.mark.parametrize("name", ["anynetx-a", "regnety"])
def test_rough_counts_are_near_the_exact_ones(name):
    space = SPACES[name]
    family = get_family(space.family)
    model = BaseModel(family, {"resolution": 224, "in_channels": 3, "num_classes": 1000})
    drawn = space.draw(np.random.default_rng(0), 300)
    kept = [(o, s) for o in drawn if (s := stages(o, space.stages)) and len(s[0]) == 4][:40]
    configs = [model.config(options) for options, _ in kept]
    columns = np.array(
        [[c.depths, c.widths, c.bottleneck_ratios, c.group_widths] for c in configs], dtype=float
    )
    rough = rough_counts(configs[0], *columns.transpose(1, 0, 2))
    for name, values in rough.items():
        exact = np.array([getattr(cached_cost(family, c), name) for c in configs])
        assert np.abs(np.log(values / exact)).max() < np.log(SLACK) / 2, name


def test_a_space_of_ones_own():
    space = {
        "name": "mine",
        "parameters": {
            "depths": {"uniform": [1, 3], "multiple_of": 1, "each": 3},
            "widths": {"log": [8, 64], "multiple_of": 8, "each": 3},
            "expansions": {"choices": [2, 4], "each": 3},
            "se_ratio": {"choices": [0.0, 0.25]},
        },
        "tie": ["expansions"],
        "order": {"widths": "increasing", "depths": "decreasing"},
    }
    sweep = sweep_of({"space": space, "models": 20}, "efficientnet")
    assert len(sweep) == 20
    for entry in sweep:
        model = entry.spec.model
        assert list(model.widths) == sorted(model.widths)
        assert list(model.depths) == sorted(model.depths, reverse=True)
        assert len(set(model.expansions)) == 1
        assert entry.columns["space"] == "mine"
    assert {entry.spec.model.se_ratio for entry in sweep} == {0.0, 0.25}


def test_a_changed_range_keeps_tie_and_order_of_the_base():
    space = {
        "base": "anynetx-e",
        "parameters": {"widths": {"log": [8, 64], "multiple_of": 8, "each": 4}},
    }
    from sweeps.kinds.design_space import read_space

    read = read_space(Document({}), space, ("space",))
    assert read.parameters["widths"].order == "increasing"
    assert read.parameters["widths"].values == (8, 64)
    assert read.parameters["group_widths"].tied


def test_a_group_width_that_does_not_divide_is_fixed_and_said(capsys):
    sweep = sweep_of({"space": "anynetx-a", "models": 10, "ranges": {"macs_forward": [1e6, 1e8]}})
    said = capsys.readouterr().err
    assert "group widths that do not divide their width were fixed" in said
    assert said.count("\n") == 1
    shapes = [(e.spec.model.widths, e.spec.model.group_widths) for e in sweep]
    assert all(w % g == 0 for ws, gs in shapes for w, g in zip(ws, gs, strict=True))


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"models": 3}, "design_space has no space"),
        ({"space": "anynetx-f", "models": 3}, "unknown space 'anynetx-f': did you mean 'anynetx-"),
        ({"space": "anynetx-a", "models": 0}, "models 0 is below 1"),
        ({"space": "regnetx", "models": 3}, "set family: regnetx|has no depth"),
        ({"space": "anynetx-a", "models": 3, "ranges": {"flops": [1, 2]}}, "unknown key 'flops'"),
        (
            {"space": "anynetx-a", "models": 3, "ranges": {"num_params": [5, 2]}},
            "num_params has low 5 above high 2",
        ),
        ({"space": {"parameters": {}}, "models": 3}, "the space has no parameters"),
        ({"space": {"base": "x"}, "models": 3}, "unknown space 'x'"),
        (
            {"space": {"parameters": {"widths": {"log": [5, 64], "multiple_of": 8}}}, "models": 3},
            "5 is no multiple of 8",
        ),
        (
            {"space": {"parameters": {"foo": {"uniform": [1, 2]}}}, "models": 3},
            "unknown anynet option 'foo': .*valid: activation",
        ),
        (
            {"space": {"parameters": {"widths": {"choices": []}}}, "models": 3},
            "choices is an empty list: give at least one value",
        ),
        (
            {"space": {"parameters": {"widths": {"power2": [3, 8]}}}, "models": 3},
            "3 is no power of two",
        ),
        (
            {"space": {"base": "anynetx-a", "order": {"width": "increasing"}}, "models": 3},
            "unknown parameter 'width': did you mean 'widths'",
        ),
        (
            {"space": {"base": "anynetx-a", "order": {"widths": "up"}}, "models": 3},
            "order 'up' is none of increasing, decreasing",
        ),
        (
            {
                "space": {
                    "base": "anynetx-a",
                    "parameters": {"depths": {"uniform": [1, 2], "multiple_of": 1, "each": 3}},
                },
                "models": 3,
            },
            "stages: depths 3, widths 4, bottleneck_ratios 4, group_widths 4: give all one each",
        ),
        (
            {"space": {"parameters": {"codes": {"codes": [3, 1]}}}, "models": 3},
            "item 2 of codes 1 is below 2",
        ),
        (
            {"space": {"parameters": {"codes": {"codes": [3, 40]}}}, "models": 3},
            "a stage of 40 nodes is above 32",
        ),
        (
            {"space": {"parameters": {"codes": {"codes": [3], "each": 1}}}, "models": 3},
            "codes has the nodes of each stage, and no further key",
        ),
        (
            {"space": {"parameters": {"codes": {"codes": [3, 3]}}, "tie": ["codes"]}, "models": 3},
            "codes are codes, which have neither ties nor order",
        ),
    ],
)
def test_refused(block, message):
    with pytest.raises(ValueError, match=message):
        sweep_of(block)


def test_what_the_space_draws_cannot_be_fixed():
    with pytest.raises(ValueError, match="widths is fixed and drawn by the space"):
        sweep_of({"space": "anynetx-a", "models": 3}, widths=[8, 8, 8, 8])
