"""Every law of the registry: gradient, curvature, units, batches, recovery, JSON."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime, brentq

from analysis import LAWS, Estimand, Fit, Law, fit
from analysis.laws import scales
from analysis.laws.optimum import exponents, optimal
from docs import draw_laws
from scaling.cli import main
from tests.analysis.planted import PARAMS, design, table

NAMES = sorted(LAWS)

HEAVY = {"farseer", "mixture_additive", "moe_sparsity", "multi_power", "step_law_loss"}
"""Laws of many parameters, or whose prediction costs much."""

QUICK = [pytest.param(n, marks=pytest.mark.slow) if n in HEAVY else n for n in NAMES]

VALLEY = {"farseer"}
"""Laws of which many parameters give nearly the same losses, and whose fit ends somewhere there."""


def scaled(name: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """Parameters and inputs of a law with inputs of order one, where differences are exact."""
    law = LAWS[name]
    x = list(design(name, 9).values())
    units = scales(tuple(x), law)
    params = law.vector(PARAMS[name])
    if law.rescale is not None:
        params = law.rescale(params, units)
    return params, [v / u for v, u in zip(x, units, strict=True)]


def test_every_law_is_planted() -> None:
    assert sorted(PARAMS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_law_is_one_file_by_its_name_or_by_the_family_that_a_number_tells_apart(name: str):
    stems = {name, name.rstrip("0123456789")}
    rooms = Path(draw_laws.ROOT, "analysis", "laws").glob("*/*.py")
    assert len([path for path in rooms if path.stem in stems]) == 1


@pytest.mark.parametrize("name", NAMES)
def test_gradient_against_finite_differences(name: str) -> None:
    law = LAWS[name]
    params, x = scaled(name)
    gradient = law.gradient(params, *x)
    assert gradient.shape == (len(params), 9)
    for j, p in enumerate(params):
        step = 1e-6 * abs(p)
        up, down = params.copy(), params.copy()
        up[j] += step
        down[j] -= step
        numeric = (law.predict(up, *x) - law.predict(down, *x)) / (2 * step)
        rounding = 1e-9 * np.abs(law.predict(params, *x)).max() / abs(p)
        np.testing.assert_allclose(gradient[j], numeric, rtol=2e-6, atol=rounding)


@pytest.mark.parametrize("name", [n for n in NAMES if LAWS[n].curvature is not None])
def test_curvature_against_differences_of_the_gradient(name: str) -> None:
    law = LAWS[name]
    params, x = scaled(name)
    v = np.linspace(-1, 2, 9)
    gradient = law.gradient(params, *x)
    numeric = approx_fprime(params, lambda p: law.gradient(p, *x) @ v, 1e-7)
    exact = law.curvature(params[None], gradient[None], v[None], *x)[0]
    np.testing.assert_allclose(exact, numeric, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [n for n in NAMES if LAWS[n].rescale is not None])
def test_units_can_change(name: str) -> None:
    law, x = LAWS[name], list(design(name).values())
    params = law.vector(PARAMS[name])
    units = np.array([1e6, 1e9, 1e9, 1e3])[: len(x)]
    if law.unscaled:
        units = np.array([1.0 if c in law.unscaled else 1e3 for c in law.inputs])
    other = law.rescale(params, units)
    np.testing.assert_allclose(
        law.predict(other, *(v / u for v, u in zip(x, units, strict=True))),
        law.predict(params, *x),
        rtol=1e-12,
    )
    np.testing.assert_allclose(law.rescale(other, 1 / units), params, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_parameters_is_each_of_them(name: str) -> None:
    law = LAWS[name]
    params, x = scaled(name)
    batch = np.stack([params, params * 1.01, params * 0.99])
    for function in (law.predict, law.gradient):
        together = function(batch, *x)
        for i in range(3):
            np.testing.assert_allclose(together[i], function(batch[i], *x), rtol=1e-13)


@pytest.mark.parametrize("name", QUICK)
def test_planted_parameters_are_recovered_and_survive_json(name: str) -> None:
    law = LAWS[name]
    f = fit(name, table(name, n=120), starts=12 if name == "bnsl3" else 4)
    # losses to 1e-6 everywhere, and the parameters themselves (three breaks trade off more)
    if name in VALLEY:
        np.testing.assert_allclose(f.fitted, f.observed, rtol=1e-4)
    else:
        np.testing.assert_allclose(f.fitted, f.observed, rtol=1e-9)
        np.testing.assert_allclose(f.vector, law.vector(PARAMS[name]), rtol=1e-5)
    text = json.dumps(f.to_dict())
    again = Fit.from_dict(json.loads(text))
    assert json.dumps(again.to_dict()) == text
    assert again.law is law
    np.testing.assert_array_equal(again.predict(table(name)), f.predict(table(name)))


@pytest.mark.parametrize("name", QUICK)
def test_a_fit_is_at_least_as_good_as_the_truth(name: str) -> None:
    f = fit(name, table(name, n=120, noise=0.005, seed=3), Estimand("mse"), starts=4)
    truth = f.law.predict(f.law.vector(PARAMS[name]), *f.inputs)
    residual = np.log(truth / f.observed) if f.space == "log" else truth - f.observed
    assert f.objective <= 0.5 * np.sum(residual**2)
    assert f.objective == pytest.approx(0.5 * np.sum(f.residuals**2), rel=1e-12)


def test_m4_solves_its_implicit_equation() -> None:
    law = LAWS["m4"]
    e, beta, c, alpha, e0 = 0.1, 0.8, 0.5, 0.7, 4.0
    for x in (0.01, 1.0, 300.0):
        root = brentq(
            lambda y, x=x: np.log((y - e) / (e0 - y) ** alpha) - np.log(beta / x**c),
            e + 1e-12,
            e0 - 1e-12,
            xtol=1e-15,
        )
        got = law.predict(np.array([e, beta, c, alpha, e0]), np.array([x]))
        assert got[0] == pytest.approx(root, rel=1e-9)


def test_kaplan_gives_the_published_limits() -> None:
    # Kaplan et al. 2020, eq. 1.5: infinite data leave (N_c/N)^alpha_N
    law = LAWS["kaplan"]
    loss = law.predict(law.vector(PARAMS["kaplan"]), np.array([1e9]), np.array([1e30]))
    assert loss[0] == pytest.approx((6.4e13 / 1e9) ** 0.076, rel=1e-9)


def test_gadre_is_the_symmetric_law_in_other_variables() -> None:
    n, d = np.array([1e8, 2e9]), np.array([2e9, 3e11])
    e, a, b, eta = 1.8, 200.0, 350.0, 0.136
    m, c = d / n, 6 * n * d
    expected = e + (a * m**eta + b * m**-eta) * c**-eta
    np.testing.assert_allclose(LAWS["gadre"].predict(np.array([e, a, b, eta]), n, d), expected)


def test_repeats_without_end_are_worth_r_d_epochs() -> None:
    # Muennighoff et al. 2023, eq. 5: the effective data tend to U (1 + R_D*)
    law = LAWS["repeated_data"]
    params = law.vector(PARAMS["repeated_data"])
    endless = law.predict(params, np.array([1e6]), np.array([1e15]), np.array([1e9]))
    fresh = law.predict(params, np.array([1e6]), *(np.array([1e9 * 16.4]),) * 2)
    assert endless[0] == pytest.approx(fresh[0], rel=1e-9)


def test_what_repeats_cost_is_added_to_chinchilla_and_is_a_product_of_powers() -> None:
    """Lovelace et al. 2026: P R^delta (N/U)^kappa, nothing where nothing repeats."""
    p = PARAMS["overfitting"]
    law, plain = LAWS["overfitting"], LAWS["chinchilla"]
    n, u = np.full(4, 1e8), np.array([1e9, 1e9, 1e9, 5e8])
    d = u * [1, 4, 13, 4]
    chinchilla = plain.predict(np.array([p[k] for k in plain.names]), n, d)
    cost = law.predict(law.vector(p), n, d, u) - chinchilla
    np.testing.assert_allclose(cost[0], 0, atol=1e-14)
    np.testing.assert_allclose(cost[2] / cost[1], 4 ** p["delta"])
    np.testing.assert_allclose(cost[3] / cost[1], 2 ** p["kappa"])
    np.testing.assert_allclose(cost[1], p["P"] * 3 ** p["delta"] * 0.1 ** p["kappa"])


def test_one_epoch_is_chinchilla_when_parameters_are_not_in_excess() -> None:
    p = PARAMS["repeated_data"]
    n, d = np.array([1e7]), np.array([1e11])
    plain = LAWS["chinchilla"].predict(
        np.array([p[k] for k in ("E", "A", "B", "alpha", "beta")]), n, d
    )
    law = LAWS["repeated_data"]
    np.testing.assert_allclose(law.predict(law.vector(p), n, d, d), plain, rtol=1e-13)


def test_held_parameters_stay() -> None:
    f = fit(LAWS["chinchilla"].hold({"alpha": 0.3, "E": 1.5}), table("chinchilla"))
    assert f.params["alpha"] == pytest.approx(0.3, rel=1e-12)
    assert f.params["E"] == 1.5
    again = Fit.from_dict(json.loads(json.dumps(f.to_dict())))
    assert again.to_dict() == f.to_dict()
    assert again.law.linear == ("A", "B")
    with pytest.raises(ValueError, match="did you mean 'alpha'"):
        fit(LAWS["chinchilla"].hold({"alhpa": 0.3}), table("chinchilla"))
    with pytest.raises(ValueError, match="leave one to fit"):
        fit(LAWS["power"].hold({"A": 1.0, "alpha": 0.3}), table("power"))


def test_parameters_held_one_after_the_other_are_all_held() -> None:
    law = LAWS["power_floor"].hold({"E": 1.5}).hold({"alpha": 0.3})
    assert law.held == {"E": 1.5, "alpha": 0.3}
    with pytest.raises(ValueError, match="leave one to fit"):
        law.hold({"A": 1.0})


@pytest.mark.parametrize("law", [law for law in LAWS.values() if law.optimum is not None])
def test_an_optimum_in_closed_form_is_that_of_the_search(law: Law) -> None:
    params = law.vector(PARAMS[law.name])
    n, d, loss = optimal(law, params, 1e21)
    found = optimal(replace(law, optimum=None), params, 1e21)
    assert float(n * d) == pytest.approx(1e21 / 6)
    assert float(found[2]) == pytest.approx(float(loss), rel=1e-6)
    assert float(found[0]) == pytest.approx(float(n), rel=1e-2)


@pytest.mark.parametrize("law", [law for law in LAWS.values() if law.exponent is not None])
def test_an_exponent_in_closed_form_is_the_slope_at_any_compute(law: Law) -> None:
    params = law.vector(PARAMS[law.name])
    a, b = exponents(law, params, 1e20)
    assert float(a + b) == pytest.approx(1.0)
    for flops in (1e18, 1e24):
        slope, _ = exponents(replace(law, exponent=None), params, flops)
        assert float(slope) == pytest.approx(float(a), abs=1e-6)


@pytest.mark.parametrize("name", QUICK)
def test_every_law_is_fitted_drawn_and_printed_from_the_command_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runs.csv"
    rows = 16 if name in HEAVY | {"m4", "bnsl3"} else 40  # which still has cut-offs to test
    table(name, n=rows, noise=0.005).to_csv(path, index=False)
    draws = "2" if len(LAWS[name].names) > 8 or name == "multi_power" else "8"
    words = ["fit", str(path), "--law", name, "--bootstrap", draws, "--json"]
    if len(LAWS[name].inputs) == 1:
        words += ["--x-col", LAWS[name].inputs[0]]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    in_plane = LAWS[name].in_plane and name != "step_law_lr"
    names = list(LAWS[name].names)
    names += [k if k not in names else f"exponent_{k}" for k in ("ab" if in_plane else "")]
    assert sorted(found["ci"]) == sorted(names)
    assert found["out_of_sample"]
    if name == "gadre":  # whose parameters a and b are no exponents
        assert found["ci"]["a"][0] > 10 > found["ci"]["exponent_a"][1]
    if in_plane:
        assert 0 < found["a"] < 1


def test_with_all_data_unique_repeated_data_is_planned_as_chinchilla_where_it_is() -> None:
    """Where parameters are not in excess of what U = D asks for, the laws agree."""
    repeated, plain = LAWS["repeated_data"], LAWS["chinchilla"]
    params = repeated.vector(PARAMS["repeated_data"])
    n, d, loss = optimal(repeated, params, 1e22)
    assert n * d == pytest.approx(1e22 / 6)
    expected = optimal(plain, params[:5], 1e22)
    assert (float(n), float(loss)) == pytest.approx(
        (float(expected[0]), float(expected[2])), rel=1e-3
    )


def test_negative_values_stand_in_brackets() -> None:
    law = fit("sigmoid", table("sigmoid", n=40, noise=0.001))
    assert "+ (-0.6" in law.formula()


@pytest.mark.parametrize("law", LAWS.values(), ids=lambda law: law.name)
def test_a_formula_takes_the_values_of_all_parameters(law: Law) -> None:
    """In plain text and in LaTeX; ``Fit.formula`` puts them where the symbols stand."""
    for p in law.parameters:
        assert re.search(rf"(?<![\w\\]){re.escape(p.name)}(?!\w)", law.formula)
        assert re.search(rf"(?<![\w\\]){re.escape(p.latex)}(?!\w|\\_)", law.latex)


def test_the_page_of_laws_is_what_the_registry_says() -> None:
    """`python docs/draw_laws.py` writes it again."""
    assert draw_laws.PAGE.read_text() == draw_laws.page()
    assert {*draw_laws.SHOWN} | {*draw_laws.DRAWN} == {*LAWS}
    assert not {*draw_laws.SHOWN} & {*draw_laws.DRAWN}
    assert all((draw_laws.FIGURES / f"{name}.png").is_file() for name in LAWS)


def test_pictures_of_tables_that_are_not_here_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without their table, and drawn with it."""
    monkeypatch.setattr(draw_laws, "FIGURES", tmp_path / "figures")
    monkeypatch.setattr(draw_laws, "PAGE", tmp_path / "laws.md")
    draw_laws.main(["--figures", "parallel"])
    draw_laws.main(["--figures", "parallel", "--tables", str(tmp_path)])
    assert capsys.readouterr().err.count("parallel: its picture is left as it is") == 2
    assert not (tmp_path / "figures").exists()
    runs = pd.DataFrame(
        [(n, p) for n in (5e8, 1e9, 2e9, 4e9) for p in (1, 2, 4)],
        columns=["num_params", "parallel_size"],
    )
    law = LAWS["parallel"]
    known = law.vector(dict(law.published["pile"]))
    loss = law.predict(known, runs.num_params.to_numpy(), runs.parallel_size.to_numpy())
    runs.assign(loss=loss).to_csv(tmp_path / "parallel_stack.csv", index=False)
    draw_laws.main(["--figures", "parallel", "--tables", str(tmp_path)])
    assert (tmp_path / "figures" / "parallel.png").is_file()
