"""ResNet (He et al. 2016, arXiv 1512.03385) and ResNeXt (Xie et al. 2017, arXiv 1611.05431)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from scaling.base import OptionError, convert, note_once, read_where
from scaling.families.base import Options
from scaling.families.vision.family import (
    SMALL,
    VisionFamily,
    round_depth,
    same_length,
    scaled_widths,
    small_strides,
    stage_values,
    whole_tuple,
)
from scaling.families.vision.layers import Network
from scaling.families.vision.zoo.residual import ResidualConfig, Stage, residual_network

DEPTHS = {
    "18": (2, 2, 2, 2),
    "34": (3, 4, 6, 3),
    "50": (3, 4, 6, 3),
    "101": (3, 4, 23, 3),
    "152": (3, 8, 36, 3),
}
BASIC, WIDE = (64, 128, 256, 512), (256, 512, 1024, 2048)


@dataclass(frozen=True, kw_only=True)
class ResNetConfig(ResidualConfig):
    """A ResNet or ResNeXt.

    Attributes
    ----------
    inner_widths : tuple of int
        Channels inside a stage's blocks: of the 3x3 convolution of a bottleneck, of the first
        convolution otherwise.
    groups : int
        Of the bottleneck's 3x3 convolution: ResNeXt's cardinality.
    """

    inner_widths: tuple[int, ...]
    groups: int = field(default=1, metadata=read_where(block=("bottleneck",)))

    def __post_init__(self) -> None:
        super().__post_init__()
        stage_values(self, ("inner_widths",))
        same_length(self, ("depths", "widths", "strides", "inner_widths"))
        if self.groups < 1:
            raise OptionError(f"groups {self.groups} is below 1", "groups")
        if self.block != "bottleneck" and self.groups > 1:
            raise OptionError(
                f"groups {self.groups} are for bottlenecks, not for {self.block}", "groups"
            )
        if any(inner % self.groups for inner in self.inner_widths):
            raise OptionError(
                f"groups {self.groups} do not divide inner_widths {list(self.inner_widths)}: "
                f"take {list(_divisible(self.inner_widths, self.groups))}",
                "groups",
                "inner_widths",
            )


def _divisible(inner: tuple[int, ...], groups: int) -> tuple[int, ...]:
    """The nearest multiples of ``groups``."""
    return tuple(max(1, round(width / groups)) * groups for width in inner)


class ResNet(VisionFamily):
    """The families ``resnet`` and ``resnext``; see :class:`ResNetConfig` for the options.

    Without options it is ResNet-50 (ResNeXt-50 32x4d), of torchvision's kind: stride in the 3x3.
    ``block`` ``basic`` has two 3x3 convolutions. Not given, inner widths are the widths over 4
    (over 2 in ResNeXt; the widths themselves without bottleneck).

    Below 64 pixels the stem is ``small`` (3x3, stride 1, no pooling), and as many of the first
    stages as it takes to leave 4 positions a side have stride 1: all three stages of He et
    al.'s networks for CIFAR keep theirs of 1, 2, 2 at 28 and 32 pixels.
    """

    config: ClassVar[type[Any]] = ResNetConfig
    groups: ClassVar[int]

    def configure(self, options: dict[str, Any]) -> ResNetConfig:
        """The configuration, with stem and strides for its resolution."""
        options = {"depths": DEPTHS["50"], "groups": self.groups, **options}
        depths = options["depths"]
        bottleneck = options.get("block", "bottleneck") == "bottleneck"
        if not bottleneck:
            options["groups"] = 1
        stages = len(depths) if isinstance(depths, list | tuple) else 1
        options.setdefault("widths", WIDE if bottleneck else BASIC)
        groups = convert("int", "groups", options["groups"])
        if "inner_widths" not in options:
            over = (4 if groups == 1 else 2) if bottleneck else 1
            widths = whole_tuple("widths", options["widths"])
            options["inner_widths"] = tuple(max(1, width // over) for width in widths)
        inner = whole_tuple("inner_widths", options["inner_widths"])
        if groups > 1 and (fixed := _divisible(inner, groups)) != inner:
            note_once(
                f"{self.name}: {groups} groups do not divide {list(inner)}: took {list(fixed)}"
            )
            options["inner_widths"] = fixed
        resolution = convert("int", "resolution", options.get("resolution", 224))
        options.setdefault("stem", "small" if resolution < SMALL else "pooled")
        options.setdefault("stem_width", 64)
        if "strides" not in options:
            strides = (1, *(2,) * (stages - 1))
            small = options["stem"] == "small"
            options["strides"] = small_strides(resolution, strides) if small else strides
        config: ResNetConfig = super().configure(options)
        return config

    def scaled(self, config: ResNetConfig, depth: float, width: float) -> ResNetConfig:
        """Depths rounded up, widths to multiples of 8 (of 2 in narrow networks) and the groups."""
        return replace(
            config,
            depths=tuple(round_depth(depth * d) for d in config.depths),
            widths=scaled_widths(config.widths, width),
            inner_widths=_divisible(scaled_widths(config.inner_widths, width), config.groups),
            stem_width=scaled_widths((config.stem_width,), width)[0],
        )

    def network(self, config: ResNetConfig) -> Network:
        """Stem, stages, head."""
        c = config
        per_stage = zip(c.depths, c.widths, c.inner_widths, c.strides, strict=True)
        stages = [Stage(d, width, inner, c.groups, stride) for d, width, inner, stride in per_stage]
        return residual_network(c, stages)


OF_DEPTH: Mapping[str, Options] = {
    name: {
        "depths": depths,
        "block": "basic" if int(name) < 50 else "bottleneck",
        "resolution": 224,
    }
    for name, depths in DEPTHS.items()
}


def wide(depth: int, factor: int) -> Options:
    """WRN-``depth``-``factor`` for CIFAR: Zagoruyko and Komodakis 2016, table 1."""
    return {
        "depths": ((depth - 4) // 6,) * 3,
        "widths": (16 * factor, 32 * factor, 64 * factor),
        "strides": (1, 2, 2),
        "block": "basic",
        "stem": "small",
        "stem_width": 16,
    }


class PlainResNet(ResNet):
    """The family ``resnet``."""

    name: ClassVar[str] = "resnet"
    groups: ClassVar[int] = 1
    presets: ClassVar[Mapping[str, Options]] = {
        **OF_DEPTH,
        # Zagoruyko and Komodakis 2016, table 8: inner widths doubled.
        **{
            f"wide-{name}-2": {"depths": DEPTHS[name], "inner_widths": (128, 256, 512, 1024)}
            for name in ("50", "101")
        },
        # He et al. 2016, sec. 4.2, but for projections where the width changes: theirs are padded.
        **{
            f"cifar-{6 * n + 2}": {
                "depths": (n, n, n),
                "widths": (16, 32, 64),
                "strides": (1, 2, 2),
                "block": "basic",
                "stem": "small",
                "stem_width": 16,
                "resolution": 32,
                "num_classes": 10,
            }
            for n in (3, 5, 7, 9, 18)
        },
    }


class ResNeXt(ResNet):
    """The family ``resnext``."""

    name: ClassVar[str] = "resnext"
    groups: ClassVar[int] = 32
    presets: ClassVar[Mapping[str, Options]] = {
        "50-32x4d": {"depths": DEPTHS["50"]},
        "101-32x4d": {"depths": DEPTHS["101"]},
        "152-32x4d": {"depths": DEPTHS["152"]},
        "101-32x8d": {"depths": DEPTHS["101"], "inner_widths": WIDE},
        "101-64x4d": {"depths": DEPTHS["101"], "inner_widths": WIDE, "groups": 64},
    }


class SENet(ResNet):
    """The family ``senet``: squeeze-and-excitation of each block's output (Hu et al. 2018).

    arXiv 1709.01507. The hidden width is a sixteenth of the block's. ``50`` is SE-ResNet-50 with
    its stride in the 3x3, as in timm; with ``stride_1x1`` it is the authors'.
    """

    name: ClassVar[str] = "senet"
    groups: ClassVar[int] = 1
    presets: ClassVar[Mapping[str, Options]] = {
        **OF_DEPTH,
        **{f"{name}-32x4d": {"depths": DEPTHS[name], "groups": 32} for name in ("50", "101")},
    }

    def configure(self, options: dict[str, Any]) -> ResNetConfig:
        """The configuration, with squeeze-and-excitation."""
        squeeze = {"se_ratio": 1 / 16, "se_position": "output"}
        if options.get("se_ratio") == 0 or options.get("norm") == "none":
            del squeeze["se_position"]  # which nothing reads
        return super().configure({**squeeze, **options})


class WideResNet(ResNet):
    """The family ``wrn``: wide residual networks (Zagoruyko and Komodakis 2016, arXiv 1605.07146).

    ``28-10`` has 28 convolutions in three stages of pre-activated basic blocks, ten times as wide
    as He et al.'s for CIFAR; without options it is that. ``50-2`` and ``101-2`` are bottlenecks
    for ImageNet with twice the inner width.
    """

    name: ClassVar[str] = "wrn"
    groups: ClassVar[int] = 1
    presets: ClassVar[Mapping[str, Options]] = {
        **{
            f"{depth}-{factor}": {**wide(depth, factor), "resolution": 32, "num_classes": 10}
            for depth, factor in ((16, 4), (16, 8), (22, 8), (28, 10), (28, 12), (40, 1), (40, 4))
        },
        **{
            f"{name}-2": {
                "depths": DEPTHS[name],
                "block": "bottleneck",
                "preactivation": False,
                "inner_widths": (128, 256, 512, 1024),
                "resolution": 224,
            }
            for name in ("50", "101")
        },
    }

    def configure(self, options: dict[str, Any]) -> ResNetConfig:
        """The configuration; blocks are basic and pre-activated unless it says otherwise."""
        if "depths" not in options and "widths" not in options:
            options = {**wide(28, 10), "resolution": 32, **options}
        basic = options.get("block", "basic") == "basic"
        if basic and "block" not in options:
            options = {"block": "basic", **options}
        if basic and options.get("norm") != "none":
            options = {"preactivation": True, **options}
        return super().configure(options)


RESNET = PlainResNet()
RESNEXT = ResNeXt()
SENET = SENet()
WRN = WideResNet()
