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
    only = {"final_tokens": 1, "train_eval": False}
    train = TrainSpec(per_step * steps, curve_tokens=HUGE, curve_share=share, **only)
    seen = evaluated(train, HUGE, per_step, 0) - 1
    # At a third of training on as many; where the share pays for nothing, one a point.
    assert seen <= max(3 * share * train.num_tokens, len(curve_steps(steps)) + 1)


def test_the_share_is_spent_in_24_steps():
    train = TrainSpec(24 * 512, curve_share=0.25, final_tokens=1, train_eval=False)
    assert sorted(curve_steps(24)) == [16, 23]
    assert curve_size(train, 512) == 6 * 512
    assert evaluated(train, 10**6, 512, 0) - 1 == 3 * 6 * 512 == 3 * 0.25 * train.num_tokens
    assert evaluated(train, 10**6, 512, 16) - 1 == 2 * 6 * 512
    assert evaluated(train, 2000, 512, 0) - 1 == 3 * 2000
    # Where all points see all there is, the final evaluation is the last of them.
    assert evaluated(replace(train, final_tokens=0), 2000, 512, 0) == 3 * 2000


@given(st.integers(1, 2**20), st.integers(1, 2**20), st.integers(0, 2**40))
def test_the_training_loss_costs_a_thirtieth_at_most_unless_it_is_asked_for(per_step, steps, final):
    usual = TrainSpec(per_step * steps, final_tokens=final)
    off, asked = (replace(usual, train_eval=on) for on in (False, True))
    seen = [evaluated(train, HUGE, per_step, 0) for train in (off, usual, asked)]
    assert seen[2] - seen[0] == min(final or HUGE, per_step * steps)
    # A forward pass is a third of the training on as many; below ten steps it is of one of them.
    assert 0 < seen[1] - seen[0] <= max(per_step * steps / 10, per_step)
    assert seen[1] <= seen[2]


@given(st.integers(1, 2**20), st.integers(1, 2**30))
def test_without_a_share_a_point_sees_what_it_is_told(per_step, tokens):
    train = TrainSpec(num_tokens=per_step, curve_tokens=tokens)
    assert curve_size(train, per_step) == tokens
    assert curve_size(TrainSpec(num_tokens=per_step, curve_tokens=0), per_step) == 0
