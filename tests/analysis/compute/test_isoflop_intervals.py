"""Intervals of iso-FLOP minima and of their exponent, against laws whose N* is known."""

from __future__ import annotations

from itertools import cycle, product

import numpy as np
import pandas as pd
import pytest

from analysis.compute.approach2 import NoExponentError, isoflop
from analysis.compute.approach2_methods import METHODS
from analysis.compute.approach2_minimum import held

BUDGETS = np.geomspace(1e18, 1e21, 4)
LAWS = {
    "equal": (1.8, 400.0, 400.0, 0.34, 0.34),
    "Hoffmann": (1.69, 406.4, 410.7, 0.34, 0.28),  # Hoffmann et al. 2022, table A3
    "unequal": (1.8, 3000.0, 100.0, 0.50, 0.22),
}
OFF = {"centred": (0, 0, 0, 0), "drifting": (-0.4, -0.13, 0.13, 0.4), "off-centre": (0.5,) * 4}
"""Middle of the sizes of each budget over N*, in the logarithm of their span."""


def planted(law, span, off, points):
    """N, C, loss of iso-FLOP runs, ln N* of the budgets, and a, from the closed form."""
    e, a, b, alpha, beta = LAWS[law]
    best = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (BUDGETS / 6) ** (
        beta / (alpha + beta)
    )
    at = np.linspace(-1, 1, points) + np.array(OFF[off])[:, None]
    n = (best[:, None] * span**at).ravel()
    c = np.repeat(BUDGETS, points)
    return n, c, e + a / n**alpha + b / (c / (6 * n)) ** beta, np.log(best), beta / (alpha + beta)


def coverage(method, cases, trials):
    """How often the 90 % intervals hold N* and a, and the widths of those of ln N*."""
    sizes, exponents, widths = [], [], []
    for number, (law, span, off, points, noise) in enumerate(cases):
        n, c, loss, best, a = planted(law, span, off, points)
        for trial in range(trials):
            error = noise * np.random.default_rng((number, trial)).standard_normal(len(n))
            runs = pd.DataFrame({"num_params": n, "flops": c, "loss": loss * np.exp(error)})
            try:
                found = isoflop(runs, method=method, draws=300)
            except NoExponentError:  # steep noise far off-centre: no interval to be wrong
                continue
            for minimum, true in zip(found.minima, best, strict=True):
                if minimum.status == "ok":
                    low, high = np.log(minimum.ci())
                    sizes.append(low <= true <= high)
                    widths.append(high - low)
            if found.status == "ok":
                low, high = found.ci()["a"]
                exponents.append(low <= a <= high)
    return np.mean(sizes), np.mean(exponents), np.array(widths)


@pytest.mark.parametrize("method", METHODS)
def test_intervals_hold_the_truth_on_the_whole_grid(method):
    """Each cell with one law and noise; with all of them: benchmarks/isoflop_coverage.py."""
    cells = product((4, 16), OFF, (5, 9))
    worlds = cycle(product((0.001, 0.003, 0.01), LAWS))
    cases = [(law, *cell, noise) for cell, (noise, law) in zip(cells, worlds, strict=False)]
    n_in, a_in, _ = coverage(method, cases, 4)
    assert n_in >= 0.85
    assert a_in >= 0.85  # of 48: the standard deviation of .9 is .04


def test_intervals_are_not_absurdly_wide():
    """Of a symmetric curve a parabola's vertex has the error of its slope over its curvature."""
    _, _, widths = coverage("powers", [("equal", 4, "centred", 9, 0.003)], 10)
    n, _, loss, best, _ = planted("equal", 4, "centred", 9)
    x, y = np.log(n[:9]) - best[0], loss[:9] / loss[:9].min()
    curvature = 2 * np.polyfit(x, y, 2)[0]
    alone = 2 * 1.645 * 0.003 / np.sqrt(x @ x) / curvature
    assert alone < np.median(widths) < 2.5 * alone


@pytest.mark.parametrize("method", METHODS)
def test_noise_is_estimated_without_repeats(method):
    n, c, loss, *_ = planted("Hoffmann", 16, "off-centre", 9)
    found = []
    for seed in range(6):
        error = 0.006 * np.random.default_rng(seed).standard_normal(len(n))
        runs = pd.DataFrame({"num_params": n, "flops": c, "loss": loss * np.exp(error)})
        found.append(isoflop(runs, method=method, draws=10).noise)
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(0.006, rel=0.15)


def test_noise_that_nothing_tells_gives_no_interval():
    n, c, loss, best, _ = planted("equal", 4, "centred", 3)
    runs = pd.DataFrame({"num_params": n, "flops": c, "loss": loss})
    found = isoflop(runs)
    assert found.status.startswith("no intervals: three sizes a budget without repeats")
    assert np.isnan(found.noise)
    assert np.isnan([*found.ci()["a"], *found.minima[0].ci()]).all()
    assert found.a == pytest.approx(0.5, abs=1e-3)
    given = isoflop(runs, noise=0.002)
    assert given.status == "ok"
    assert given.minima[0].ci()[0] < np.exp(best[0]) < given.minima[0].ci()[1]
    twice = pd.concat([runs, runs.assign(loss=runs.loss * 1.002)])
    assert isoflop(twice).noise == pytest.approx(0.002 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_an_estimate_lies_in_its_own_interval(method):
    n, c, loss, *_ = planted("unequal", 16, "off-centre", 5)
    error = 0.001 * np.random.default_rng(0).standard_normal(len(n))
    found = isoflop(
        pd.DataFrame({"num_params": n, "flops": c, "loss": loss * np.exp(error)}), method=method
    )
    for value, (low, high) in (
        *((m.num_params, m.ci()) for m in found.minima),
        (found.a, found.ci()["a"]),
        (found.b, found.ci()["b"]),
        (float(found.num_params(1e23)), found.params.ci_at(1e23)),
    ):
        assert low <= value <= high


def test_an_interval_reaches_to_its_estimate():
    assert held(np.array([1.0, 1.0, np.nan]), 3.0, 0.9) == (1.0, 3.0)
    assert np.isnan(held(np.empty(0), 3.0, 0.9)).all()


def test_powers_find_what_a_parabola_misses():
    n, c, loss, best, a = planted("unequal", 16, "off-centre", 9)
    runs = pd.DataFrame({"num_params": n, "flops": c, "loss": loss})
    bent, found = (isoflop(runs, method=m) for m in ("parabola", "powers"))
    assert np.log([m.num_params for m in found.minima]) == pytest.approx(best, abs=0.01)
    assert found.a == pytest.approx(a, abs=1e-3)
    assert np.max(np.abs(np.log([m.num_params for m in bent.minima]) - best)) > 0.05


def kaplans(low, high, points):
    """N, C, loss of runs of N* x ``low`` to ``high`` by Kaplan's law, and N* of the budgets.

    Kaplan et al. 2020, eq. 1.5 and table 1: N* = (s N_c^s C / (6 D_c))^(1 / (1 + s)).
    """
    s = 0.076 / 0.095
    best = (s * 8.8e13**s * BUDGETS / 6 / 5.4e13) ** (1 / (1 + s))
    n = (best[:, None] * np.geomspace(low, high, points)).ravel()
    c = np.repeat(BUDGETS, points)
    return n, c, ((8.8e13 / n) ** s + 5.4e13 / (c / (6 * n))) ** 0.095, best


def test_intervals_hold_kaplans_optimum_where_many_exponents_fit_alike():
    """Five sizes from N* / 4 to 64 N*: by likely exponents alone N* was held half of the time."""
    n, c, loss, best = kaplans(0.25, 64, 5)
    a, held_, exponents = 1 / (1 + 0.076 / 0.095), [], []
    for seed in range(6):
        off = 0.001 * np.random.default_rng((seed, 7)).standard_normal(len(n))
        runs = pd.DataFrame({"num_params": n, "flops": c, "loss": loss * np.exp(off)})
        found = isoflop(runs, draws=300)
        ends = np.array([m.ci() for m in found.minima])
        held_.append((ends[:, 0] <= best) & (best <= ends[:, 1]))
        low, high = found.ci()["a"]
        exponents.append(low <= a <= high)
    assert np.mean(held_) >= 0.85
    assert sum(exponents) >= 5


def test_powers_find_the_optimum_of_kaplans_law():
    s = 0.076 / 0.095
    n, c, loss, best = kaplans(0.25, 16, 7)
    found = isoflop(pd.DataFrame({"num_params": n, "flops": c, "loss": loss}), method="powers")
    assert found.a == pytest.approx(1 / (1 + s), abs=1e-3)
    assert [m.num_params for m in found.minima] == pytest.approx(best, rel=0.02)


def test_an_exponent_through_two_minima_is_none():
    n, c, loss, best, _ = planted("equal", 4, "centred", 7)
    runs = pd.DataFrame({"num_params": n, "flops": c, "loss": loss})
    found = isoflop(runs[runs.flops < 2e19])
    assert found.status == "no exponent: 2 budgets have a minimum, and it needs 3"
    assert [m.status for m in found.minima] == ["ok", "ok"]
    assert np.isnan([found.a, found.b, *found.ci()["a"], float(found.num_params(1e22))]).all()
    given = found.fixed(0.5)
    assert given.status == "a = 0.5 is given, not found"
    assert float(given.num_params(BUDGETS[-1])) == pytest.approx(np.exp(best[-1]), rel=0.01)


def test_a_given_exponent_goes_through_the_same_minima():
    n, c, loss, *_ = planted("Hoffmann", 4, "centred", 7)
    runs = pd.DataFrame({"num_params": n, "flops": c, "loss": loss})
    found = isoflop(runs, noise=0.002)
    given = found.fixed(0.6)
    assert (given.a, given.b) == (0.6, pytest.approx(0.4))
    assert given.num_params(1e23) / given.num_params(1e21) == pytest.approx(100**0.6)
    middle = np.exp(np.average(np.log(BUDGETS), weights=[m.log_se**-2 for m in found.minima]))
    assert given.num_params(middle) == pytest.approx(found.num_params(middle))
    (low, high), (down, up) = (found.params.ci_at(at) for at in (1e20, 1e24))
    assert np.log(up / down) > 2 * np.log(high / low)
    with pytest.raises(ValueError, match=r"exponent 1.5 is not between 0 and 1"):
        found.fixed(1.5)


def test_minima_off_their_line_widen_the_exponents_interval():
    n, c, loss, *_ = planted("equal", 4, "centred", 9)
    moved = np.where(np.isin(c, BUDGETS[1:3]), [1.3], 1.0) ** np.where(c == BUDGETS[1], 1, -1)
    straight, bent = (
        isoflop(pd.DataFrame({"num_params": n * by, "flops": c, "loss": loss}), noise=0.002)
        for by in (1.0, moved)
    )
    assert np.ptp(bent.ci()["a"]) > 2 * np.ptp(straight.ci()["a"])
