"""From a design to a sweep: models, data sizes, derived settings, seeds, constraints."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from scaling import DEFAULT_DATA, RunSpec
from scaling.base import Cost, OptionError, convert, tokens_for_flops
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
from sweeps.derive import Facts
from sweeps.design import DATA_SIZES, Design
from sweeps.document import Where
from sweeps.sweep import Sweep
from sweeps.values import MAX_RUNS


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
    left_out : tuple of LeftOut
        Runs outside the constraints.
    budgets : dict
        The budget in FLOPs of a run, by ``run_id``, where its point has one.
    info : DataInfo or None
        What is known of the data, if all runs are on the same.
    """

    sweep: Sweep
    asked: int
    repeated: int
    left_out: tuple[LeftOut, ...]
    budgets: Mapping[str, float]
    info: Any


def expand(design: Design, *, info: Any = None) -> Expansion:
    """The runs that ``design`` asks for; the same design always gives the same runs.

    Parameters
    ----------
    design : Design
    info : DataInfo, optional
        What is known of the data; looked up by name when left out.

    Raises
    ------
    ValueError
        If a run's options do not go together, or the constraints leave nothing.
    """
    most = len(design.points) * len(design.seeds)
    if most > MAX_RUNS:
        raise ValueError(f"{most} runs; the limit is {MAX_RUNS}: take fewer values or seeds")
    models = _Models(info)
    sieve = Sieve(design.constraints)
    unsized = {key: value for key, value in design.fixed.items() if key not in DATA_SIZES}
    specs: list[RunSpec] = []
    budgets: dict[int, float] = {}
    labels: dict[str, dict[str, Any]] = {}
    for i, chosen in enumerate(design.points):
        point = {key: value for key, value in chosen.items() if key != "labels"}
        seeds = (point["seed"],) if "seed" in point else design.seeds
        try:
            fixed = unsized if any(key in point for key in DATA_SIZES) else design.fixed
            spec, budget = _resolve({**fixed, **point}, design, seeds[0], models)
        except FileNotFoundError as error:
            design.document.refuse(("data",), str(error))
        except ValueError as error:
            blamed = error.options if isinstance(error, OptionError) else ()
            where = _blame(design, blamed) or (design.shape, i)
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
            if budget is not None and budget < 0.5 * spec.flops:
                design.document.refuse(
                    (design.shape, i),
                    f"run {_describe(point)}: {budget:.3g} FLOPs pay for less than one step "
                    f"({spec.flops:.3g} FLOPs): raise the budget, lower batch_size, or leave "
                    "such runs out with constraints: {steps: {min: 10}}",
                )
            seeded = [spec, *(replace(spec, seed=seed) for seed in seeds[1:])]
            specs += seeded
            if budget is not None:
                budgets |= {id(run): budget for run in seeded}
            if "labels" in chosen:
                labels = {run.run_id: chosen["labels"] for run in seeded} | labels
    if not specs:
        reasons = "; ".join(map(str, sieve.left_out()))
        design.document.refuse(("constraints",), f"the constraints leave no run: {reasons}")
    sweep = replace(Sweep.of(design.name, specs, labels), resources=design.resources)
    return Expansion(
        sweep=sweep,
        asked=len(specs) + sum(left.count for left in sieve.left_out()),
        repeated=len(specs) - len(sweep),
        left_out=sieve.left_out(),
        info=models.only_info(),
        budgets={e.run_id: budgets[id(e.spec)] for e in sweep if id(e.spec) in budgets},
    )


def _blame(design: Design, options: Collection[str]) -> Where:
    """The place of the fixed or derived one of ``options``; empty if there is none."""
    fixed: list[Where] = [("fixed", key) for key in design.fixed if key in options]
    derived: list[Where] = [("derive", d.target) for d in design.derive if d.target in options]
    return (*fixed, *derived, ())[0]


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
            {**base, **options, **config.to_dict()},
            cost.to_dict(),
            family.units_per_item(config),
        )


def _resolve(
    options: dict[str, Any], design: Design, seed: int, models: _Models
) -> tuple[RunSpec, float | None]:
    """The run that ``options`` and the design's rules give, and its budget if it has one."""
    options["seed"] = seed
    for d in design.derive:
        if d.rule.on_shape:
            options[d.target] = d.value(Facts(options))
    family = options.get("family", "transformer")
    data = options.get("data", DEFAULT_DATA)
    names = models.option_names(family)
    chosen = {key: value for key, value in options.items() if key in names}
    model = models.model(family, options.pop("preset", None), data, chosen)
    size, budget = _data_size(options, model.cost)
    rest = {k: v for k, v in options.items() if k not in names and k not in DATA_SIZES}
    for d in design.derive:
        if not d.rule.on_shape:
            facts = {**model.facts, **rest}
            rest[d.target] = d.value(Facts(facts, model.counts, size, model.units_per_item))
    spec = RunSpec.resolve(info=models.info(data), **rest, model=model.config, num_tokens=size)
    return spec, budget


def _data_size(options: Mapping[str, Any], cost: Cost) -> tuple[float, float | None]:
    """D from whichever option sets it, and the budget C if that is the one."""
    given = [key for key in DATA_SIZES if key in options]
    if len(given) != 1:
        raise OptionError(f"one of {', '.join(DATA_SIZES)} sets the data size, not {given}", "data")
    value = convert("float", given[0], options[given[0]])
    if given[0] == "flops":
        return tokens_for_flops(cost, value), value
    if given[0] == "tokens_per_param":
        return value * cost.num_params, None
    return value, None
