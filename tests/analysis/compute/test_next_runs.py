"""Proposed runs: against closed forms, against random designs, and as a sweep file."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from analysis import LAWS, Estimand, fit
from analysis.compute import AsFitted
from analysis.compute.next_runs import next_runs
from analysis.compute.next_sweep import settings, sweep_text
from analysis.compute.next_worlds import worlds_of_forecast
from analysis.fits import untold
from analysis.forecasts import Field, fields, forecast_of
from scaling.spec import RunSpec
from tests.scaling.test_spec import INFO


@pytest.fixture(scope="module")
def law(planted_runs):
    return fit("chinchilla", planted_runs, Estimand("mse"))


def variance(law, target, n, d, at):
    """Variance of ln N* or of a parameter after runs at ``n``, ``d``, by plain least squares."""
    vector = law.vector
    n, d = np.r_[law.inputs[0], n], np.r_[law.inputs[1], d]

    def log_loss(p):
        return np.log(LAWS["chinchilla"].predict(p, n, d))

    def value(p):
        _, a, b, alpha, beta = p
        if target != "num_params":
            return p[["E", "A", "B", "alpha", "beta"].index(target)]
        return (np.log(alpha * a / (beta * b)) + beta * np.log(at / 6)) / (alpha + beta)

    step = 1e-5 * vector
    moves = [np.eye(5)[i] * step[i] for i in range(5)]
    jacobian = np.array([(log_loss(vector + m) - log_loss(vector - m)) / 2 for m in moves]).T
    c = np.array([(value(vector + m) - value(vector - m)) / 2 for m in moves])
    r = np.log(law.fitted / law.observed)
    return float(c @ np.linalg.solve(jacobian.T @ jacobian, c)) * np.sum(r**2) / (len(r) - 5)


@pytest.mark.parametrize("target", ["num_params", "alpha"])
def test_standard_errors_are_those_of_least_squares(law, target):
    at = 1e16
    found = next_runs(law, 5e14, target, expected=AsFitted(law), at=at)
    n, d = np.array([(r.num_params, r.num_tokens) for r in found.runs for _ in range(r.seeds)]).T
    # a positive parameter's standard error is that of its logarithm
    size = law.params["alpha"] if target == "alpha" else 1.0
    before = variance(law, target, [], [], at) ** 0.5 / size
    after = variance(law, target, n, d, at) ** 0.5 / size
    assert found.se_before == pytest.approx(before, rel=2e-3)
    assert found.se_after == pytest.approx(after, rel=2e-3)
    assert found.se_after < 0.5 * found.se_before


def test_no_random_design_of_equal_cost_does_better(law):
    budget, at = 5e14, 1e16
    found = next_runs(law, budget, "num_params", expected=AsFitted(law), at=at, most=8)
    assert found.flops <= budget
    rng = np.random.default_rng(0)
    n0, d0 = law.inputs
    best = np.inf
    for _ in range(300):
        k = int(rng.integers(2, 9))
        n = np.exp(rng.uniform(np.log(n0.min()), np.log(16 * n0.max()), k))
        d = np.exp(rng.uniform(np.log(d0.min()), np.log(16 * d0.max()), k))
        scale = (budget / (6 * n @ d)) ** 0.5
        best = min(best, variance(law, "num_params", n * scale, d * scale, at))
    assert found.se_after**2 < best


@pytest.fixture(scope="module")
def foretold(law):
    return forecast_of(law)


def after(worlds, picked):
    """Expected variance of the target after runs at the candidates ``picked``, by conditioning."""
    total = 0.0
    for world in worlds:
        runs = world.runs[np.ix_(picked, picked)] + world.noise**2 * np.eye(len(picked))
        along = world.along[picked]
        total += world.weight * (world.variance - along @ np.linalg.solve(runs, along))
    return total


@pytest.mark.parametrize("target", ["num_params", "loss"])
def test_a_forecasts_design_beats_the_laws_and_random_ones_by_what_the_forecast_expects(
    law, foretold, target
):
    budget, at = 5e14, 1e16
    found, by_law = (
        next_runs(law, budget, target, expected=expected, at=at, most=8)
        for expected in (foretold, AsFitted(law))
    )
    assert (found.by_law, by_law.by_law) == (False, True)
    pairs = [
        np.array([(r.num_params, r.num_tokens) for r in each.runs for _ in range(r.seeds)]).T
        for each in (found, by_law)
    ]
    rng = np.random.default_rng(0)
    n0, d0 = law.inputs
    for _ in range(60):
        k = int(rng.integers(2, 9))
        n, d = (np.exp(rng.uniform(np.log(x.min()), np.log(16 * x.max()), k)) for x in (n0, d0))
        pairs.append(np.array([n, d]) * (budget / (6 * n @ d)) ** 0.5)
    worlds = worlds_of_forecast(foretold, target, at, 6.0, *np.concatenate(pairs, axis=1))
    ends = np.cumsum([0, *(pair.shape[1] for pair in pairs)])
    each = [after(worlds, np.arange(*ends[i : i + 2])) for i in range(len(pairs))]
    assert found.se_after == pytest.approx(each[0] ** 0.5, rel=1e-6)
    assert each[0] < min(each[1:])


def test_a_field_is_as_wide_as_the_draws_of_its_member(foretold):
    n, d = np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)
    for share, draws in [(f.share, f.draws) for f in fields(foretold)]:
        many = draws.member.draw(4000, np.random.default_rng(0))
        field = Field(share, draws.member.noise, many)
        rng = np.random.default_rng(1)
        drawn = (many.mean((n, d)) + many.strays((n, d), rng)).std(axis=0)
        assert np.sqrt(np.diag(field.surface(field.at((n, d))))) == pytest.approx(drawn, rel=0.35)


def test_what_a_run_shows_of_the_surface_is_a_covariance(foretold):
    """Of a whole set of places the joint covariance of surface and runs has no negative root."""
    inputs = np.geomspace(1e7, 1e9, 6), np.geomspace(1e9, 1e11, 6)
    for field in fields(foretold):
        at = field.at(inputs)
        across = field.across(at, at)
        whole = np.block([[field.surface(at), across], [across.T, field.runs(at)]])
        values = np.linalg.eigvalsh(whole)
        assert values[0] > -1e-9 * values[-1]


@pytest.mark.parametrize("target", ["loss", "num_tokens", "a", "b", "E"])
def test_more_budget_is_never_worse(law, foretold, target):
    small, large = (
        next_runs(law, c, target, expected=foretold, at=1e16).se_after for c in (1e13, 1e15)
    )
    assert large < small


def test_runs_stay_within_reach_and_number(law):
    found = next_runs(law, 1e14, at=1e16, most=5, reach=2.0)
    n0, d0 = law.inputs
    assert sum(run.seeds for run in found.runs) <= 5
    for run in found.runs:
        assert run.num_params <= 2.001 * n0.max()
        assert run.num_tokens <= 2.001 * d0.max()
        assert run.flops == pytest.approx(6 * run.num_params * run.num_tokens)


@pytest.mark.parametrize(
    ("target", "what", "relative"),
    [
        ("loss", "loss at 1e+16 FLOPs", True),
        ("a", "a", False),
        ("alpha", "alpha", True),
        ("E", "E", False),
    ],
)
def test_a_standard_error_says_its_unit(law, target, what, relative):
    found = next_runs(law, 1e14, target, at=1e16, most=2)
    assert (found.what, found.relative) == (what, relative)
    percent = f"{100 * found.se_before:.3g} %"
    assert found.errors[0] == (percent if relative else f"{found.se_before:.3g}")
    assert f"# Runs that bring the standard error of {what} from {found.errors[0]} to" in (
        sweep_text(found, "more")
    )


def test_what_cannot_be_proposed_is_said(law, planted_runs):
    with pytest.raises(ValueError, match=r"unknown target 'alhpa'.*'alpha'"):
        next_runs(law, 1e14, "alhpa")
    with pytest.raises(RuntimeError, match=r"pay for no run within reach; the cheapest costs"):
        next_runs(law, 1e3)
    with pytest.raises(ValueError, match="choose --law chinchilla"):
        next_runs(fit("power_floor", planted_runs, Estimand(x_col="num_params"), starts=0), 1e14)


def resolved(width, num_tokens, warmup_tokens):
    return RunSpec.resolve(
        info=INFO,
        depth=2,
        width=width,
        context=32,
        batch_size=8,
        num_tokens=num_tokens,
        lr=2.0 / width,
        warmup_tokens=warmup_tokens,
    ).to_dict()


def test_what_old_runs_were_told_in_vain_is_not_asked_for_again():
    specs = [resolved(32, 1e5, 256), resolved(64, 1e5, 256)]
    for spec, momentum in zip(specs, (0.7, 0.8), strict=True):
        spec["optim"]["momentum"] = momentum  # AdamW: from when it was part of identity
    known = settings(specs)
    assert (known.fixed["momentum"], known.loose) == (0.9, ("lr",))


def test_the_sweep_file_has_the_settings_of_the_runs(law):
    sizes = [(w, d) for w in (32, 64, 128) for d in (1e5, 2e5, 4e5)]
    specs = [resolved(w, d, 256 * (1 + i % 2)) for i, (w, d) in enumerate(sizes)]
    known = settings(json.loads(json.dumps(specs)))
    assert known.fixed["batch_size"] == 8
    assert (list(known.powers), known.loose) == (["lr"], ("warmup_tokens",))
    found = next_runs(law, 1e14, at=1e16, most=3)
    text = sweep_text(found, "more", "transformer", {"depth": 2}, known, first_seed=3)
    content = yaml.safe_load(text)
    assert (content["family"], content["data"]) == ("transformer", INFO.name)
    assert content["fixed"]["depth"] == 2
    assert len(content["runs"]) == sum(run.seeds for run in found.runs)
    assert min(row["seed"] for row in content["runs"]) == 3
    k, p, q = known.powers["lr"]
    for row in content["runs"]:
        expected = k * row["num_params"] ** p * row["num_tokens"] ** q
        assert row["lr"] == pytest.approx(expected, rel=1e-3)
    assert "# warmup_tokens varied among the fitted runs: set it." in text


def line_of(n, d, seed=0):
    """Noisy runs of Besiroglu et al.'s law."""
    law = LAWS["chinchilla"]
    loss = law.predict(np.array([1.81686, 482.0, 2085.4, 0.34781, 0.36585]), n, d)
    noise = np.random.default_rng(seed).normal(0, 0.002, len(n))
    return pd.DataFrame({"num_params": n, "num_tokens": d, "loss": loss * np.exp(noise)})


@pytest.mark.parametrize("where", ["one ratio", "two sizes", "one size", "one run"])
def test_runs_that_identify_nothing_are_given_what_does(where):
    n = np.geomspace(1e7, 3e8, 12)
    pairs = {
        "one ratio": (n, 20 * n),
        "two sizes": (np.repeat([1e7, 1e8], 6), np.tile(np.geomspace(1e8, 1e10, 6), 2)),
        "one size": (np.full(12, 5e7), np.geomspace(1e8, 1e10, 12)),
        "one run": (np.full(12, 5e7), np.full(12, 1e9)),
    }
    runs = line_of(*pairs[where])
    before = fit("chinchilla", runs, Estimand("mse"))
    assert not before.identified
    found = next_runs(before, 1e19, expected=forecast_of(before, runs))
    assert found.needed
    assert not found.unpaid
    assert found.flops <= 1e19
    chosen = [(r.num_params, r.num_tokens) for r in found.runs for _ in range(r.seeds)]
    more = line_of(*np.array(chosen).T, seed=1)
    after = fit("chinchilla", pd.concat([runs, more], ignore_index=True), Estimand("mse"))
    assert untold(after.law, before.inputs)
    assert not untold(after.law, after.inputs)
    information = [np.linalg.slogdet(_information(each))[1] for each in (before, after)]
    assert information[1] > information[0] + 2


def _information(found):
    slopes = found.law.gradient(found.vector, *found.inputs) * found.vector[:, None]
    slopes = slopes / found.fitted
    return slopes @ slopes.T + 1e-12 * np.eye(len(found.vector))


def test_what_is_not_paid_for_is_said():
    n = np.geomspace(1e7, 3e8, 12)
    runs = line_of(n, 20 * n)
    known = fit("chinchilla", runs, Estimand("mse"))
    found = next_runs(known, 1.3e16, expected=forecast_of(known, runs))
    assert found.unpaid == ("3 values of num_tokens / num_params, a factor 2 apart (now 1)",)


def test_runs_that_identify_the_law_need_nothing(law):
    assert next_runs(law, 5e14, expected=AsFitted(law)).needed == ()
