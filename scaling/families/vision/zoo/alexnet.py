"""AlexNet (Krizhevsky et al. 2012; of one column, Krizhevsky 2014, arXiv 1404.5997)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from scaling.base import OptionError, convert, read_unless
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
    Conv,
    Dropout,
    Flatten,
    Layer,
    Linear,
    Network,
    Pool,
    ResponseNorm,
)
from scaling.families.vision.zoo.plain import PlainConfig, one_a_block, stretched

PER_BLOCK = ("widths", "kernels", "groups")


@dataclass(frozen=True, kw_only=True)
class AlexNetConfig(PlainConfig):
    """An AlexNet; ``widths``, ``kernels`` and ``groups`` have one number for each convolution.

    Attributes
    ----------
    depths : tuple of int
        Convolutions of each stage; a 3x3 max pool of stride 2 ends it.
    widths, kernels, groups : tuple of int
    stem : {"imagenet", "small"}
        The first convolution has stride 4, and pools have no padding; or 1, and 1.
    response_norm : bool
        Local response normalisation before the pools of all stages but the last.
    head_side : int
        Positions a side that the classifier sees, by averaging.
    head_widths : tuple of int
        Hidden layers of the classifier.
    """

    depths: tuple[int, ...] = (1, 1, 3)
    widths: tuple[int, ...] = (64, 192, 384, 256, 256)
    kernels: tuple[int, ...]
    groups: tuple[int, ...]
    stem: str
    response_norm: bool = field(default=False, metadata=read_unless(stages=1))
    head_side: int
    head_widths: tuple[int, ...]
    dropout: float = field(default=0.5, metadata=read_unless(head_widths=()))

    def __post_init__(self) -> None:
        super().__post_init__()
        stage_values(self, ("depths", *PER_BLOCK))
        one_a_block(self, PER_BLOCK, sum(self.depths))
        if self.head_widths:
            stage_values(self, ("head_widths",))
        if self.stem not in ("imagenet", "small"):
            raise OptionError(f"stem {self.stem!r} is none of imagenet, small", "stem")
        if self.head_side < 1:
            raise OptionError(f"head_side {self.head_side} is below 1", "head_side")

    @property
    def stages(self) -> int:
        """How many there are."""
        return len(self.depths)


class AlexNet(VisionFamily):
    """The family ``alexnet``; see :class:`AlexNetConfig` for its options.

    Without options it is that of one column (Krizhevsky 2014), as in torchvision; the preset
    ``2012`` has the groups and response normalisation of the two columns of 2012, whose
    convolutions are all padded. Below 64 pixels the first convolution is 5x5 of stride 1, as in
    the authors' networks for CIFAR, the classifier sees 3 positions a side, and its hidden layers
    are as wide as the last stage.
    """

    name: ClassVar[str] = "alexnet"
    config: ClassVar[type[Any]] = AlexNetConfig
    presets: ClassVar[Mapping[str, Options]] = {
        "2014": {"resolution": 224},
        "2012": {
            "widths": (96, 256, 384, 384, 256),
            "groups": (1, 2, 1, 2, 2),
            "response_norm": True,
            "resolution": 224,
        },
    }

    def configure(self, options: dict[str, Any]) -> AlexNetConfig:
        """The configuration, with kernels and classifier for its resolution."""
        chosen = dict(options)
        resolution = convert("int", "resolution", chosen.get("resolution", 224))
        small = chosen.setdefault("stem", "small" if resolution < SMALL else "imagenet") == "small"
        widths = whole_tuple("widths", chosen.get("widths", AlexNetConfig.widths))
        kernels = (5 if small else 11, 5, *(3,) * max(0, len(widths) - 2))
        chosen.setdefault("kernels", kernels[: len(widths)])
        chosen.setdefault("groups", (1,) * len(widths))
        chosen.setdefault("head_side", 3 if small else 6)
        chosen.setdefault("head_widths", (widths[-1] if small and widths else 4096,) * 2)
        config: AlexNetConfig = super().configure(chosen)
        return config

    def scaled(self, config: AlexNetConfig, depth: float, width: float) -> AlexNetConfig:
        """Each stage's convolutions rounded up, widths to multiples of 8 (of 2 in narrow ones)."""
        c = config
        longer: dict[str, Any] = {
            name: stretched(getattr(c, name), c.depths, depth) for name in PER_BLOCK
        }
        return replace(
            c,
            **{**longer, "widths": scaled_widths(longer["widths"], width)},
            depths=tuple(round_depth(depth * d) for d in c.depths),
            head_widths=c.head_widths and scaled_widths(c.head_widths, width),
        )

    def network(self, config: AlexNetConfig) -> Network:
        """Stages, each ended by its pool, and the classifier."""
        c, small = config, config.stem == "small"
        body: list[Layer] = []
        rows = iter(zip(c.widths, c.kernels, c.groups, strict=True))
        for stage, depth in enumerate(c.depths):
            for i in range(depth):
                width, kernel, groups = next(rows)
                stride = 4 if not stage and not i and not small else 1
                padding = 2 if stride == 4 else None
                body += c.unit(Conv(width, kernel, stride, groups, bias=True, padding=padding))
            if c.response_norm and stage < len(c.depths) - 1:
                body.append(ResponseNorm())
            body.append(Pool("max", 3, 2, padding=int(small)))
        head: list[Layer] = [AdaptivePool(c.head_side), Flatten()]
        for width in c.head_widths:
            head += [Dropout(c.dropout), *c.unit(Linear(width))]
        return Network(c.input_shape, (), tuple(body), (*head, Linear(c.num_classes)), c.init)


ALEXNET = AlexNet()
