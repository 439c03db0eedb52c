"""Several responses of a run under one law."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import fit, load_runs
from analysis.laws import law_for
from analysis.tables import place, stacked


def mixtures(path) -> pd.DataFrame:
    """The law of Ye et al. 2024 (arXiv 2403.16952), eq. 6, for two domains; some shares are 0."""
    share = np.linspace(0, 1, 9)
    a, b = 2.0 + 0.5 * np.exp(-2.0 * share), 1.5 + 0.8 * np.exp(0.4 * share)
    pd.DataFrame({"share": share, "loss_a": a, "loss_b": b}).to_csv(path, index=False)
    return load_runs(path)


def test_one_law_for_several_losses(tmp_path) -> None:
    runs = stacked(mixtures(tmp_path / "m.csv"), ["loss_a", "loss_b"])
    law = law_for("L = c[response] + k[response]*exp(t[response]*share)", runs, signed=("t",))
    f = fit(law, runs)
    expected = {"c": (2.0, 1.5), "k": (0.5, 0.8), "t": (-2.0, 0.4)}
    for name, (a, b) in expected.items():
        assert f.params[f"{name}[loss_a]"] == pytest.approx(a, rel=1e-4)
        assert f.params[f"{name}[loss_b]"] == pytest.approx(b, rel=1e-4)
    assert (f.n_runs, f.excluded) == (18, ())


def test_rows_of_a_run_know_their_run_and_line(tmp_path) -> None:
    runs = stacked(mixtures(tmp_path / "m.csv"), ["loss_a", "loss_b"])
    assert runs["run_id"].nunique() == 9
    assert (runs["run_id"].value_counts() == 2).all()
    assert place(runs, 9) == place(runs, 0) == "line 2"


@pytest.mark.parametrize(
    ("responses", "message"),
    [
        (["loss_a"], "name two or more columns"),
        (["loss_a", "loss_a"], "name two or more columns, each once"),
        (["loss_a", "loss_c"], "unknown column of the run table 'loss_c'"),
    ],
)
def test_responses_that_cannot_be_stacked(tmp_path, responses, message) -> None:
    with pytest.raises(ValueError, match=message):
        stacked(mixtures(tmp_path / "m.csv"), responses)
