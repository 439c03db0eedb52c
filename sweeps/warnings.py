"""Designs that cannot identify a law, said before any run is paid for."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scaling import BUDGET, ProgramSpec, RunSpec, Spec
from scaling.base import MAX_EPOCHS, placeholders
from sweeps.sweep import Sweep

MIN_SCALES = 3  # a power law with a floor has three parameters
MIN_RANGE = 8.0  # three doublings; an exponent from less is mostly noise
MIN_SIZE_RANGE = 4.0  # of N at one budget; a parabola over less is flat
SAME = 1.05  # values within 5 % are one scale
MAX_CORRELATION = 0.98
MIN_STEPS = 100


def design_warnings(
    sweep: Sweep, budgets: Mapping[str, float] | None = None, *, info: Any = None
) -> list[str]:
    """What keeps ``sweep`` from identifying a law, one sentence each; none if all is well.

    Runs with labels other than a budget (an axis, a design space) are for another comparison
    than a law in N or D.

    Parameters
    ----------
    sweep : Sweep
    budgets : mapping, optional
        The budget of runs by ``run_id``, of an iso-FLOP sweep.
    info : DataInfo, optional
        With it, data that would be seen too often are named.
    """
    specs = [entry.spec for entry in sweep]
    found = (
        []
        if all(entry.labels.keys() - {BUDGET} for entry in sweep)
        else _axes(specs, bool(budgets))
    )
    found += _rates([spec for spec in specs if isinstance(spec, RunSpec)]) + _lengths(specs)
    if budgets:
        found += _isoflop(sweep, budgets)
    if info is not None and info.train_size:
        found += _repeats(specs, info)
    return found + _programs([spec for spec in specs if isinstance(spec, ProgramSpec)])


def scales(values: Sequence[float]) -> list[float]:
    """Distinct values, those within 5 % of the one before counted as one."""
    distinct: list[float] = []
    for value in sorted(values):
        if not distinct or value > SAME * distinct[-1]:
            distinct.append(value)
    return distinct


def _axes(specs: Sequence[Spec], isoflop: bool) -> list[str]:
    params = [float(spec.cost.num_params) for spec in specs]
    tokens = [float(spec.num_tokens) for spec in specs]
    found = []
    for letter, name, values in (("N", "num_params", params), ("D", "num_tokens", tokens)):
        distinct = scales(values)
        if len(distinct) == 1:
            continue
        if len(distinct) < MIN_SCALES:
            found.append(
                f"{letter} has {len(distinct)} scales, and a law in {letter} needs "
                f"{MIN_SCALES}: add values of {name}"
            )
        if (span := distinct[-1] / distinct[0]) < MIN_RANGE:
            found.append(
                f"{letter} spans {span:.3g}x, and an exponent from less than {MIN_RANGE:g}x is "
                f"uncertain: widen {name}"
            )
    if len(scales(params)) == len(scales(tokens)) == 1:
        found.append("all runs have one N and one D: no law in N or D can be fitted")
    elif len(scales(params)) > 1 and len(scales(tokens)) > 1 and not isoflop:
        found += _together(params, tokens)
    return found


def _together(params: Sequence[float], tokens: Sequence[float]) -> list[str]:
    """N and D that move together leave L(N, D) open: only their sum of terms is seen."""
    ratios = [d / n for n, d in zip(params, tokens, strict=True)]
    if len(scales(ratios)) == 1:
        return [
            f"D/N is {ratios[0]:.3g} in every run, so L(N, D) cannot tell N from D: take "
            f"{MIN_SCALES} values of tokens_per_param, or cross sizes with num_tokens"
        ]
    r = _correlation([math.log(n) for n in params], [math.log(d) for d in tokens])
    if abs(r) > MAX_CORRELATION:
        return [
            f"log N and log D have correlation {r:.3f}, so L(N, D) can hardly tell N from D: "
            "cross sizes with num_tokens or tokens_per_param"
        ]
    return []


def _correlation(x: Sequence[float], y: Sequence[float]) -> float:
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    dx, dy = [v - mean_x for v in x], [v - mean_y for v in y]
    norm = math.sqrt(sum(v * v for v in dx) * sum(v * v for v in dy))
    return sum(a * b for a, b in zip(dx, dy, strict=True)) / norm


def _rates(specs: Sequence[RunSpec]) -> list[str]:
    """One rate for all sizes makes the large look worse than they are; so do two rules for it."""
    if not specs:
        return []
    params = scales([spec.cost.num_params for spec in specs])
    widths = {getattr(spec.model, "width", None) for spec in specs}
    standard = all(getattr(spec.model, "parametrisation", "") == "standard" for spec in specs)
    one_rate = len({spec.optim.lr for spec in specs}) == 1
    if standard and one_rate and len(widths) > 1 and params[-1] / params[0] >= MIN_RANGE:
        return [
            f"lr is {specs[0].optim.lr:g} at every size, though the best rate falls with width: "
            "derive lr (1/width, step-law, ...), or take parametrisation: mup"
        ]
    return _falls_twice(specs)


def _falls_twice(specs: Sequence[RunSpec]) -> list[str]:
    """Rates that fall with width where the parametrisation lets them fall already."""
    names: set[str] = set()
    rates: dict[int, dict[int, set[float]]] = defaultdict(lambda: defaultdict(set))
    for spec in specs:
        if (name := getattr(spec.model, "parametrisation", "standard")) != "standard":
            names.add(name)
            rates[spec.num_tokens][spec.model.width].add(spec.optim.lr)
    for by_width in rates.values():
        if len(by_width) < 2 or any(len(found) > 1 for found in by_width.values()):
            continue  # one size, or a search
        lr = [by_width[width].pop() for width in sorted(by_width)]
        if all(wider < narrower for narrower, wider in itertools.pairwise(lr)):
            return [
                f"lr falls from {lr[0]:.3g} to {lr[-1]:.3g} as width grows, and parametrisation: "
                f"{' or '.join(sorted(names))} makes it fall once more: give all widths the one "
                "that is best at base_width"
            ]
    return []


def _lengths(specs: Sequence[Spec]) -> list[str]:
    checks: tuple[tuple[Callable[[Spec], bool], str], ...] = (
        (
            lambda spec: isinstance(spec, RunSpec) and spec.num_steps < MIN_STEPS,
            f"fewer than {MIN_STEPS} steps: lower batch_size or raise num_tokens",
        ),
        (
            lambda spec: isinstance(spec, ProgramSpec) and 1 < spec.num_steps < MIN_STEPS,
            f"fewer than {MIN_STEPS} steps: lower tokens_per_step or raise num_tokens",
        ),
        (
            lambda spec: (
                isinstance(spec, RunSpec)
                and spec.schedule.warmup_tokens > 0.5 * spec.train.num_tokens
            ),
            "warm-up for more than half of num_tokens: lower warmup_tokens or set "
            "warmup_fraction (Porian et al. 2024)",
        ),
    )
    found = []
    for is_so, what in checks:
        count = sum(is_so(spec) for spec in specs)
        if count:
            found.append(f"{count} of {len(specs)} runs have {what}")
    return found


def _isoflop(sweep: Sweep, budgets: Mapping[str, float]) -> list[str]:
    by_budget: dict[float, list[Spec]] = defaultdict(list)
    for entry in sweep:
        if entry.run_id in budgets:
            by_budget[budgets[entry.run_id]].append(entry.spec)
    found = []
    if 1 < len(by_budget) < MIN_SCALES:
        found.append(
            f"{len(by_budget)} budgets, and the exponents of N* and D* need {MIN_SCALES}: "
            "add budgets"
        )
    for budget, specs in sorted(by_budget.items()):
        sizes = scales([spec.cost.num_params for spec in specs])
        if len(sizes) < MIN_SCALES:
            found.append(
                f"budget {budget:.3g} has {len(sizes)} size{'s' if len(sizes) > 1 else ''}, and "
                f"a minimum needs {MIN_SCALES}: add sizes"
            )
        elif sizes[-1] / sizes[0] < MIN_SIZE_RANGE:
            found.append(
                f"budget {budget:.3g} has sizes over {sizes[-1] / sizes[0]:.3g}x, and a parabola "
                f"over less than {MIN_SIZE_RANGE:g}x is flat: widen sizes"
            )
    return found


def _repeats(specs: Sequence[Spec], info: Any) -> list[str]:
    most = max(spec.num_tokens for spec in specs) / info.train_size
    if most <= MAX_EPOCHS:
        return []
    return [
        f"the longest run sees the data {most:.3g} times, and repeats beyond {MAX_EPOCHS} are "
        f"worth less than new data: stay below {MAX_EPOCHS * info.train_size:.3g} {info.unit}s"
    ]


def _programs(specs: Sequence[ProgramSpec]) -> list[str]:
    """What differs between runs of a program, and no word of its command says."""
    if not specs:
        return []
    found = []
    if not all(spec.program.code for spec in specs):
        found.append(
            "no code is named, so a program that changed makes no new runs: give program: "
            "{code: {path: FOLDER}}, or a version: TEXT"
        )
    program = specs[0].program
    texts = [*program.command, *program.env.values()]
    texts += [v for spec in specs for v in spec.options.values() if isinstance(v, str)]
    said = {name for text in texts for name in _names(text)}
    if program.function or "options_file" in said:
        return found
    varying = _varying([dict(spec.options) for spec in specs])
    unseen = [name for name in varying if name not in said]
    found += [f"the program sees {name} only as {_variable('OPTION_' + name)}" for name in unseen]
    if len({spec.seed for spec in specs}) > 1 and "seed" not in said:
        found.append(f"the program sees the seed only as {_variable('SEED')}")
    if len({spec.num_tokens for spec in specs}) > 1 and not said & {"num_tokens", "num_steps"}:
        found.append(
            "D differs between runs, and no word of the command has {num_tokens} or {num_steps}: "
            f"the program sees it only as {_variable('NUM_TOKENS')}"
        )
    return found


def _variable(name: str) -> str:
    return "$SCALING_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in name).upper()


def _names(text: str) -> list[str]:
    """The names that a text asks for; none where it is an option's text of another kind."""
    try:
        return placeholders(text)
    except ValueError:
        return []


def _varying(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys of which rows have different values, in order."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return [key for key in keys if any(row.get(key) != rows[0].get(key) for row in rows)]
