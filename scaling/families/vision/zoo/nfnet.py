"""NFNet (Brock et al. 2021, arXiv 2102.06171): deep networks without norms, F0 to F6."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from scaling.base import OptionError, convert, refuse_unknown
from scaling.families.base import Options
from scaling.families.vision.family import (
    SMALL,
    VisionConfig,
    VisionFamily,
    round_depth,
    round_width,
    same_length,
    scaled_widths,
    small_strides,
    stage_values,
    whole_tuple,
)
from scaling.families.vision.layers import (
    Act,
    Conv,
    Dropout,
    GlobalPool,
    Layer,
    Layers,
    Linear,
    Network,
    Pool,
    Residual,
    Scale,
    SqueezeExcite,
)
from scaling.families.vision.zoo.anynet import compatible
from scaling.families.vision.zoo.residual import ALPHA, GAINS

DEPTHS = (1, 2, 6, 3)  # of F0; F1 has twice, F2 three times as many blocks, ...
WIDTHS = (256, 512, 1536, 1536)
BOTTLENECK = 2  # width of a block over that of its 3x3 convolutions
# Training resolution and dropout of each: table 1 of the paper, and its appendix.
SIZES = ((192, 0.2), (224, 0.3), (256, 0.4), (320, 0.4), (384, 0.5), (416, 0.5), (448, 0.5))


@dataclass(frozen=True, kw_only=True)
class NFNetConfig(VisionConfig):
    """An NFNet; ``depths``, ``widths`` and ``strides`` have one number for each stage.

    Attributes
    ----------
    depths, widths, strides : tuple of int
        Blocks, output channels, and the stride of the first block.
    stem : {"imagenet", "small"}
        Four 3x3 convolutions, of which the first and the last have stride 2, or none has.
    stem_width : int
        Of the last one; those before it have a half, a fourth, an eighth.
    group_width : int
        Channels in each group of the 3x3 convolutions.
    se_ratio : float
        Hidden width of squeeze-and-excitation over the block's width; 0 for none.
    head_width : int
        Of the last 1x1 convolution.
    activation : str
        One with a gain: of ``scaling.families.vision.zoo.residual.GAINS``.
    drop_path : float
        Stochastic depth: block i of n is dropped with probability drop_path * i / n.
    """

    depths: tuple[int, ...] = DEPTHS
    widths: tuple[int, ...] = WIDTHS
    strides: tuple[int, ...]
    stem: str
    stem_width: int
    group_width: int = 128
    se_ratio: float = 0.5
    head_width: int
    activation: str = "gelu"
    drop_path: float = 0.25
    dropout: float = 0.2
    init: str = "lecun"

    def __post_init__(self) -> None:
        super().__post_init__()
        stage_values(self, ("depths", "widths", "strides"))
        same_length(self, ("depths", "widths", "strides"))
        for name in ("stem_width", "group_width", "head_width"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} {getattr(self, name)} is below 1", name)
        for name in ("se_ratio", "drop_path"):
            if not 0 <= getattr(self, name) < 1:
                raise OptionError(f"{name} {getattr(self, name)} is not in [0, 1)", name)
        if self.stem not in ("imagenet", "small"):
            raise OptionError(f"stem {self.stem!r} is none of imagenet, small", "stem")
        if self.activation not in GAINS:
            refuse_unknown(
                self.activation, GAINS, "activation of networks without norms", option="activation"
            )
        fixed = fitting(self.widths, self.group_width)
        if fixed != self.widths:
            raise OptionError(
                f"group_width {self.group_width} divides not the halves of widths "
                f"{list(self.widths)}: take widths {list(fixed)}",
                "group_width",
                "widths",
            )


def fitting(widths: tuple[int, ...], group: int) -> tuple[int, ...]:
    """The nearest widths whose bottlenecks are whole groups, or one smaller group."""
    stages = len(widths)
    return compatible(widths, (float(BOTTLENECK),) * stages, (group,) * stages)[0]


class NFNet(VisionFamily):
    """The family ``nfnet``; see :class:`NFNetConfig` for its options.

    Without options it is F0. Presets have the paper's training resolution. Scaled weight
    standardisation, SkipInit and gains are those of ``norm: none`` in ``resnet``; blocks have two
    3x3 convolutions, and shortcuts average before they change. Train it with ``adaptive_clip``.
    Below 64 pixels the stem has no stride, and as many of the first stages as it takes to leave 4
    positions a side have stride 1.
    """

    name: ClassVar[str] = "nfnet"
    config: ClassVar[type[Any]] = NFNetConfig
    presets: ClassVar[Mapping[str, Options]] = {
        f"f{i}": {
            "depths": tuple((i + 1) * depth for depth in DEPTHS),
            "widths": WIDTHS,
            "resolution": resolution,
            "dropout": dropout,
        }
        for i, (resolution, dropout) in enumerate(SIZES)
    }

    def configure(self, options: dict[str, Any]) -> NFNetConfig:
        """The configuration, with stem and strides for its resolution."""
        chosen = {"resolution": SIZES[0][0], **options}
        resolution = convert("int", "resolution", chosen["resolution"])
        small = chosen.setdefault("stem", "small" if resolution < SMALL else "imagenet") == "small"
        widths = whole_tuple("widths", chosen.get("widths", WIDTHS))
        if widths:
            chosen.setdefault("stem_width", max(32, widths[0] // 2))
            chosen.setdefault("head_width", 2 * widths[-1])
            strides = (1, *(2,) * (len(widths) - 1))
            chosen.setdefault("strides", small_strides(resolution, strides) if small else strides)
            if "group_width" not in chosen:
                chosen["group_width"] = min(128, max(1, min(widths) // BOTTLENECK))
        config: NFNetConfig = super().configure(chosen)
        return config

    def scaled(self, config: NFNetConfig, depth: float, width: float) -> NFNetConfig:
        """Depths rounded up; widths to multiples of 8 (of 2 in narrow networks) and the groups."""
        c = config
        deep = replace(c, depths=tuple(round_depth(depth * d) for d in c.depths))
        if width == 1:
            return deep
        group = round_width(width * c.group_width, 8 if width * c.group_width >= 8 else 1)
        return replace(
            deep,
            widths=fitting(scaled_widths(c.widths, width), group),
            group_width=group,
            stem_width=round_width(width * c.stem_width),
            head_width=round_width(width * c.head_width),
        )

    def network(self, config: NFNetConfig) -> Network:
        """Stem, stages and head."""
        c, act = config, Act(config.activation, GAINS[config.activation])
        stem: list[Layer] = []
        small = c.stem == "small"
        for i, (share, stride) in enumerate(((8, 2), (4, 1), (2, 1), (1, 2))):
            stem += [act] if i else []
            stem.append(_conv(max(1, c.stem_width // share), 3, 1 if small else stride))
        body: list[Layer] = []
        before, block, variance = c.stem_width, 0, 1.0
        for depth, width, first in zip(c.depths, c.widths, c.strides, strict=True):
            for i in range(depth):
                stride = 1 if i else first
                drop = c.drop_path * block / sum(c.depths)
                changes = before != width or stride > 1
                enter: Layers = (act, Scale(variance**-0.5))
                branch = _branch(c, width, stride)
                if changes:
                    thin: Layers = (Pool("avg", 2, 2, padding=0, ceil=True),) if stride > 1 else ()
                    body += enter
                    enter, shortcut = (), (*thin, _conv(width, 1))
                else:
                    shortcut = ()
                body.append(
                    Residual((*enter, *branch), shortcut, drop=drop, scale=0.0, scalar=True)
                )
                variance = (1.0 if changes else variance) + ALPHA**2
                before, block = width, block + 1
        head = (
            *(_conv(c.head_width, 1), act),
            *(GlobalPool(), Dropout(c.dropout), Linear(c.num_classes)),
        )
        return Network(c.input_shape, tuple(stem), tuple(body), head, c.init)


def _branch(c: NFNetConfig, width: int, stride: int) -> Layers:
    act, inner = Act(c.activation, GAINS[c.activation]), width // BOTTLENECK
    groups = max(1, inner // c.group_width)
    squeeze: Layers = ()
    if c.se_ratio:
        squeeze = (SqueezeExcite(max(1, int(width * c.se_ratio)), gain=2.0),)
    return (
        *(_conv(inner, 1), act),
        *(_conv(inner, 3, stride, groups), act, _conv(inner, 3, 1, groups), act),
        *(_conv(width, 1), *squeeze, Scale(ALPHA)),
    )


def _conv(out: int, kernel: int, stride: int = 1, groups: int = 1) -> Conv:
    return Conv(out, kernel, stride, groups, bias=True, standardised=True)


NFNET = NFNet()
