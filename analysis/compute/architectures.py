"""Real architectures around a plan's best size: the next smaller and larger one of a family.

A law's N* is a number; what can be trained is a model whose width is a whole number of units.
Each neighbour comes with its exact parameters and FLOPs, and the loss that the law expects of
it for the same budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scaling.base import NoAnswerError, stated
from scaling.families import get_family

if TYPE_CHECKING:
    from analysis.compute.allocation import Allocation
    from analysis.compute.expected import Expected
    from analysis.compute.plan import Cost

Array = NDArray[np.float64]

SIZES = ("depth", "width")
"""Fields that a target ``num_params`` takes the place of, in families that say so."""

REACH, STEPS = 0.7, 71
"""Sizes are sought within e^-REACH to e^REACH of N*, at STEPS targets."""

LADDER = 24
"""Architectures between which a family's FLOPs per token are interpolated."""


@dataclass(frozen=True)
class Architecture:
    """One model of a family at a budget.

    ``side`` is ``"below"`` or ``"above"`` the best size; ``config`` has every field of the
    model; ``num_tokens`` is what the budget buys at its exact training FLOPs ``flops_per_token``;
    ``loss_ratio`` is its expected ``loss`` over that of the plan.
    """

    side: str
    config: dict[str, Any]
    num_params: int
    num_tokens: float
    flops_per_token: float
    loss: float
    loss_ratio: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name."""
        return asdict(self)


def size_options(family: str, models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the ``models`` of a sweep have in common, without what a target size decides.

    Parameters
    ----------
    family : str
        A family with a dial ``num_params``.
    models : sequence of mapping
        Resolved model fields of the runs, the smallest first.

    Raises
    ------
    ValueError
        If the family has no such dial, or no size of it can be asked for with these fields.
    """
    known = get_family(family)
    if "num_params" not in known.dials:
        raise ValueError(f"family {family} has no dial num_params to ask for a size with")
    largest = models[-1]
    common = {k: v for k, v in largest.items() if all(m.get(k) == v for m in models)}
    without = {k: v for k, v in common.items() if k not in SIZES}
    if "aspect" in known.dials and all(name in largest for name in SIZES):
        without["aspect"] = largest["width"] / largest["depth"]
    target = known.cost(known.resolve(largest)).num_params
    refused: ValueError | None = None
    for options in (dict(largest), common, without):
        try:
            known.resolve({**options, "num_params": target})
        except ValueError as error:
            refused = error
        else:
            return options
    raise ValueError(f"family {family} cannot be sized by num_params: {refused}")


def architectures(
    expected: Expected, plan: Allocation, family: str, options: Mapping[str, Any]
) -> list[Architecture]:
    """The real architectures next to ``plan.num_params``: one below, one above (where found).

    Parameters
    ----------
    expected : Forecast
        What the plan is by, in ``num_params`` and ``num_tokens``.
    plan : Allocation
    family, options
        The family and what its models share, as from ``size_options``.

    Raises
    ------
    NoAnswerError
        If no size near the plan's can be resolved.

    Examples
    --------
    >>> architectures(found, plan(found, [1e18])[0], "transformer", {"vocab_size": 50257,
    ...     "context": 1024})  # doctest: +SKIP
    """
    known = get_family(family)
    found: dict[int, Any] = {}
    refused = ""
    for target in plan.num_params * np.exp(np.linspace(-REACH, REACH, STEPS)):
        try:
            config = known.resolve({**options, "num_params": float(target)})
        except ValueError as error:
            refused = str(error)
            continue
        found.setdefault(known.cost(config).num_params, config)
    if not found:
        raise NoAnswerError(f"no {family} near {plan.num_params:.3g} parameters: {refused}")
    below = [n for n in found if n <= plan.num_params]
    above = [n for n in found if n > plan.num_params]
    chosen = [("below", max(below))] if below else []
    chosen += [("above", min(above))] if above else []
    out = []
    for side, count in chosen:
        config = found[count]
        per_token = float(known.cost(config).flops_train)
        tokens = plan.training_flops / per_token
        columns = {
            "num_params": np.array([float(count)]),
            "num_tokens": np.array([tokens]),
            "num_unique_tokens": np.array([tokens]),
        }
        loss = float(expected.predict(columns)[0])
        out.append(
            Architecture(side, stated(config), count, tokens, per_token, loss, loss / plan.loss)
        )
    return out


def family_cost(family: str, options: Mapping[str, Any], low: float, high: float) -> Cost:
    """Training FLOPs per token at size N, exact at ``LADDER`` real models from low to high.

    Between them ln(FLOPs per token / N) is interpolated in ln N, beyond them it is held.
    """
    known = get_family(family)
    sizes: dict[float, float] = {}
    refused = ""
    for target in np.geomspace(low, high, LADDER):
        try:
            cost = known.cost(known.resolve({**options, "num_params": float(target)}))
        except ValueError as error:
            refused = str(error)
            continue
        sizes[float(np.log(cost.num_params))] = float(np.log(cost.flops_train / cost.num_params))
    if not sizes:
        raise ValueError(
            f"family {family} has no model between {low:.3g} and {high:.3g} parameters: {refused}"
        )
    log_n = np.array(sorted(sizes))
    log_ratio = np.array([sizes[x] for x in log_n])

    def per_token(n: Array) -> Array:
        return np.asarray(n * np.exp(np.interp(np.log(n), log_n, log_ratio)))

    return per_token
