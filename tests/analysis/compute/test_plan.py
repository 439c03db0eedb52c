"""Allocations against closed forms and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from analysis import LAWS, fit
from analysis.commands.plot import plan_range
from analysis.compute import AsFitted
from analysis.compute.plan import Budget, cost_of, next_budgets, plan
from scaling.base.errors import NoAnswerError
from tests.analysis.planted import table


class Given:
    """A law with given parameters in place of a fit."""

    def __init__(self, params, law, draws):
        self.law, self.params, self.draws = LAWS[law], params, draws


def known(params, law="chinchilla", draws=None):
    """The law with these parameters, taken at its word."""
    return AsFitted(Given(params, law, draws))


HOFFMANN = {"E": 1.8172, "A": 477.8, "B": 2143.4, "alpha": 0.3473, "beta": 0.3672}
TRUTH = known(HOFFMANN)


def closed_form(params, flops, cost=6.0):
    """Hoffmann et al. 2022, equation 4."""
    a, b, alpha, beta = (params[k] for k in ("A", "B", "alpha", "beta"))
    g = (alpha * a / (beta * b)) ** (1 / (alpha + beta))
    product = flops / cost
    return g * product ** (beta / (alpha + beta)), product ** (alpha / (alpha + beta)) / g


def loss(params, n, d):
    return params["E"] + params["A"] / n ** params["alpha"] + params["B"] / d ** params["beta"]


@settings(max_examples=40, deadline=None)
@given(
    log_flops=st.floats(12, 28),
    alpha=st.floats(0.1, 0.8),
    beta=st.floats(0.1, 0.8),
    log_a=st.floats(0, 4),
    cost=st.floats(1, 20),
)
def test_the_optimum_is_equation_4(log_flops, alpha, beta, log_a, cost):
    params = {"E": 1.5, "A": 10**log_a, "B": 1000.0, "alpha": alpha, "beta": beta}
    n, d = closed_form(params, 10**log_flops, cost)
    if min(n, d) < 2:
        return
    [found] = plan(known(params), [10**log_flops], cost=cost)
    # At the largest budgets the loss is flat to rounding over some 1e-4 of N.
    assert found.num_params == pytest.approx(n, rel=5e-4)
    assert found.num_tokens == pytest.approx(d, rel=5e-4)
    assert found.loss == pytest.approx(loss(params, n, d), rel=1e-13)
    assert cost * found.num_params * found.num_tokens == pytest.approx(10**log_flops)


def test_the_range_within_a_thousandth_has_that_loss_at_its_ends():
    [found] = plan(TRUTH, [1e22])
    low, high = found.num_params_range
    assert low < found.num_params < high
    for n in (low, high):
        assert loss(HOFFMANN, n, 1e22 / 6 / n) == pytest.approx(1.001 * found.loss, rel=1e-8)


def test_a_cost_function_is_heeded():
    def per_token(n):
        return 6 * n + 1e4 * np.sqrt(n)

    def along(log_n):
        n = np.exp(log_n)
        return loss(HOFFMANN, n, 1e20 / per_token(n))

    best = minimize_scalar(along, bounds=(5, 35), method="bounded", options={"xatol": 1e-10})
    [found] = plan(TRUTH, [1e20], cost=per_token)
    assert found.num_params == pytest.approx(np.exp(best.x), rel=1e-4)
    assert found.loss == pytest.approx(best.fun, rel=1e-12)
    assert per_token(found.num_params) * found.num_tokens == pytest.approx(1e20)


def test_serving_tokens_makes_the_model_smaller_and_is_paid_from_the_budget():
    """Sardana et al. 2024: more inference demand, smaller models trained longer."""
    flops = 1e23
    plain, served, much = (plan(TRUTH, [flops], inference_tokens=t)[0] for t in (0.0, 1e11, 2e12))
    assert much.num_params < served.num_params < plain.num_params
    assert much.num_tokens > plain.num_tokens
    for found, tokens in ((plain, 0.0), (served, 1e11), (much, 2e12)):
        spent = 6 * found.num_params * found.num_tokens + 2 * found.num_params * tokens
        assert spent == pytest.approx(flops)
        assert found.training_flops == pytest.approx(spent - 2 * found.num_params * tokens)

    def total(log_n, tokens=2e12):
        n = np.exp(log_n)
        return loss(HOFFMANN, n, flops / (6 * n) - tokens / 3)

    best = minimize_scalar(total, bounds=(15, 23.5), method="bounded", options={"xatol": 1e-10})
    assert much.num_params == pytest.approx(np.exp(best.x), rel=1e-4)


def test_unique_data_limits_tokens():
    free = plan(TRUTH, [1e22])[0]
    enough = plan(TRUTH, [1e22], unique_tokens=2 * free.num_tokens)[0]
    short = plan(TRUTH, [1e22], unique_tokens=free.num_tokens / 4)[0]
    assert (enough.status, enough.num_params) == ("ok", pytest.approx(free.num_params))
    assert short.status == "data limited"
    assert short.num_tokens == pytest.approx(free.num_tokens / 4)
    assert short.num_params == pytest.approx(4 * free.num_params, rel=1e-5)
    assert short.loss > free.loss


def test_unique_data_limits_a_given_size():
    [short] = plan(TRUTH, [1e21], num_params=1e9, unique_tokens=1e10)
    assert (short.status, short.num_tokens) == ("data limited", 1e10)
    assert short.loss == pytest.approx(loss(HOFFMANN, 1e9, 1e10))
    assert short.training_flops == pytest.approx(6e19)
    [enough] = plan(TRUTH, [1e21], num_params=1e9, unique_tokens=1e12)
    assert (enough.status, enough.num_tokens) == ("given N", pytest.approx(1e21 / 6e9))


def test_a_given_size_or_amount_of_data():
    [by_size] = plan(TRUTH, [1e21], num_params=1e9)
    assert (by_size.num_params, by_size.status) == (pytest.approx(1e9), "given N")
    assert by_size.num_tokens == pytest.approx(1e21 / 6e9)
    [by_data] = plan(TRUTH, [1e21], num_tokens=1e21 / 6e9)
    assert by_data.num_params == pytest.approx(1e9)
    assert by_data.loss == pytest.approx(by_size.loss)


def test_intervals_are_percentiles_of_draws_optimised_one_by_one():
    rng = np.random.default_rng(0)
    point = np.array(list(HOFFMANN.values()))
    draws = point * np.exp(0.02 * rng.standard_normal((200, 5)))
    [found] = plan(known(HOFFMANN, draws=draws), [1e23], level=0.8)
    best = [closed_form(dict(zip(HOFFMANN, row, strict=True)), 1e23)[0] for row in draws]
    assert found.num_params_ci == pytest.approx(np.quantile(best, [0.1, 0.9]), rel=1e-3)
    assert found.loss_ci[0] < found.loss < found.loss_ci[1]


def test_without_draws_there_are_no_intervals():
    assert np.isnan(plan(TRUTH, [1e23])[0].num_params_ci).all()


def test_a_law_without_a_data_term_has_no_best_size():
    flat = known({**HOFFMANN, "B": 1e-300})
    with pytest.raises(NoAnswerError, match="no best size"):
        plan(flat, [1e21])


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"flops": [-1.0]}, ValueError, "not a positive number"),
        ({"flops": [1e20], "num_params": 1e9, "num_tokens": 1e9}, ValueError, "not both"),
        (
            {"flops": [1e20], "num_tokens": 1e9, "unique_tokens": 1e8},
            ValueError,
            r"num_tokens 1e\+09 is more than the 1e\+08 unique tokens",
        ),
        ({"flops": [1e6], "num_params": 1e9}, NoAnswerError, "do not pay for one token"),
        ({"flops": [1e6], "num_tokens": 1e9}, NoAnswerError, "do not pay for 1e"),
        ({"flops": [1e6], "inference_tokens": 1e12}, NoAnswerError, "do not pay for serving"),
        ({"flops": [1.0]}, NoAnswerError, "do not pay for one token with the smallest model"),
    ],
)
def test_questions_without_an_answer(options, error, says):
    with pytest.raises(error, match=says):
        plan(TRUTH, **options)


def test_more_unique_tokens_than_the_budget_buys_do_not_bind():
    [found], [endless] = plan(TRUTH, [1e21], unique_tokens=1e60), plan(TRUTH, [1e21])
    assert found.num_params == endless.num_params
    assert found.status == "ok"


def test_a_law_in_one_variable_cannot_plan():
    power = known({"A": 10.0, "alpha": 0.1}, law="power")
    with pytest.raises(ValueError, match="choose --law chinchilla"):
        plan(power, [1e20])


def test_any_law_in_both_is_planned_by_search(planted_runs):
    law = fit("chinchilla_symmetric", planted_runs)
    [found] = plan(AsFitted(law), [1e16])
    wide = {**law.params, "beta": law.params["alpha"]}
    n, d = closed_form(wide, 1e16)
    assert (found.num_params, found.num_tokens) == pytest.approx((n, d), rel=1e-5)


def test_the_cost_of_runs_is_what_they_show(planted_runs):
    cost = cost_of(planted_runs)
    np.testing.assert_allclose(cost(np.array([1e3, 1e5, 1e9])), 6.6 * np.array([1e3, 1e5, 1e9]))
    assert cost_of(planted_runs.drop(columns="family")) == 6.0


@pytest.mark.parametrize(
    "spoiled",
    [
        {"num_params": 1e12, "num_tokens": 1e12, "flops": 0.0, "exclude_reason": "flops is 0"},
        {"num_params": 1e12, "flops": np.inf, "exclude_reason": "flops is inf"},
        {"num_params": 1e12, "flops": np.nan},
        {"flops": 1e30, "exclude_reason": "diverged"},
    ],
)
def test_rows_that_are_left_out_cost_nothing(planted_runs, spoiled):
    runs = planted_runs.copy()
    runs.loc[3, list(spoiled)] = list(spoiled.values())
    n = np.array([1e3, 1e5, 1e9])
    np.testing.assert_allclose(cost_of(runs)(n), 6.6 * n)
    assert next_budgets(runs) == next_budgets(planted_runs)
    assert plan_range(runs) == plan_range(planted_runs)


def test_runs_without_compute_cost_six(planted_runs):
    runs = planted_runs.assign(exclude_reason="not run yet")
    assert cost_of(runs) == 6.0
    with pytest.raises(ValueError, match="name budgets with --flops"):
        next_budgets(runs)


def test_a_budget_buys_tokens():
    budget = Budget(cost=6.0, inference_tokens=3e9)
    assert budget.tokens(np.array([1e9]), 1e20)[0] == pytest.approx(1e20 / 6e9 - 1e9)


def test_a_law_of_something_else_than_loss_is_not_planned():
    runs = table("step_law_lr", n=30)
    with pytest.raises(ValueError, match="step_law_lr is one of lr in num_params, num_tokens"):
        plan(fit("step_law_lr", runs, starts=0), [1e20])


class Beside:
    """Draws of half the loss that is expected."""

    x_cols, y_col, name, doubt = TRUTH.x_cols, TRUTH.y_col, "beside", ""

    def predict(self, table):
        return TRUTH.predict(table)

    def sample(self, table, noise=True):
        return np.tile(0.5 * TRUTH.predict(table), (20, 1))


def test_an_interval_that_excludes_its_own_estimate_is_not_ok():
    [found] = plan(Beside(), [1e21])
    assert found.status == "the interval of the loss excludes its own estimate"
