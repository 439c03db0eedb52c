"""The small interface that every model family fulfils.

A family turns options into a configuration, counts it exactly without building it, and builds
it. It knows nothing of the trainer. Counting needs no torch; ``build`` imports it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from scaling.base import Cost, OptionError, Unit, refuse_unknown, stated

if TYPE_CHECKING:
    from torch import nn

Options = Mapping[str, Any]
DEEPEST = 10_000  # blocks: counted one by one in a second or less


@dataclass(frozen=True)
class ModelConfig:
    """A fully resolved model; every field affects the result. Families subclass it."""

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values; options that are left as they are may be left out."""
        return stated(self)


class Family(Protocol):
    """What a model family offers.

    Attributes
    ----------
    name : str
        Its name in sweep files and at the command line.
    unit : {"token", "example"}
        What it sees: tokens of a stream, or labelled examples.
    config : type
        Its frozen configuration.
    dials : tuple of str
        Option names beyond the configuration's fields, such as a target ``num_params``.
    presets : dict
        The literature's names, in lower case, with their options.
    either : tuple of pairs
        Options of which the first would silently win over the second.
    """

    name: ClassVar[str]
    unit: ClassVar[Unit]
    config: ClassVar[type[ModelConfig]]
    dials: ClassVar[tuple[str, ...]]
    presets: ClassVar[Mapping[str, Options]]
    either: ClassVar[tuple[tuple[str, str], ...]]

    def __hash__(self) -> int:
        """Families are compared by identity."""

    def resolve(self, options: Options) -> Any:
        """Options, a dial or a target size among them, as a configuration."""

    def cost(self, config: Any) -> Cost:
        """Exact counts of a configuration."""

    def data_options(self, info: Any) -> dict[str, Any]:
        """The options that the data determine: vocabulary size, number of classes, ..."""

    def units_per_item(self, config: Any) -> int:
        """Units of data in one item of a batch: the context for tokens, 1 for examples."""

    def input_shape(self, config: Any) -> list[int]:
        """The shape of one item of a batch."""

    def build(self, config: Any) -> nn.Module:
        """The torch module, initialised from torch's global generator."""


@lru_cache(maxsize=64)
def option_names(family: Family) -> tuple[str, ...]:
    """Every option that the family understands."""
    return (*(f.name for f in fields(family.config)), *family.dials)


def check_options(family: Family, options: Options) -> None:
    """Refuse an option that the family does not know, with the nearest one it knows."""
    names = option_names(family)
    for name in options:
        if name not in names:
            refuse_unknown(name, names, f"{family.name} option", hint=families_with(name))


def families_with(option: str) -> str:
    """Which families have an option, for whoever gave it to another; empty if none has."""
    from scaling.families import FAMILIES  # the families import this file

    able = [name for name, family in FAMILIES.items() if option in option_names(family)]
    return f"families with it: {', '.join(able)}" if able else ""


def nearest_divisor(of: int, wanted: int) -> int:
    """The divisor of ``of`` that is nearest to ``wanted``; the smaller of two."""
    return min((d for d in range(1, of + 1) if of % d == 0), key=lambda d: (abs(d - wanted), d))


def nearest_shapes(width: int, heads: int, multiple: int = 1) -> str:
    """The nearest width for so many heads, and the nearest heads of that width.

    Parameters
    ----------
    multiple : int
        What the width of a head is a multiple of: 2 for rotary pairs.
    """
    step = multiple * heads
    near = step * max(1, -(-(2 * width - step) // (2 * step)))  # of two as near the smaller
    if width % multiple:
        return f"take width {near}"
    return f"take width {near} or heads {nearest_divisor(width // multiple, heads)}"


def refuse_both(pairs: Iterable[tuple[str, str]], options: Options) -> None:
    """Refuse options of which a pair sets one thing twice."""
    for first, second in pairs:
        if first in options and second in options:
            raise OptionError(
                f"{first} leaves {second} without effect: give either, not both", first, second
            )


def vocabulary(family: Family, info: Any) -> dict[str, Any]:
    """The option ``vocab_size`` of a data set.

    Raises
    ------
    ValueError
        If it has no tokens.
    """
    if info.vocab_size is None:
        raise OptionError(
            f"family {family.name} sees tokens, data set {info.name!r} has {info.unit}s: choose "
            "another of the two",
            "family",
            "data",
        )
    return {"vocab_size": info.vocab_size}


def with_preset(family: Family, name: str) -> dict[str, Any]:
    """The options of a preset.

    Raises
    ------
    ValueError
        If the family has no preset of that name.
    """
    if name not in family.presets:
        refuse_unknown(name, family.presets, f"{family.name} preset")
    return dict(family.presets[name])


@lru_cache(maxsize=65536)
def cached_cost(family: Family, config: ModelConfig) -> Cost:
    """``family.cost(config)``, each configuration counted once."""
    return family.cost(config)
