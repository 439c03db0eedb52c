"""ConvNeXt (Liu et al. 2022, arXiv 2201.03545): depthwise 7x7, layer norm, LayerScale."""

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
)
from scaling.families.vision.layers import (
    Act,
    Conv,
    Dropout,
    GlobalPool,
    Layer,
    Linear,
    Network,
    Norm,
    Residual,
)

EPS = 1e-6  # of the layer norms, as in the authors' code
TINY = (3, 3, 9, 3)
DEEP = (3, 3, 27, 3)


@dataclass(frozen=True, kw_only=True)
class ConvNeXtConfig(VisionConfig):
    """A ConvNeXt; ``depths`` and ``widths`` have one number for each stage.

    Attributes
    ----------
    depths, widths : tuple of int
        Blocks and channels. Each stage but the first halves the side, by a 2x2 convolution.
    patch : int
        Kernel and stride of the first convolution; positions that fill no patch are not seen.
    kernel : int
        Of the depthwise convolutions.
    mlp_ratio : int
        Hidden width of a block over its width.
    layer_scale : float
        LayerScale starts at this value; 0 for none.
    drop_path : float
        Stochastic depth: block i of n is dropped with probability drop_path * i / (n - 1).
    activation : str
    """

    depths: tuple[int, ...] = TINY
    widths: tuple[int, ...] = (96, 192, 384, 768)
    patch: int = 4
    kernel: int = 7
    mlp_ratio: int = 4
    layer_scale: float = 1e-6
    drop_path: float = 0.1
    activation: str = "gelu"
    init: str = "trunc_normal"

    def __post_init__(self) -> None:
        super().__post_init__()
        stage_values(self, ("depths", "widths"))
        same_length(self, ("depths", "widths"))
        for name in ("patch", "kernel", "mlp_ratio"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} {getattr(self, name)} is below 1", name)
        if self.kernel % 2 == 0:
            raise OptionError(
                f"kernel {self.kernel} is even, and cannot keep the side: take an odd", "kernel"
            )
        if not self.layer_scale >= 0:
            raise OptionError(f"layer_scale {self.layer_scale} is below 0", "layer_scale")
        if not 0 <= self.drop_path < 1:
            raise OptionError(f"drop_path {self.drop_path} is not in [0, 1)", "drop_path")


class ConvNeXt(VisionFamily):
    """The family ``convnext``; see :class:`ConvNeXtConfig` for its options.

    Without options it is ConvNeXt-T. The patch of the first convolution is 4; below 64 pixels
    it is 2, and up to 16 pixels 1, unless it is given. There ``init`` is ``lecun`` unless given,
    for the paper's standard deviation of 0.02 hardly lets a narrow network start; short runs
    also gain from ``layer_scale`` 0.
    """

    name: ClassVar[str] = "convnext"
    config: ClassVar[type[Any]] = ConvNeXtConfig
    presets: ClassVar[Mapping[str, Options]] = {
        # Section 3 of the paper; stochastic depth of its table 5 (ImageNet-1K, XL: ImageNet-22K).
        "tiny": {"depths": TINY, "widths": (96, 192, 384, 768), "drop_path": 0.1},
        "small": {"depths": DEEP, "widths": (96, 192, 384, 768), "drop_path": 0.4},
        "base": {"depths": DEEP, "widths": (128, 256, 512, 1024), "drop_path": 0.5},
        "large": {"depths": DEEP, "widths": (192, 384, 768, 1536), "drop_path": 0.5},
        "xlarge": {"depths": DEEP, "widths": (256, 512, 1024, 2048), "drop_path": 0.2},
    }

    def configure(self, options: dict[str, Any]) -> ConvNeXtConfig:
        """The configuration, with a stem for its resolution."""
        resolution = convert("int", "resolution", options.get("resolution", 224))
        stem: dict[str, Any] = {}
        if resolution < SMALL:
            stem = {"patch": 2 if resolution > 16 else 1, "init": "lecun"}
        config: ConvNeXtConfig = super().configure({**stem, **options})
        return config

    def scaled(self, config: ConvNeXtConfig, depth: float, width: float) -> ConvNeXtConfig:
        """Depths rounded up, widths to multiples of 8 (of 2 in narrow networks)."""
        return replace(
            config,
            depths=tuple(round_depth(depth * d) for d in config.depths),
            widths=scaled_widths(config.widths, width),
        )

    def network(self, config: ConvNeXtConfig) -> Network:
        """Patches, stages with a halving between them, head."""
        c = config
        norm = Norm("layer", eps=EPS)
        body: list[Layer] = []
        blocks, block = sum(c.depths), 0
        for stage, (depth, width) in enumerate(zip(c.depths, c.widths, strict=True)):
            if stage:
                body += [norm, Conv(width, 2, stride=2, bias=True, padding=0)]
            for _ in range(depth):
                branch = (
                    Conv(width, c.kernel, groups=0, bias=True),
                    norm,
                    Conv(c.mlp_ratio * width, bias=True),
                    Act(c.activation),
                    Conv(width, bias=True),
                )
                drop = c.drop_path * block / max(1, blocks - 1)
                body.append(Residual(branch, drop=drop, scale=c.layer_scale or None))
                block += 1
        return Network(
            input_shape=c.input_shape,
            stem=(Conv(c.widths[0], c.patch, stride=c.patch, bias=True, padding=0), norm),
            body=tuple(body),
            head=(GlobalPool(), norm, Dropout(c.dropout), Linear(c.num_classes)),
            init=c.init,
        )


CONVNEXT = ConvNeXt()
