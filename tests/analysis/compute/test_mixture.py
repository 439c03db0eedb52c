"""The best mixture: closed forms, intervals, what is said of edges and of bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import Estimand, Fit, fit
from analysis.compute import best_mixture
from scaling.base import NoAnswerError
from scaling.cli import main

SHARES = ("proportion_web", "proportion_code")


def runs(noise: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """Two domains, each of which its own share helps: L = E + k exp(-t r)."""
    rng = np.random.default_rng(seed)
    r = rng.uniform(0.05, 0.95, 40)
    table = pd.DataFrame({SHARES[0]: r, SHARES[1]: 1 - r})
    table["loss_web"] = 2.0 + 3.0 * np.exp(-2.0 * r)
    table["loss_code"] = 1.0 + 1.5 * np.exp(-2.0 * (1 - r))
    for column in ("loss_web", "loss_code"):
        table[column] *= np.exp(noise * rng.normal(size=len(table)))
    return table


def fits(table: pd.DataFrame, bootstrap: int = 0) -> list[Fit]:
    return [
        fit("mixture", table, Estimand(y_col=one), bootstrap=bootstrap, starts=2)
        for one in ("loss_web", "loss_code")
    ]


def test_the_best_mixture_is_where_both_losses_fall_alike() -> None:
    """3 e^(-2r) = 1.5 e^(-2(1-r)) at r = 1/2 + ln 2 / 4; with weights w it moves by ln w / 4."""
    found = fits(runs())
    best = best_mixture(found)
    assert best.shares[SHARES[0]] == pytest.approx(0.5 + np.log(2) / 4, abs=1e-4)
    assert sum(best.shares.values()) == pytest.approx(1.0)
    assert best.losses["loss_web"] == pytest.approx(2 + 3 * np.exp(-1 - np.log(2) / 2), rel=1e-5)
    assert best.loss <= best.best_run
    assert best.status == "ok"
    heavier = best_mixture(found, [1.0, 2.0])
    assert heavier.shares[SHARES[0]] == pytest.approx(0.5, abs=1e-4)


def test_intervals_hold_the_best_mixture() -> None:
    best = best_mixture(fits(runs(0.005), bootstrap=60))
    assert best.shares_ci is not None
    low, high = best.shares_ci[SHARES[0]]
    assert low < 0.5 + np.log(2) / 4 < high
    assert 0 < high - low < 0.2


def test_one_domain_alone_asks_for_itself_and_is_told_to_be_at_the_edge() -> None:
    best = best_mixture(fits(runs())[:1])
    assert best.shares[SHARES[0]] == pytest.approx(1.0, abs=1e-6)
    assert "beyond the runs" in best.status
    assert "edge" in best.status


def test_what_is_no_mixture_is_refused() -> None:
    table = runs().assign(num_params=1e9)
    table["num_params"] *= 1 + np.arange(40)
    other = fit("power", table, Estimand(y_col="loss_web"), starts=0)
    with pytest.raises(ValueError, match="laws of the same shares, such as mixture"):
        best_mixture([other])
    with pytest.raises(ValueError, match="1 weights for 2 losses"):
        best_mixture(fits(table), [1.0])
    with pytest.raises(NoAnswerError, match="no finite loss"):
        best_mixture([_broken(fits(runs())[0])])


def _broken(f: Fit) -> Fit:
    from dataclasses import replace

    return replace(f, params=dict.fromkeys(f.params, float("nan")))


def test_the_command_prints_the_mixture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mixtures.csv"
    runs(0.002).to_csv(path, index=False)
    words = ["mixture", str(path), "--loss-col", "loss_web,loss_code", "--bootstrap", "10"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["shares"][SHARES[0]] == pytest.approx(0.5 + np.log(2) / 4, abs=0.05)
    assert main(words) == 0
    assert "share of" in capsys.readouterr().out
    assert main(["mixture", str(path), "--loss-col", "loss_wob"]) == 2
    assert "no column 'loss_wob'" in capsys.readouterr().err
