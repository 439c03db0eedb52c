"""Pooled groups against published mixed models and their closed forms."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from analysis import Estimand, Fit, fit
from analysis.laws import law_for

# yield of dyestuff by batch: Davies and Goldsmith 1972, table 6.3; lme4's data set Dyestuff
DYESTUFF = {
    "A": [1545, 1440, 1440, 1520, 1580],
    "B": [1540, 1555, 1490, 1560, 1495],
    "C": [1595, 1550, 1605, 1510, 1560],
    "D": [1445, 1440, 1595, 1465, 1545],
    "E": [1595, 1630, 1515, 1635, 1625],
    "F": [1520, 1455, 1450, 1480, 1445],
}
SQUARES = Estimand("mse", space="linear")


def dyestuff() -> pd.DataFrame:
    rows = [(batch, 1.0, y) for batch, ys in DYESTUFF.items() for y in ys]
    return pd.DataFrame(rows, columns=["batch", "x", "y"])


def test_a_random_intercept_is_lme4s() -> None:
    """Bates 2010, lme4: REML variances 1764.0 and 2451.2, intercept 1527.5, these predictions."""
    runs = dyestuff()
    f = fit(law_for("y = a[~batch] + 0*x", runs, signed=("a",)), runs, SQUARES)
    pooled = f.diagnostics["pooled"]["a"]
    assert pooled["between_sd"] ** 2 == pytest.approx(1764.05, rel=1e-4)
    assert np.mean(list(f.params.values())) == pytest.approx(1527.5)
    effects = [f.params[f"a[{batch}]"] - 1527.5 for batch in DYESTUFF]
    published = [-17.60685, 0.39126, 28.56223, -23.08454, 56.73319, -44.99529]
    assert effects == pytest.approx(published, abs=1e-3)
    # balanced: each batch keeps n tau^2 / (n tau^2 + sigma^2) of its own deviation
    share = 5 * 1764.05 / (5 * 1764.05 + 2451.25)
    assert list(pooled["kept"].values()) == pytest.approx([share] * 6, rel=1e-4)
    assert "groups keep 78 %" in f.diagnostics["notes"][0]
    again = Fit.from_dict(json.loads(json.dumps(f.to_dict())))
    np.testing.assert_array_equal(again.problem.prior, f.problem.prior)
    at = again.problem.coordinates(again.vector)[None]
    assert again.problem.objective(at)[0] == pytest.approx(f.objective)


def test_unbalanced_groups_with_a_slope_are_dense_reml() -> None:
    rng = np.random.default_rng(3)
    names, sizes = list("abcdefg"), [1, 2, 3, 5, 8, 4, 2]
    group = np.repeat(names, sizes)
    n, own = len(group), rng.normal(0, 1.0, 7)
    x = rng.uniform(0, 3, n)
    y = 2 + 1.5 * x + np.repeat(own, sizes) + rng.normal(0, 0.5, n)
    fixed = np.stack([np.ones(n), x], axis=1)
    random = (group[:, None] == np.array(names)).astype(float)

    def solved(logs):
        noise, between = np.exp(logs)
        v = noise * np.eye(n) + between * random @ random.T
        inverse = np.linalg.inv(v)
        gram = fixed.T @ inverse @ fixed
        beta = np.linalg.solve(gram, fixed.T @ inverse @ y)
        r = y - fixed @ beta
        score = np.linalg.slogdet(v)[1] + np.linalg.slogdet(gram)[1] + r @ inverse @ r
        return score, beta, between * random.T @ inverse @ r

    best = minimize(lambda logs: solved(logs)[0], [0.0, 0.0], method="Nelder-Mead",
                    options={"xatol": 1e-8, "fatol": 1e-11, "maxiter": 2000}).x  # fmt: skip
    _, beta, effects = solved(best)
    runs = pd.DataFrame({"g": group, "x": x, "y": y})
    f = fit(law_for("y = a[~g] + b*x", runs, signed=("a", "b")), runs, SQUARES)
    assert f.params["b"] == pytest.approx(beta[1], rel=1e-4)
    assert [f.params[f"a[{name}]"] for name in names] == pytest.approx(beta[0] + effects, rel=1e-4)
    between = f.diagnostics["pooled"]["a"]["between_sd"] ** 2
    assert between == pytest.approx(np.exp(best[1]), rel=1e-3)


def test_groups_without_a_difference_have_one_value() -> None:
    rng = np.random.default_rng(0)
    runs = pd.DataFrame(
        {"g": np.repeat(list("abcd"), 10), "x": np.tile(np.geomspace(1, 1e3, 10), 4)}
    )
    runs["loss"] = (2 + 3 * runs["x"] ** -0.4) * np.exp(0.01 * rng.normal(size=40))
    pooled, one = fit("L = E[~g] + A/x^a", runs), fit("L = E + A/x^a", runs)
    assert pooled.diagnostics["pooled"]["E"]["between_sd"] == 0.0
    assert "no difference between groups of g" in pooled.diagnostics["notes"][0]
    for name in "abcd":
        assert pooled.params[f"E[{name}]"] == pytest.approx(one.params["E"], rel=2e-3)


def test_a_family_with_one_run_is_drawn_towards_the_others() -> None:
    rng = np.random.default_rng(1)
    family = [*np.repeat(list("abcde"), 8), "new"]
    floor = dict(zip("abcde", [1.60, 1.65, 1.70, 1.75, 1.80], strict=True)) | {"new": 2.0}
    n = np.exp(rng.uniform(np.log(1e7), np.log(1e10), 41))
    y = [floor[name] for name in family] + 400 / n**0.34
    runs = pd.DataFrame({"family": family, "num_params": n})
    runs["loss"] = y * np.exp(0.05 * rng.normal(size=41))
    pooled = fit("L = E[~family] + A/N^a", runs, Estimand("mse"), bootstrap=10)
    free = fit("L = E[family] + A/N^a", runs, Estimand("mse"))

    def deviation(params: dict[str, float]) -> float:
        return params["E[new]"] - float(np.mean([params[f"E[{name}]"] for name in "abcde"]))

    assert 0 < deviation(pooled.params) < 0.9 * deviation(free.params)
    kept = pooled.diagnostics["pooled"]["E"]["kept"]
    assert kept["new"] < min(kept[name] for name in "abcde")
    assert pooled.draws.shape == (10, 8)


def test_scatter_between_groups_is_told_where_rows_are_precise() -> None:
    """Of groups that their own rows tell well it is their standard deviation."""
    sizes, own = np.tile(np.geomspace(1e7, 1e10, 8), 3), np.repeat([50.0, 75.0, 40.0], 8)
    noise = np.exp(np.random.default_rng(0).normal(0, 2e-3, 24))
    runs = pd.DataFrame({"g": np.repeat(list("abc"), 8), "x": sizes})
    runs["loss"] = (1.5 + own * sizes**-0.25) * noise
    f = fit("L = E + A[~g]/x^a", runs)
    expected = np.std(np.log([50.0, 75.0, 40.0]), ddof=1)
    assert f.diagnostics["pooled"]["A"]["between_sd"] == pytest.approx(expected, rel=0.02)
