"""Designs that cannot identify a law are named; those that can pass in silence."""

from __future__ import annotations

import pytest

from sweeps.warnings import design_warnings, scales

GOOD = """
    name: x
    fixed: {depth: 2, context: 64}
    grid: {product: {width: [16, 48, 96], num_tokens: [1e6, 4e6, 1.6e7]}}
    derive: {lr: {rule: 1/width, scale: 0.2}}
"""


def warnings(expanded, text, **known):
    found = expanded(text)
    return design_warnings(found.sweep, found.budgets, **known)


def test_a_sound_grid_is_not_warned_about(expanded, info):
    assert warnings(expanded, GOOD, info=info) == []


def test_a_sound_isoflop_sweep_is_not_warned_about(expanded):
    text = """
        name: x
        fixed: {context: 64}
        isoflop: {budgets: {log: [1e12, 1e13, 3]}, sizes: {log: [4e4, 8e5, 5]}}
        derive: {lr: {rule: 1/width, scale: 0.2}}
    """
    assert warnings(expanded, text) == []


def test_a_law_in_one_variable_needs_only_one_axis(expanded):
    assert warnings(expanded, GOOD.replace("[1e6, 4e6, 1.6e7]", "[4e6]")) == []
    text = GOOD.replace("16, 48, 96", "48")
    assert warnings(expanded, text) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("16, 48, 96", "16, 96", "N has 2 scales, and a law in N needs 3: add values of num_par"),
        ("[1e6, 4e6, 1.6e7]", "[1e6, 1.6e7]", "D has 2 scales"),
        ("[1e6, 4e6, 1.6e7]", "[1e6, 1.02e6, 1.6e7]", "D has 2 scales"),
        ("16, 48, 96", "48, 64, 96", "N spans 3.38x, and an exponent from less than 8x"),
        ("1.6e7", "6e6", "D spans 6x"),
        (
            "fixed: {depth: 2, context: 64}",
            "fixed: {depth: 2, context: 64, lr: 0.01}",
            "lr is 0.01 at every size",
        ),
        ("1e6, 4e6", "4e4, 4e6", "3 of 9 runs have fewer than 100 steps"),
        ("context: 64", "context: 64, warmup_tokens: 6e5", "3 of 9 runs have warm-up for more"),
        ("1.6e7", "5e7", "the longest run sees the data 5 times"),
    ],
)
def test_each_flaw_is_named_alone(expanded, info, old, new, expected):
    text = GOOD.replace(old, new)
    if "lr: 0.01" in new:
        text = text[: text.index("    derive")]
    found = warnings(expanded, text, info=info)
    assert len(found) == 1
    assert found[0].startswith(expected)


@pytest.mark.parametrize("parametrisation", ["mup", "completep"])
def test_a_rate_that_falls_twice_with_width(expanded, parametrisation):
    text = GOOD.replace("depth: 2", f"depth: 2, parametrisation: {parametrisation}")
    (found,) = warnings(expanded, text)
    assert found.startswith("lr falls from 0.0125 to 0.00208 as width grows, and parametrisation: ")
    rates = text.replace("rule: 1/width, scale: 0.2", "rule: power, of: num_tokens, %s")
    assert warnings(expanded, rates % "scale: 3, exponent: -0.4") == []
    search = text.replace("width: [16", "lr: [0.01, 0.02], width: [16")
    assert warnings(expanded, search[: search.index("    derive")]) == []


def test_constant_tokens_per_parameter(expanded):
    text = """
        name: x
        fixed: {context: 64, batch_size: 1}
        ladder: {sizes: {log: [3e4, 1e6, 4]}, tokens_per_param: %s}
        derive: {lr: {rule: 1/width, scale: 0.2}}
    """
    assert [w[:27] for w in warnings(expanded, text % 20)] == ["D/N is 20 in every run, so "]
    assert warnings(expanded, text % [5, 20, 80]) == []


def test_size_and_data_that_move_together(expanded):
    text = GOOD.replace("product", "zip").replace("4e6", "5e6")
    (found,) = warnings(expanded, text)
    assert found.startswith("log N and log D have correlation 1.000")


def test_one_point_is_no_law(expanded):
    text = GOOD.replace("16, 48, 96", "16").replace("[1e6, 4e6, 1.6e7]", "1e6")
    assert warnings(expanded, text) == [
        "all runs have one N and one D: no law in N or D can be fitted"
    ]


def test_isoflop_flaws(expanded):
    text = """
        name: x
        fixed: {context: 64, batch_size: 128}
        isoflop: {budgets: [1e10, 1e13], sizes: {log: [1e5, 2e5, 3]}}
        derive: {lr: {rule: 1/width, scale: 0.2}}
        constraints: {num_tokens: {max: 1.5e7}}
    """
    found = "\n".join(warnings(expanded, text))
    assert "2 budgets, and the exponents of N* and D* need 3: add budgets" in found
    assert "budget 1e+10 has sizes over 1.87x" in found
    assert "budget 1e+13 has 2 sizes, and a minimum needs 3: add sizes" in found


def test_a_data_size_that_whole_steps_move_is_said(expanded):
    fixed = "fixed: {depth: 1, context: 64, batch_size: 128, lr: 0.01}"
    # Of 8,192 tokens: 1.55 steps become 2; 100.9 become 101, which is 0.1 % more.
    text = f"name: x\n{fixed}\ngrid: {{product: {{num_tokens: [12700, 826573], width: [16, 32]}}}}"
    assert expanded(text).rounding() == [
        "2 of 4 runs have a D that whole steps move by more than 1% (at most 29.0%: 12,700 becomes "
        "16,384 in N=11.3k D=16.4k): lower batch_size, or ask for multiples of a step"
    ]
    assert expanded(text.replace("12700", "16384")).rounding() == []
    # A budget sets D, too: 1.96 steps, 1.55 and 1.05 become 2, 2 and 1.
    isoflop = f"name: x\n{fixed}\nisoflop: {{budgets: [1e10], sizes: {{log: [1e5, 2e5, 3]}}}}"
    (said,) = expanded(isoflop.replace("depth: 1, ", "")).rounding()
    assert said.startswith("3 of 3 runs have a D that whole steps move by more than 1% (at most 2")


def test_scales_within_five_percent_are_one():
    assert scales([100, 104, 1, 300, 1.04]) == [1, 100, 300]
