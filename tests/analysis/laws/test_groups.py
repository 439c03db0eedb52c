"""Parameters with a value for each group, and laws stated for the logarithm."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis import LAWS, Estimand, Fit, fit, formula_law
from analysis.fits import TooFewRowsError
from analysis.laws import Law, Parameter, by_group, grouped, law_for, named_law

FLOORS = {"llama": 1.5, "opt": 1.9, "pythia": 1.7}


def runs_of(noise: float = 0.0, n: int = 45) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    family = np.repeat(list(FLOORS), n // 3)
    num_params = np.exp(rng.uniform(np.log(1e7), np.log(1e10), n))
    loss = [FLOORS[name] for name in family] + 400 / num_params**0.34
    loss = loss * np.exp(noise * rng.normal(size=n))
    return pd.DataFrame({"family": family, "num_params": num_params, "loss": loss})


GROUPED = "L = E[family] + A/N^a"


def test_groups_have_values_of_their_own_and_share_the_rest() -> None:
    runs = runs_of()
    f = fit(GROUPED, runs)
    expected = {f"E[{name}]": floor for name, floor in FLOORS.items()}
    assert f.params == pytest.approx({**expected, "A": 400.0, "a": 0.34}, rel=1e-6)
    assert not f.diagnostics["warnings"]
    again = Fit.from_dict(json.loads(json.dumps(f.to_dict())))
    assert again.predict({"num_params": 1e9, "family": "opt"}) == pytest.approx(
        [1.9 + 400 / 1e9**0.34], rel=1e-6
    )
    with pytest.raises(ValueError, match="unknown group of family 'gpt'"):
        f.predict({"num_params": 1e9, "family": ["gpt"]})


def test_a_named_law_by_groups_fits_as_its_formula_does() -> None:
    runs = runs_of(noise=0.01)
    named = fit(by_group(LAWS["power_floor"], "family", runs, ["E"], pooled=False), runs)
    written = fit(GROUPED, runs)
    assert named.objective == pytest.approx(written.objective, rel=1e-9)
    assert named.law.rescale is not None  # A and alpha are shared, so units may change
    assert named.formula().startswith("L = E[family] + ")


def test_groups_that_share_nothing_are_fits_of_their_own() -> None:
    runs = runs_of(noise=0.02)
    together = fit("L = E[family] + A[family]/N^a[family]", runs)
    apart = [fit("L = E + A/N^a", part) for _, part in runs.groupby("family", sort=False)]
    assert together.objective == pytest.approx(sum(f.objective for f in apart), rel=1e-6)


def test_units_stay_where_a_shared_size_has_an_exponent_of_each_group() -> None:
    runs = runs_of()
    law = by_group(LAWS["power"], "family", runs, ["alpha"], pooled=False)
    assert law.rescale is None
    law = by_group(LAWS["power"], "family", runs, ["A", "alpha"], pooled=False)
    assert law.rescale is not None


@pytest.mark.parametrize(
    "law",
    [
        formula_law("L = E[f] + A[g]/N^a[f]", levels={"f": ("x", "y"), "g": ("u", "v", "w")}),
        grouped(LAWS["m4"], {"E": "f", "c": "f"}, {"f": ("x", "y")}),
    ],
    ids=["formula", "m4"],
)
def test_derivatives_of_laws_with_groups(law: Law) -> None:
    rng = np.random.default_rng(1)
    n = 12
    codes = [rng.integers(0, len(names), n).astype(float) for _, names in law.groups.levels]
    x = (rng.uniform(1.0, 3.0, n), *codes)
    start = {"E": 0.5, "E_0": 9.0}
    params = np.array([start.get(name.partition("[")[0], 0.7) for name in law.names])
    params = params * rng.uniform(0.9, 1.1, len(params))
    v = rng.normal(size=n)
    gradient = law.gradient(params, *x)
    bend = law.curvature(params[None], gradient[None], v[None], *x)[0]
    for i in range(len(params)):
        step = np.eye(len(params))[i] * 1e-6
        up, down = params + step, params - step
        slope = (law.predict(up, *x) - law.predict(down, *x)) / 2e-6
        np.testing.assert_allclose(gradient[i], slope, rtol=1e-5, atol=1e-7)
        second = (law.gradient(up, *x) - law.gradient(down, *x)) @ v / 2e-6
        np.testing.assert_allclose(bend[i], second, rtol=1e-3, atol=1e-4)


def test_groups_without_enough_rows_are_named() -> None:
    runs = runs_of()
    runs.loc[0, "family"] = "solo"
    with pytest.raises(TooFewRowsError, match=r"family 'solo' has 1 usable rows for 2 parameters"):
        fit("L = E[family] + A[family]/N^a", runs)
    assert fit(GROUPED, runs).params["E[solo]"] == pytest.approx(1.5)
    runs["family"] = "one"
    with pytest.raises(ValueError, match="'family' has 1 group of rows"):
        fit(GROUPED, runs)


def test_rows_of_no_group_are_left_out_with_the_reason() -> None:
    law = law_for(GROUPED, runs_of())
    runs = runs_of()
    runs.loc[1, "family"] = "gpt"
    runs.loc[2, "family"] = None
    assert [line["reason"] for line in fit(law, runs).excluded] == [
        "family 'gpt' is none of the law's groups",
        "family missing",
    ]


def test_a_log_linear_law_is_least_squares_of_the_logarithm() -> None:
    rng = np.random.default_rng(2)
    n = np.exp(rng.uniform(15, 22, 40))
    experts = 2.0 ** rng.integers(0, 9, 40)
    y = 3 - 0.08 * np.log(n) - 0.03 * np.log(experts) + 0.01 * rng.normal(size=40)
    runs = pd.DataFrame({"num_params": n, "experts": experts, "loss": np.exp(y)})
    f = fit("log(L) = d + a*log(N) + b*log(experts)", runs, Estimand("mse"))
    design = np.stack([np.ones(40), np.log(n), np.log(experts)], axis=1)
    expected = np.linalg.lstsq(design, y)[0]
    assert [f.params[name] for name in "dab"] == pytest.approx(expected, rel=1e-9)
    assert (f.space, f.law.of_log.linear) == ("log", ("d", "a", "b"))
    np.testing.assert_allclose(f.residuals, design @ expected - y, atol=1e-9)
    held = fit(f.law.hold({"a": -0.08}), runs, Estimand("mse"))
    assert held.params["a"] == -0.08
    assert Fit.from_dict(json.loads(json.dumps(f.to_dict()))).params == f.params


def test_a_named_law_is_written_in_one_piece() -> None:
    parts = [
        Parameter("E", "irreducible loss", 0.0, 10.0, scale="linear", role="floor"),
        Parameter("C", "size", 1e-6, 1e6),
        Parameter("alpha", "exponent", 1e-3, 3.0, (0.05, 1.0)),
    ]
    law = named_law("p", "L = E + C / (N*P/1e9)**alpha", parts, source="us", inputs={"P": "width"})
    assert (law.inputs, law.names) == (("num_params", "width"), ("E", "C", "alpha"))
    assert law.linear == ("E", "C")
    with pytest.raises(ValueError, match="unknown parameter of p 'Q'"):
        named_law("p", law.formula, [*parts, replace(parts[0], name="Q")], source="")
    with pytest.raises(ValueError, match="describe each parameter once; alpha"):
        named_law("p", law.formula, parts[:2], source="", inputs={"P": "width"})


def test_a_law_in_n_and_d_is_one_whatever_the_order_of_columns() -> None:
    runs = pd.DataFrame({"num_tokens": [1e9], "width": [8.0], "num_params": [1e6], "loss": [3.0]})
    law = law_for("L = E + A/(width*N)^a + B/D^b", runs)
    assert law.inputs == ("num_params", "num_tokens", "width")
    assert not law.in_plane  # a budget cannot choose its width
    assert law_for("L = E + A/N^a + B/D^b", runs[["num_tokens", "num_params", "loss"]]).in_plane


def test_each_group_has_a_profile() -> None:
    runs = runs_of(noise=0.01)
    f = fit(by_group(LAWS["power_floor"], "family", runs, ["E", "A"], pooled=False), runs)
    for name in ("E[opt]", "A[opt]", "alpha"):
        _, objective, (low, high) = f.profile(name, points=4)
        assert low < f.params[name] < high
        assert objective.min() == pytest.approx(f.objective, rel=1e-6)


def test_rows_with_their_own_parameters_are_what_each_group_gives_alone():
    """Laws whose rows stand alone are called once for all groups; a curve's rows hang together."""
    assert LAWS["fine_tuning"].by_row
    assert LAWS["repeated_data"].by_row
    assert not LAWS["multi_power"].by_row
    for each in (law for law in LAWS.values() if law.by_row):
        rng = np.random.default_rng(1)
        low, high = np.array([p.start for p in each.parameters]).T
        params = low + (high - low) * rng.random((3, len(low)))
        inputs = rng.uniform(1.0, 2.0, (len(each.inputs), 7))
        if each.shares:
            continue
        law = grouped(each, dict.fromkeys(each.names, "g"), {"g": ("u", "v", "w")})
        codes = np.array([0.0, 1, 2, 0, 1, 2, 0])
        whole = law.predict(params.T.ravel(), *inputs, codes)
        for group, own in enumerate(params):
            rows = codes == group
            np.testing.assert_allclose(whole[rows], each.predict(own, *inputs[:, rows]))


def test_seventy_five_parameters_of_groups_of_unlike_sizes_are_fits_of_each() -> None:
    """Short groups are filled up with rows that count nothing when all are searched at once."""
    rng = np.random.default_rng(2)
    parts = []
    for i in range(25):
        x = np.geomspace(1e2, 1e6, 6 + i % 4)
        loss = (1 + rng.random()) + 30 * x ** -(0.3 + 0.3 * rng.random())
        loss *= np.exp(0.003 * rng.normal(size=len(x)))
        parts.append(pd.DataFrame({"x": x, "g": f"g{i}", "loss": loss}))
    runs = pd.concat(parts, ignore_index=True)
    whole = fit("L = E[g] + A[g] / x**a[g]", runs, starts=1)
    alone = sum(fit("L = E + A / x**a", part, starts=1).objective for part in parts)
    assert len(whole.params) == 75
    assert whole.objective == pytest.approx(alone, rel=1e-8)
