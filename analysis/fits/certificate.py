"""What stands behind a fit: convergence, agreement of starts, conditioning, identifiability."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.fits.bootstrap import sandwich
from analysis.fits.newton import final_delta
from analysis.fits.problem import Problem
from analysis.fits.rows import Observations
from analysis.laws import Array

SAME = 1e-6
"""Relative difference of objectives below which two starts found the same optimum."""

NEXT_TO_0 = 1e-6
"""A parameter of a user's law this many times below its starts was hardly sought where it is."""


def probes(problem: Problem, theta: Array) -> Array:
    """Starts ``(m, p)`` at 1, 2 and 4 standard errors along the two flattest directions.

    Descended from with little smoothing, they find optima that the data can hardly tell apart.
    """
    values, vectors = np.linalg.eigh(sandwich(problem, theta))
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
) -> tuple[str, dict[str, Any]]:
    """Status and diagnostics of the best of ``found (m, p)``.

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
    values, vectors = np.linalg.eigh(
        hessian[0][np.ix_(free, free)] / np.outer(size[0][free], size[0][free])
    )
    condition = float(values[-1] / values[0]) if values[0] > 0 else float("inf")
    warnings = design_warnings(problem, seen)
    unsure = set(names if warnings else at_bounds)
    warnings += value_warnings(problem, seen, theta)
    if at_bounds:
        warnings.append(f"at a bound: {', '.join(at_bounds)}")
    if condition > 1e6:
        kept = np.array(names)[free]
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
    diagnostics = {
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
    return "; ".join(warnings) or "ok", diagnostics


def design_warnings(problem: Problem, seen: Observations) -> list[str]:
    """What the choice of runs cannot identify: few runs, few scales, constant D/N."""
    warnings = []
    law = problem.law
    free = sum(p.low < p.high for p in law.parameters)
    if len(seen.observed) <= free:
        warnings.append(f"{len(seen.observed)} runs, {free} parameters: no run is left to judge by")
    for name, x in zip(law.variables, seen.inputs, strict=False):
        scales = distinct(x)
        if scales < 3:
            warnings.append(f"{name} has {scales} distinct values; an exponent needs three")
    if law.in_plane and min(x.min() for x in seen.inputs[:2]) > 0:
        ratio = np.log(seen.inputs[1] / seen.inputs[0])
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
                f"start (--start {name}=LOW,HIGH)"
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
