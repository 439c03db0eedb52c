"""Beyond the runs losses fall by N and by D by other shares than the law says, one each a draw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.forecasts.discrepancy import DRIFT, SHOWN, drift
from analysis.forecasts.members import Member, members
from analysis.laws import law_for

N, D = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(2e8, 2e10, 5)))
END = np.log(N * D).max()


@pytest.fixture(scope="module")
def member() -> Member:
    """A product of powers, from which losses stray by 2 % over factors of e^3."""
    law = law_for("L = K / N**a / D**b")
    scatter = 0.02 * np.sin(np.log(N) + 2) + 0.002 * np.random.default_rng(0).standard_normal(30)
    loss = 30 / N**0.08 / D**0.05 * np.exp(scatter)
    start = np.array([30.0, 0.08, 0.05])
    found = members(law, (N, D), loss, np.ones(30), "log", start)
    return max(found, key=lambda each: each.evidence)


def test_runs_that_refute_their_law_drift_and_others_hardly() -> None:
    assert drift(0.0, 0.0) == 0.0
    assert drift(SHOWN, 1.0) == drift(SHOWN / 3, 1 / 3) == pytest.approx(DRIFT / 2)
    assert drift(SHOWN / 4, 1.0) < DRIFT / 200
    assert drift(10 * SHOWN, 1.0) == pytest.approx(DRIFT, rel=1e-3)
    assert drift(1e-6, -0.1) == drift(1e-6, float("nan")) == DRIFT  # of no fall nothing is known


def test_each_exponent_is_another_by_a_share_of_itself(member: Member) -> None:
    """A product of powers falls by a ln N and by b ln D from the largest run on."""
    assert not member.drifted((N, D)).any()
    far = np.array([1.0, 8.0, 100.0])
    at = N.max() * far, D.max() * far[::-1]
    beyond = np.log(at[0] * at[1]) - END
    _, a, b = member.params
    within = (a + b) / 2 * np.ptp(np.log(N * D))
    share = drift(member.ratio * member.noise, within) / member.noise
    assert share > 0
    expected = -share * np.outer([a, b], beyond / 2)
    np.testing.assert_allclose(member.drifted(at), expected, rtol=1e-9)


def test_falls_that_two_inputs_share_are_halved_and_add_up() -> None:
    """ln(E + A/N^a + B/D^b) falls by both at once, as far as the law falls at all."""
    law = law_for("chinchilla")
    params = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    values = np.array([params[name] for name in law.names])
    found = members(law, (N, D), law.predict(values, N, D), np.ones(30), "log", values)
    one = replace(found[0], ratio=1.0, noise=1.0)
    at = np.array([1e10, 1e30]), np.array([1e12, 1e30])
    back = np.exp((END - np.log(at[0] * at[1])) / 2)
    ends = np.log(law.predict(values, at[0] * back, at[1] * back))
    fall = np.log(law.predict(values, *at)) - ends
    np.testing.assert_allclose(one.drifted(at).sum(axis=0) / DRIFT, fall, rtol=1e-3)


def test_far_from_the_runs_draws_have_the_drift_in_common(member: Member) -> None:
    draws = member.draw(4000, np.random.default_rng(0))
    # where the smooth part has forgotten the runs, and what it is at the other place
    at = 1e30 * N.max() * np.array([1, np.exp(20)]), np.array([1e30, 1e30]) * D.max()
    shares = member.drifted(at)
    expected = member.ratio**2 + np.sum(shares**2, axis=0)
    np.testing.assert_allclose(draws.strayed(at), expected, rtol=1e-9)
    strays = draws.strays(at, np.random.default_rng(0)) / draws.noise[:, None]
    together = np.mean(strays[:, 0] * strays[:, 1])
    assert together == pytest.approx(shares[:, 0] @ shares[:, 1], rel=0.1)
