"""What stands behind a fit: convergence, agreement of starts, conditioning, identifiability."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.fits.bootstrap import Draws, sandwich
from analysis.fits.linear import eigen
from analysis.fits.newton import SAME, final_delta
from analysis.fits.problem import Problem
from analysis.fits.rows import Observations
from analysis.intervals import interval
from analysis.laws import Array, Law

FEW_GROUPS = 5
"""Runs drawn as such below which their intervals were not measured to hold."""

ALIKE, FEW_NEIGHBOURS = 0.6, 20
"""Correlation from which neighbours are doubted, and the least number of them that can tell."""

FAILED = 0.01
"""Share of failed draws from which it is said: fewer move no end of an interval."""

LEVEL = 0.9
"""Level of the intervals that must hold their estimate."""

SCALES = 3
"""Values of an input that an exponent needs."""

NEXT_TO_0 = 1e-6
"""A parameter of a user's law this many times below its starts was hardly sought where it is."""


def probes(problem: Problem, theta: Array) -> Array:
    """Starts ``(m, p)`` at 1, 2 and 4 standard errors along the two flattest directions.

    Descended from with little smoothing, they find optima that the data can hardly tell apart.
    """
    values, vectors = eigen(sandwich(problem, theta))
    steps = [
        sign * times * min(float(np.sqrt(max(values[-i], 0.0))), 1.0) * vectors[:, -i]
        for i in (1, 2)[: len(theta)]
        for times in (1.0, 2.0, 4.0)
        for sign in (-1.0, 1.0)
    ]
    return problem.clip(theta + np.array(steps))


def certify(
    problem: Problem,
    found: Array,
    objectives: Array,
    independent: slice,
    seen: Observations,
) -> dict[str, Any]:
    """Diagnostics of the best of ``found (m, p)``.

    ``gradient_norm`` is the largest derivative of the objective by a fit coordinate (inputs over
    their geometric means, positive parameters as logarithms), relative to the objective;
    ``starts`` and ``agree`` the number of independent random starts and the share that ends at
    this optimum;
    ``objective_gap`` how much worse, relatively, the best of them is;
    ``other_optima`` the distinct optima within 5 %; ``condition`` the condition number of the
    Hessian with unit diagonal; ``at_bounds`` parameters at a bound; ``unsure`` parameters that
    the runs do not identify (at a bound, along a flat direction, or all, by the choice of runs):
    their intervals may be far too narrow; ``warnings`` in words.
    ``fixed`` are the parameters held; ``notes`` what was chosen unasked; ``groups`` is the number
    of clusters.
    """
    best = int(np.argmin(objectives))
    theta, objective = found[best], float(objectives[best])
    scale = max(objective, 1e-300)
    last = final_delta(problem, 1)
    gradient, hessian, size = problem.derivatives(theta[None], problem.residuals(theta[None]), last)
    low, high = problem.bounds
    names = problem.law.names
    at_bounds = [
        name
        for name, value, lo, hi in zip(names, theta, low, high, strict=True)
        if lo < hi and (value <= lo or value >= hi)
    ]
    free = (low < high) & np.array([name not in at_bounds for name in names])
    steep = np.abs(gradient[0]) / (last[0] if problem.penalty.loss_fn == "lad" else 1.0)
    norm = float(steep[free].max(initial=0.0)) / scale
    same = objective * (1 + SAME) + 1e-15
    alone = objectives[independent]
    gap = max(float(alone.min()) / scale - 1.0, 0.0) if len(alone) else None
    scaled = hessian[0][np.ix_(free, free)] / np.outer(size[0][free], size[0][free])
    values, vectors = eigen(scaled)
    condition = float(values[-1] / values[0]) if (values > 0).all() else float("inf")
    warnings = design_warnings(problem, seen)
    unsure = set(names if warnings else at_bounds)
    warnings += value_warnings(problem, seen, theta)
    if at_bounds:
        warnings.append(f"at a bound: {', '.join(at_bounds)}")
    kept = np.array(names)[free]
    if free.any() and not np.isfinite(scaled).all():
        singular = kept[~np.isfinite(np.diagonal(scaled))]
        blamed = singular if len(singular) else kept
        warnings.append(f"singular: no finite curvature in {', '.join(blamed)}")
        unsure |= set(blamed)
    elif free.any() and condition > 1e6:
        loading = np.abs(vectors[:, 0])
        along = kept[loading > 0.3 * loading.max()]
        move = "move together" if len(along) > 1 else "hardly changes the objective"
        warnings.append(f"flat direction: {', '.join(along)} {move}")
        unsure |= set(along)
    others: list[dict[str, Any]] = []
    for i in np.argsort(objectives):
        value = float(objectives[i])
        if value > objective * 1.05 + 1e-15:
            break
        seen_before = [objective, *(o["objective"] for o in others)]
        if all(abs(value - s) > 1e-4 * scale for s in seen_before):
            others.append(
                {
                    "objective": value,
                    "params": dict(zip(names, problem.original(found[i]).tolist(), strict=True)),
                }
            )
    close = [o for o in others if o["objective"] < objective * 1.01]
    if close:
        warnings.append(f"{len(close)} other optima within 1 % of the objective: weakly identified")
    return {
        "gradient_norm": norm,
        "starts": len(alone),
        "agree": float((alone <= same).mean()) if len(alone) else None,
        "objective_gap": gap,
        "other_optima": others,
        "condition": condition,
        "at_bounds": at_bounds,
        "unsure": [name for name in names if name in unsure],
        "warnings": warnings,
        "fixed": problem.law.held,
        "notes": list(seen.notes),
        "groups": None if seen.clusters is None else int(seen.clusters.max()) + 1,
    }


def doubt(diagnostics: dict[str, Any], problem: Problem, theta: Array, drawn: Draws) -> None:
    """Add to the diagnostics what to be careful of in the intervals that the draws give.

    Failed draws, few runs that were drawn as such, rows that look like checkpoints and were drawn
    one by one, and intervals without their estimate.
    """
    warnings, groups, names = diagnostics["warnings"], diagnostics["groups"], problem.law.names
    asked = len(drawn.theta) + drawn.failed
    if drawn.failed > FAILED * asked:
        warnings.append(
            f"{drawn.failed} of {asked} draws failed: no fit as good as the estimate was found"
        )
    if groups == 1:
        warnings.append("all rows are of one run: intervals say nothing of how runs differ")
    elif groups is not None and groups < FEW_GROUPS:
        warnings.append(f"{groups} groups were drawn: intervals from so few are rough")
    if groups is None and (alike := neighbours(problem, theta)) > ALIKE:
        size, data = problem.law.inputs[:2]
        warnings.append(
            f"residuals of neighbours in {data} at one {size} are alike (correlation {alike:.2f}): "
            f"if such rows are of one run, intervals are too narrow (--cluster {size})"
        )
    missed = excluding(names, theta, drawn.theta, LEVEL)
    if missed:
        warnings.append(f"the interval of {', '.join(missed)} excludes its own estimate")
    diagnostics["unsure"] = [n for n in names if n in {*diagnostics["unsure"], *missed}]


def neighbours(problem: Problem, theta: Array) -> float:
    """Correlation of the residuals of rows of one size that are next to each other in data.

    Residuals count up to three times their median size. 0 for a law that is not of N and D, or
    with few such neighbours. Of public tables, checkpoints have .66 to .95 and separate runs .11
    to .43 (benchmarks/RESULTS.md).
    """
    if not problem.law.in_plane:
        return 0.0
    r = problem.residuals(theta[None])[0]
    most = 3 * float(np.median(np.abs(r)))
    r = np.clip(r, -most, most)
    size, data = problem.inputs[:2]
    order = np.lexsort((data, size))
    same = (np.diff(size[order]) == 0) & (np.diff(data[order]) > 0)
    before, after = r[order][:-1][same], r[order][1:][same]
    if len(before) < FEW_NEIGHBOURS or not (before.std() and after.std()):
        return 0.0
    return float(np.corrcoef(before, after)[0, 1])


def excluding(names: tuple[str, ...], estimate: Array, draws: Array, level: float) -> list[str]:
    """Of ``names``, those whose interval of the ``draws (k, p)`` excludes the ``estimate (p,)``.

    By as much as rounding says nothing.
    """
    low, high = interval(draws, level)
    slack = SAME * (1 + np.abs(estimate))
    missed = (estimate < low - slack) | (estimate > high + slack)
    return [name for name, out in zip(names, missed, strict=True) if out]


def design_warnings(problem: Problem, seen: Observations) -> list[str]:
    """What the choice of runs cannot identify: few runs, few scales, constant D/N."""
    warnings = []
    law = problem.law
    free = sum(p.low < p.high for p in law.parameters)
    if len(seen.observed) <= free:
        warnings.append(f"{len(seen.observed)} runs, {free} parameters: no run is left to judge by")
    return warnings + untold(law, seen.inputs)


def untold(law: Law, inputs: tuple[Array, ...]) -> list[str]:
    """What ``inputs (n,)`` leave untold of a law whatever it is: few scales, constant D/N."""
    warnings = []
    for name, x in zip(law.variables, inputs, strict=False):
        scales = distinct(x)
        if scales < SCALES:
            values = "value" if scales == 1 else "values"
            warnings.append(f"{name} has {scales} distinct {values}; an exponent needs three")
    if law.in_plane and min(x.min() for x in inputs[:2]) > 0:
        ratio = np.log(inputs[1] / inputs[0])
        if ratio.std() < 0.1:
            warnings.append(
                "num_tokens / num_params is constant: the terms of N and of D cannot be told apart"
            )
    return warnings


def distinct(x: Array) -> int:
    """How many values an input has: to a hundredth of each, or of the largest if some are <= 0."""
    rounded = np.log(x) if (x > 0).all() else x / np.abs(x).max(initial=1e-300)
    return len(set(np.round(rounded, 2).tolist()))


def value_warnings(problem: Problem, seen: Observations, theta: Array) -> list[str]:
    """Values to doubt: a floor near zero, a parameter of a user's law far below its starts."""
    law, params = problem.law, problem.params(theta)
    floor_names = floors(problem, theta)
    warnings = []
    for name in floor_names:
        floor = params[law.names.index(name)]
        if floor < 0.01 * seen.observed.min():
            warnings.append(f"{name} is {floor:.3g}, near 0: the data do not show a floor")
    if not law.own:
        return warnings
    slopes = law.gradient(params, *problem.inputs)
    size = np.abs(law.predict(params, *problem.inputs)).mean()
    for p, value, slope in zip(law.parameters, params, slopes, strict=True):
        if p.scale != "log" or p.low == p.high or p.name in floor_names:
            continue
        name = p.name.partition("[")[0]  # as the formula has it, of a parameter of one group
        if p.name in law.linear:
            if np.abs(value * slope).max() < NEXT_TO_0 * size:
                warnings.append(
                    f"{p.name} is {value:.3g}, next to 0: if it may be negative, say "
                    f"--signed {name}"
                )
        elif value < NEXT_TO_0 * p.start[0]:
            warnings.append(
                f"{p.name} is {value:.3g}, next to 0: if it is no exponent, say where it may "
                f"start (--start {name}=LOW,HIGH), or --signed {name} if it may be negative"
            )
    return warnings


def floors(problem: Problem, theta: Array) -> list[str]:
    """Parameters that the law falls to: of that role, or (a user's law) added to all else.

    One that is held at a value is no finding.
    """
    law = problem.law
    free = [p for p in law.parameters if p.low < p.high]
    known = [p.name for p in free if p.role == "floor"]
    if known:
        return known
    slopes = dict(zip(law.names, law.gradient(problem.params(theta), *problem.inputs), strict=True))
    return [p.name for p in free if p.low >= 0 and np.abs(slopes[p.name] - 1.0).max() < 1e-6]
