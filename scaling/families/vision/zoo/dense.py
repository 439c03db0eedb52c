"""Networks that label each pixel: dilated convolutions, and the U-Net."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from scaling.base import OptionError, convert
from scaling.families.base import Options
from scaling.families.vision.family import (
    SMALLEST_SIDE,
    VisionFamily,
    round_depth,
    round_width,
    stage_values,
)
from scaling.families.vision.layers import (
    Concat,
    Conv,
    Dropout,
    GlobalPool,
    Layer,
    Layers,
    Linear,
    Network,
    Pool,
    UpConv,
)
from scaling.families.vision.zoo.plain import PlainConfig, stretched

DEEPEST_NET = 12  # levels: sides of 4096 pixels and more


@dataclass(frozen=True, kw_only=True)
class DilatedConfig(PlainConfig):
    """Convolutions of one width and no stride.

    Attributes
    ----------
    width : int
    dilations : tuple of int
        Of each convolution.
    kernel : int
    dense : bool
        A 1x1 convolution labels each pixel; else the mean over all positions is classified.
    dropout : float
        Before the last layer.
    """

    width: int = 32
    dilations: tuple[int, ...]
    kernel: int = 3
    dense: bool = False
    norm: str = "batch"

    def __post_init__(self) -> None:
        super().__post_init__()
        stage_values(self, ("dilations",))
        if self.width < 1:
            raise OptionError(f"width {self.width} is below 1", "width")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise OptionError(
                f"kernel {self.kernel} is even, and cannot keep the side: take an odd", "kernel"
            )

    @property
    def depth(self) -> int:
        """Convolutions."""
        return len(self.dilations)


class Dilated(VisionFamily):
    """The family ``dilated`` (Yu and Koltun 2016, arXiv 1511.07122); see :class:`DilatedConfig`.

    ``depth`` n gives dilations 1, 2, 4, ...: the receptive field is 2^(n+1) - 1 pixels at the
    parameters and products of n plain convolutions, whose is 2n + 1. Without options, and as the
    preset ``context``, dilations are those of the authors' context module (table 1). Where
    ``dense`` is true, each pixel is labelled: see ``unet``.
    """

    name: ClassVar[str] = "dilated"
    config: ClassVar[type[Any]] = DilatedConfig
    dials: ClassVar[tuple[str, ...]] = ("depth", *VisionFamily.dials)
    either: ClassVar[tuple[tuple[str, str], ...]] = (("dilations", "depth"),)
    presets: ClassVar[Mapping[str, Options]] = {"context": {"dilations": (1, 1, 2, 4, 8, 16, 1)}}

    def configure(self, options: dict[str, Any]) -> DilatedConfig:
        """The configuration, with dilations for its depth."""
        chosen = dict(options)
        if "depth" in chosen:
            depth = convert("int", "depth", chosen.pop("depth"))
            if not 1 <= depth <= DEEPEST_NET:
                raise OptionError(
                    f"depth {depth} is not within [1, {DEEPEST_NET}], where dilations double: "
                    "give dilations",
                    "depth",
                )
            chosen.setdefault("dilations", tuple(2**i for i in range(depth)))
        config: DilatedConfig = super().configure({**self.presets["context"], **chosen})
        return config

    def scaled(self, config: DilatedConfig, depth: float, width: float) -> DilatedConfig:
        """Depth rounded up, by convolutions like the last; the width to whole channels."""
        return replace(
            config,
            dilations=stretched(config.dilations, (config.depth,), depth),
            width=round_width(width * config.width, 1),
        )

    def network(self, config: DilatedConfig) -> Network:
        """Convolutions, then the classifier of each pixel or of their mean."""
        c = config
        body: list[Layer] = []
        for dilation in c.dilations:
            body += c.unit(Conv(c.width, c.kernel, bias=c.norm == "none", dilation=dilation))
        drop = Dropout(c.dropout)
        head: Layers = (GlobalPool(), drop, Linear(c.num_classes))
        if c.dense:
            head = (drop, Conv(c.num_classes, bias=True))
        return Network(c.input_shape, (), tuple(body), head, c.init)


@dataclass(frozen=True, kw_only=True)
class UNetConfig(PlainConfig):
    """A U-Net of padded convolutions.

    Attributes
    ----------
    depth : int
        Halvings of the side; widths double with each.
    width : int
        Channels of the first level.
    convolutions : int
        3x3 convolutions of each level, on the way down and on the way up.
    """

    depth: int
    width: int = 64
    convolutions: int = 2
    norm: str = "batch"

    dense: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.depth <= DEEPEST_NET:
            raise OptionError(f"depth {self.depth} is not within [0, {DEEPEST_NET}]", "depth")
        for name in ("width", "convolutions"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} {getattr(self, name)} is below 1", name)
        step = 2**self.depth
        if self.resolution % step:
            below = self.resolution // step * step
            near = f"{below} or {below + step}" if below else f"{step}"
            raise OptionError(
                f"resolution {self.resolution} is no multiple of 2^depth = {step}: take {near}, "
                f"or depth {_halvings(self.resolution)}",
                "resolution",
                "depth",
            )


class UNet(VisionFamily):
    """The family ``unet`` (Ronneberger et al. 2015, arXiv 1505.04597); see :class:`UNetConfig`.

    Each pixel is labelled. Convolutions are padded, so no image is cropped, and have batch norm;
    ``norm: none`` is the paper's. ``depth`` is 4, or as many halvings as leave 4 whole positions
    a side.
    """

    name: ClassVar[str] = "unet"
    config: ClassVar[type[Any]] = UNetConfig
    presets: ClassVar[Mapping[str, Options]] = {
        "2015": {"depth": 4, "width": 64, "norm": "none", "resolution": 512, "in_channels": 1}
    }

    def configure(self, options: dict[str, Any]) -> UNetConfig:
        """The configuration, with a depth for its resolution."""
        chosen = dict(options)
        resolution = convert("int", "resolution", chosen.get("resolution", 224))
        chosen.setdefault("depth", min(4, _halvings(resolution)))
        config: UNetConfig = super().configure(chosen)
        return config

    def scaled(self, config: UNetConfig, depth: float, width: float) -> UNetConfig:
        """Convolutions of each level rounded up, the width to whole channels."""
        return replace(
            config,
            convolutions=round_depth(depth * config.convolutions),
            width=round_width(width * config.width, 1),
        )

    def network(self, config: UNetConfig) -> Network:
        """Levels within levels, and a 1x1 convolution to the classes."""
        c = config
        head = (Dropout(c.dropout), Conv(c.num_classes, bias=True))
        return Network(c.input_shape, (), _level(c, 0), head, c.init)


def _level(c: UNetConfig, level: int) -> Layers:
    """Down, what is deeper beside what is here, and up."""
    width = c.width * 2**level
    convs = c.convolutions * c.unit(Conv(width, 3, bias=c.norm == "none"))
    if level == c.depth:
        return convs
    deeper = (Pool("max", 2, 2, padding=0), *_level(c, level + 1), UpConv(width))
    return (*convs, Concat(((), deeper)), *convs)


def _halvings(resolution: int) -> int:
    """How often the side can be halved to whole positions, at least 4."""
    times = 0
    while resolution % 2 == 0 and resolution // 2 >= SMALLEST_SIDE:
        resolution, times = resolution // 2, times + 1
    return times


DILATED = Dilated()
UNET = UNet()
