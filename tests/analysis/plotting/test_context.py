"""Loss by place in the context: a line a size and family, of the best rate."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.plotting import context, draw

RUNS = pd.DataFrame(
    {
        "run_id": list("abcd"),
        "family": ["transformer", "transformer", "recurrent", "recurrent"],
        "num_params": [10, 10, 10, 20],
        "lr": [0.1, 0.2, 0.1, 0.1],
        "loss": [2.0, 1.9, 2.1, 2.2],
        "loss_at_1": [4.0, 3.9, 4.1, 4.2],
        "loss_at_2": [3.0, 2.9, 3.1, 3.2],
        "exclude_reason": "",
    }
)


def test_a_line_of_the_best_rate_for_each_size_and_family():
    layers = context(RUNS).panel.layers
    assert [(layer.label, list(layer.runs)) for layer in layers] == [
        ("transformer", ["b"]),
        ("recurrent", ["c"]),
        ("recurrent", ["d"]),
    ]
    assert layers[0].x.tolist() == [1.0, 2.0] and layers[0].y.tolist() == [3.9, 2.9]
    assert layers[0].dash != layers[1].dash
    assert draw(context(RUNS)).axes[0].get_xscale() == "log"


def test_runs_without_places_say_what_to_do():
    with pytest.raises(ValueError, match="by_position: true"):
        context(RUNS[["run_id", "num_params", "loss"]])
