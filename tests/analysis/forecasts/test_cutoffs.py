from __future__ import annotations

import numpy as np
import pytest

from analysis.forecasts.cutoffs import LEAST, cutoffs, cutoffs_along, folds, log_size, sized


def test_size_of_a_run_is_the_product_of_n_and_d():
    inputs = {
        "num_params": np.array([2.0, 4.0]),
        "num_tokens": np.array([8.0, 1.0]),
        "num_unique_tokens": np.array([4.0, 1.0]),
    }
    by = sized(inputs)
    assert by == ("num_params", "num_tokens")
    assert np.exp(log_size(inputs, by)) == pytest.approx([16.0, 4.0])


def test_a_share_that_may_be_zero_is_no_size_and_a_loss_falls():
    share = {"a": np.array([0.0, 0.5]), "x": np.array([2.0, 4.0])}
    assert sized(share) == ("x",)
    assert log_size(share, ()).tolist() == [0.0, 0.0]
    assert log_size({"loss": np.array([np.e])}, ("loss",)).tolist() == [-1.0]


def test_runs_without_a_size_predict_each_other_in_parts():
    labels = np.repeat(np.arange(8), 2)
    cuts = folds(np.zeros(16), labels, seed=0)
    assert sum(cut.ahead.astype(int) for cut in cuts).tolist() == [1] * 16
    for cut in cuts:
        assert not {*labels[cut.seen]} & {*labels[cut.ahead]}


def test_cuts_halve_the_largest_size_and_predict_one_octave():
    x = 2.0 ** np.arange(12)
    cuts = cutoffs(np.log(x), 1, step=1.0, depth=3, window=1.0)
    assert [x[cut.seen].max() for cut in cuts] == [2**10, 2**9, 2**8]
    assert [x[cut.ahead].tolist() for cut in cuts] == [[2**11], [2**10], [2**9]]


def test_without_a_window_everything_beyond_is_predicted():
    x = 2.0 ** np.arange(12)
    cuts = cutoffs(np.log(x), 1, step=1.0, depth=3, window=None)
    assert [int(cut.ahead.sum()) for cut in cuts] == [1, 2, 3]
    assert all((cut.seen ^ cut.ahead).all() for cut in cuts)


def test_a_gap_wider_than_the_window_reaches_to_the_next_size():
    size = np.log(np.append(np.linspace(1, 2, LEAST), 100.0))
    (cut,) = cutoffs(size, 1, step=1.0, depth=4, window=1.0)
    assert cut.ahead.tolist() == [False] * LEAST + [True]


def test_too_few_runs_give_no_cut():
    assert cutoffs(np.log(2.0 ** np.arange(LEAST)), 1, step=1.0, depth=3, window=1.0) == []


def test_cuts_along_an_input_leave_out_its_top_octaves_however_rounded():
    x = np.tile([1.0, 2.02, 3.99, 8.1], 4)
    size = np.log(x * np.repeat([1.0, 10.0, 100.0, 1000.0], 4))
    first, second = cutoffs_along(np.log(x), size, depth=3)  # the third sees one value alone
    assert [x[cut.seen].max() for cut in (first, second)] == [3.99, 2.02]
    assert [sorted({*x[cut.ahead]}) for cut in (first, second)] == [[8.1], [3.99, 8.1]]
    runs = np.repeat(np.arange(4), 4)  # a run that goes beyond a cut is not seen at all
    assert cutoffs_along(np.log(x), size, depth=3, labels=runs) == []
