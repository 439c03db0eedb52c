"""GoogLeNet (Szegedy et al. 2015, arXiv 1409.4842): Inception modules, classifiers on the side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from scaling.base import OptionError, convert, read_where
from scaling.families.base import Options
from scaling.families.vision.family import (
    SMALL,
    VisionFamily,
    round_depth,
    scaled_widths,
    stage_values,
    whole_tuple,
)
from scaling.families.vision.layers import (
    AdaptivePool,
    Auxiliary,
    Concat,
    Conv,
    Dropout,
    Flatten,
    GlobalPool,
    Layer,
    Layers,
    Linear,
    Network,
    Pool,
    ResponseNorm,
)
from scaling.families.vision.zoo.plain import PlainConfig, one_a_block, stretched

# Table 1 of the paper: modules of each stage; channels of each module's convolutions.
DEPTHS = (2, 5, 2)
MODULES: Mapping[str, tuple[int, ...]] = {
    "widths_1x1": (64, 128, 192, 160, 128, 112, 256, 256, 384),
    "reduce_3x3": (96, 128, 96, 112, 128, 144, 160, 160, 192),
    "widths_3x3": (128, 192, 208, 224, 256, 288, 320, 320, 384),
    "reduce_5x5": (16, 32, 16, 24, 24, 32, 32, 32, 48),
    "widths_5x5": (32, 96, 48, 64, 64, 64, 128, 128, 128),
    "widths_pool": (32, 64, 64, 64, 64, 64, 128, 128, 128),
}
STEM = (64, 64, 192)
SIDE_WIDTHS = (128, 1024)  # of the classifiers on the side: section 5 of the paper
SIDE_DROPOUT = 0.7


@dataclass(frozen=True, kw_only=True)
class GoogLeNetConfig(PlainConfig):
    """A GoogLeNet; ``widths_1x1`` to ``widths_pool`` have one number for each Inception module.

    Attributes
    ----------
    depths : tuple of int
        Modules of each stage; a max pool of stride 2 is between stages.
    widths_1x1, widths_3x3, widths_5x5, widths_pool : tuple of int
        Output channels of the module's four branches.
    reduce_3x3, reduce_5x5 : tuple of int
        Of the 1x1 convolutions before the second's and the third's.
    stem_widths : tuple of int
        Of the convolutions before the modules: the first, 1x1, 3x3.
    stem : {"imagenet", "small"}
        7x7 of stride 2 with two max pools of stride 2; or 3x3 of stride 1 and no pool.
    kernel : int
        Of the third branch: 3 in torchvision, 5 in the paper.
    response_norm : bool
        Local response normalisation around the stem's last convolution, as in the paper.
    auxiliary : float
        Weight of the losses of the two classifiers on the side, after the first and the last but
        one module of the second stage: 0.3 in the paper; 0 for no such classifiers. They are there
        in training alone, and counted.
    """

    norm_eps: ClassVar[float] = 1e-3  # as in torchvision
    depths: tuple[int, ...] = DEPTHS
    widths_1x1: tuple[int, ...] = MODULES["widths_1x1"]
    reduce_3x3: tuple[int, ...] = MODULES["reduce_3x3"]
    widths_3x3: tuple[int, ...] = MODULES["widths_3x3"]
    reduce_5x5: tuple[int, ...] = MODULES["reduce_5x5"]
    widths_5x5: tuple[int, ...] = MODULES["widths_5x5"]
    widths_pool: tuple[int, ...] = MODULES["widths_pool"]
    stem_widths: tuple[int, ...] = STEM
    stem: str
    kernel: int = 3
    norm: str = "batch"
    response_norm: bool = field(default=False, metadata=read_where(stem=("imagenet",)))
    auxiliary: float = 0.0
    dropout: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        stage_values(self, ("depths", *MODULES, "stem_widths"))
        one_a_block(self, tuple(MODULES), sum(self.depths))
        if len(self.stem_widths) != 3:
            raise OptionError(
                f"stem_widths {list(self.stem_widths)} are not three numbers", "stem_widths"
            )
        if self.stem not in ("imagenet", "small"):
            raise OptionError(f"stem {self.stem!r} is none of imagenet, small", "stem")
        if self.kernel not in (3, 5):
            raise OptionError(f"kernel {self.kernel} is neither 3 nor 5", "kernel")
        if not 0 <= self.auxiliary <= 1:
            raise OptionError(f"auxiliary {self.auxiliary} is not in [0, 1]", "auxiliary")
        if self.auxiliary and len(self.depths) < 2:
            raise OptionError(
                "auxiliary classifiers are in the second stage, and there is one: leave them out "
                "or give two depths",
                "auxiliary",
                "depths",
            )


class GoogLeNet(VisionFamily):
    """The family ``googlenet``; see :class:`GoogLeNetConfig` for its options.

    Without options it is torchvision's: batch norm, and 3x3 where the paper has 5x5. The preset
    ``2014`` is the paper's: no batch norm, response normalisation, 5x5, classifiers on the side.
    Below 64 pixels the stem has no stride, and the stages are at the image's side, its half, ...
    """

    name: ClassVar[str] = "googlenet"
    config: ClassVar[type[Any]] = GoogLeNetConfig
    presets: ClassVar[Mapping[str, Options]] = {
        "v1": {"resolution": 224},
        "2014": {
            "resolution": 224,
            "norm": "none",
            "kernel": 5,
            "response_norm": True,
            "auxiliary": 0.3,
            "dropout": 0.4,
        },
    }

    def configure(self, options: dict[str, Any]) -> GoogLeNetConfig:
        """The configuration, with a stem for its resolution and modules for its depths."""
        chosen = dict(options)
        resolution = convert("int", "resolution", chosen.get("resolution", 224))
        chosen.setdefault("stem", "small" if resolution < SMALL else "imagenet")
        if "depths" in chosen:
            depths = whole_tuple("depths", chosen["depths"])
            for name, values in MODULES.items():
                chosen.setdefault(name, as_deep(values, depths))
        config: GoogLeNetConfig = super().configure(chosen)
        return config

    def scaled(self, config: GoogLeNetConfig, depth: float, width: float) -> GoogLeNetConfig:
        """Modules of each stage rounded up, widths to multiples of 8 (of 2 in narrow networks)."""
        c = config
        modules: dict[str, Any] = {
            name: scaled_widths(stretched(getattr(c, name), c.depths, depth), width)
            for name in MODULES
        }
        return replace(
            c,
            depths=tuple(round_depth(depth * d) for d in c.depths),
            stem_widths=scaled_widths(c.stem_widths, width),
            **modules,
        )

    def network(self, config: GoogLeNetConfig) -> Network:
        """Stem, stages of modules with pools between them, head."""
        c = config
        body: list[Layer] = []
        columns = [getattr(c, name) for name in MODULES]
        modules = iter(zip(*columns, strict=True))
        for stage, depth in enumerate(c.depths):
            if stage:
                kernel = 2 if stage == len(c.depths) - 1 and c.kernel == 3 else 3
                body.append(Pool("max", kernel, 2, padding=0, ceil=True))
            for i in range(depth):
                body.append(_inception(c, next(modules)))
                if c.auxiliary and stage == 1 and i in (0, depth - 2):
                    body.append(Auxiliary(_side(c), c.auxiliary))
        head = (GlobalPool(), Dropout(c.dropout), Linear(c.num_classes))
        return Network(c.input_shape, _stem(c), tuple(body), head, c.init)


def as_deep(values: tuple[int, ...], depths: tuple[int, ...]) -> tuple[int, ...]:
    """The paper's numbers for stages of other ``depths``: the first of each stage, the last again.

    Stages beyond the third are like it.
    """
    stages = [values[:2], values[2:7], values[7:]]
    found: list[int] = []
    for i, depth in enumerate(depths):
        stage = stages[min(i, 2)]
        found += [*stage[:depth], *stage[-1:] * (depth - len(stage))]
    return tuple(found)


def _conv(c: GoogLeNetConfig, out: int, kernel: int = 1, stride: int = 1) -> Layers:
    return c.unit(Conv(out, kernel, stride, bias=c.norm == "none"))


def _stem(c: GoogLeNetConfig) -> Layers:
    first, middle, last = c.stem_widths
    if c.stem == "small":
        return (*_conv(c, first, 3), *_conv(c, middle), *_conv(c, last, 3))
    pool: Layer = Pool("max", 3, 2, padding=0, ceil=True)
    response: Layers = (ResponseNorm(),) if c.response_norm else ()
    return (
        *(*_conv(c, first, 7, 2), pool, *response),
        *(*_conv(c, middle), *_conv(c, last, 3), *response, pool),
    )


def _inception(c: GoogLeNetConfig, widths: tuple[int, ...]) -> Concat:
    one, reduce3, three, reduce5, five, pooled = widths
    return Concat(
        (
            _conv(c, one),
            (*_conv(c, reduce3), *_conv(c, three, 3)),
            (*_conv(c, reduce5), *_conv(c, five, c.kernel)),
            (Pool("max", 3, 1), *_conv(c, pooled)),
        )
    )


def _side(c: GoogLeNetConfig) -> Layers:
    conv, hidden = SIDE_WIDTHS
    return (
        *(AdaptivePool(4), *_conv(c, conv), Flatten()),
        *(*c.unit(Linear(hidden)), Dropout(SIDE_DROPOUT), Linear(c.num_classes)),
    )


GOOGLENET = GoogLeNet()
