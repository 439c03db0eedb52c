"""Swin transformer (Liu et al. 2021, arXiv 2103.14030): attention in shifted windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from scaling.base import OptionError, convert
from scaling.families.base import Options
from scaling.families.vision.family import (
    SMALL,
    VisionConfig,
    VisionFamily,
    round_depth,
    same_length,
    scaled_widths,
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
    SpaceToDepth,
    WindowAttention,
)
from scaling.families.vision.zoo.vit import nearest_heads

HEAD_DIM = 32  # width / heads of all published sizes
DEEP = (2, 2, 18, 2)


@dataclass(frozen=True, kw_only=True)
class SwinConfig(VisionConfig):
    """A Swin transformer; ``depths``, ``widths`` and ``heads`` have one number for each stage.

    Attributes
    ----------
    depths, widths, heads : tuple of int
        Blocks, channels, attention heads. Each stage but the first halves the side.
    patch : int
        Kernel and stride of the first convolution; positions that fill no patch are not seen.
    window : int
        Positions a side of a window; each second block's are shifted by half of it. Of a smaller
        image there is one window.
    mlp_ratio : int
        Hidden width of a block's perceptron over its width.
    drop_path : float
        Stochastic depth: block i of n is dropped with probability drop_path * i / (n - 1).
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    heads: tuple[int, ...]
    patch: int = 4
    window: int = 7
    mlp_ratio: int = 4
    drop_path: float = 0.2
    init: str = "trunc_normal"

    def __post_init__(self) -> None:
        super().__post_init__()
        stage_values(self, ("depths", "widths", "heads"))
        same_length(self, ("depths", "widths", "heads"))
        for name in ("patch", "window", "mlp_ratio"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} {getattr(self, name)} is below 1", name)
        for width, heads in zip(self.widths, self.heads, strict=True):
            if width % heads:
                raise OptionError(
                    f"heads {heads} divide not width {width}: take {nearest_heads(width, heads)}",
                    "heads",
                    "widths",
                )
        if not 0 <= self.drop_path < 1:
            raise OptionError(f"drop_path {self.drop_path} is not in [0, 1)", "drop_path")


class Swin(VisionFamily):
    """The family ``swin``; see :class:`SwinConfig` for its options.

    Without options it is Swin-T. ``heads`` are the divisors of the widths nearest to width / 32
    unless given. The patch is 4; below 64 pixels it is 2, and up to 16 pixels 1 with windows of
    4, and ``init`` is ``lecun``.
    """

    name: ClassVar[str] = "swin"
    config: ClassVar[type[Any]] = SwinConfig
    presets: ClassVar[Mapping[str, Options]] = {
        # Section 3.3 of the paper; stochastic depth of its section 4.1.
        "tiny": {"depths": (2, 2, 6, 2), "widths": (96, 192, 384, 768), "drop_path": 0.2},
        "small": {"depths": DEEP, "widths": (96, 192, 384, 768), "drop_path": 0.3},
        "base": {"depths": DEEP, "widths": (128, 256, 512, 1024), "drop_path": 0.5},
    }

    def configure(self, options: dict[str, Any]) -> SwinConfig:
        """The configuration, with a patch for its resolution and heads for its widths."""
        chosen = {**self.presets["tiny"], **options}
        widths = whole_tuple("widths", chosen["widths"])
        chosen.setdefault("heads", tuple(nearest_heads(w, max(1, w / HEAD_DIM)) for w in widths))
        resolution = convert("int", "resolution", chosen.get("resolution", 224))
        if resolution < SMALL:
            tiny = resolution <= 16
            small = {"patch": 1, "window": 4} if tiny else {"patch": 2}
            chosen = {**small, "init": "lecun", **chosen}
        config: SwinConfig = super().configure(chosen)
        return config

    def scaled(self, config: SwinConfig, depth: float, width: float) -> SwinConfig:
        """Depths rounded up, widths to multiples of 8 (of 2 in narrow networks); heads as wide."""
        c = config
        deep = replace(c, depths=tuple(round_depth(depth * d) for d in c.depths))
        if width == 1:
            return deep
        widths = scaled_widths(c.widths, width)
        heads = [
            nearest_heads(new, max(1, new * heads / old))
            for new, old, heads in zip(widths, c.widths, c.heads, strict=True)
        ]
        return replace(deep, widths=widths, heads=tuple(heads))

    def network(self, config: SwinConfig) -> Network:
        """Patches, stages with a merging of 2x2 positions between them, norm and head."""
        c, norm = config, Norm("layer")
        body: list[Layer] = []
        blocks, block = sum(c.depths), 0
        for stage, (depth, width, heads) in enumerate(
            zip(c.depths, c.widths, c.heads, strict=True)
        ):
            if stage:
                body += [SpaceToDepth(), norm, Conv(width)]
            for i in range(depth):
                drop = c.drop_path * block / max(1, blocks - 1)
                hidden = c.mlp_ratio * width
                attention = (norm, WindowAttention(heads, c.window, shifted=i % 2 == 1))
                perceptron = (norm, Conv(hidden, bias=True), Act("gelu"), Conv(width, bias=True))
                branches: tuple[Layers, ...] = (attention, perceptron)
                body += [Residual(branch, drop=drop) for branch in branches]
                block += 1
        patches = Conv(c.widths[0], c.patch, stride=c.patch, bias=True, padding=0)
        head = (norm, GlobalPool(), Dropout(c.dropout), Linear(c.num_classes))
        return Network(c.input_shape, (patches, norm), tuple(body), head, c.init)


SWIN = Swin()
