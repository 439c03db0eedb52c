"""``design_space``: models drawn from a design space, within ranges of exact counts.

Source: Radosavovic et al. 2020 (arXiv 2003.13678), sec. 3.1: a few hundred models drawn at
random and trained briefly say what a space is worth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from scaling.base import Cost, note, refuse_unknown
from scaling.families import cached_cost
from scaling.families.vision import MOST_CODED, compatible
from sweeps.document import Document, Where, called, kind
from sweeps.kinds.base_model import COUNTS, BaseModel, base_model
from sweeps.kinds.grid import Options
from sweeps.kinds.screen import distances
from sweeps.kinds.spaces import DISTRIBUTIONS, ORDERS, SPACES, Parameter, Space
from sweeps.values import MAX_RUNS, number

KEYS = ("space", "models", "seed", "ranges", "max_samples")
SPACE_KEYS = ("base", "name", "parameters", "tie", "order", "stages")
MAX_SAMPLES = 1_000_000
RAREST = 10_000  # samples for one model; rarer ones are not looked for any longer
BATCH = 1024  # drawn at a time
_GROUPED = ("widths", "bottleneck_ratios", "group_widths")


def points(document: Document, block: Any, where: Where) -> list[Options]:
    """``models`` different models of ``space`` within ``ranges``; the same seed, the same models.

    ``{space: anynetx-a, models: 100, seed: 0, ranges: {macs_forward: [1e6, 2e6]}}``. A range is
    [low, high], either of them nothing for no bound. ``space`` is a name or a mapping with
    ``parameters``, ``tie``, ``order``, ``stages`` and the ``base`` that it changes; a range that
    replaces the base's keeps its tie and order.

    Raises
    ------
    ValueError
        For a wrong space or range, or when ``max_samples`` drawn models hold fewer than
        ``models`` within the ranges, or fewer than one in ten thousand; the message says how far
        off the nearest is.
    """
    keys = document.mapping(block, where, KEYS)
    for key in ("space", "models"):
        if key not in keys:
            document.refuse(where, f"design_space has no {key}: give space and models")
    space = read_space(document, keys["space"], (*where, "space"))
    limits = {
        key: _whole(document, keys.get(key, default), (*where, key), low)
        for key, default, low in (("models", 0, 1), ("seed", 0, 0), ("max_samples", MAX_SAMPLES, 1))
    }
    ranges = read_ranges(document, keys.get("ranges", {}), (*where, "ranges"))
    model = base_model(document, tuple(space.parameters))
    if space.family and model.family.name != space.family:
        document.refuse(
            ("family",),
            f"space {space.name} is one of family {space.family}: set family: {space.family}",
        )
    taken = [name for name in space.parameters if name in document.value.get("fixed", {})]
    if taken:
        document.refuse(
            ("fixed", taken[0]),
            f"{taken[0]} is fixed and drawn by the space: remove one of the two",
        )
    try:
        drawn = draw_models(space, model, ranges, **limits)
    except ValueError as error:
        document.refuse(where, str(error))
    return [{**options, "labels": {"space": space.name}} for options in drawn]


def draw_models(
    space: Space,
    model: BaseModel,
    ranges: Mapping[str, tuple[float, float]],
    *,
    models: int,
    seed: int = 0,
    max_samples: int = MAX_SAMPLES,
) -> list[Options]:
    """Options of ``models`` different models of ``space`` whose exact counts are in ``ranges``.

    Raises
    ------
    ValueError
        If ``max_samples`` are not enough or fits are rarer than 1 in ``RAREST``, with the
        nearest miss.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    found: dict[Any, Options] = {}
    miss = Miss()
    samples = adjusted = 0
    while len(found) < models and samples < max_samples and samples <= RAREST * (len(found) + 1):
        batch = space.draw(rng, min(BATCH, max_samples - samples))
        fitting = [compatible_options(options) for options in batch]
        rough = distances(model, fitting, ranges, space.stages)
        nearest = min(range(len(batch)), key=rough.__getitem__)
        for i, options in enumerate(fitting):
            samples += 1
            if rough[i] > 1 and (i != nearest or found):
                continue
            try:
                config = model.config(options)
            except ValueError as error:
                miss.refused(str(error))
                continue
            if space.stages and len(config.depths) != space.stages:
                miss.refused(f"{len(config.depths)} stages and not {space.stages}")
                continue
            if not miss.within(cached_cost(model.family, config), ranges) or config in found:
                continue
            found[config] = options
            adjusted += options != batch[i]
            if len(found) == models:
                break
    if len(found) < models:
        hint = ", or raise max_samples" if samples >= max_samples else ""
        raise ValueError(
            f"{len(found)} of {models} models of {space.name} found in {samples} samples; "
            f"{miss}: widen the ranges or the space" + hint
        )
    if adjusted:
        note(
            f"{adjusted} of {models} models of {space.name}: group widths that do not divide their "
            "width were fixed by the rule of Radosavovic et al. (min(group, width), then width "
            "rounded to a multiple of it)"
        )
    return list(found.values())


@dataclass
class Miss:
    """How near the models outside the ranges came."""

    distance: float = math.inf
    nearest: str = ""
    reason: str = ""

    def within(self, cost: Cost, ranges: Mapping[str, tuple[float, float]]) -> bool:
        """Whether all counts are in their ranges."""
        worst, says = 0.0, ""
        for name, (low, high) in ranges.items():
            value = getattr(cost, name)
            off = max(low / value, value / high)
            if off > max(1.0, worst):
                side, limit = ("below the min", low) if value < low else ("above the max", high)
                worst, says = off, f"{name} {value:.4g}, {off:.3g} times {side} {limit:.4g}"
        if 0 < worst < self.distance:
            self.distance, self.nearest = worst, says
        return worst == 0

    def refused(self, reason: str) -> None:
        """A model that cannot be built."""
        self.reason = self.reason or reason

    def __str__(self) -> str:
        if self.nearest:
            return f"the nearest of the others has {self.nearest}"
        return f"the others cannot be: {self.reason}" if self.reason else "the space has no more"


def compatible_options(options: Options) -> Options:
    """``options`` with group widths that divide the bottlenecks, where the space draws all three.

    Fixed here, once for the sweep, so that a run's options are those that it has.
    """
    if not set(_GROUPED) <= set(options):
        return options
    widths, ratios, groups = (tuple(options[name]) for name in _GROUPED)
    widths, groups = compatible(widths, ratios, groups)
    return {**options, "widths": list(widths), "group_widths": list(groups)}


def _whole(document: Document, value: Any, where: Where, low: int) -> int:
    if number(document, value, where, low=low) != int(value) or value > MAX_RUNS:
        document.refuse(where, f"{called(where)} {value} is not a whole number up to {MAX_RUNS}")
    return int(value)


def read_ranges(document: Document, block: Any, where: Where) -> dict[str, tuple[float, float]]:
    """Ranges of exact counts, [low, high] each; open where there is nothing."""
    found = {}
    for name, limits in document.mapping(block, where, COUNTS).items():
        at = (*where, name)
        if not isinstance(limits, list | tuple) or len(limits) != 2:
            document.refuse(at, f"{name} takes [low, high], not {limits!r}")
        low, high = (
            default if limit is None else float(number(document, limit, (*at, i), low=0))
            for i, (limit, default) in enumerate(zip(limits, (0.0, math.inf), strict=True))
        )
        if not low <= high or high == 0:
            document.refuse(at, f"{name} has low {low:g} above high {high:g}")
        found[name] = (low, high)
    return found


def read_space(document: Document, block: Any, where: Where) -> Space:
    """The space that a name or a mapping describes."""
    if isinstance(block, str):
        if block not in SPACES:
            refuse_unknown(block, SPACES, "space", document.at(where))
        return SPACES[block]
    keys = document.mapping(block, where, SPACE_KEYS)
    space = Space("own", "")
    if "base" in keys:
        base = keys["base"]
        if base not in SPACES:
            refuse_unknown(str(base), SPACES, "space", document.at((*where, "base")))
        space = SPACES[base].having(f"{base}-own", {})
    own = document.mapping(keys.get("parameters", {}), (*where, "parameters"))
    read = {}
    for name, value in own.items():
        parameter = _parameter(document, value, (*where, "parameters", name))
        if parameter.each and (of_base := space.parameters.get(name)) is not None:
            parameter = replace(parameter, tied=of_base.tied, order=of_base.order)
        read[name] = parameter
    parameters = {**space.parameters, **read}
    if not parameters:
        document.refuse(where, "the space has no parameters: give parameters, or a base")
    for name in _names(document, keys.get("tie", []), (*where, "tie")):
        parameters[name] = replace(_stagewise(document, parameters, name, where), tied=True)
    for name, order in document.mapping(keys.get("order", {}), (*where, "order")).items():
        if order not in ORDERS:
            at = (*where, "order", name)
            document.refuse(at, f"order {order!r} is none of {', '.join(ORDERS)}")
        parameters[name] = replace(_stagewise(document, parameters, name, where), order=order)
    staged = {key: parameter.each for key, parameter in parameters.items() if parameter.each}
    if len(set(staged.values())) > 1:
        told = ", ".join(f"{key} {each}" for key, each in staged.items())
        document.refuse(where, f"parameters differ in their stages: {told}: give all one each")
    stages = _whole(document, keys.get("stages", space.stages), (*where, "stages"), 0)
    name = keys.get("name", space.name)
    if not isinstance(name, str):
        document.refuse((*where, "name"), f"name must be a text, not {kind(name)}")
    return replace(space, name=name, parameters=parameters, stages=stages)


def _names(document: Document, value: Any, where: Where) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        document.refuse(where, f"{where[-1]} must be a list of names, not {kind(value)}")
    return value


def _stagewise(
    document: Document, parameters: Mapping[str, Parameter], name: str, where: Where
) -> Parameter:
    if name not in parameters:
        refuse_unknown(name, parameters, "parameter", document.at(where))
    if parameters[name].distribution == "codes":
        document.refuse(where, f"{name} are codes, which have neither ties nor order")
    if not parameters[name].each:
        document.refuse(where, f"{name} is one number: give each: STAGES to tie or order it")
    return parameters[name]


def _parameter(document: Document, value: Any, where: Where) -> Parameter:
    """``{log: [8, 256], multiple_of: 8, each: 4}`` or ``{choices: [1, 2, 4]}``."""
    keys = document.mapping(value, where, (*DISTRIBUTIONS, "multiple_of", "each"))
    chosen = [name for name in DISTRIBUTIONS if name in keys]
    if len(chosen) != 1:
        document.refuse(where, f"{where[-1]} takes one of {', '.join(DISTRIBUTIONS)}")
    distribution = chosen[0]
    limits, at = keys[distribution], (*where, distribution)
    if not isinstance(limits, list):
        document.refuse(at, f"{distribution} takes a list, not {kind(limits)}")
    if not limits:
        document.refuse(at, f"{distribution} is an empty list: give at least one value")
    if distribution == "codes":
        return _codes(document, keys, limits, where)
    each = _whole(document, keys.get("each", 0), (*where, "each"), 0)
    step = number(document, keys.get("multiple_of", 0), (*where, "multiple_of"), low=0)
    if distribution == "choices":
        return Parameter("choices", tuple(limits), each=each)
    if len(limits) != 2:
        document.refuse(at, f"{distribution} takes [low, high], not {limits!r}")
    low, high = (number(document, v, (*at, i)) for i, v in enumerate(limits))
    if low > high or (low <= 0 and distribution != "uniform"):
        document.refuse(at, f"{distribution} needs 0 < low <= high, not [{low:g}, {high:g}]")
    for v in (low, high):
        if step and abs(v / step - round(v / step)) > 1e-9:
            document.refuse(at, f"{v:g} is no multiple of {step:g}: change it or multiple_of")
        if distribution == "power2" and math.log2(v) % 1:
            document.refuse(at, f"{v:g} is no power of two")
    return Parameter(distribution, (low, high), step, each=each)


def _codes(
    document: Document, keys: Mapping[str, Any], nodes: list[Any], where: Where
) -> Parameter:
    """``{codes: [3, 4, 5]}``: how many nodes the stages have."""
    if extra := [key for key in keys if key != "codes"]:
        document.refuse((*where, extra[0]), "codes has the nodes of each stage, and no further key")
    found = [_whole(document, n, (*where, "codes", i), 2) for i, n in enumerate(nodes)]
    if max(found) > MOST_CODED:
        document.refuse(where, f"a stage of {max(found)} nodes is above {MOST_CODED}")
    return Parameter("codes", tuple(found), each=len(found))
