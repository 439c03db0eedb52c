"""AnyNet (Radosavovic et al. 2020, arXiv 2003.13678): stages of free depth, width, b and g."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from scaling.base import OptionError, convert, note_once
from scaling.families.base import Options
from scaling.families.vision.family import (
    SMALL,
    VisionFamily,
    round_depth,
    round_width,
    same_length,
    scaled_widths,
    small_strides,
    stage_values,
)
from scaling.families.vision.layers import Network
from scaling.families.vision.zoo.residual import ResidualConfig, Stage, residual_network

PER_STAGE = ("depths", "widths", "strides", "bottleneck_ratios", "group_widths")


@dataclass(frozen=True, kw_only=True)
class AnyNetConfig(ResidualConfig):
    """An AnyNet: 16 degrees of freedom in four stages, and the stem's width.

    Attributes
    ----------
    bottleneck_ratios : tuple of float
        b: the 3x3 convolution of a block has width / b channels; below 1 for an inverted one.
    group_widths : tuple of int
        g: channels in each of its groups.
    """

    bottleneck_ratios: tuple[float, ...]
    group_widths: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        stage_values(self, ("group_widths",))
        ratios = tuple(
            convert("float", "bottleneck_ratios", ratio) for ratio in self.bottleneck_ratios
        )
        object.__setattr__(self, "bottleneck_ratios", ratios)
        same_length(self, PER_STAGE)
        if any(b <= 0 or (b < 1 and abs(1 / b - round(1 / b)) > 1e-9) for b in ratios):
            raise OptionError(
                f"bottleneck_ratios {list(ratios)}: take numbers of at least 1, or 1/2, 1/3, ...",
                "bottleneck_ratios",
            )
        fixed = compatible(self.widths, self.bottleneck_ratios, self.group_widths)
        if fixed != (self.widths, self.group_widths):
            raise OptionError(
                f"group_widths {list(self.group_widths)} do not divide the bottlenecks of widths "
                f"{list(self.widths)}: take widths {list(fixed[0])}, group_widths {list(fixed[1])}",
                "group_widths",
                "widths",
            )


def compatible(
    widths: tuple[int, ...], ratios: tuple[float, ...], groups: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Widths and group widths that fit: g <= w / b, and g divides w / b.

    The group width is cut to the bottleneck's; the bottleneck is rounded to the nearest multiple
    of it (``adjust_block_compatibility`` of the authors' code).
    """
    new_widths, new_groups = [], []
    for width, ratio, group in zip(widths, ratios, groups, strict=True):
        inner = max(1, round(width / ratio))
        group = min(group, inner)
        step = math.lcm(group, round(1 / ratio)) if ratio < 1 else group
        inner = max(step, round(inner / step) * step)
        new_widths.append(round(inner * ratio))
        new_groups.append(group)
    return tuple(new_widths), tuple(new_groups)


class AnyNet(VisionFamily):
    """The family ``anynet``; see :class:`AnyNetConfig` for its options.

    Where all stages share a number it may stand alone: ``bottleneck_ratios=2``,
    ``group_widths=16``, ``strides=2``. A group width that does not divide its bottleneck is
    fixed by :func:`compatible`, and said. ``block`` and ``se_ratio`` make AnyNetX (0), AnyNetY
    (0.25), or plain and basic networks.

    Below 64 pixels the stem is ``small`` (3x3, stride 1), and as many of the first stages as it
    takes to leave 4 positions a side have stride 1: at 28 and 32 pixels the strides of four
    stages are 1, 2, 2, 2.
    """

    name: ClassVar[str] = "anynet"
    config: ClassVar[type[Any]] = AnyNetConfig
    presets: ClassVar[Mapping[str, Options]] = {}
    said: ClassVar[bool] = True  # whether a fixed group width is told

    def configure(self, options: dict[str, Any]) -> AnyNetConfig:
        """The configuration, with what stages share spread over them."""
        options = {"depths": (1, 1, 4, 2), "widths": (32, 64, 160, 384), **options}
        if not isinstance(options["depths"], list | tuple):
            raise OptionError(
                f"depths {options['depths']!r} is no list of one number a stage", "depths"
            )
        stages = len(options["depths"])
        options = {"bottleneck_ratios": 1, "group_widths": 16, **options}
        resolution = convert("int", "resolution", options.get("resolution", 224))
        options.setdefault("stem", "small" if resolution < SMALL else "imagenet")
        if "strides" not in options:
            strides = (2,) * stages
            small = options["stem"] == "small"
            options["strides"] = small_strides(resolution, strides) if small else strides
        for name in PER_STAGE:
            if not isinstance(options[name], list | tuple):
                options[name] = (options[name],) * stages
        return self.fitted(options)

    def fitted(self, options: dict[str, Any]) -> AnyNetConfig:
        """The configuration, its widths and group widths made compatible."""
        widths, groups = (
            tuple(convert("int", name, value) for value in options[name])
            for name in ("widths", "group_widths")
        )
        ratios = tuple(
            convert("float", "bottleneck_ratios", value) for value in options["bottleneck_ratios"]
        )
        valid = len(widths) == len(ratios) == len(groups) and min(*widths, *ratios, *groups) > 0
        if valid:  # else the configuration refuses them
            fixed = compatible(widths, ratios, groups)
            if self.said and fixed != (widths, groups):
                note_once(
                    f"{self.name}: group widths {list(groups)} do not fit widths {list(widths)} "
                    f"at bottleneck ratios {[f'{r:g}' for r in ratios]}: took group widths "
                    f"{list(fixed[1])}, widths {list(fixed[0])}".replace("'", "")
                )
            widths, groups = fixed
        config: AnyNetConfig = super().configure(
            {**options, "widths": widths, "group_widths": groups}
        )
        return config

    def scaled(self, config: AnyNetConfig, depth: float, width: float) -> AnyNetConfig:
        """Depths rounded up; widths, and group widths with them (Dollár et al. 2021, sec. 4)."""
        widths, groups = scaled_widths(config.widths, width), config.group_widths
        if width != 1:
            groups = tuple(round_width(width * g, 8 if width * g >= 8 else 1) for g in groups)
        widths, groups = compatible(widths, config.bottleneck_ratios, groups)
        return replace(
            config,
            depths=tuple(round_depth(depth * d) for d in config.depths),
            widths=widths,
            group_widths=groups,
            stem_width=scaled_widths((config.stem_width,), width)[0],
        )

    def network(self, config: AnyNetConfig) -> Network:
        """Stem, stages, head."""
        c = config
        stages = []
        for depth, width, ratio, group, stride in zip(
            c.depths, c.widths, c.bottleneck_ratios, c.group_widths, c.strides, strict=True
        ):
            inner = round(width / ratio)
            stages.append(Stage(depth, width, inner, inner // group, stride))
        return residual_network(c, stages)


ANYNET = AnyNet()
