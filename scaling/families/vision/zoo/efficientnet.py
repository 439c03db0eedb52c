"""EfficientNet (Tan and Le 2019, arXiv 1905.11946): MBConv blocks, B0 to B7 and any phi."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from scaling.base import OptionError, convert
from scaling.families.base import Options
from scaling.families.vision.family import (
    MULTIPLIERS,
    SMALL,
    TARGETS,
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
    Norm,
    Residual,
    SqueezeExcite,
)

ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15  # depth, width, resolution: section 3.3 of the paper
PHI_LIMIT = 20  # a million times the FLOPs of B0
EPS = 1e-3  # of the batch norms, as in the authors' code

# Table 1 of the paper: B0's seven stages of MBConv.
STAGES: dict[str, tuple[int, ...]] = {
    "depths": (1, 2, 2, 3, 3, 4, 1),
    "widths": (16, 24, 40, 80, 112, 192, 320),
    "kernels": (3, 3, 5, 3, 5, 5, 3),
    "strides": (1, 2, 2, 2, 1, 2, 1),
    "expansions": (1, 6, 6, 6, 6, 6, 6),
}


@dataclass(frozen=True, kw_only=True)
class EfficientNetConfig(VisionConfig):
    """An EfficientNet; ``depths`` to ``expansions`` have one number for each stage.

    Attributes
    ----------
    depths, widths : tuple of int
        Blocks and output channels.
    kernels, strides, expansions : tuple of int
        Of the depthwise convolutions (the stride is that of a stage's first block), and how
        many times wider these are than the block's input.
    stem_width, head_width : int
        Output channels of the first (3x3) and of the last (1x1) convolution.
    stem : {"imagenet", "small"}
        Stride 2 or 1 of the first convolution.
    se_ratio : float
        Hidden width of squeeze-and-excitation over the block's input width; 0 for none.
    drop_path : float
        Stochastic depth: block i of n is dropped with probability drop_path * i / n.
    activation : str
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    expansions: tuple[int, ...]
    stem_width: int
    head_width: int
    stem: str = "imagenet"
    se_ratio: float = 0.25
    drop_path: float = 0.2
    activation: str = "silu"
    dropout: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        stage_values(self, tuple(STAGES))
        same_length(self, tuple(STAGES))
        for name in ("stem_width", "head_width"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} {getattr(self, name)} is below 1", name)
        if self.stem not in ("imagenet", "small"):
            raise OptionError(f"stem {self.stem!r} is none of imagenet, small", "stem")
        if not 0 <= self.drop_path < 1:
            raise OptionError(f"drop_path {self.drop_path} is not in [0, 1)", "drop_path")
        if not 0 <= self.se_ratio <= 1:
            raise OptionError(f"se_ratio {self.se_ratio} is not in [0, 1]", "se_ratio")


def _preset(width: float, depth: float, resolution: int, dropout: float) -> Options:
    return {
        "depths": tuple(round_depth(depth * d) for d in STAGES["depths"]),
        "widths": tuple(round_width(width * w) for w in STAGES["widths"]),
        "stem_width": round_width(width * 32),
        "head_width": round_width(width * 1280),
        "resolution": resolution,
        "dropout": dropout,
    }


class EfficientNet(VisionFamily):
    """The family ``efficientnet``; see :class:`EfficientNetConfig` for its options.

    Without options it is B0. The dial ``phi`` multiplies depth by 1.2^phi, width by 1.1^phi and
    resolution by 1.15^phi, rounded as the authors do; the published B1 to B7 are presets, for
    their coefficients are not those of any phi. Given other ``depths`` and ``widths``, what is
    not given follows B0: the stem is twice as wide as the first stage, the head four times as
    wide as the last, kernels are 3x3, and all stages but the first have stride 2, expansion 6.

    Below 64 pixels the first convolution has stride 1, and so have as many of the first stages
    as it takes to leave 4 positions a side to the last one: B0 at 28 and 32 pixels ends
    with 4x4, and its strides are 1, 1, 2, 2, 1, 2, 1.
    """

    name: ClassVar[str] = "efficientnet"
    config: ClassVar[type[Any]] = EfficientNetConfig
    dials: ClassVar[tuple[str, ...]] = ("phi", *MULTIPLIERS, *TARGETS)
    presets: ClassVar[Mapping[str, Options]] = {
        # Width, depth, resolution and dropout of the authors' code (efficientnet_params).
        "b0": _preset(1.0, 1.0, 224, 0.2),
        "b1": _preset(1.0, 1.1, 240, 0.2),
        "b2": _preset(1.1, 1.2, 260, 0.3),
        "b3": _preset(1.2, 1.4, 300, 0.3),
        "b4": _preset(1.4, 1.8, 380, 0.4),
        "b5": _preset(1.6, 2.2, 456, 0.4),
        "b6": _preset(1.8, 2.6, 528, 0.5),
        "b7": _preset(2.0, 3.1, 600, 0.5),
    }

    def configure(self, options: dict[str, Any]) -> EfficientNetConfig:
        """The configuration, with strides for its resolution, at ``phi``."""
        chosen = dict(options)
        phi = convert("float", "phi", chosen.pop("phi", 0.0))
        if abs(phi) > PHI_LIMIT:
            raise OptionError(f"phi {phi:g} is not in [-{PHI_LIMIT}, {PHI_LIMIT}]", "phi")
        widths = whole_tuple("widths", chosen.setdefault("widths", STAGES["widths"]))
        depths = whole_tuple("depths", chosen.setdefault("depths", STAGES["depths"]))
        if not widths:
            raise OptionError("widths is empty: give one number for each stage", "widths")
        chosen.setdefault("stem_width", 2 * widths[0])
        chosen.setdefault("head_width", 4 * widths[-1])
        stages, rest = STAGES, len(depths) - 1
        if len(depths) != len(STAGES["depths"]):
            stages = {
                "kernels": (3,) * len(depths),
                "strides": (1,) + (2,) * rest,
                "expansions": (1,) + (6,) * rest,
            }
        resolution = convert("int", "resolution", chosen.get("resolution", 224))
        stem = chosen.setdefault("stem", "small" if resolution < SMALL else "imagenet")
        if stem == "small":
            chosen.setdefault("strides", small_strides(resolution, stages["strides"]))
        for name in ("kernels", "strides", "expansions"):
            chosen.setdefault(name, stages[name])
        config: EfficientNetConfig = super().configure(chosen)
        if phi:
            config = self.scaled(config, ALPHA**phi, BETA**phi)
            config = replace(config, resolution=round(config.resolution * GAMMA**phi))
        return config

    def scaled(self, config: EfficientNetConfig, depth: float, width: float) -> EfficientNetConfig:
        """Depths rounded up, widths to multiples of 8 (of 2 in narrow networks)."""
        widths = scaled_widths((*config.widths, config.stem_width, config.head_width), width)
        return replace(
            config,
            depths=tuple(round_depth(depth * d) for d in config.depths),
            widths=widths[:-2],
            stem_width=widths[-2],
            head_width=widths[-1],
        )

    def network(self, config: EfficientNetConfig) -> Network:
        """Stem, stages of MBConv, head."""
        c = config
        norm, act = Norm(eps=EPS), Act(c.activation)
        body: list[Layer] = []
        blocks, block, before = sum(c.depths), 0, c.stem_width
        stages = zip(c.depths, c.widths, c.kernels, c.strides, c.expansions, strict=True)
        for depth, width, kernel, stride, expansion in stages:
            for i in range(depth):
                branch = mbconv(c, before, width, kernel, stride if i == 0 else 1, expansion)
                if before == width and (i > 0 or stride == 1):
                    body.append(Residual(branch, drop=c.drop_path * block / blocks))
                else:
                    body.extend(branch)
                before, block = width, block + 1
        return Network(
            input_shape=c.input_shape,
            stem=(Conv(c.stem_width, 3, stride=1 if c.stem == "small" else 2), norm, act),
            body=tuple(body),
            head=(
                *(Conv(c.head_width), norm, act),
                *(GlobalPool(), Dropout(c.dropout), Linear(c.num_classes)),
            ),
            init=c.init,
        )


def mbconv(
    config: EfficientNetConfig, before: int, width: int, kernel: int, stride: int, expansion: int
) -> Layers:
    """The layers of an inverted bottleneck (Sandler et al. 2018) with squeeze-and-excitation."""
    norm, act = Norm(eps=EPS), Act(config.activation)
    middle = before * expansion
    layers: list[Layer] = []
    if expansion != 1:
        layers += [Conv(middle), norm, act]
    layers += [Conv(middle, kernel, stride, groups=0), norm, act]
    if config.se_ratio:
        layers.append(SqueezeExcite(max(1, int(before * config.se_ratio)), config.activation))
    layers += [Conv(width), norm]
    return tuple(layers)


EFFICIENTNET = EfficientNet()
