"""Network in network (Lin et al. 2014, arXiv 1312.4400): 1x1 convolutions, and global pooling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from scaling.base import OptionError, convert
from scaling.families.base import Options
from scaling.families.vision.family import (
    SMALL,
    VisionFamily,
    round_depth,
    same_length,
    scaled_widths,
    stage_values,
    whole_tuple,
)
from scaling.families.vision.layers import (
    Conv,
    Dropout,
    GlobalPool,
    Layer,
    Network,
    Pool,
)
from scaling.families.vision.zoo.plain import PlainConfig

IMAGENET: Options = {
    "widths": (96, 256, 384, 1024),
    "kernels": (11, 5, 3, 3),
    "stem": "imagenet",
    "ceil": True,
}
CIFAR: Options = {
    "widths": (192, 192, 192),
    "inner_widths": (160, 192, 192),
    "outer_widths": (96, 192),
    "kernels": (5, 5, 3),
    "stem": "small",
}


@dataclass(frozen=True, kw_only=True)
class NiNConfig(PlainConfig):
    """A network in network; tuples have one number for each block.

    Attributes
    ----------
    widths, kernels : tuple of int
        Of a block's convolution.
    inner_widths, outer_widths : tuple of int
        Of its 1x1 convolutions: all but the last, and the last; that of the last block has the
        classes, so ``outer_widths`` has one number less.
    depth : int
        1x1 convolutions of a block, at least 2.
    stem : {"imagenet", "small"}
        Stride 4 or 1 of the first convolution.
    ceil : bool
        A pool's last window may reach over the edge, as the authors' code (Caffe) has it.
    dropout : float
        Before each block but the first (with ``stem`` imagenet before the last alone).
    """

    widths: tuple[int, ...]
    kernels: tuple[int, ...]
    inner_widths: tuple[int, ...]
    outer_widths: tuple[int, ...]
    depth: int = 2
    stem: str
    dropout: float = 0.5
    ceil: bool = field(default=False, metadata={"before": False})

    def __post_init__(self) -> None:
        super().__post_init__()
        names = ("widths", "kernels", "inner_widths")
        stage_values(self, names)
        same_length(self, names)
        if self.outer_widths:
            stage_values(self, ("outer_widths",))
        if len(self.outer_widths) != len(self.widths) - 1:
            raise OptionError(
                f"outer_widths has {len(self.outer_widths)} numbers for {len(self.widths)} "
                "blocks: give each block but the last one",
                "outer_widths",
                "widths",
            )
        if self.depth < 2:
            raise OptionError(
                f"depth {self.depth} is below 2: a block has an inner and an outer 1x1", "depth"
            )
        if len(self.widths) < 2:
            raise OptionError(f"widths {list(self.widths)} are not two blocks or more", "widths")
        if self.stem not in ("imagenet", "small"):
            raise OptionError(f"stem {self.stem!r} is none of imagenet, small", "stem")


class NiN(VisionFamily):
    """The family ``nin``; see :class:`NiNConfig` for its options.

    Without options it is the authors' network for ImageNet, of 7.6 million parameters; below 64
    pixels that for CIFAR. The features before the last pooling are the logits of each position.
    """

    name: ClassVar[str] = "nin"
    config: ClassVar[type[Any]] = NiNConfig
    presets: ClassVar[Mapping[str, Options]] = {
        "imagenet": {**IMAGENET, "resolution": 224},
        "cifar": {**CIFAR, "resolution": 32, "num_classes": 10},
    }

    def configure(self, options: dict[str, Any]) -> NiNConfig:
        """The configuration, with blocks for its resolution."""
        resolution = convert("int", "resolution", options.get("resolution", 224))
        stem = options.get("stem", "small" if resolution < SMALL else "imagenet")
        chosen = {"stem": stem, **(CIFAR if stem == "small" else IMAGENET), **options}
        widths = whole_tuple("widths", chosen["widths"])
        if "widths" in options or stem == "imagenet":
            kernels = (*chosen["kernels"], *(3,) * len(widths))[: len(widths)]
            spread = {"kernels": kernels, "inner_widths": widths, "outer_widths": widths[:-1]}
            chosen = {**chosen, **spread, **options}
        config: NiNConfig = super().configure(chosen)
        return config

    def scaled(self, config: NiNConfig, depth: float, width: float) -> NiNConfig:
        """1x1 convolutions rounded up, at least 2; widths to multiples of 8 (2 in narrow ones)."""
        names = ("widths", "inner_widths", "outer_widths")
        scaled: dict[str, Any] = {
            name: scaled_widths(values, width)
            for name in names
            if (values := getattr(config, name))
        }
        return replace(config, depth=max(2, round_depth(depth * config.depth)), **scaled)

    def network(self, config: NiNConfig) -> Network:
        """Blocks with pools between them; the head is the last 1x1 convolution and the mean."""
        c, small = config, config.stem == "small"
        body: list[Layer] = []
        outers = (*c.outer_widths, 0)
        rows = zip(c.widths, c.kernels, c.inner_widths, outers, strict=True)
        for i, (width, kernel, inner, outer) in enumerate(rows):
            last = i == len(c.widths) - 1
            if i:
                kind = "avg" if small and i > 1 else "max"
                body.append(Pool(kind, 3, 2, padding=1 if small else 0, ceil=c.ceil))
                if small or last:
                    body.append(Dropout(c.dropout))
            first = not i and not small
            stride, padding = (4, 0) if first else (1, None)
            body += c.unit(Conv(width, kernel, stride, bias=True, padding=padding))
            for j in range(c.depth - last):
                out = outer if j == c.depth - 1 else inner
                body += c.unit(Conv(out, bias=True))
        head = (Conv(c.num_classes, bias=True), GlobalPool())
        return Network(c.input_shape, (), tuple(body), head, c.init)


NIN = NiN()
