"""The ``strategy`` of a sweep file, key by key, as a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from scaling import LARGEST_SEED
from scaling.base import refuse_unknown, typed
from scaling.families import cached_cost, option_names
from sweeps.data_size import DATA_SIZES
from sweeps.document import Document, Where
from sweeps.kinds import Miss, Space, base_model, compatible_options, read_ranges, read_space
from sweeps.strategies.registry import STRATEGIES
from sweeps.strategies.space import Check, SearchSpace
from sweeps.strategies.trials import Options, Strategy
from sweeps.values import number

Count = Callable[[Options], Any]
SHAPE = "design_space"  # the only shape that is a space
BLOCK: Where = ("strategy",)
KEYS = ("kind", "budget", "seed")


@dataclass(frozen=True)
class Plan:
    """How a space is searched.

    Attributes
    ----------
    kind : str
        The strategy's name.
    strategy : Strategy
    space : SearchSpace
    seed : int
        Of the strategy, not of the runs.
    budget : float
        FLOPs of training that all runs may take together, what they share once.
    first : dict
        A point of the space.
    data_size : dict
        What sets D in the last rung, where the space does not.
    """

    kind: str
    strategy: Strategy
    space: SearchSpace
    seed: int
    budget: float
    first: Options
    data_size: Options

    def sized(self, rung: int) -> Options:
        """What sets D of a run of a rung: ``eta`` times that of the rung below."""
        below = self.strategy.rungs - 1 - rung
        if not below:
            return {}
        return {name: value / self.strategy.eta**below for name, value in self.data_size.items()}


def read_plan(document: Document, count: Count | None = None) -> Plan:
    """The plan that a sweep file with ``strategy`` and ``design_space`` describes.

    ``count`` gives the counts of a point where a program trains; None for our own training.

    Raises
    ------
    ValueError
        For a wrong key or value, a space without two points, or one of which nothing fits.
    """
    import numpy as np

    content = document.value
    given = document.mapping(content["strategy"], BLOCK)
    if SHAPE not in content:
        document.refuse(BLOCK, f"a strategy searches a {SHAPE}: give one in place of the shape")
    for key in ("kind", "budget"):
        if key not in given:
            document.refuse(BLOCK, f"strategy has no {key}: give kind and budget (in FLOPs)")
    if given["kind"] not in STRATEGIES:
        refuse_unknown(str(given["kind"]), STRATEGIES, "strategy", document.at((*BLOCK, "kind")))
    chosen = STRATEGIES[given["kind"]]
    settings = tuple(field.name for field in fields(chosen))
    document.mapping(given, BLOCK, (*KEYS, *settings))
    try:
        strategy = typed(chosen, {name: given[name] for name in settings if name in given})
    except ValueError as error:
        document.refuse(BLOCK, str(error))
    budget = float(number(document, given["budget"], (*BLOCK, "budget"), low=0))
    seed = number(document, given.get("seed", 0), (*BLOCK, "seed"), low=0)
    if seed != int(seed) or seed > LARGEST_SEED:
        document.refuse((*BLOCK, "seed"), f"seed {seed} is not a whole number from 0")
    if "constraints" in content:
        document.refuse(
            ("constraints",),
            f"constraints are for a list of runs: bound a space by ranges of its {SHAPE}",
        )
    if len(content.get("seeds", [0])) > 1:
        document.refuse(
            ("seeds",), "a search trains each point once: leave one seed, and give strategy a seed"
        )
    if count is not None and strategy.rungs > 1:
        document.refuse(
            (*BLOCK, "kind"),
            f"{given['kind']} promotes runs, and nobody knows what a program's share: take random, "
            "evolution, genetic or bayes",
        )
    space, miss = _space(document, count)
    first = space.draw(np.random.default_rng([int(seed), 0]), ())
    if first is None:
        document.refuse((SHAPE,), f"no point of the space fits; {miss}: widen ranges or space")
    fixed = content.get("fixed", {})
    sizes = {name: fixed[name] for name in DATA_SIZES if name in fixed}
    if strategy.rungs > 1 and not sizes:
        document.refuse(
            BLOCK, f"{given['kind']} sets D by rung: give one of {', '.join(DATA_SIZES)} in fixed"
        )
    for name, value in sizes.items():
        number(document, value, ("fixed", name), low=0)
    return Plan(given["kind"], strategy, space, int(seed), budget, first, sizes)


def _space(document: Document, count: Count | None) -> tuple[SearchSpace, Miss]:
    """The space and what of it can be built; why the rest cannot."""
    where: Where = (SHAPE,)
    keys = document.mapping(document.value[SHAPE], where, ("space", "ranges"))
    if "space" not in keys:
        document.refuse(where, f"{SHAPE} has no space")
    space = read_space(document, keys["space"], (*where, "space"))
    if space.size() < 2:
        document.refuse(where, "the space has one point, nothing to search: run it with runs")
    ranges = read_ranges(document, keys.get("ranges", {}), (*where, "ranges"))
    if taken := [name for name in space.parameters if name in document.value.get("fixed", {})]:
        document.refuse(
            ("fixed", taken[0]), f"{taken[0]} is fixed and searched: remove one of the two"
        )
    miss = Miss()
    if count is not None:
        return SearchSpace(space, _counted(document, space, ranges, count, miss)), miss
    model = base_model(document)
    known = option_names(model.family)
    if space.family and model.family.name != space.family:
        document.refuse(("family",), f"space {space.name} is of family {space.family}: set it")

    def check(drawn: Options) -> Options | None:
        point = compatible_options(drawn)
        try:
            config = model.config({name: v for name, v in point.items() if name in known})
        except ValueError as error:
            miss.refused(str(error))
            return None
        if space.stages and len(config.depths) != space.stages:
            miss.refused(f"{len(config.depths)} stages and not {space.stages}")
            return None
        return point if miss.within(cached_cost(model.family, config), ranges) else None

    return SearchSpace(space, check), miss


def _counted(
    document: Document,
    space: Space,
    ranges: Mapping[str, tuple[float, float]],
    count: Count,
    miss: Miss,
) -> Check:
    """What of a space a program can be given, by its own counts."""
    if space.family:
        document.refuse((SHAPE, "space"), f"space {space.name} is of family {space.family}, and no "
                        "program's: give parameters")  # fmt: skip
    if other := [name for name in ranges if name != "num_params"]:
        document.refuse(
            (SHAPE, "ranges", other[0]), f"of a program num_params is known, not {other[0]}"
        )

    def check(point: Options) -> Options | None:
        try:
            counts = count(point)
        except ValueError as error:
            miss.refused(str(error))
            return None
        return point if miss.within(counts, ranges) else None

    return check
