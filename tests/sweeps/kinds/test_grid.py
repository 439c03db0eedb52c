"""Conditions of a grid: which points a case goes with, and what it may not say."""

from __future__ import annotations

from itertools import product

import pytest

GRID = """
    name: x
    fixed: {depth: 1, width: 16, context: 32, batch_size: 4, num_tokens: 4096, lr: 0.001}
    grid:
      product:
        optimizer: [sgd, rmsprop, adamw]
        schedule: [wsd, cosine]
      cases:
        - when: {optimizer: [sgd, rmsprop]}
          product: {momentum: [0.8, 0.9]}
        - when: {optimizer: adamw}
          zip: {beta1: [0.9, 0.8], beta2: [0.95, 0.9]}
        - when: {schedule: cosine, momentum: 0.9}
          product: {final_lr_fraction: [0, 0.1, 0.2]}
"""


def test_a_case_goes_with_the_points_where_it_holds(expanded):
    found = expanded(GRID)
    seen = [
        (o.optimizer, s.schedule, o.momentum, o.beta1, o.beta2, s.final_lr_fraction)
        for o, s in ((e.spec.optim, e.spec.schedule) for e in found.sweep)
    ]
    wanted = []
    for optimizer, schedule in product(["sgd", "rmsprop", "adamw"], ["wsd", "cosine"]):
        if optimizer == "adamw":
            wanted += [
                (optimizer, schedule, 0.9, b1, b2, 0.0) for b1, b2 in [(0.9, 0.95), (0.8, 0.9)]
            ]
            continue
        for momentum in (0.8, 0.9):
            last = (0.0, 0.1, 0.2) if (schedule, momentum) == ("cosine", 0.9) else (0.0,)
            wanted += [(optimizer, schedule, momentum, 0.9, 0.95, f) for f in last]
    assert seen == wanted
    assert (found.asked, found.repeated, str(found.collapsed)) == (len(wanted), 0, "")


def test_a_grid_without_cases_and_one_of_a_case_that_changes_nothing_are_the_same(sweep):
    plain = GRID[: GRID.index("      cases:")]
    trivial = plain + "      cases: [{when: {optimizer: sgd}, product: {momentum: 0.9}}]"
    assert [e.run_id for e in sweep(trivial)] == [e.run_id for e in sweep(plain)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[sgd, rmsprop]}",
            "[sgd, rmsprob]}",
            ":9: optimizer rmsprob is not in the grid, which has",
        ),
        ("{optimizer: adamw}", "{optimzer: adamw}", ":11: unknown option .* mean 'optimizer'"),
        ("{optimizer: adamw}", "{width: 16}", ":11: unknown option of the grid 'width'"),
        ("{optimizer: adamw}", "adamw", ":11: when must be a mapping"),
        ("{optimizer: adamw}", "{}", ":11: a case has no when"),
        (
            "cosine, momentum: 0.9}",
            "cosine, momentum: 0.9, beta1: 0.9}",
            ":13: no point of the grid",
        ),
        ("{final_lr_fraction: [0, 0.1, 0.2]}", "{}", ":13: item 3 of cases has no options"),
        ("{final_lr_fraction:", "{schedule:", ":14: schedule varies already where this case holds"),
        ("{beta1:", "{betta1:", ":12: unknown option 'betta1': did you mean 'beta1'"),
        ("product: {momentum: [0.8, 0.9]}", "width: 3", ":10: unknown key 'width'"),
        ("{beta1:", "{width:", ":12: width is fixed and varied by grid"),
        (
            "{final_lr_fraction: [0, 0.1, 0.2]}",
            "{lr: {range: [0, 600000]}}",
            "the limit is 1000000",
        ),
        (GRID[GRID.index("cases:") :], "cases: {}", ":8: cases must be a list, not a mapping"),
    ],
)
def test_cases_that_cannot_be_are_refused_at_their_line(expanded, old, new, message):
    assert GRID.count(old) == 1
    with pytest.raises(ValueError, match=f"sweep.yaml{message}" if message[0] == ":" else message):
        expanded(GRID.replace(old, new))
