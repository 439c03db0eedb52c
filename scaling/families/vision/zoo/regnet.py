"""RegNetX and RegNetY (Radosavovic et al. 2020, arXiv 2003.13678): widths by a quantised line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import groupby
from typing import Any, ClassVar

from scaling.base import OptionError, convert
from scaling.families.base import Options
from scaling.families.vision.family import LARGEST, MULTIPLIERS, TARGETS
from scaling.families.vision.zoo.anynet import AnyNet, AnyNetConfig

RULE = ("depth", "w0", "wa", "wm")
QUANTUM = 8  # widths are multiples of it

# depth, w0, wa, wm, group_width: tables 5 and 6 in the order of their columns, from the
# configurations that the authors publish.
_X = {
    "200mf": (13, 24, 36.44, 2.49, 8),
    "400mf": (22, 24, 24.48, 2.54, 16),
    "600mf": (16, 48, 36.97, 2.24, 24),
    "800mf": (16, 56, 35.73, 2.28, 16),
    "1.6gf": (18, 80, 34.01, 2.25, 24),
    "3.2gf": (25, 88, 26.31, 2.25, 48),
    "4.0gf": (23, 96, 38.65, 2.43, 40),
    "6.4gf": (17, 184, 60.83, 2.07, 56),
    "8.0gf": (23, 80, 49.56, 2.88, 120),
    "12gf": (19, 168, 73.36, 2.37, 112),
    "16gf": (22, 216, 55.59, 2.1, 128),
    "32gf": (23, 320, 69.86, 2.0, 168),
}
_Y = {
    "200mf": (13, 24, 36.44, 2.49, 8),
    "400mf": (16, 48, 27.89, 2.09, 8),
    "600mf": (15, 48, 32.54, 2.32, 16),
    "800mf": (14, 56, 38.84, 2.4, 16),
    "1.6gf": (27, 48, 20.71, 2.65, 24),
    "3.2gf": (21, 80, 42.63, 2.66, 24),
    "4.0gf": (22, 96, 31.41, 2.24, 64),
    "6.4gf": (25, 112, 33.22, 2.27, 72),
    "8.0gf": (17, 192, 76.82, 2.19, 56),
    "12gf": (19, 168, 73.36, 2.37, 112),
    "16gf": (18, 200, 106.23, 2.48, 112),
    "32gf": (20, 232, 115.89, 2.53, 232),
}


def quantised_widths(
    depth: int, w0: float, wa: float, wm: float, quantum: int = QUANTUM
) -> tuple[int, ...]:
    """The width of each block: w0 wm^round(log((w0 + wa j) / w0) / log wm), j from 0.

    Parameters
    ----------
    depth : int
        Blocks.
    w0, wa : float
        Width of the first block, and the slope of the line.
    wm : float
        Ratio of neighbouring stages' widths.
    quantum : int
        Widths are rounded to multiples of it.

    Raises
    ------
    ValueError
        For values out of range.

    Notes
    -----
    Radosavovic et al. 2020, eqs. 2 to 4.

    Examples
    --------
    >>> quantised_widths(13, 24, 36.44, 2.49)
    (24, 56, 152, 152, 152, 152, 368, 368, 368, 368, 368, 368, 368)
    """
    for name, value, low in (("depth", depth, 0), ("w0", w0, 0), ("wm", wm, 1)):
        if not value > low:
            raise OptionError(f"{name} {value:g} is not above {low}", name)
    if wa < 0:
        raise OptionError(f"wa {wa:g} is below 0", "wa")
    if depth > LARGEST:
        raise OptionError(f"depth {depth} is above {LARGEST}", "depth")
    steps = (round(math.log((w0 + wa * j) / w0) / math.log(wm)) for j in range(depth))
    return tuple(max(1, round(w0 * wm**step / quantum)) * quantum for step in steps)


def _presets(table: Mapping[str, tuple[Any, ...]]) -> dict[str, Options]:
    """The options of each row; ``4.0gf`` is called ``4gf`` too."""
    named = ("depth", "w0", "wa", "wm", "group_width")
    rows = {label: dict(zip(named, values, strict=True)) for label, values in table.items()}
    return {**rows, **{label.replace(".0", ""): row for label, row in rows.items()}}


class RegNet(AnyNet):
    """The families ``regnetx`` and ``regnety``: an AnyNet whose widths follow the rule.

    The options ``depth``, ``w0``, ``wa``, ``wm`` and ``group_width`` set the stages
    (:func:`quantised_widths`); ``depths`` and ``widths`` may be given instead. Without options
    it is the preset 200mf. Y has squeeze-and-excitation with ``se_ratio`` 0.25.
    """

    dials: ClassVar[tuple[str, ...]] = (*RULE, "group_width", *MULTIPLIERS, *TARGETS)
    said: ClassVar[bool] = False  # fitting the group width is a step of the rule
    se_ratio: ClassVar[float]

    def configure(self, options: dict[str, Any]) -> AnyNetConfig:
        """The configuration, with the stages of the rule."""
        options = {"se_ratio": self.se_ratio, **options}
        if "group_width" in options:
            if "group_widths" in options:
                raise OptionError(
                    "group_width sets all group_widths: give one of them",
                    "group_width",
                    "group_widths",
                )
            options["group_widths"] = options.pop("group_width")
        rule = {name: options.pop(name) for name in RULE if name in options}
        if "depths" in options or "widths" in options:
            if rule:
                raise OptionError(
                    f"{', '.join(rule)} set the stages by the rule: "
                    "give them, or depths and widths",
                    *(*rule, "depths", "widths"),
                )
            return super().configure(options)
        if not rule:
            rule = {name: self.presets["200mf"][name] for name in RULE}
            options.setdefault("group_widths", self.presets["200mf"]["group_width"])
        if missing := [name for name in RULE if name not in rule]:
            raise ValueError(f"the rule needs {', '.join(missing)} too")
        widths = quantised_widths(
            convert("int", "depth", rule["depth"]),
            *(convert("float", name, rule[name]) for name in RULE[1:]),
        )
        stages = [(width, len(list(blocks))) for width, blocks in groupby(widths)]
        options["widths"] = tuple(width for width, _ in stages)
        options["depths"] = tuple(depth for _, depth in stages)
        return super().configure(options)


class RegNetX(RegNet):
    """The family ``regnetx``."""

    name: ClassVar[str] = "regnetx"
    presets: ClassVar[Mapping[str, Options]] = _presets(_X)
    se_ratio: ClassVar[float] = 0.0


class RegNetY(RegNet):
    """The family ``regnety``."""

    name: ClassVar[str] = "regnety"
    presets: ClassVar[Mapping[str, Options]] = _presets(_Y)
    se_ratio: ClassVar[float] = 0.25


REGNETX = RegNetX()
REGNETY = RegNetY()
