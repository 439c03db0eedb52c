"""Bias and variance: the textbook's scenarios, intervals, and a second descent that stays."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.diagnosis import Parts, means, with_parts
from analysis.plotting import parts as draw


@pytest.mark.parametrize(
    ("human", "train", "dev", "verdict"),
    [(0.01, 0.05, 0.06, "bias"), (0.01, 0.01, 0.05, "variance"),
     (0.005, 0.007, 0.008, "mainly bias"), (0.01, 0.03, 0.06, "mainly variance"),
     (0.01, 0.02, 0.03, "both alike"), (0.01, 0.01, 0.01, "neither"),
     (0.02, 0.01, 0.03, "variance")],
)  # fmt: skip
def test_textbook_scenarios(human, train, dev, verdict):
    """The first three are the textbook's: human, training and development error (Ng 2018)."""
    found = Parts(human, train, dev)
    assert found.verdict == verdict
    assert found.bias + found.variance == pytest.approx(dev - human)


def test_intervals_of_shares_of_examples():
    """Draws of binomial shares scatter as said."""
    found = Parts(0.01, 0.05, 0.08)
    rng = np.random.default_rng(0)
    train, dev = (rng.binomial(2000, p, 20_000) / 2000 for p in (0.05, 0.08))
    of_bias, of_variance = found.spread(2000, 0.9)
    assert of_bias == pytest.approx(1.645 * np.std(train), rel=0.03)
    assert of_variance == pytest.approx(1.645 * np.std(dev - train), rel=0.03)


def test_double_descent_is_drawn_as_it_was_measured():
    n = np.array([1e3, 3e3, 1e4, 3e4, 1e5])
    loss = np.array([0.9, 0.7, 1.4, 0.8, 0.6])  # a peak where the model just fits its data
    runs = pd.DataFrame(
        {"num_params": np.tile(n, 2), "num_tokens": 5e4, "loss": np.tile(loss, 2),
         "loss_train": np.tile([0.8, 0.5, 0.05, 0.01, 0.0], 2), "seed": np.repeat([0, 1], 5)}
    )  # fmt: skip
    cells = means(with_parts(runs, "loss", 0.1), "loss")
    assert list(cells["loss"]) == pytest.approx(loss)
    assert list(cells["variance"]) == pytest.approx(loss - [0.8, 0.5, 0.05, 0.01, 0.0])
    assert set(cells["runs"]) == {2}
    (panel,) = draw(cells, "loss").panels
    (held_out,) = [one for one in panel.layers if one.label == "held out"]
    assert list(held_out.y) == pytest.approx(loss)
    with pytest.raises(ValueError, match="no two runs differ"):
        draw(cells.iloc[:1], "loss")
