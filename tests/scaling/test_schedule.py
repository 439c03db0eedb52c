"""What the learning curve costs, against what training has cost by then."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from scaling.schedule import curve_size, curve_steps, evaluated
from scaling.spec_parts import TrainSpec

HUGE = 10**15


@given(st.floats(0, 4), st.integers(1, 2**20), st.integers(8, 2**20))
def test_the_curve_costs_its_share_at_most(share, per_step, steps):
    train = TrainSpec(per_step * steps, curve_tokens=HUGE, curve_share=share, final_tokens=1)
    seen = evaluated(train, HUGE, per_step, 0) - 1
    # At a third of training on as many; where the share pays for nothing, one a point.
    assert seen <= max(3 * share * train.num_tokens, len(curve_steps(steps)) + 1)


def test_the_share_is_spent_in_24_steps():
    train = TrainSpec(num_tokens=24 * 512, curve_share=0.25, final_tokens=1)
    assert sorted(curve_steps(24)) == [16, 23]
    assert curve_size(train, 512) == 6 * 512
    assert evaluated(train, 10**6, 512, 0) - 1 == 3 * 6 * 512 == 3 * 0.25 * train.num_tokens
    assert evaluated(train, 10**6, 512, 16) - 1 == 2 * 6 * 512
    assert evaluated(train, 2000, 512, 0) - 1 == 3 * 2000
    # Where all points see all there is, the final evaluation is the last of them.
    assert evaluated(replace(train, final_tokens=0), 2000, 512, 0) == 3 * 2000


@given(st.integers(1, 2**20), st.integers(1, 2**30))
def test_without_a_share_a_point_sees_what_it_is_told(per_step, tokens):
    train = TrainSpec(num_tokens=per_step, curve_tokens=tokens)
    assert curve_size(train, per_step) == tokens
    assert curve_size(TrainSpec(num_tokens=per_step, curve_tokens=0), per_step) == 0
