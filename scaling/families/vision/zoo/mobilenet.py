"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381) and V3 (Howard et al. 2019, 1905.02244)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from scaling.base import OptionError, convert, read_unless
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
    Norm,
    Residual,
    SqueezeExcite,
)
from scaling.families.vision.zoo.plain import one_a_block, stretched

PER_STAGE = ("depths", "widths", "kernels", "strides", "squeezed")
SE_SHARE = 4  # the gate's hidden width is a fourth of the block's inner one: V3, sec. 5.3
# Table 2 of V2 and tables 1 and 2 of V3, by stages of equal width.
V2: Options = {
    "depths": (1, 2, 3, 4, 3, 3, 1),
    "widths": (16, 24, 32, 64, 96, 160, 320),
    "kernels": (3,) * 7,
    "strides": (1, 2, 2, 2, 1, 2, 1),
    "squeezed": (0,) * 7,
    "inner_widths": (
        *(32, 96, 144, 144, 192, 192, 192, 384, 384, 384, 384),
        *(576, 576, 576, 960, 960, 960),
    ),
    "stem_width": 32,
    "head_width": 1280,
    "hidden_width": 0,
    "activation": "relu6",
    "relu_stages": 0,
    "norm_eps": 1e-5,
}
V3_LARGE: Options = {
    "depths": (1, 2, 3, 4, 2, 3),
    "widths": (16, 24, 40, 80, 112, 160),
    "kernels": (3, 3, 5, 3, 3, 5),
    "strides": (1, 2, 2, 2, 1, 2),
    "squeezed": (0, 0, 1, 0, 1, 1),
    "inner_widths": (
        *(16, 64, 72, 72, 120, 120, 240, 200, 184, 184),
        *(480, 672, 672, 960, 960),
    ),
    "stem_width": 16,
    "head_width": 960,
    "hidden_width": 1280,
    "activation": "hardswish",
    "relu_stages": 3,
}
V3_SMALL: Options = {
    "depths": (1, 2, 3, 2, 3),
    "widths": (16, 24, 40, 48, 96),
    "kernels": (3, 3, 5, 5, 5),
    "strides": (2, 2, 2, 1, 2),
    "squeezed": (1, 0, 1, 1, 1),
    "inner_widths": (16, 72, 88, 96, 240, 240, 120, 144, 288, 576, 576),
    "stem_width": 16,
    "head_width": 576,
    "hidden_width": 1024,
    "activation": "hardswish",
    "relu_stages": 2,
}


@dataclass(frozen=True, kw_only=True)
class MobileNetConfig(VisionConfig):
    """A MobileNet of inverted bottlenecks; tuples but one have one number for each stage.

    Attributes
    ----------
    depths, widths : tuple of int
        Blocks and their output channels.
    kernels, strides : tuple of int
        Of the depthwise convolutions; the stride is that of a stage's first block.
    squeezed : tuple of int
        1 where the blocks have squeeze-and-excitation, with a hard sigmoid; else 0.
    inner_widths : tuple of int
        For each block: channels of its depthwise convolution.
    stem_width, head_width : int
        Output channels of the first (3x3) and of the last (1x1) convolution.
    hidden_width : int
        Hidden layer between the last pooling and the classes; 0 for none.
    stem : {"imagenet", "small"}
        Stride 2 or 1 of the first convolution.
    activation : str
    relu_stages : int
        So many of the first stages have ReLU instead.
    norm_eps : float
        Of the batch norms.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    squeezed: tuple[int, ...]
    inner_widths: tuple[int, ...]
    stem_width: int
    head_width: int
    hidden_width: int = 0
    stem: str = "imagenet"
    activation: str = "hardswish"
    relu_stages: int = field(default=0, metadata=read_unless(activation="relu"))
    norm_eps: float = 1e-3
    dropout: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        stage_values(self, ("depths", "widths", "kernels", "strides", "inner_widths"))
        object.__setattr__(self, "squeezed", whole_tuple("squeezed", self.squeezed))
        same_length(self, PER_STAGE)
        one_a_block(self, ("inner_widths",), sum(self.depths))
        if set(self.squeezed) - {0, 1}:
            raise OptionError(
                f"squeezed {list(self.squeezed)} has other numbers than 0 and 1", "squeezed"
            )
        for name in ("stem_width", "head_width"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} {getattr(self, name)} is below 1", name)
        for name in ("hidden_width", "relu_stages"):
            if getattr(self, name) < 0:
                raise OptionError(f"{name} {getattr(self, name)} is below 0", name)
        if self.stem not in ("imagenet", "small"):
            raise OptionError(f"stem {self.stem!r} is none of imagenet, small", "stem")
        if not self.norm_eps > 0:
            raise OptionError(f"norm_eps {self.norm_eps} is not above 0", "norm_eps")


class MobileNet(VisionFamily):
    """The family ``mobilenet``; see :class:`MobileNetConfig` for its options.

    Without options it is V3-Large. Given other ``depths`` or ``widths``, what is not given is
    V2's: kernels of 3, stride 2 and six times the input's channels but in the first stage, no
    squeeze-and-excitation. Below 64 pixels the first convolution has stride 1, and so have as
    many of the first stages as it takes to leave 4 positions a side.
    """

    name: ClassVar[str] = "mobilenet"
    config: ClassVar[type[Any]] = MobileNetConfig
    presets: ClassVar[Mapping[str, Options]] = {
        "v2": {**V2, "resolution": 224},
        "v3-large": {**V3_LARGE, "resolution": 224},
        "v3-small": {**V3_SMALL, "resolution": 224},
    }

    def configure(self, options: dict[str, Any]) -> MobileNetConfig:
        """The configuration, with strides for its resolution."""
        chosen = dict(options)
        if "depths" not in chosen and "widths" not in chosen:
            chosen = {**V3_LARGE, **chosen}
        if chosen.get("activation") == "relu" and "relu_stages" not in options:
            chosen["relu_stages"] = 0  # all have it
        widths = whole_tuple("widths", chosen.setdefault("widths", V2["widths"]))
        depths = whole_tuple("depths", chosen.setdefault("depths", (1,) * len(widths)))
        if not widths:
            raise OptionError("widths is empty: give one number for each stage", "widths")
        rest = len(widths) - 1
        chosen.setdefault("stem_width", 2 * widths[0])
        chosen.setdefault("head_width", 4 * widths[-1])
        chosen.setdefault("kernels", (3,) * len(widths))
        chosen.setdefault("squeezed", (0,) * len(widths))
        if "inner_widths" not in chosen and len(depths) == len(widths):
            stem = convert("int", "stem_width", chosen["stem_width"])
            chosen["inner_widths"] = _inner(depths, widths, stem)
        resolution = convert("int", "resolution", chosen.get("resolution", 224))
        stem = chosen.setdefault("stem", "small" if resolution < SMALL else "imagenet")
        strides = chosen.get("strides", (1,) + (2,) * rest)
        if stem == "small" and "strides" not in options:
            strides = small_strides(resolution, strides)
        chosen["strides"] = strides
        config: MobileNetConfig = super().configure(chosen)
        return config

    def scaled(self, config: MobileNetConfig, depth: float, width: float) -> MobileNetConfig:
        """Depths rounded up, widths to multiples of 8 (of 2 in narrow networks).

        Blocks whose depthwise convolution is a whole number of times as wide as their input stay
        so; the head is scaled too.
        """
        c = config
        depths = tuple(round_depth(depth * d) for d in c.depths)
        widths = scaled_widths((*c.widths, c.stem_width, c.head_width), width)
        scaled = replace(
            c,
            depths=depths,
            widths=widths[:-2],
            inner_widths=stretched(c.inner_widths, c.depths, depth),
            stem_width=widths[-2],
            head_width=widths[-1],
            hidden_width=round_width(width * c.hidden_width) if c.hidden_width else 0,
        )
        if width == 1:
            return scaled
        old, new = (_inputs(depths, of.widths, of.stem_width) for of in (c, scaled))
        inner = [
            now * (wide // was) if wide % was == 0 else round_width(width * wide)
            for wide, was, now in zip(scaled.inner_widths, old, new, strict=True)
        ]
        return replace(scaled, inner_widths=tuple(inner))

    def network(self, config: MobileNetConfig) -> Network:
        """Stem, stages of inverted bottlenecks, head."""
        c = config
        norm, act = Norm(eps=c.norm_eps), Act(c.activation)
        body: list[Layer] = []
        before, inner = c.stem_width, iter(c.inner_widths)
        stages = zip(c.depths, c.widths, c.kernels, c.strides, c.squeezed, strict=True)
        for stage, (depth, width, kernel, first, squeezed) in enumerate(stages):
            for i in range(depth):
                stride, middle = first if i == 0 else 1, next(inner)
                kind = Act("relu") if stage < c.relu_stages else act
                branch = (
                    *((Conv(middle), norm, kind) if middle != before else ()),
                    *(Conv(middle, kernel, stride, groups=0), norm, kind),
                    *((squeeze(middle),) if squeezed else ()),
                    *(Conv(width), norm),
                )
                same = before == width and stride == 1
                body += (Residual(branch),) if same else branch
                before = width
        hidden: Layers = (Linear(c.hidden_width), act) if c.hidden_width else ()
        return Network(
            input_shape=c.input_shape,
            stem=(Conv(c.stem_width, 3, stride=1 if c.stem == "small" else 2), norm, act),
            body=tuple(body),
            head=(
                *(Conv(c.head_width), norm, act, GlobalPool(), *hidden),
                *(Dropout(c.dropout), Linear(c.num_classes)),
            ),
            init=c.init,
        )


def squeeze(width: int) -> SqueezeExcite:
    """Squeeze-and-excitation of V3."""
    return SqueezeExcite(round_width(width // SE_SHARE), "relu", gate="hardsigmoid")


def _inputs(depths: tuple[int, ...], widths: tuple[int, ...], stem: int) -> list[int]:
    """Input channels of each block."""
    outputs = [width for depth, width in zip(depths, widths, strict=True) for _ in range(depth)]
    return [stem, *outputs[:-1]]


def _inner(depths: tuple[int, ...], widths: tuple[int, ...], stem: int) -> tuple[int, ...]:
    """V2's: six times the input, once in the first stage."""
    inputs = _inputs(depths, widths, stem)
    return tuple(width * (1 if i < depths[0] else 6) for i, width in enumerate(inputs))


MOBILENET = MobileNet()
