"""``fit``: the objective, the optimum against SciPy, the certificate, bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog, minimize

from analysis import LAWS, Bootstrap, Estimand, fit
from analysis.fits.estimand import DEFAULT
from analysis.fits.newton import minimise as newton
from analysis.fits.problem import Problem
from analysis.fits.starts import best_starts
from tests.analysis.planted import PARAMS, table

# What scipy_chinchilla finds; `python -m tests.analysis.fits.test_fit` writes it again.
OPTIMA = Path(__file__).parent / "scipy_optima.json"
SCIPY = json.loads(OPTIMA.read_text()) if OPTIMA.exists() else {}


def huber(r: np.ndarray, delta: float) -> float:
    size = np.abs(r)
    return float(np.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta)).sum())


def residuals(theta: np.ndarray, runs: pd.DataFrame) -> np.ndarray:
    e, a, b, alpha, beta = theta
    n, d = np.log(runs.num_params), np.log(runs.num_tokens)
    predicted = np.logaddexp(np.logaddexp(e, a - alpha * n), b - beta * d)
    return (predicted - np.log(runs.loss)).to_numpy()


def scipy_chinchilla(runs: pd.DataFrame, delta: float) -> float:
    """Best of a few starts of the published procedure (L-BFGS on a, b, e, alpha, beta)."""
    best = np.inf
    for start in ([0.5, 5, 6, 0.3, 0.3], [0.6, 6, 7, 0.35, 0.35]):
        x = np.array(start, dtype=float)
        for _ in range(3):
            found = minimize(
                lambda t: huber(residuals(t, runs), delta),
                x,
                method="Nelder-Mead",
                options={"maxiter": 1500, "maxfev": 1500, "xatol": 1e-9, "fatol": 1e-15},
            )
            x = found.x
        best = min(best, found.fun)
    return best


@pytest.mark.parametrize("delta", [1e-1, 1e-3])
def test_no_worse_than_scipy(delta: float) -> None:
    runs = table("chinchilla", n=40, noise=0.02, seed=5)
    f = fit("chinchilla", runs, Estimand(delta=delta))
    assert f.objective <= SCIPY[str(delta)] * (1 + 1e-9)
    theta = [np.log(f.params[k]) for k in "EAB"] + [f.params["alpha"], f.params["beta"]]
    assert f.objective == pytest.approx(huber(residuals(np.array(theta), runs), delta), rel=1e-10)


@pytest.mark.slow  # seconds of Nelder-Mead: the stored optima are what SciPy finds
@pytest.mark.parametrize("delta", [1e-1, 1e-3])
def test_the_stored_optima_are_scipys(delta: float) -> None:
    runs = table("chinchilla", n=40, noise=0.02, seed=5)
    assert SCIPY[str(delta)] == pytest.approx(scipy_chinchilla(runs, delta), rel=1e-6)


def test_least_absolute_deviation_against_linear_programming() -> None:
    """A power law is linear in logarithms, where the exact answer is a linear programme."""
    runs = table("power", n=31, noise=0.1, seed=1)
    f = fit("power", runs, Estimand("lad"))
    x, y = np.log(runs.num_params), np.log(runs.loss)
    n = len(runs)
    design = np.column_stack([np.ones(n), -x])
    answer = linprog(
        np.r_[0, 0, np.ones(2 * n)],
        A_eq=np.hstack([design, np.eye(n), -np.eye(n)]),
        b_eq=y,
        bounds=[(None, None)] * 2 + [(0, None)] * 2 * n,
    )
    assert f.objective == pytest.approx(answer.fun, rel=1e-7)
    assert f.params["alpha"] == pytest.approx(answer.x[1], rel=1e-5)


def test_least_squares_of_a_power_law_is_linear_regression() -> None:
    runs = table("power", n=31, noise=0.1, seed=1)
    slope, intercept = np.polyfit(np.log(runs.num_params), np.log(runs.loss), 1)
    f = fit("power", runs, Estimand("mse"))
    assert f.params["alpha"] == pytest.approx(-slope, rel=1e-9)
    assert np.log(f.params["A"]) == pytest.approx(intercept, rel=1e-9)


def test_weights_count_as_repeats() -> None:
    runs = table("chinchilla", n=30, noise=0.02)
    runs["times"] = np.arange(30) % 3 + 1.0
    repeated = runs.loc[runs.index.repeat(runs.times.astype(int))]
    weighted = fit("chinchilla", runs, Estimand(weights="times"))
    assert weighted.objective == pytest.approx(fit("chinchilla", repeated).objective, rel=1e-9)
    again = fit("chinchilla", runs, Estimand(weights=runs.times.to_numpy()))
    assert again.params == weighted.params


def test_tukey_ignores_an_outlier_and_asymmetry_lowers_the_law() -> None:
    runs = table("power_floor", n=40, noise=0.002)
    clean = fit("power_floor", runs, Estimand("tukey", delta=0.02))
    runs.loc[7, "loss"] *= 1.5
    spoiled = fit("power_floor", runs, Estimand("tukey", delta=0.02))
    assert spoiled.params["alpha"] == pytest.approx(clean.params["alpha"], rel=0.05)
    noisy = table("power_floor", n=60, noise=0.02)
    plain = fit("power_floor", noisy, Estimand("lad"))
    under = fit("power_floor", noisy, Estimand("lad", asymmetry=0.25))
    above = [float(np.mean(f.residuals < 0)) for f in (plain, under)]
    # the weighted quantile: 1/(1+0.25) of the runs lie above the law instead of a half
    assert above == pytest.approx([0.5, 0.8], abs=0.05)


def test_linear_space_is_another_estimand() -> None:
    runs = table("power_floor", n=40, noise=0.05)
    logs = fit("power_floor", runs, Estimand("mse"))
    plain = fit("power_floor", runs, Estimand("mse", space="linear"))
    assert plain.objective == pytest.approx(0.5 * np.sum((plain.fitted - plain.observed) ** 2))
    assert plain.objective < 0.5 * np.sum((logs.fitted - logs.observed) ** 2)
    assert logs.objective < 0.5 * np.sum(np.log(plain.fitted / plain.observed) ** 2)


@pytest.mark.parametrize("n", [8, 14])
def test_small_samples_near_the_lad_limit_find_the_better_optimum(n: int) -> None:
    """No seed of the random starts does better than another by more than a trace."""
    runs = table("chinchilla", n=n, noise=0.03, seed=2)
    found = [fit("chinchilla", runs, Estimand("lad"), seed=s).objective for s in range(4)]
    brute = fit("chinchilla", runs, Estimand("lad"), starts=150, seed=99).objective
    assert max(found) <= min([brute, *found]) * (1 + 1e-3)


def test_certificate_of_a_good_fit() -> None:
    f = fit("chinchilla", table("chinchilla", n=100, noise=0.01))
    assert f.identified
    assert f.diagnostics["agree"] == 1.0
    assert f.diagnostics["objective_gap"] < 1e-9
    assert f.diagnostics["gradient_norm"] < 1e-5
    assert f.diagnostics["condition"] < 1e6
    assert f.r2 > 0.99


def test_identifiability_is_reported() -> None:
    ladder = table("chinchilla", n=30, noise=0.003)
    ladder["num_tokens"] = 20 * ladder["num_params"]
    p = PARAMS["chinchilla"]
    ladder["loss"] = (
        p["E"] + p["A"] / ladder.num_params ** p["alpha"] + p["B"] / ladder.num_tokens ** p["beta"]
    )
    assert "constant" in fit("chinchilla", ladder, starts=2).status
    two = table("chinchilla", n=30, noise=0.003)
    two["num_params"] = np.where(np.arange(30) % 2, 1e7, 1e8)
    assert "num_params has 2 distinct values" in fit("chinchilla", two, starts=2).status
    bare = table("power", n=30, noise=0.01)
    f = fit("power_floor", bare, starts=2)
    assert "E is" in f.status or f.params["E"] < 3
    steep = pd.DataFrame({"num_params": np.geomspace(1e6, 1e9, 9)})
    steep["loss"] = 3.0 - 0.05 * np.log(steep.num_params / 1e6)  # bends the wrong way: no floor
    f = fit("power_floor", steep)
    assert f.params["E"] == 0.0
    assert "at a bound: E" in f.status
    assert "near 0" in f.status


def test_rows_are_never_dropped_silently() -> None:
    runs = table("power", n=12)
    runs["run_id"] = [f"r{i}" for i in range(12)]
    runs["exclude_reason"] = ""
    runs.loc[2, "exclude_reason"] = "diverged"
    runs.loc[3, "loss"] = np.nan
    runs.loc[4, "loss"] = -1.0
    runs.loc[5, "num_params"] = 0.0
    runs.loc[6, "num_params"] = np.inf
    f = fit("power", runs)
    assert f.n_runs == 7
    assert list(f.excluded) == [
        {"row": 2, "run_id": "r2", "reason": "diverged"},
        {"row": 3, "run_id": "r3", "reason": "loss missing"},
        {"row": 4, "run_id": "r4", "reason": "loss is -1"},
        {"row": 5, "run_id": "r5", "reason": "num_params is 0, where power has no value"},
        {"row": 6, "run_id": "r6", "reason": "num_params is inf"},
    ]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"law": "chinchila"}, "did you mean 'chinchilla'"),
        ({}, {"loss_fn": "hubber"}, "did you mean 'huber'"),
        ({}, {"delta": -1.0}, "delta -1.0"),
        ({}, {"space": "sqrt"}, "neither 'log' nor 'linear'"),
        ({}, {"x_col": "width"}, "x_col is for laws of one variable"),
        ({}, {"weights": "w"}, "unknown column of weights 'w'"),
        ({}, {"weights": np.ones(3)}, "one for each of 20 runs"),
        ({}, {"bootstrap": 10, "resample": "cluster"}, "needs cluster="),
        ({}, {"bootstrap": 10, "resample": "jackknife"}, "unknown resample"),
        ({}, {"bootstrap": True}, "bootstrap is True"),
        ({}, {"bootstrap": 2.5}, "bootstrap is 2.5"),
        ({}, {"bootstrap": -1}, "bootstrap is -1"),
        ({}, {"cluster": "loss", "resample": "residual"}, "give one"),
        ({"k": 1}, {"cluster": "k"}, "column 'k' has 1 group of rows"),
        ({}, {"held": {"E": np.nan}}, "E of chinchilla is held at nan; hold it at 0 to"),
        ({}, {"held": {"alpha": 50.0}}, "alpha of chinchilla is held at 50"),
        ({}, {"held": {"A": -1.0}}, "A of chinchilla is held at -1"),
        ({"loss": "three"}, {}, r"row 0, column 'loss': 'three' is not a number"),
        ({"loss": True}, {}, r"row 0, column 'loss': 'True' is not a number"),
        ({"loss": np.nan}, {}, "5 parameters and the table 0 usable rows of 20"),
    ],
)
def test_bad_input_is_one_clear_line(change: dict, options: dict, message: str) -> None:
    runs = table("chinchilla", n=20).astype(object)
    for name, value in change.items():
        runs[name] = value
    law, held = options.pop("law", "chinchilla"), options.pop("held", {})
    drawn = {name: options.pop(name) for name in ("resample", "cluster") if name in options}
    draws = options.pop("bootstrap", 0)
    with pytest.raises(ValueError, match=message):
        fit(
            LAWS[law].hold(held) if held else law,
            runs,
            Estimand(**options),
            bootstrap=Bootstrap(draws, **drawn) if drawn else draws,
        )


@pytest.mark.parametrize(
    ("law", "runs", "message"),
    [
        ("chinchilla", "runs.csv", r"runs is a str, not a DataFrame: load_runs\(path\)"),
        ("chinchilla", {"loss": [1.0]}, "runs is a dict, not a DataFrame"),
        (lambda num_params: num_params, pd.DataFrame(), "law is a function.*callable_law"),
    ],
)
def test_what_is_no_law_or_no_table_is_named(law: object, runs: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        fit(law, runs)


def test_what_a_fit_cannot_answer_is_one_clear_line() -> None:
    f = fit("chinchilla", table("chinchilla"), starts=0)
    for flops, cost in ((0, 6), (-1, 6), (1e20, 0), (np.nan, 6)):
        with pytest.raises(ValueError, match="both must be positive and finite"):
            f.optimal(flops, cost)
    with pytest.raises(ValueError, match="level 2 is not between 0 and 1"):
        f.profile("alpha", level=2)


def test_parameters_that_the_runs_do_not_identify_are_listed() -> None:
    runs = table("chinchilla", n=30, noise=0.003)
    f = fit("chinchilla", runs)
    assert f.diagnostics["unsure"] == []
    one = runs.assign(num_params=1e8)
    assert fit("chinchilla", one, starts=2).diagnostics["unsure"] == list(f.params)
    steep = pd.DataFrame({"num_params": np.geomspace(1e6, 1e9, 9)})
    steep["loss"] = 3.0 - 0.05 * np.log(steep.num_params / 1e6)
    assert "E" in fit("power_floor", steep).diagnostics["unsure"]


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match="no column 'num_tokens', which chinchilla needs"):
        fit("chinchilla", table("power"))


def test_allocation_is_the_closed_form_and_the_search_agrees() -> None:
    runs = table("chinchilla", noise=0.01)
    f = fit("chinchilla", runs)
    own = fit("L = E + A/num_params**alpha + B/num_tokens**beta", runs)
    best, found = f.optimal(1e21), own.optimal(1e21)
    assert best["num_params"] * best["num_tokens"] * 6 == pytest.approx(1e21)
    p = f.params
    # at the optimum both terms' slopes along C = 6 N D are equal (Hoffmann et al. 2022, eq. 4)
    left = p["alpha"] * p["A"] * best["num_params"] ** -p["alpha"]
    assert left == pytest.approx(p["beta"] * p["B"] * best["num_tokens"] ** -p["beta"], rel=1e-9)
    assert found["loss"] == pytest.approx(best["loss"], rel=1e-6)
    assert found["num_params"] == pytest.approx(best["num_params"], rel=1e-2)
    assert f.exponents()[0] == pytest.approx(p["beta"] / (p["alpha"] + p["beta"]))
    assert own.exponents()[0] == pytest.approx(f.exponents()[0], abs=1e-2)
    assert sum(own.exponents()) == pytest.approx(1.0)


def test_kaplan_allocation_has_kaplans_exponent() -> None:
    # N* ~ C^(alpha_D / (alpha_N + alpha_D)) along C = 6 N D for eq. 1.5
    f = fit("kaplan", table("kaplan"), starts=2)
    a, _ = f.exponents()
    assert a == pytest.approx(1 / (1 + 0.076 / 0.103), abs=5e-3)


def test_formula_with_numbers() -> None:
    f = fit("chinchilla", table("chinchilla"), starts=0)
    assert f.formula() == "L = 1.82 + 478 / N^0.347 + 2143 / D^0.367"
    assert f.formula("html") == "L = 1.82 + 478 / N<sup>0.347</sup> + 2143 / D<sup>0.367</sup>"
    assert f.formula("latex") == r"L = 1.82 + \frac{478}{N^{0.347}} + \frac{2143}{D^{0.367}}"


def test_intervals_need_draws() -> None:
    f = fit("power", table("power"))
    with pytest.raises(ValueError, match="bootstrap=1000"):
        f.ci()


def test_a_start_at_which_the_law_has_no_value_spoils_no_other() -> None:
    """M4 has none where its floor lies above its ceiling; each start is minimised by itself."""
    runs = table("m4", n=40, noise=0.01)
    law = LAWS["m4"]
    x = runs.num_params.to_numpy()
    problem = Problem.of(law, (x,), runs.loss.to_numpy(), np.ones(40), DEFAULT)
    good = best_starts(problem, 3)[0]
    bad = good[:1].copy()
    bad[0, 0], bad[0, 4] = np.exp(good[0, 4]) + 1.0, good[0, 4]
    alone = newton(problem, good)[1]
    together = newton(problem, np.concatenate([bad, good]))[1]
    np.testing.assert_allclose(together[1:], alone, rtol=1e-6)


if __name__ == "__main__":
    runs = table("chinchilla", n=40, noise=0.02, seed=5)
    OPTIMA.write_text(json.dumps({str(d): scipy_chinchilla(runs, d) for d in (0.1, 0.001)}) + "\n")
