"""DenseNet (Huang et al. 2017, arXiv 1608.06993): each layer sees all before it in its stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from scaling.base import OptionError, convert, read_unless, refuse_unknown
from scaling.families.base import Options
from scaling.families.vision.family import (
    SMALL,
    VisionConfig,
    VisionFamily,
    round_depth,
    round_width,
    small_strides,
    stage_values,
    whole_tuple,
)
from scaling.families.vision.layers import (
    NORMS,
    Act,
    Concat,
    Conv,
    Dropout,
    GlobalPool,
    Layer,
    Layers,
    Linear,
    Network,
    Norm,
    Pool,
)

# Depths, growth and stem's width of the authors' networks for ImageNet: table 1 and their code.
SIZES: Mapping[str, tuple[tuple[int, ...], int, int]] = {
    "121": ((6, 12, 24, 16), 32, 64),
    "161": ((6, 12, 36, 24), 48, 96),
    "169": ((6, 12, 32, 32), 32, 64),
    "201": ((6, 12, 48, 32), 32, 64),
}


@dataclass(frozen=True, kw_only=True)
class DenseNetConfig(VisionConfig):
    """A DenseNet: stages of layers whose outputs are put side by side.

    Attributes
    ----------
    depths : tuple of int
        Layers of each stage.
    growth : int
        Channels that each layer adds.
    strides : tuple of int
        Of the average pools between stages: one number less than stages.
    stem : {"pooled", "imagenet", "small"}
        7x7 of stride 2 and a 3x3 max pool of stride 2; 3x3 of stride 2; 3x3 of stride 1.
    stem_width : int
    bottleneck : int
        Channels of the 1x1 convolution before each 3x3 over ``growth``; 0 for no such convolution.
    compression : float
        Channels after a transition over those before it.
    layer_dropout : float
        After each layer.
    norm : {"batch", "layer", "group", "instance"}
    activation : str
    weight_standardisation : bool
        Of convolutions (Qiao et al. 2019).
    """

    depths: tuple[int, ...] = SIZES["121"][0]
    growth: int = 32
    strides: tuple[int, ...]
    stem: str
    stem_width: int
    bottleneck: int = 4
    compression: float = field(default=0.5, metadata=read_unless(strides=()))
    layer_dropout: float = 0.0
    norm: str = "batch"
    activation: str = "relu"
    weight_standardisation: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        stage_values(self, ("depths",))
        if self.strides:
            stage_values(self, ("strides",))
        if len(self.strides) != len(self.depths) - 1:
            raise OptionError(
                f"strides {list(self.strides)} are not one between each two of "
                f"{len(self.depths)} stages",
                "strides",
                "depths",
            )
        for name in ("growth", "stem_width"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} {getattr(self, name)} is below 1", name)
        if self.bottleneck < 0:
            raise OptionError(f"bottleneck {self.bottleneck} is below 0", "bottleneck")
        if not 0 < self.compression <= 1:
            raise OptionError(f"compression {self.compression} is not in (0, 1]", "compression")
        if not 0 <= self.layer_dropout < 1:
            raise OptionError(
                f"layer_dropout {self.layer_dropout} is not in [0, 1)", "layer_dropout"
            )
        if self.stem not in ("pooled", "imagenet", "small"):
            raise OptionError(f"stem {self.stem!r} is none of pooled, imagenet, small", "stem")
        if self.norm not in NORMS:
            refuse_unknown(self.norm, NORMS, "norm")


def cifar(depth: int, growth: int, bottleneck: bool) -> Options:
    """DenseNet(-BC) of the paper's table 2: ``depth`` products, three stages."""
    layers = (depth - 4) // (6 if bottleneck else 3)
    return {
        "depths": (layers,) * 3,
        "growth": growth,
        "bottleneck": 4 if bottleneck else 0,
        "compression": 0.5 if bottleneck else 1.0,
        "strides": (2, 2),
        "stem": "small",
        "stem_width": 2 * growth if bottleneck else 16,
        "resolution": 32,
        "num_classes": 10,
    }


class DenseNet(VisionFamily):
    """The family ``densenet``; see :class:`DenseNetConfig` for its options.

    Without options it is DenseNet-121. ``bc-100-12`` is a DenseNet-BC for CIFAR of 100 layers and
    growth 12, ``40-12`` a plain one. The stem is twice as wide as the growth unless given. Below
    64 pixels it has stride 1, and as many of the first transitions as it takes to leave 4
    positions a side do not pool.
    """

    name: ClassVar[str] = "densenet"
    config: ClassVar[type[Any]] = DenseNetConfig
    presets: ClassVar[Mapping[str, Options]] = {
        **{
            name: {"depths": depths, "growth": growth, "stem_width": stem, "resolution": 224}
            for name, (depths, growth, stem) in SIZES.items()
        },
        **{f"{d}-{k}": cifar(d, k, False) for d, k in ((40, 12), (100, 12), (100, 24))},
        **{f"bc-{d}-{k}": cifar(d, k, True) for d, k in ((100, 12), (250, 24), (190, 40))},
    }

    def configure(self, options: dict[str, Any]) -> DenseNetConfig:
        """The configuration, with stem and strides for its resolution."""
        chosen = dict(options)
        resolution = convert("int", "resolution", chosen.get("resolution", 224))
        small = chosen.setdefault("stem", "small" if resolution < SMALL else "pooled") == "small"
        growth = convert("int", "growth", chosen.get("growth", DenseNetConfig.growth))
        chosen.setdefault("stem_width", 2 * growth)
        stages = len(whole_tuple("depths", chosen.get("depths", DenseNetConfig.depths)))
        strides = (2,) * (stages - 1)
        chosen.setdefault("strides", small_strides(resolution, strides) if small else strides)
        config: DenseNetConfig = super().configure(chosen)
        return config

    def scaled(self, config: DenseNetConfig, depth: float, width: float) -> DenseNetConfig:
        """Depths rounded up; growth and stem to whole channels."""
        growth, stem = (round_width(width * w, 1) for w in (config.growth, config.stem_width))
        depths = tuple(round_depth(depth * d) for d in config.depths)
        return replace(config, depths=depths, growth=growth, stem_width=stem)

    def network(self, config: DenseNetConfig) -> Network:
        """Stem, stages with transitions between them, head."""
        c = config
        enter: Layers = (Norm(c.norm), Act(c.activation))
        thinner = (*enter, _conv(c, c.bottleneck * c.growth)) if c.bottleneck else ()
        drop = (Dropout(c.layer_dropout),) if c.layer_dropout else ()
        layer = Concat(((), (*thinner, *enter, _conv(c, c.growth, 3), *drop)))
        body: list[Layer] = []
        width = c.stem_width
        for stage, depth in enumerate(c.depths):
            if stage:
                width, stride = int(c.compression * width), c.strides[stage - 1]
                body += [*enter, _conv(c, max(1, width))]
                if stride > 1:
                    body.append(Pool("avg", stride, stride, padding=0))
            body += depth * [layer]
            width += depth * c.growth
        kernel, stride = {"pooled": (7, 2), "imagenet": (3, 2), "small": (3, 1)}[c.stem]
        stem: Layers = (_conv(c, c.stem_width, kernel, stride),)
        if c.stem == "pooled":
            stem = (*stem, *enter, Pool("max", 3, 2))
        head = (*enter, GlobalPool(), Dropout(c.dropout), Linear(c.num_classes))
        return Network(c.input_shape, stem, tuple(body), head, c.init)


def _conv(c: DenseNetConfig, out: int, kernel: int = 1, stride: int = 1) -> Conv:
    plain = c.weight_standardisation
    return Conv(out, kernel, stride, standardised=plain, plain=plain)


DENSENET = DenseNet()
