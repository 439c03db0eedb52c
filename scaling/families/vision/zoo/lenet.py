"""LeNet-5-style networks (LeCun et al. 1998, "Gradient-based learning ...", sec. II.B)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from scaling.base import OptionError, convert, refuse_unknown
from scaling.families.base import Options
from scaling.families.vision.family import (
    VisionConfig,
    VisionFamily,
    round_depth,
    round_width,
    stage_values,
    whole_tuple,
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
from scaling.families.vision.zoo.plain import check_unit, unit


@dataclass(frozen=True, kw_only=True)
class LeNetConfig(VisionConfig):
    """A LeNet: a stage and its 2x2 pool for each of ``widths``, then ``head_widths``.

    Attributes
    ----------
    widths, head_widths : tuple of int
        Channels of the stages' convolutions, and the hidden layers of the classifier.
    depth : int
        Convolutions in each stage: 1 in LeNet-5. Those after the first are padded so that they
        keep the size of the image.
    kernel : int
    paddings : tuple of int
        Of the first convolution of each stage.
    pool : {"avg", "max"}
    activation : str
    """

    widths: tuple[int, ...] = (6, 16)
    head_widths: tuple[int, ...] = (120, 84)
    depth: int = field(default=1, metadata={"before": 1})
    kernel: int = 5
    paddings: tuple[int, ...]
    pool: str = "avg"
    activation: str = "tanh"
    resolution: int = 32
    in_channels: int = 1
    num_classes: int = 10
    init: str = "glorot"

    def __post_init__(self) -> None:
        super().__post_init__()
        stage_values(self, ("widths",))
        if self.head_widths:
            stage_values(self, ("head_widths",))
        paddings = whole_tuple("paddings", self.paddings)
        object.__setattr__(self, "paddings", paddings)
        if len(paddings) != len(self.widths) or min(paddings) < 0:
            raise OptionError(
                f"paddings {list(paddings)} are not {len(self.widths)} numbers of at least 0, "
                "one for each of widths",
                "paddings",
                "widths",
            )
        for name in ("kernel", "depth"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} {getattr(self, name)} is below 1", name)
        if self.depth > 1 and self.kernel % 2 == 0:
            raise OptionError(
                f"kernel {self.kernel} is even: a further convolution of a stage cannot keep the "
                "size of the image: take an odd kernel or depth 1",
                "kernel",
                "depth",
            )
        check_unit("none", self.activation, ("none",))
        if self.pool not in ("avg", "max"):
            refuse_unknown(self.pool, ("avg", "max"), "pool")


class LeNet(VisionFamily):
    """The family ``lenet``; see :class:`LeNetConfig` for its options.

    LeNet-5 sees 32 pixels without padding. From 28 pixels on the first convolution is padded
    by 2, as the authors did to MNIST; smaller images are padded before each. Poolings have no
    weights, and the second convolution sees all channels of the first, as usual today.
    ``depth_multiplier`` adds convolutions within the stages, as Simonyan and Zisserman 2015 made
    plain networks deeper: a further stage would need another halving of a small image.
    """

    name: ClassVar[str] = "lenet"
    config: ClassVar[type[Any]] = LeNetConfig
    presets: ClassVar[Mapping[str, Options]] = {
        "5": {"resolution": 32, "in_channels": 1, "num_classes": 10}
    }

    def configure(self, options: dict[str, Any]) -> LeNetConfig:
        """The configuration, with paddings for its resolution."""
        options = dict(options)
        resolution = convert("int", "resolution", options.get("resolution", 32))
        half = convert("int", "kernel", options.get("kernel", 5)) // 2
        widths = whole_tuple("widths", options.get("widths", LeNetConfig.widths))
        if "paddings" not in options:
            first, rest = (half, half) if resolution < 28 else (half * (resolution < 32), 0)
            options["paddings"] = (first, *(rest,) * (len(widths) - 1))
        config: LeNetConfig = super().configure(options)
        return config

    def scaled(self, config: LeNetConfig, depth: float, width: float) -> LeNetConfig:
        """The depth rounded up, widths to whole channels."""
        return replace(
            config,
            depth=round_depth(depth * config.depth),
            widths=tuple(round_width(width * w, 1) for w in config.widths),
            head_widths=tuple(round_width(width * w, 1) for w in config.head_widths),
        )

    def network(self, config: LeNetConfig) -> Network:
        """Convolutions and pools, then the classifier."""
        c = config
        body: list[Layer] = []
        for width, padding in zip(c.widths, c.paddings, strict=True):
            conv = Conv(width, c.kernel, bias=True, padding=padding)
            body += unit(conv, "none", c.activation)
            further = unit(Conv(width, c.kernel, bias=True), "none", c.activation)
            body += (c.depth - 1) * further
            body.append(Pool(c.pool, 2, 2, padding=0))
        head: list[Layer] = [Flatten()]
        for width in c.head_widths:
            head += unit(Linear(width), "none", c.activation)
        head += [Dropout(c.dropout), Linear(c.num_classes)]
        return Network(c.input_shape, (), tuple(body), tuple(head), c.init)


LENET = LeNet()
