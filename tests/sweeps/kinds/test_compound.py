"""Compound scaling, single axes and coefficient searches, on exact FLOPs of real families."""

from __future__ import annotations

import math

import pytest

from scaling.data.info import DataInfo
from scaling.families import get_family
from sweeps.kinds.compound import PAPER
from sweeps.load import load_sweep
from sweeps.sweep import Sweep

IMAGES = DataInfo(
    name="images",
    fingerprint="0123456789abcdef",
    unit="example",
    train_size=60_000,
    heldout_size=10_000,
    num_classes=10,
    input_shape=(1, 28, 28),
)
SMALL = {"depths": [1, 2, 2], "widths": [16, 24, 40], "strides": [1, 2, 2]}


def sweep_of(content, family="efficientnet", **fixed):
    shared = {"num_examples": 1280, "batch_size": 64, "lr": 0.001, **fixed}
    value = {"name": "x", "data": "images", "family": family, "fixed": shared, **content}
    return load_sweep(value, info=IMAGES)


def factors(sweep):
    base = sweep.entries[0].spec.cost.flops_forward
    return [entry.spec.cost.flops_forward / base for entry in sweep]


def test_paper_coefficients_double_flops_by_the_formula():
    """Tan & Le 2019, sec. 3.3: alpha beta^2 gamma^2 is about 2."""
    alpha, beta, gamma = PAPER.values()
    assert alpha * beta**2 * gamma**2 == pytest.approx(2, rel=0.05)


def test_compound_is_the_family_at_its_powers():
    sweep = sweep_of({"compound": {"phi": [0, 1, 2.5]}}, **SMALL)
    family = get_family("efficientnet")
    for entry, phi in zip(sweep, [0, 1, 2.5], strict=True):
        expected = family.resolve(
            {
                **SMALL,
                **family.data_options(IMAGES),
                "depth_multiplier": 1.2**phi,
                "width_multiplier": 1.1**phi,
                "resolution_multiplier": 1.15**phi,
            }
        )
        assert entry.spec.model == expected
        assert entry.columns["phi"] == phi
        assert entry.columns["axis"] == ("compound" if phi else "base")


def test_b0_grows_by_about_two_at_each_phi_in_exact_flops():
    sweep = sweep_of({"compound": {"phi": [0, 1, 2, 3, 4]}, "preset": "b0"}, resolution=224)
    per_phi = [math.log2(f) / phi for phi, f in enumerate(factors(sweep)) if phi]
    assert all(0.8 < rate < 1.5 for rate in per_phi)


@pytest.mark.parametrize("family", ["efficientnet", "resnet", "regnetx", "convnext", "vit"])
def test_single_axes_meet_the_flops_asked_for(family):
    fixed = SMALL if family == "efficientnet" else {"resolution": 112}
    block = {"flops": [1, 2, 4], "axes": ["compound", "depth", "width", "resolution"]}
    sweep = sweep_of({"single_axis": block}, family, **fixed)
    labels = [entry.columns["axis"] for entry in sweep]
    assert labels.count("base") == 1
    assert set(labels) == {"base", "compound", "depth", "width", "resolution"}
    for entry, factor in zip(sweep, factors(sweep), strict=True):
        near = min((1, 2, 4), key=lambda f: abs(math.log(factor / f)))
        assert factor == pytest.approx(near, rel=0.3), entry.columns["axis"]


def test_one_axis_changes_nothing_else():
    sweep = sweep_of(
        {"single_axis": {"depth": [1, 2], "width": [1.5], "resolution": [1.5]}}, **SMALL
    )
    base, deep, wide, fine = (entry.spec.model for entry in sweep)
    assert deep.widths == base.widths and deep.resolution == base.resolution
    assert deep.depths == tuple(2 * d for d in base.depths)
    assert wide.depths == base.depths and wide.widths > base.widths
    assert fine.depths == base.depths and fine.widths == base.widths
    assert fine.resolution == 42


def test_search_keeps_the_cells_whose_exact_flops_are_near_the_factor():
    block = {"alpha": [1, 1.5, 2], "beta": [1, 1.2, 1.4], "gamma": [1, 1.2, 1.4], "tolerance": 0.2}
    sweep = sweep_of({"coefficient_search": block}, **SMALL)
    family = get_family("efficientnet")
    data = {**SMALL, **family.data_options(IMAGES)}
    base = family.cost(family.resolve(data)).flops_forward
    expected = set()
    for alpha in block["alpha"]:
        for beta in block["beta"]:
            for gamma in block["gamma"]:
                dials = zip(("depth", "width", "resolution"), (alpha, beta, gamma), strict=True)
                config = family.resolve({**data, **{f"{k}_multiplier": v for k, v in dials}})
                if 1.6 <= family.cost(config).flops_forward / base <= 2.4:
                    expected.add(config)
    assert {entry.spec.model for entry in sweep} == expected
    assert len(expected) > 3
    for entry in sweep:
        c = entry.columns
        parts = c["flops_depth"] * c["flops_width"] * c["flops_resolution"]
        assert parts == pytest.approx(entry.spec.cost.flops_forward / base, rel=0.15)


def test_labels_stay_with_the_written_sweep(tmp_path):
    sweep = sweep_of({"compound": {"phi": [0, 1]}}, **SMALL)
    sweep.write(tmp_path / "x.jsonl")
    again = Sweep.read(tmp_path / "x.jsonl")
    assert again == sweep
    assert [entry.labels for entry in again] == [entry.labels for entry in sweep]


def test_labels_are_no_part_of_identity():
    labelled = sweep_of({"compound": {"phi": [0]}}, **SMALL)
    plain = sweep_of({"runs": [{"depth_multiplier": 1.0}]}, **SMALL)
    assert [e.run_id for e in labelled] == [e.run_id for e in plain]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"compound": {}}, "compound has no phi"),
        ({"compound": {"phi": [1], "alpha": 0.9}}, "alpha 0.9 is below 1"),
        (
            {"compound": {"phi": [1]}, "family": "transformer"},
            "transformer has no depth_multiplier",
        ),
        ({"single_axis": {}}, "multipliers under depth, width, resolution, or flops"),
        ({"single_axis": {"depth": [2], "flops": [2]}}, "multipliers under depth"),
        ({"single_axis": {"depth": [2], "axes": ["depth"]}}, "axes goes with flops"),
        ({"single_axis": {"flops": [2], "axes": ["dept"]}}, "axis 'dept' is none of"),
        ({"single_axis": {"flops": [2], "alpha": 1.2}}, "alpha goes with axes"),
        ({"single_axis": {"flops": [0.5]}}, "0.5 is below 1"),
        ({"single_axis": {"width": [0]}}, "0 must be above 0"),
        (
            {"coefficient_search": {"factor": 50}},
            "none of 891 cells is within .* nearest has .* raise tolerance or refine",
        ),
    ],
)
def test_refused(content, message):
    with pytest.raises(ValueError, match=message):
        sweep_of(content, **({} if "family" in content else SMALL))
