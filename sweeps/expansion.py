"""From a design to a sweep: models, data sizes, derived settings, seeds, constraints."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

from scaling import BUDGET, DEFAULT_DATA, ProgramSpec, RunSpec, Spec
from scaling.base import Cost, OptionError, own_folders
from scaling.data import describe_data
from scaling.families import (
    ModelConfig,
    cached_cost,
    get_family,
    option_names,
    refuse_both,
    with_preset,
)
from sweeps.constraints import LeftOut, Sieve
from sweeps.data_size import DATA_SIZES, data_size
from sweeps.derive import Facts
from sweeps.design import Design, place
from sweeps.document import PlacedError, Where
from sweeps.programs import ProgramRuns
from sweeps.resources import ResourceRules
from sweeps.sweep import Sweep
from sweeps.unread import Collapse, Given, Readers
from sweeps.values import MAX_RUNS

ROUNDED = 0.01  # D may move by so much, to whole steps, without a word


@dataclass(frozen=True)
class Expansion:
    """A sweep with what it took to get there.

    Attributes
    ----------
    sweep : Sweep
    asked : int
        Runs before repeated ones and those outside the constraints were taken away.
    repeated : int
        Runs that came out equal to an earlier one.
    collapsed : Collapse
        Those of them that differ from it in options that neither reads.
    left_out : tuple of LeftOut
        Runs outside the constraints.
    in_bfloat16 : bool
        Whether some are in bfloat16 since the sweep asks for GPUs and does not say a precision.
    budgets : dict
        The budget in FLOPs of a run, by ``run_id``, where its point has one.
    asked_tokens : dict
        D of a run as it was asked for, by ``run_id``, before it became whole steps.
    info : DataInfo or None
        What is known of the data, if all runs are on the same.
    search : Expected or None
        Where a strategy chooses the runs, of which ``sweep`` has the first: what is expected.
    """

    sweep: Sweep
    asked: int
    repeated: int
    left_out: tuple[LeftOut, ...]
    budgets: Mapping[str, float]
    info: Any
    collapsed: Collapse = field(default_factory=Collapse)
    in_bfloat16: bool = False
    asked_tokens: Mapping[str, float] = field(default_factory=dict)
    search: Any = None

    def notes(self) -> list[str]:
        """What became of runs that the file does not say, one sentence each."""
        found = [str(self.collapsed)] if self.collapsed.count else []
        if self.in_bfloat16:
            found.append(
                "precision is bfloat16, since resources ask for GPUs: fix precision: float32 to "
                "have TF32, half as fast, or to go on with runs of float32"
            )
        return found

    def rounding(self) -> list[str]:
        """A warning where whole steps move the D of runs by over ``ROUNDED``; else nothing."""
        moved = {
            entry.name: (asked, entry.spec.num_tokens)
            for entry in self.sweep
            if (asked := self.asked_tokens.get(entry.run_id))
            and abs(entry.spec.num_tokens / asked - 1) > ROUNDED
        }
        if not moved:
            return []
        name, (asked, got) = max(moved.items(), key=lambda run: abs(run[1][1] / run[1][0] - 1))
        runs = len(self.sweep)
        programs = any(isinstance(entry.spec, ProgramSpec) for entry in self.sweep)
        lower = "tokens_per_step" if programs else "batch_size"
        return [
            f"{len(moved)} of {runs} run{'' if runs == 1 else 's'} have a D that whole steps move "
            f"by more than {ROUNDED:.0%} (at most {abs(got / asked - 1):.1%}: {asked:,.0f} becomes "
            f"{got:,} in {name}): lower {lower}, or ask for multiples of a step"
        ]


def expand(
    design: Design, *, info: Any = None, root: str | os.PathLike[str] | None = None
) -> Expansion:
    """The runs that ``design`` asks for; the same design always gives the same runs.

    Parameters
    ----------
    design : Design
    info : DataInfo, optional
        What is known of the data; looked up by name when left out.
    root : path, optional
        The store, where what counting commands say is kept.

    Raises
    ------
    ValueError
        If a run's options do not go together, or the constraints leave nothing.
    """
    most = len(design.points) * len(design.seeds)
    if most > MAX_RUNS:
        raise ValueError(f"{most} runs; the limit is {MAX_RUNS}: take fewer values or seeds")
    runs: _Ours | ProgramRuns = _Ours(design, info)
    if design.program:
        runs = ProgramRuns(design.program, design.derive, info, root)
    sieve = Sieve(design.constraints)
    unsized = {key: value for key, value in design.fixed.items() if key not in DATA_SIZES}
    specs: list[Spec] = []
    asked: dict[int, _Asked] = {}
    readers = Readers()
    labels: dict[str, dict[str, Any]] = {}
    for i, chosen in enumerate(design.points):
        point = {key: value for key, value in chosen.items() if key != "labels"}
        seeds = (point["seed"],) if "seed" in point else design.seeds
        try:
            fixed = unsized if any(key in point for key in DATA_SIZES) else design.fixed
            options = {**fixed, **point, "seed": seeds[0]}
            said = "precision" in options
            spec, size, budget = runs.resolve(options)
            in_vain = readers.see(i, spec, options)
            wanted = _Asked(size, budget, in_vain, not said and "precision" in options)
        except FileNotFoundError as error:
            design.document.refuse(("data",), str(error))
        except ValueError as error:
            blamed = error.options if isinstance(error, OptionError) else ()
            where = _blame(design, blamed, i)
            if isinstance(error, PlacedError):
                where = error.where
            design.document.refuse(where, f"run {_describe(point)}: {error}")
        broken = sieve.first_broken(spec, len(seeds))
        if broken and design.refuse:
            constraint, value = broken
            design.document.refuse(
                ("constraints", constraint.quantity, constraint.bound),
                f"run {_describe(point)}: {constraint} ({value:.4g}); change the sweep, or leave "
                "such runs out with on_violation: drop",
            )
        if not broken:
            try:
                spec.check_num_tokens(size)
            except OptionError as error:
                design.document.refuse(
                    _blame(design, error.options, i),
                    f"run {_describe(point)}: {error}, or leave such runs out with "
                    "constraints: {steps: {min: 10}}",
                )
            seeded = [spec, *(replace(spec, seed=seed) for seed in seeds[1:])]
            specs += seeded
            asked |= {id(run): wanted for run in seeded}
            told = dict(chosen.get("labels", {}))
            if budget is not None:
                told[BUDGET] = float(budget)
            if told:
                for run in seeded:
                    labels.setdefault(run.run_id, told)
    if never := readers.never():
        i, option = never
        design.document.refuse(_blame(design, [option.name], i), str(option))
    if not specs:
        reasons = "; ".join(map(str, sieve.left_out()))
        design.document.refuse(("constraints",), f"the constraints leave no run: {reasons}")
    if design.keep and (counted := next((s for s in specs if _is_counted(s)), None)):
        design.document.refuse(
            ("keep",), f"keep: a run of {counted.family} has no weights: leave keep out"
        )
    longest = max(spec.num_steps for spec in specs)
    if design.keep.last_step > longest:
        design.document.refuse(
            ("keep",),
            f"no run has a step {design.keep.last_step} to keep: the longest has {longest}",
        )
    resources = {**design.resources, **_code({path for spec in specs for path in spec.plugins})}
    sweep = replace(
        Sweep.of(design.name, specs, labels),
        resources=resources,
        keep=design.keep,
        policy=design.policy,
    )
    collapsed = Collapse()
    if any(wanted.in_vain for wanted in asked.values()):
        collapsed = readers.collapse([(spec.run_id, asked[id(spec)].in_vain) for spec in specs])
    first = {entry.run_id: asked[id(entry.spec)] for entry in sweep}
    return Expansion(
        sweep=sweep,
        asked=len(specs) + sum(left.count for left in sieve.left_out()),
        repeated=len(specs) - len(sweep),
        left_out=sieve.left_out(),
        info=runs.only_info(),
        budgets={run_id: w.flops for run_id, w in first.items() if w.flops is not None},
        collapsed=collapsed,
        in_bfloat16=any(wanted.is_default for wanted in first.values()),
        asked_tokens={run_id: w.num_tokens for run_id, w in first.items()},
    )


class _Asked(NamedTuple):
    """D as a run was asked for, its budget if that set D, and what it was given in vain.

    ``is_default``: its precision follows from the sweep's resources.
    """

    num_tokens: float
    flops: float | None
    in_vain: Given
    is_default: bool


def _is_counted(spec: Spec) -> bool:
    return isinstance(spec, RunSpec) and spec.is_counted


def _code(plugins: Collection[str]) -> dict[str, str]:
    """Where what is plugged in lies, for those who read the sweep from another folder."""
    folders = dict.fromkeys(str(folder) for folder in own_folders(plugins).values())
    return {"code": os.pathsep.join(folders)} if folders else {}


def _blame(design: Design, options: Collection[str], i: int) -> Where:
    """The place of the fixed, derived or varied one of ``options``; else that of point ``i``."""
    fixed: list[Where] = [("fixed", key) for key in design.fixed if key in options]
    derived: list[Where] = [("derive", d.target) for d in design.derive if d.target in options]
    varied = [
        place(design.document, design.shape, key, i) for key in design.points[i] if key in options
    ]
    return (*fixed, *derived, *varied, (design.shape, i))[0]


def _describe(point: Mapping[str, Any]) -> str:
    return " ".join(
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in point.items()
    )


@dataclass(frozen=True)
class _Model:
    """A resolved model; ``facts`` and ``counts`` are what rules may ask."""

    config: ModelConfig
    cost: Cost
    facts: dict[str, Any]
    counts: dict[str, Any]
    units_per_item: int


class _Models:
    """Resolves each set of model options once; a target size takes a search."""

    def __init__(self, info: Any) -> None:
        self.given = info
        self.infos: dict[str, Any] = {}
        self.names: dict[str, frozenset[str]] = {}
        self.known: dict[str, _Model] = {}

    def info(self, data: str) -> Any:
        """What is known of a data set."""
        if self.given is not None:
            return self.given
        if data not in self.infos:
            self.infos[data] = describe_data(data)
        return self.infos[data]

    def only_info(self) -> Any:
        """What is known of the data if there is one set; else None."""
        if self.given is not None or len(self.infos) != 1:
            return self.given
        return next(iter(self.infos.values()))

    def model(self, family_name: str, preset: str | None, data: str, options: Any) -> _Model:
        """The model that options give, and the rest of the options."""
        key = repr((family_name, preset, data, options))
        if key not in self.known:
            self.known[key] = self._resolve(family_name, preset, data, options)
        return self.known[key]

    def option_names(self, family_name: str) -> frozenset[str]:
        """The options of a family."""
        if family_name not in self.names:
            self.names[family_name] = frozenset(option_names(get_family(family_name)))
        return self.names[family_name]

    def _resolve(self, family_name: str, preset: str | None, data: str, options: Any) -> _Model:
        family = get_family(family_name)
        refuse_both(family.either, options)
        base = with_preset(family, preset) if preset else {}
        from_data = family.data_options(self.info(data))
        config: ModelConfig = family.resolve({**base, **from_data, **options})
        cost = cached_cost(family, config)
        return _Model(
            config,
            cost,
            {**base, **options, **asdict(config)},
            cost.to_dict(),
            family.units_per_item(config),
        )


class _Ours:
    """Runs of our own from a point's options and the design's rules."""

    def __init__(self, design: Design, info: Any) -> None:
        self.design = design
        self.models = _Models(info)
        self.on_gpus = ResourceRules.parse(design.resources).in_bfloat16

    def only_info(self) -> Any:
        """What is known of the data if there is one set; else None."""
        return self.models.only_info()

    def resolve(self, options: dict[str, Any]) -> tuple[RunSpec, float, float | None]:
        """The run that ``options`` and the rules give, its D as asked, and its budget.

        What the rules set is added to ``options``.
        """
        models, derive = self.models, self.design.derive
        for d in derive:
            if d.rule.on_shape:
                options[d.target] = d.value(Facts(options))
        family = options.get("family", "transformer")
        data = options.get("data", DEFAULT_DATA)
        names = models.option_names(family)
        chosen = {key: value for key, value in options.items() if key in names}
        model = models.model(family, options.get("preset"), data, chosen)
        size, budget = data_size(options, model.cost)
        left_out = {*names, *DATA_SIZES, "preset"}
        rest = {k: v for k, v in options.items() if k not in left_out}
        if self.on_gpus and not getattr(get_family(family), "counted", False):
            rest.setdefault("precision", "bfloat16")
        for d in derive:
            if not d.rule.on_shape:
                facts = {**model.facts, **rest}
                rest[d.target] = d.value(Facts(facts, model.counts, size, model.units_per_item))
        spec = RunSpec.resolve(
            info=models.info(data), alone=False, **rest, model=model.config, num_tokens=size
        )
        options |= rest
        return spec, size, budget
