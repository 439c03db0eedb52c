"""VGG (Simonyan and Zisserman 2015, arXiv 1409.1556): stages of plain 3x3 convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from scaling.base import convert, read_unless
from scaling.families.base import Options
from scaling.families.vision.family import (
    SMALL,
    VisionFamily,
    round_depth,
    same_length,
    scaled_widths,
    small_strides,
    stage_values,
)
from scaling.families.vision.layers import (
    Conv,
    Dropout,
    Flatten,
    Layer,
    Linear,
    Network,
    Pool,
)
from scaling.families.vision.zoo.plain import PlainConfig

WIDTHS = (64, 128, 256, 512, 512)
DEPTHS = {
    "11": (1, 1, 2, 2, 2),
    "13": (2, 2, 2, 2, 2),
    "16": (2, 2, 3, 3, 3),
    "19": (2, 2, 4, 4, 4),
}


@dataclass(frozen=True, kw_only=True)
class VGGConfig(PlainConfig):
    """A VGG-style plain network; tuples have one number for each stage.

    Attributes
    ----------
    depths, widths : tuple of int
        3x3 convolutions and their channels.
    strides : tuple of int
        2: a 2x2 max pool ends the stage; 1: none does.
    head_widths : tuple of int
        Hidden layers of the classifier.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...] = WIDTHS
    strides: tuple[int, ...]
    head_widths: tuple[int, ...]
    dropout: float = field(default=0.5, metadata=read_unless(head_widths=()))

    def __post_init__(self) -> None:
        super().__post_init__()
        stage_values(self, ("depths", "widths", "strides"))
        same_length(self, ("depths", "widths", "strides"))
        if self.head_widths:
            stage_values(self, ("head_widths",))


class VGG(VisionFamily):
    """The family ``vgg``; see :class:`VGGConfig` for its options. Without options it is VGG-16.

    Below 64 pixels as many of the first stages as it takes to leave 4 positions a side have no
    pool (at 28 and 32 pixels the first two of five), and the classifier's two hidden layers are
    as wide as the last stage.
    """

    name: ClassVar[str] = "vgg"
    config: ClassVar[type[Any]] = VGGConfig
    presets: ClassVar[Mapping[str, Options]] = {
        f"{name}{suffix}": {"depths": depths, "norm": norm}
        for name, depths in DEPTHS.items()
        for suffix, norm in (("", "none"), ("-bn", "batch"))
    }

    def configure(self, options: dict[str, Any]) -> VGGConfig:
        """The configuration, with pools and classifier for its resolution."""
        options = {"depths": DEPTHS["16"], "widths": WIDTHS, **options}
        resolution = convert("int", "resolution", options.get("resolution", 224))
        small = resolution < SMALL
        widths = options["widths"]
        if isinstance(widths, list | tuple) and widths:
            strides = (2,) * len(widths)
            options.setdefault("strides", small_strides(resolution, strides) if small else strides)
            options.setdefault("head_widths", (widths[-1] if small else 8 * widths[-1],) * 2)
        config: VGGConfig = super().configure(options)
        return config

    def scaled(self, config: VGGConfig, depth: float, width: float) -> VGGConfig:
        """Depths rounded up, widths to multiples of 8 (of 2 in narrow networks)."""
        return replace(
            config,
            depths=tuple(round_depth(depth * d) for d in config.depths),
            widths=scaled_widths(config.widths, width),
            head_widths=config.head_widths and scaled_widths(config.head_widths, width),
        )

    def network(self, config: VGGConfig) -> Network:
        """Stages, each ended by its pool, and the classifier."""
        c = config
        body: list[Layer] = []
        for depth, width, stride in zip(c.depths, c.widths, c.strides, strict=True):
            for _ in range(depth):
                body += c.unit(Conv(width, 3, bias=True))
            if stride > 1:
                body.append(Pool("max", stride, stride, padding=0))
        head: list[Layer] = [Flatten()]
        for width in c.head_widths:
            head += [*c.unit(Linear(width)), Dropout(c.dropout)]
        return Network(c.input_shape, (), tuple(body), (*head, Linear(c.num_classes)), c.init)


VGG_FAMILY = VGG()
