"""Inception-ResNet-v2 (Szegedy et al. 2017, arXiv 1602.07261): residual Inception modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from scaling.base import OptionError, convert
from scaling.families.base import Options
from scaling.families.vision.family import (
    LARGEST,
    SMALL,
    VisionConfig,
    VisionFamily,
    round_depth,
    stage_values,
)
from scaling.families.vision.layers import (
    Act,
    Concat,
    Conv,
    Dropout,
    GlobalPool,
    Layer,
    Layers,
    Linear,
    LineConv,
    Network,
    Norm,
    Pool,
    Residual,
    Scale,
)

EPS = 1e-3  # of the batch norms, as in the authors' code
# Channels, over the width, that the entry and the reductions add to what there is.
ADDED = ((6, 4, 6, 4), (24, 24), (24, 18, 20))
SCALES = (0.17, 0.1, 0.2)  # of the residual branches of each stage


@dataclass(frozen=True, kw_only=True)
class InceptionResNetConfig(VisionConfig):
    """An Inception-ResNet.

    Attributes
    ----------
    depths : tuple of int
        Residual modules of the three stages.
    width : float
        Every layer's channels are a multiple of this, rounded; 16 in the paper.
    stem : {"imagenet", "small"}
        Unpadded, with an eighth of the side; or padded, without stride.
    activation : str
    """

    depths: tuple[int, ...] = (10, 20, 10)
    width: float = 16.0
    stem: str
    activation: str = "relu"
    dropout: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        stage_values(self, ("depths",))
        if len(self.depths) != len(SCALES):
            raise OptionError(f"depths {list(self.depths)} are not three numbers", "depths")
        if not 0.5 <= self.width <= LARGEST:
            raise OptionError(f"width {self.width} is not in [0.5, {LARGEST}]", "width")
        if self.stem not in ("imagenet", "small"):
            raise OptionError(f"stem {self.stem!r} is none of imagenet, small", "stem")


class InceptionResNet(VisionFamily):
    """The family ``inception-resnet``; see :class:`InceptionResNetConfig` for its options.

    Below 64 pixels the stem has no stride, and the stages are at the image's side, its half and
    its fourth.
    """

    name: ClassVar[str] = "inception-resnet"
    config: ClassVar[type[Any]] = InceptionResNetConfig
    presets: ClassVar[Mapping[str, Options]] = {"v2": {"resolution": 299}}

    def configure(self, options: dict[str, Any]) -> InceptionResNetConfig:
        """The configuration, with a stem for its resolution."""
        chosen = {**self.presets["v2"], **options}
        resolution = convert("int", "resolution", chosen["resolution"])
        chosen.setdefault("stem", "small" if resolution < SMALL else "imagenet")
        config: InceptionResNetConfig = super().configure(chosen)
        return config

    def scaled(
        self, config: InceptionResNetConfig, depth: float, width: float
    ) -> InceptionResNetConfig:
        """Depths rounded up, channels to whole numbers."""
        depths = tuple(round_depth(depth * d) for d in config.depths)
        return replace(config, depths=depths, width=max(0.5, width * config.width))

    def network(self, config: InceptionResNetConfig) -> Network:
        """Stem, three stages of residual modules with reductions between them, head."""
        parts = _Parts(config)
        body: list[Layer] = [parts.entry()]
        for stage, (depth, scale) in enumerate(zip(config.depths, SCALES, strict=True)):
            if stage:
                body.append(parts.reduction(stage))
            for i in range(depth):
                body += parts.module(stage, scale, last=stage == 2 and i == depth - 1)
        head = (
            *(*parts.conv(96), GlobalPool()),
            *(Dropout(config.dropout), Linear(config.num_classes)),
        )
        return Network(config.input_shape, parts.stem(), tuple(body), head, config.init)


class _Parts:
    """The parts of a network; widths are over the config's ``width``."""

    def __init__(self, config: InceptionResNetConfig) -> None:
        self.width, self.small = config.width, config.stem == "small"
        self.edge = None if self.small else 0  # padding where the authors have none
        self.act = Act(config.activation)

    def channels(self, *multiples: int) -> int:
        """Channels of layers of these multiples of the width, side by side."""
        return sum(max(1, round(multiple * self.width)) for multiple in multiples)

    def conv(
        self, out: int, kernel: int = 1, stride: int = 1, padding: int | None = None
    ) -> Layers:
        product = Conv(self.channels(out), kernel, stride, padding=padding)
        return (product, Norm(eps=EPS), self.act)

    def line(self, out: int, kernel: int, across: bool) -> Layers:
        return (LineConv(self.channels(out), kernel, across), Norm(eps=EPS), self.act)

    def stem(self) -> Layers:
        """Figure 14 of the paper, in its simpler form of the authors' code."""
        first = 1 if self.small else 2
        pool: Layers = () if self.small else (Pool("max", 3, 2, padding=0),)
        return (
            *(*self.conv(2, 3, first, self.edge), *self.conv(2, 3, 1, self.edge)),
            *(*self.conv(4, 3), *pool),
            *(*self.conv(5), *self.conv(12, 3, 1, self.edge), *pool),
        )

    def entry(self) -> Layer:
        """The Inception module before the first stage."""
        return Concat(
            (
                self.conv(6),
                (*self.conv(3), *self.conv(4, 5)),
                (*self.conv(4), *self.conv(6, 3), *self.conv(6, 3)),
                (Pool("avg", 3, 1), *self.conv(4)),
            )
        )

    def reduction(self, stage: int) -> Layer:
        """What halves the side: figures 7 and 18 of the paper."""
        pool: Layers = (Pool("max", 3, 2, padding=self.edge),)
        if stage == 1:
            return Concat(
                (
                    self.conv(24, 3, 2, self.edge),
                    (*self.conv(16), *self.conv(16, 3), *self.conv(24, 3, 2, self.edge)),
                    pool,
                )
            )
        return Concat(
            (
                (*self.conv(16), *self.conv(24, 3, 2, self.edge)),
                (*self.conv(16), *self.conv(18, 3, 2, self.edge)),
                (*self.conv(16), *self.conv(18, 3), *self.conv(20, 3, 2, self.edge)),
                pool,
            )
        )

    def module(self, stage: int, scale: float, last: bool) -> Layers:
        """A residual module: figures 16, 17 and 19.

        The last of all has a branch of scale 1 and no activation after its sum: the authors' code.
        """
        branches: tuple[Layers, ...]
        if stage == 0:
            branches = (
                self.conv(2),
                (*self.conv(2), *self.conv(2, 3)),
                (*self.conv(2), *self.conv(3, 3), *self.conv(4, 3)),
            )
        else:
            inner, middle, end, kernel = (8, 10, 12, 7) if stage == 1 else (12, 14, 16, 3)
            lines = (*self.line(middle, kernel, True), *self.line(end, kernel, False))
            branches = (self.conv(12), (*self.conv(inner), *lines))
        join = Conv(sum(self.channels(*added) for added in ADDED[: stage + 1]), bias=True)
        residual = Residual((Concat(branches), join, Scale(1.0 if last else scale)))
        return (residual,) if last else (residual, self.act)


INCEPTION_RESNET = InceptionResNet()
