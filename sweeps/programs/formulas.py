"""Counts by formulas in a program's options, and the option that meets a target size."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from scaling import Counts
from scaling.base import OptionError, Unit, convert, nearest_size, note_once
from sweeps.document import Document, PlacedError, Where
from sweeps.programs.counted import TARGET, Counted, Formula, Options, Setting, no_target
from sweeps.values import number

COUNTS = ("num_params", "num_params_non_embedding", "flops_per_token")
BEYOND = 10**300
MOST_UNITS = 1 << 50  # of an option that is sought: no target is met by more
DEFAULT_FLOPS = "6*num_params"
"""Kaplan et al. 2020, sec. 2.1: 2 FLOPs a parameter forward, twice that backward."""


@dataclass(frozen=True)
class Size:
    """The option that is sought for a target ``num_params``: multiples of ``multiple_of``."""

    option: str
    multiple_of: int
    where: Where


@dataclass(frozen=True)
class FormulaCounts:
    """Counts by formulas, in an order in which each finds those that it needs."""

    formulas: Mapping[str, Formula]
    size: Size | None
    unit: Unit
    name: str = "program"

    @classmethod
    def read(cls, document: Document, keys: Mapping[str, Any], where: Where) -> FormulaCounts:
        """From the ``counts`` of a sweep file.

        Raises
        ------
        ValueError
            For a formula that is none, formulas that need each other, or a wrong ``size``.
        """
        if "num_params" not in keys:
            document.refuse(
                where, "counts has no num_params: give num_params: FORMULA, family or command"
            )
        given = {"flops_per_token": DEFAULT_FLOPS, **keys}
        if "flops_per_token" not in keys:
            note_once(f"counts has no flops_per_token: it is {DEFAULT_FLOPS}")
        found = {
            key: Formula.read(document, given[key], (*where, key)) for key in COUNTS if key in given
        }
        needs = {key: set(found).intersection(f.arithmetic.names) for key, f in found.items()}
        try:
            order = tuple(TopologicalSorter(needs).static_order())
        except CycleError as error:
            around = " needs ".join(reversed(error.args[1]))
            document.refuse((*where, error.args[1][0]), f"counts go in a circle: {around}")
        size = _size(document, keys["size"], (*where, "size")) if "size" in keys else None
        return cls({key: found[key] for key in order}, size, keys.get("unit", "token"))

    @property
    def sets(self) -> tuple[str, ...]:
        """The option that meets a target."""
        return (self.size.option,) if self.size else ()

    @property
    def sized(self) -> tuple[str, ...]:
        """None beside those that it sets in any case."""
        return ()

    @property
    def has_body(self) -> bool:
        """Whether there is a formula for it."""
        return "num_params_non_embedding" in self.formulas

    @property
    def takes_target(self) -> bool:
        """Whether an option is named that meets one."""
        return self.size is not None

    def check(self, document: Document, options: Collection[str]) -> None:
        """Refuse what it asks for that is none of ``options``, nor can be."""
        known = {*options, *self.sets} - {TARGET}
        for formula in self.formulas.values():
            formula.check(document, {*known, *self.formulas})

    def model(self, options: Options, setting: Setting) -> Counted:
        """The model that ``options`` describe; its ``size`` option is the nearest to a target."""
        if TARGET in options:
            if self.size is None:
                raise no_target()
            options = self._sized(options, setting, self.size)
        full = setting.shape(dict(options))
        values = self._values(full)
        context = full.get("context")
        return Counted(
            Counts(
                num_params=round(values["num_params"]),
                flops_per_token=values["flops_per_token"],
                num_params_non_embedding=(
                    round(values["num_params_non_embedding"]) if self.has_body else None
                ),
                unit=self.unit,
            ),
            full,
            units_per_item=context if isinstance(context, int) and context > 0 else 1,
        )

    def _values(self, options: Options) -> dict[str, float]:
        values: dict[str, Any] = {}
        for key, formula in self.formulas.items():
            values[key] = formula.value({**options, **values})
        if round(values["num_params"]) < 1:
            where = self.formulas["num_params"].where
            raise PlacedError(f"num_params is {values['num_params']:g}, below 1", where)
        return values

    def _sized(self, options: Options, setting: Setting, size: Size) -> dict[str, Any]:
        """``options`` with ``size.option`` in place of the target."""
        rest = {key: value for key, value in options.items() if key != TARGET}
        if size.option in rest:
            raise OptionError(
                f"num_params sets {size.option}: give either, not both", TARGET, size.option
            )
        target = convert("float", TARGET, options[TARGET])
        if not target > 0:
            raise OptionError(f"num_params {target:g} is not above 0", TARGET)

        def at(units: int) -> dict[str, Any]:
            return {**rest, size.option: units * size.multiple_of}

        def count(units: int) -> int:
            try:
                return round(self._values(setting.shape(at(units)))["num_params"])
            except PlacedError:  # beyond all numbers that a formula may give
                return BEYOND

        self._values(setting.shape(at(1)))  # what is wrong at every size is said by the formula
        units = nearest_size(count, target, high=MOST_UNITS)
        found = count(units)
        if not 0.5 <= found / target <= 2:
            raise OptionError(
                f"num_params {target:.4g} is out of reach: the nearest {size.option} is "
                f"{units * size.multiple_of}, with {found:.4g} parameters: change the target or "
                "multiple_of",
                TARGET,
            )
        return at(units)


def _size(document: Document, block: Any, where: Where) -> Size:
    keys = document.mapping(block, where, ("option", "multiple_of"))
    option = keys.get("option")
    if not isinstance(option, str):
        document.refuse(where, "size has no option: give size: {option: width, multiple_of: 16}")
    step = number(document, keys.get("multiple_of", 1), (*where, "multiple_of"), low=1)
    if step != int(step):
        document.refuse((*where, "multiple_of"), f"multiple_of {step:g} is not a whole number")
    return Size(option, int(step), where)
