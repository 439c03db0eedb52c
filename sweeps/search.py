"""Sweeps whose runs are chosen by the results so far: the next run, and what it costs.

A search has no state but its runs. Which was proposed when is their order in the sweep's file;
what they are points of stands beside them; how and when they ended is in their journals.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from scaling import Program, ProgramSpec
from sweeps.design import LAST_KEYS, Design, design
from sweeps.document import Document
from sweeps.estimate import spent_flops
from sweeps.expansion import Expansion, expand
from sweeps.strategies import Done, Next, Plan, Proposal, Seen, Trial, Wait, key, none_left
from sweeps.sweep import Entry, Sweep

REPEATS = 100  # proposals that are the same run as an earlier one, before there is no other
SAMPLE = 64  # points, to say what a search will be
SLACK = 2.0  # by which the mean of so many may be off
Root = str | os.PathLike[str] | None


@dataclass(frozen=True)
class Ended:
    """How a run of a search ended.

    Attributes
    ----------
    loss : float
        Infinite where it has none that counts.
    time : float
        When, in seconds since 1970.
    share : float
        Of its data, what it saw.
    """

    loss: float
    time: float
    share: float = 1.0


@dataclass(frozen=True)
class Expected:
    """What a search will be, by a sample of its space.

    Attributes
    ----------
    kind : str
    budget : float
        FLOPs.
    runs : int
        That the budget allows at what points of the space cost on average. A strategy that comes
        to prefer dear ones does fewer.
    low, high : float
        FLOPs of the cheapest and the dearest run of the sample.
    points : float
        How many the space has, those that do not fit included; infinite for a continuous one.
    all_flops : float
        What all of them would take at most.
    sample : Sweep
    """

    kind: str
    budget: float
    runs: int
    low: float
    high: float
    points: float
    all_flops: float
    sample: Sweep

    def to_dict(self) -> dict[str, Any]:
        """What ``scaling sweep --json`` prints of it."""
        names = ("kind", "budget", "runs", "low", "high")
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        points = f"{self.points:.3g}" if math.isfinite(self.points) else "continuously many"
        return (
            f"search    {self.kind} over {points} points: about {self.runs} runs of "
            f"{self.low:.3g} to {self.high:.3g} FLOPs for {self.budget:.3g}; the first is shown"
        )


def begin(asked: Design, *, info: Any = None, root: Root = None) -> Expansion:
    """The sweep of a design with a strategy, with the first run that it proposes.

    Raises
    ------
    ValueError
        If that cannot be built, takes more than the budget, or could not go on from its
        checkpoint though the strategy promotes runs.
    """
    assert asked.plan is not None
    kept = {k: v for k, v in asked.document.value.items() if k not in (*LAST_KEYS, "name")}
    empty = Sweep(asked.name, (), search=kept)
    expansion = _next(asked, empty, {}, info=info, root=root)
    if not isinstance(expansion, Expansion):
        asked.document.refuse(("strategy",), f"nothing to do: {expansion.reason}")
    (entry,) = expansion.sweep.entries
    if asked.plan.strategy.rungs > 1 and entry.spec.trunk_id is None:
        asked.document.refuse(
            ("strategy",),
            f"{asked.plan.kind} promotes runs, which go on from a constant rate: give schedule: "
            "wsd in fixed",
        )
    expected = _expected(asked, expansion, info=info, root=root)
    if expected.all_flops < asked.plan.budget:
        asked.document.refuse(
            ("strategy", "budget"),
            f"budget {asked.plan.budget:.3g} cannot be used: all {expected.points:.0f} points of "
            f"the space together take {expected.all_flops:.3g} FLOPs; lower it, or widen the space",
        )
    if expansion.in_bfloat16:  # what follows from resources, which are no part of a search
        kept["fixed"] = {**kept.get("fixed", {}), "precision": "bfloat16"}
        expansion = replace(expansion, sweep=replace(expansion.sweep, search=kept))
    return replace(expansion, search=expected)


def _expected(asked: Design, first: Expansion, *, info: Any, root: Root) -> Expected:
    """What a search will be, by points drawn at random: of rungs, each with its share of them."""
    import numpy as np

    plan = asked.plan
    assert plan is not None
    rng, tried = np.random.default_rng(plan.seed), set[str]()
    rungs, eta = range(plan.strategy.rungs), plan.strategy.eta
    costs, entries = [], []
    while len(tried) < SAMPLE and (point := plan.space.draw(rng, tried)) is not None:
        tried.add(key(point))
        chain = [
            _expanded(asked, plan, Proposal(point, rung=rung), info=info, root=root).sweep
            for rung in rungs
        ]
        specs = [sweep.entries[0].spec for sweep in chain]
        costs.append([cost / eta**k for k, cost in enumerate(spent_flops(Sweep.of("s", specs)))])
        entries += specs
    per_point = [sum(cost) for cost in costs]
    mean = sum(per_point) / len(per_point)
    if len(tried) < SAMPLE:  # these are all
        points, all_flops = float(len(tried)), sum(per_point)
    else:
        points = plan.space.space.size()
        all_flops = SLACK * points * mean
    each = sum(eta**-k for k in rungs)
    return Expected(
        kind=plan.kind,
        budget=plan.budget,
        runs=max(1, round(plan.budget / mean * each)),
        low=min(spec.flops for spec in entries),
        high=max(spec.flops for spec in entries),
        points=points,
        all_flops=all_flops,
        sample=replace(first.sweep, entries=Sweep.of("s", entries).entries, search={}),
    )


def next_run(sweep: Sweep, ended: Mapping[str, Ended], *, root: Root = None) -> Sweep | Wait | Done:
    """The search ``sweep`` with one more run, by how its runs ended.

    The same runs and ends, with the same times, always give the same run.
    """
    asked = design(Document(sweep.search), sweep.name, program_of(sweep))
    found = _next(asked, sweep, ended, root=root)
    return found.sweep if isinstance(found, Expansion) else found


def _next(
    asked: Design, sweep: Sweep, ended: Mapping[str, Ended], *, info: Any = None, root: Root = None
) -> Expansion | Wait | Done:
    plan = asked.plan
    assert plan is not None
    seen = seen_of(sweep, ended)
    for _ in range(REPEATS):
        answer: Next = plan.strategy.propose(plan.space, seen, plan.seed)
        if not isinstance(answer, Proposal):
            return answer
        found = _expanded(asked, plan, answer, info=info, root=root)
        (entry,) = found.sweep.entries
        if all(entry.run_id != other.run_id for other in sweep):
            break
        seen = replace(seen, repeated=seen.repeated | {key(answer.options)})
    else:
        return none_left(seen, f"{REPEATS} points in a row are runs that were tried already")
    spent = flops_of(sweep, ended)
    extended = replace(sweep, entries=(*sweep.entries, entry))
    total = flops_of(extended, ended)
    if total > plan.budget:
        return none_left(
            seen,
            f"the next run takes {total - spent:.3g} FLOPs, and of the budget {plan.budget:.3g} "
            f"{plan.budget - spent:.3g} are left",
        )
    number = len(sweep)
    labels = {
        **entry.labels,
        "strategy": plan.kind,
        "strategy_seed": plan.seed,
        "search_flops": total,
        **({"rung": answer.rung} if plan.strategy.rungs > 1 else {}),
        **({} if answer.generation is None else {"generation": answer.generation}),
        **({"parent": answer.parent} if answer.parent else {}),
    }
    name = f"{plan.kind}-{number:04d}"
    entry = Entry(entry.run_id, name, entry.spec, labels, answer.options)
    if not sweep.entries:
        sweep = replace(found.sweep, search=sweep.search)
        return replace(found, sweep=replace(sweep, entries=(entry,)))
    return replace(found, sweep=replace(sweep, entries=(*sweep.entries, entry)))


def _expanded(asked: Design, plan: Plan, proposal: Proposal, *, info: Any, root: Root) -> Expansion:
    point: dict[str, Any] = {**proposal.options, **plan.sized(proposal.rung)}
    point["labels"] = {"space": plan.space.space.name}
    return expand(replace(asked, points=(point,)), info=info, root=root)


def seen_of(sweep: Sweep, ended: Mapping[str, Ended]) -> Seen:
    """The runs of a search as its strategy is told of them; those that ended by their time."""
    trials = tuple(
        Trial(
            options=dict(entry.point),
            parent=entry.labels.get("parent", ""),
            generation=entry.labels.get("generation"),
            rung=entry.labels.get("rung", 0),
            run_id=entry.run_id,
            loss=ended[entry.run_id].loss if entry.run_id in ended else None,
        )
        for entry in sweep
    )
    closed = [trial for trial in trials if trial.loss is not None]
    closed.sort(key=lambda trial: (ended[trial.run_id].time, trial.run_id))
    return Seen(trials, tuple(closed))


def flops_of(sweep: Sweep, ended: Mapping[str, Ended]) -> float:
    """C of all runs of a search: what they share once, open ones whole, ended ones as far as
    they went."""
    total = 0.0
    for entry, own in zip(sweep, spent_flops(sweep), strict=True):
        unseen = 1 - ended[entry.run_id].share if entry.run_id in ended else 0.0
        total += max(0.0, own - unseen * float(entry.spec.flops))
    return total


def program_of(sweep: Sweep) -> Program | None:
    """The program of all runs of a search; None where we train."""
    spec = sweep.entries[0].spec
    return spec.program if isinstance(spec, ProgramSpec) else None


def refuse_another(before: Sweep, now: Sweep) -> None:
    """Refuse to go on with a search by another strategy than the one that began it.

    More budget, or less, changes none of its choices.

    Raises
    ------
    ValueError
        With what differs.
    """
    if not before.entries:
        return
    if _settled(before.search) == _settled(now.search):
        if before.search and program_of(before) != program_of(now):
            raise ValueError(
                f"the code of the search of sweep {now.name!r} has changed, and {len(before)} of "
                "its runs are there: put it back, or give the sweep another name"
            )
        return
    one, other = _settled(before.search), _settled(now.search)
    changed = next(k for k in (*one, *other) if one.get(k) != other.get(k))
    raise ValueError(
        f"the search of sweep {now.name!r} has changed ({changed.replace('/', ': ')} is "
        f"{other.get(changed, 'not given')!r}, was {one.get(changed, 'not given')!r}) and "
        f"{len(before)} of its runs are there: put it back, or give the sweep another name"
    )


def _settled(search: Mapping[str, Any]) -> dict[str, Any]:
    """What the choices of a search depend on, by its place."""
    found: dict[str, Any] = {}
    for name, value in search.items():
        if isinstance(value, Mapping):
            found |= {f"{name}/{inner}": v for inner, v in value.items()}
        else:
            found[name] = value
    found.pop("strategy/budget", None)
    found.setdefault("fixed/precision", "float32")
    return found


@dataclass(frozen=True)
class Progress:
    """How far a search is.

    Attributes
    ----------
    kind : str
    runs, ended : int
    flops, budget : float
    best : float
        The least loss so far; infinite if there is none.
    best_name : str
    """

    kind: str
    runs: int
    ended: int
    flops: float
    budget: float
    best: float
    best_name: str

    @property
    def expected(self) -> int:
        """Runs that the budget allows at what they cost so far."""
        return max(self.runs, round(self.runs * self.budget / self.flops)) if self.flops else 0

    def __str__(self) -> str:
        best = f", best loss {self.best:.4f} ({self.best_name})" if math.isfinite(self.best) else ""
        return (
            f"search by {self.kind}: {self.ended} of about {self.expected} runs, {self.flops:.3g} "
            f"of {self.budget:.3g} FLOPs{best}"
        )


def progress(sweep: Sweep, ended: Mapping[str, Ended]) -> Progress:
    """How far a search is."""
    told = sweep.search["strategy"]
    closed = [entry for entry in sweep if entry.run_id in ended]
    best = min(closed, key=lambda entry: ended[entry.run_id].loss, default=None)
    return Progress(
        str(told["kind"]),
        len(sweep),
        len(closed),
        flops_of(sweep, ended),
        float(told["budget"]),
        ended[best.run_id].loss if best else math.inf,
        best.name if best else "",
    )
