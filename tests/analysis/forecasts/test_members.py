"""A law with a discrepancy against Gaussian process regression with a linear mean, in closed form.

ln L = ln A - alpha ln x is linear in (ln A, ln alpha) to first order only, so the closed form is
that of a law whose exponent is held: one linear parameter, ln A, with a normal prior.
"""

from __future__ import annotations

import numpy as np
import pytest

from analysis.forecasts.discrepancy import ROUGH, Places, rough, smooth
from analysis.forecasts.members import members, shares
from analysis.forecasts.regularised import on_logs, prior_of
from analysis.laws import LAWS

LAW = LAWS["power"].hold({"alpha": 0.3})
X = np.geomspace(1e6, 1e9, 12)
AHEAD = np.array([3e9, 1e10, 1e11])


def observed(seed: int = 0) -> np.ndarray:
    """A power law with a slow wave of 2 % about it, and noise of .2 %."""
    noise = 0.002 * np.random.default_rng(seed).standard_normal(len(X))
    return 40 * X**-0.3 * np.exp(0.02 * np.sin(np.log(X)) + noise)


@pytest.fixture(scope="module")
def member():
    found = members(LAW, (X,), observed(), np.ones(len(X)), "log", np.array([40.0, 0.3]))
    return max((m for m in found if m.ratio), key=lambda m: m.evidence)


def closed_form(member, ahead):
    """Mean and covariance of law and smooth part at ``ahead`` (Rasmussen and Williams 2006,
    eq. 2.41), the noise's standard deviation given.
    """
    y = np.log(observed()) + 0.3 * np.log(X)
    at, to = np.log(X)[:, None], np.log(ahead)[:, None]
    s2 = (member.ratio * member.noise) ** 2
    prior = prior_of(on_logs(LAW), observed())
    centre, width = float(prior.centre[0]), float(prior.width[0])
    weight = np.linalg.inv(member.whiten @ member.whiten.T)  # K / noise^2, robust weights in it
    k = weight * member.noise**2 + width**2
    across = s2 * smooth(at, to) + width**2
    mean = centre + across.T @ np.linalg.solve(k, y - centre) - 0.3 * np.log(ahead)
    cov = s2 * smooth(to, to) + width**2 - across.T @ np.linalg.solve(k, across)
    return mean, cov


def test_draws_have_the_mean_and_covariance_of_gaussian_process_regression(member):
    rng = np.random.default_rng(1)
    draws = member.draw(4000, rng)
    paths = draws.mean((AHEAD,)) + draws.strays((AHEAD,), rng)
    mean, cov = closed_form(member, AHEAD)
    # the noise is drawn too, from its chi-squared with 10 degrees of freedom (p is 2)
    inflation = 12 / (10 - 2)
    assert paths.mean(axis=0) == pytest.approx(mean, abs=4 * np.sqrt(cov.max() / 4000))
    assert np.var(paths, axis=0) == pytest.approx(inflation * np.diag(cov), rel=0.35)
    joint = np.corrcoef(paths.T)
    told = cov / np.sqrt(np.outer(np.diag(cov), np.diag(cov)))
    assert joint == pytest.approx(told, abs=0.05)


def test_refitted_draws_are_the_posterior_of_a_linear_law(member):
    """Bayesian linear regression (Rasmussen and Williams 2006, eq. 2.8) of ln A, one parameter."""
    refitted = member._refitted(2000, np.random.default_rng(4))[:, 0]
    prior = prior_of(on_logs(LAW), observed())
    weight = member.whiten.sum(axis=0) / member.noise**2
    precision = weight @ member.whiten.sum(axis=0) + float(prior.width[0]) ** -2
    right = weight @ member.whiten.T @ (np.log(observed()) + 0.3 * np.log(X))
    mean = (right + float(prior.centre[0] / prior.width[0] ** 2)) / precision
    units = float(np.log(member.params[0]) - member.theta[0])
    assert refitted.mean() + units == pytest.approx(mean, abs=4 / np.sqrt(2000 * precision))
    assert refitted.std() == pytest.approx(precision**-0.5, rel=0.06)


def test_the_variance_without_draws_is_that_of_the_draws(member):
    rng = np.random.default_rng(2)
    draws = member.draw(3000, rng)
    strays = draws.strays((AHEAD,), rng) / draws.noise[:, None]
    assert np.var(strays, axis=0) == pytest.approx(draws.strayed((AHEAD,)), rel=0.1)


def test_a_wave_about_the_law_calls_for_a_discrepancy_and_noise_does_not():
    rng = np.random.default_rng(3)
    plain = 40 * X**-0.3 * np.exp(0.002 * rng.standard_normal(len(X)))
    share = []
    for values in (observed(), plain):
        found = members(LAW, (X,), values, np.ones(len(X)), "log", np.array([40.0, 0.3]))
        amplitude = np.array([m.ratio * m.noise for m in found])
        share.append(float(shares(found) @ (amplitude > 0.01)))
    assert share[0] > 0.9
    assert share[1] < 0.3


def test_where_the_search_starts_does_not_matter(member):
    """But for the robust weights, which are those of the start's residuals."""
    found = members(LAW, (X,), observed(), np.ones(len(X)), "log", np.array([4.0, 0.3]))
    [same] = [m for m in found if m.ratio == member.ratio]
    assert abs(same.theta[0] - member.theta[0]) < 0.3 * abs(member.root[0]).max()


def test_correlations_fall_with_distance_and_the_rough_part_is_small():
    at = np.linspace(0, 9, 10)[:, None]
    near = smooth(at[:1], at)[0]
    assert near[0] == 1.0
    assert near[3] == pytest.approx(np.exp(-0.5))
    assert (np.diff(near) < 0).all()
    r = np.sqrt(3)
    assert rough(at[:1], at)[0, :2] == pytest.approx([ROUGH, ROUGH * (1 + r) * np.exp(-r)])


def test_shares_that_may_be_zero_are_placed_as_they_are():
    share = np.array([0.0, 0.2, 0.4])
    places = Places.of((share, np.array([1.0, np.e, np.e**2])))
    assert places((share, np.array([1.0, np.e, np.e**2]))) == pytest.approx(
        np.stack([share / share.std(), [0.0, 1.0, 2.0]], axis=1)
    )
