"""Options that some runs of a sweep do not read: runs that become equal are counted, and said."""

from __future__ import annotations

import pytest

from scaling.data.info import DataInfo
from sweeps.design import design
from sweeps.document import parse_document
from sweeps.expansion import expand

BASE = """
    name: x
    fixed: {depth: 1, width: 16, context: 32, batch_size: 4, num_tokens: 4096, lr: 0.001}
"""


def test_runs_that_differ_in_what_neither_reads_are_one(expanded):
    found = expanded(BASE + "    grid: {product: {optimizer: [sgd, adamw], momentum: [0.8, 0.9]}}")
    optim = [(e.spec.optim.optimizer, e.spec.optim.momentum) for e in found.sweep]
    assert optim == [("sgd", 0.8), ("sgd", 0.9), ("adamw", 0.9)]
    assert (found.asked, found.repeated, found.collapsed.count) == (4, 1, 1)
    assert str(found.collapsed) == (
        "1 run equals another, since nothing reads momentum where optimizer is adamw"
    )
    assert [e.name.partition(" optimizer=")[2] for e in found.sweep] == [
        "sgd momentum=0.8",
        "sgd momentum=0.9",
        "adamw",
    ]


def test_a_product_over_what_schedule_and_parametrisation_read(expanded):
    found = expanded(
        BASE
        + """
    seeds: [0, 1]
    grid:
      product:
        schedule: [cosine, constant, wsd]
        final_lr_fraction: [0, 0.1]
        cooldown_fraction: [0.1, 0.2]
        parametrisation: [standard, mup]
        base_width: [32, 64]
"""
    )
    # Two of cosine, one of constant, two of wsd; times standard and two widths of muP.
    assert (len(found.sweep), found.asked) == (2 * 5 * 3, 96)
    assert found.collapsed.count == found.repeated == 66
    said = str(found.collapsed)
    assert "base_width where parametrisation is standard" in said
    assert "cooldown_fraction where schedule is cosine or constant" in said
    assert "final_lr_fraction where schedule is constant or wsd" in said


def test_runs_that_are_repeated_as_asked_are_not_called_collapsed(expanded):
    found = expanded(
        BASE + "    grid: {product: {optimizer: [sgd, adamw, adamw], momentum: [0.8, 0.9]}}"
    )
    # adamw with 0.8 and 0.9, each twice, are one run: it would have been two.
    assert (len(found.sweep), found.repeated, found.collapsed.count) == (3, 3, 1)


def test_a_fixed_option_that_some_runs_read_is_neither_refused_nor_counted(expanded):
    text = BASE.replace("lr: 0.001", "lr: 0.001, momentum: 0.8")
    found = expanded(text + "    grid: {product: {optimizer: [sgd, adamw]}}")
    assert [e.spec.optim.momentum for e in found.sweep] == [0.8, 0.9]
    assert str(found.collapsed) == ""


def test_what_is_counted_is_what_a_row_gives_in_vain(expanded):
    found = expanded(
        BASE
        + """
    runs:
      - {optimizer: sgd, momentum: 0.8}
      - {optimizer: adamw}
      - {optimizer: adamw, momentum: 0.8}
"""
    )
    assert (len(found.sweep), found.collapsed.count) == (2, 1)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (BASE.replace("lr: 0.001", "lr: 0.001, momentum: 0.8"), "sweep.yaml:3: momentum 0.8"),
        (BASE + "    derive: {momentum: {rule: power, of: lr, scale: 800, exponent: 1}}\n", ":4:"),
    ],
)
def test_an_option_that_no_run_reads_is_refused_at_its_line(expanded, text, place):
    with pytest.raises(ValueError, match="read where optimizer is sgd, rmsprop or muon") as refused:
        expanded(text + "    grid: {product: {optimizer: [adam, adamw]}}\n")
    assert place in str(refused.value)


def test_an_axis_that_no_run_reads_is_refused_at_its_line(expanded):
    text = BASE + "    grid:\n      product:\n        schedule: [constant, wsd]\n"
    with pytest.raises(ValueError, match=r"^sweep.yaml:7: final_lr_fraction 0.1 has no effect"):
        expanded(text + "        final_lr_fraction: [0, 0.1]\n")


def test_options_of_a_family_are_read_or_refused_too():
    text = """
        name: x
        family: resnet
        fixed: {num_examples: 1e4, lr: 0.01, depths: [1, 1], widths: [16, 32]}
        grid: {product: {block: [bottleneck, basic], stride_1x1: [true, false]}}
    """
    info = DataInfo("i", "0" * 16, "example", 10**5, 10**4, num_classes=10, input_shape=(3, 32, 32))
    found = expand(design(parse_document(text, "sweep.yaml")), info=info)
    assert [(e.spec.model.block, e.spec.model.stride_1x1) for e in found.sweep] == [
        ("bottleneck", True),
        ("bottleneck", False),
        ("basic", False),
    ]
    with pytest.raises(ValueError, match="groups 4 has no effect: it is read where block is bott"):
        alone = text.replace("stride_1x1: [true, false]", "groups: [4]")
        alone = alone.replace("[bottleneck, basic]", "[basic]")
        expand(design(parse_document(alone, "sweep.yaml")), info=info)
