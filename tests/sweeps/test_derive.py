"""Rules against the numbers that their sources publish."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from sweeps.derive import RULES, Derivation, Facts, find_rule

DOCS = Path(__file__).parents[2] / "docs" / "sweeps.md"


def derive(rule, target, facts, **settings):
    return Derivation(target, find_rule(rule, target), {"scale": 1, **settings}).value(facts)


def sized(body, tokens=1e9, context=2048, **options):
    return Facts(options, {"num_params_non_embedding": body}, tokens, context)


def test_rate_is_inverse_to_width():
    assert derive("1/width", "lr", Facts({"width": 64}), scale=0.18) == pytest.approx(0.0028125)


@pytest.mark.parametrize(("size", "sequences"), [(1e9, 704), (750e6, 576), (150e6, 192)])
def test_olmo_batch_sizes_are_those_of_the_ladder(size, sequences):
    # The ladder's configurations round to whole nodes of 32 sequences.
    assert 32 * round(derive("olmo-ladder", "batch_size", sized(size)) / 32) == sequences


def test_olmo_batch_is_a_number_of_tokens_whatever_the_context():
    short = derive("olmo-ladder", "batch_size", sized(1e9, context=128))
    assert short == pytest.approx(16 * derive("olmo-ladder", "batch_size", sized(1e9)), rel=1e-3)


def test_olmo_rate_and_warmup():
    assert derive("olmo-ladder", "lr", sized(108e6)) == pytest.approx(0.0047)
    assert derive("olmo-ladder", "lr", sized(8 * 108e6)) == pytest.approx(0.0047 / 2)
    assert derive("olmo-ladder", "warmup_tokens", sized(123_456)) == 123_456


def test_step_law_in_logarithms():
    # ln lr = ln 1.79 - 0.713 ln N + 0.307 ln D; ln B = ln 0.58 + 0.571 ln D.
    lr = derive("step-law", "lr", sized(1e9, 1e11))
    assert math.log10(lr) == pytest.approx(math.log10(1.79) - 0.713 * 9 + 0.307 * 11)
    batch = derive("step-law", "batch_size", sized(1e9, 1e11, context=2048))
    assert batch * 2048 == pytest.approx(10 ** (math.log10(0.58) + 0.571 * 11), rel=1e-2)


def test_levine_trillion_parameters_want_a_width_of_thirty_thousand():
    # Their abstract: "an unprecedented width of 30K as optimal for a 1-Trillion parameter network".
    depth = derive("levine", "depth", Facts({"width": 30_000}))
    assert 12 * depth * 30_000**2 == pytest.approx(1e12, rel=0.05)


@pytest.mark.parametrize(("depth", "width"), [(20, 1280), (32, 2048), (12, 768)])
def test_nanochat_widths(depth, width):
    assert derive("nanochat", "width", Facts({"depth": depth})) == width


def test_nanochat_rate_falls_with_the_root_of_width():
    assert derive("nanochat", "lr", Facts({"width": 768}), scale=0.01) == pytest.approx(0.01)
    assert derive("nanochat", "lr", Facts({"width": 3072}), scale=0.01) == pytest.approx(0.005)


def test_aspect_and_power():
    assert derive("aspect", "depth", Facts({"width": 768}), scale=64) == 12
    assert derive("aspect", "depth", Facts({"width": 8}), scale=64) == 1
    settings = {"scale": 2, "of": "num_tokens", "exponent": -0.5}
    assert derive("power", "weight_decay", sized(1, 1e4), **settings) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("rule", "target", "facts", "settings", "message"),
    [
        ("1/width", "lr", Facts({}), {}, "derive lr by 1/width: needs width, which"),
        ("1/width", "lr", Facts({"width": "x"}), {}, "width 'x' is not a number"),
        ("levine", "depth", Facts({"width": 0}), {}, "derive depth by levine: math domain"),
        ("1/width", "lr", Facts({"width": 0}), {}, "derive lr by 1/width: .*zero"),
        (
            "power",
            "lr",
            sized(1, 1e300),
            {"of": "num_tokens", "exponent": 9},
            "derive lr by power: the result is too large",
        ),
    ],
)
def test_what_a_rule_cannot_do(rule, target, facts, settings, message):
    with pytest.raises(ValueError, match=message):
        derive(rule, target, facts, **settings)


def test_unknown_rules_and_targets():
    with pytest.raises(ValueError, match="unknown rule 'steplaw': did you mean 'step-law'"):
        find_rule("steplaw", "lr")
    with pytest.raises(ValueError, match="rule 'olmo-ladder' gives lr, batch_size, warmup_tokens"):
        find_rule("olmo-ladder", "depth")


def test_the_page_lists_every_rule_with_formula_and_source():
    row = r"^\| `([^`]+)`(\*?) \| `?([^`|]+?)`? \| `([^`]+)` \| (.+) \|$"
    rows = re.findall(row, DOCS.read_text(encoding="utf-8"), re.M)
    assert rows == [
        (r.name, "*" if "scale" in r.needs else "", r.gives or "any", r.formula, r.source)
        for r in RULES.values()
    ]
