"""Vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929): any patch, any resolution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from scaling.base import OptionError, convert
from scaling.families.base import Options, nearest_shapes
from scaling.families.vision.family import (
    LARGEST,
    MULTIPLIERS,
    SMALL,
    TARGET_OR_WIDTH,
    TARGETS,
    VisionConfig,
    VisionFamily,
    round_width,
)
from scaling.families.vision.layers import (
    Act,
    Attention,
    Conv,
    Dropout,
    Layers,
    Linear,
    MeanTokens,
    Network,
    Norm,
    Residual,
    TakeToken,
    ToTokens,
)

EPS = 1e-6  # of the layer norms, as in the authors' code
CHOICES = {"pool": ("token", "mean"), "positions": ("learned", "sincos", "none")}
HEAD_DIM, FEWEST_HEADS = 64, 3  # width / heads of Ti, S, B and L; heads of Ti
# Alabdulmohsin et al. 2023: each size by itself grows with this power of the compute (section 4.1;
# for image to text 0.49, 0.25 and 0.62, section 4.2). Grown jointly, each gets a third of the
# growth in compute, w_k = 1/3 ("Scaling" in section 3).
SOVIT = {"depth": 0.45 / 3, "width": 0.22 / 3, "mlp_width": 0.6 / 3}
SOVIT_LIMIT = 1e6

# Depth, width, perceptron, heads. Ti, g, G: Zhai et al. 2022 (arXiv 2106.04560), table 2; S:
# Touvron et al. 2021 (arXiv 2012.12877), table 1; B, L, H: Dosovitskiy et al. 2021, table 1.
SHAPES = {
    "ti": (12, 192, 768, 3),
    "s": (12, 384, 1536, 6),
    "b": (12, 768, 3072, 12),
    "l": (24, 1024, 4096, 16),
    "h": (32, 1280, 5120, 16),
    "g": (40, 1408, 6144, 16),
    "gigantic": (48, 1664, 8192, 16),
}
# Alabdulmohsin et al. 2023, section 4.1; heads as in the authors' code.
SOVIT_SHAPES = {"so150m": (18, 880, 2320, 16), "so400m": (27, 1152, 4304, 16)}
PATCHES = {
    "ti": (16,),
    "s": (16, 32),
    "b": (8, 16, 32),
    "l": (14, 16, 32),
    "h": (14, 16),
    "g": (14,),
    "gigantic": (14,),
}


@dataclass(frozen=True, kw_only=True)
class ViTConfig(VisionConfig):
    """A vision transformer: pre-norm blocks of attention and a GELU perceptron, with biases.

    Attributes
    ----------
    depth, width, mlp_width, heads : int
        Blocks, channels of a token, hidden width of the perceptron, attention heads.
    patch : int
        Pixels along a side of a patch; pixels at the edge that fill no patch are not seen, as
        in the authors' code.
    pool : {"token", "mean"}
        The classifier sees a class token, or the mean of all tokens (then there is no class
        token: Beyer et al. 2022, arXiv 2205.01580).
    positions : {"learned", "sincos", "none"}
    drop_path : float
        Stochastic depth: branch i of n, two a block, is dropped with probability
        drop_path * i / (n - 1).
    init : str
        ``lecun`` is nearest to the authors' code, which starts the patches so and the matrices
        after Glorot and Bengio; with ``trunc_normal``, that of DeiT, narrow models start slowly.
    """

    depth: int
    width: int
    mlp_width: int
    heads: int
    patch: int = 16
    pool: str = "token"
    positions: str = "learned"
    drop_path: float = 0.0
    init: str = "lecun"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("depth", "width", "mlp_width", "heads", "patch"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} {getattr(self, name)} is below 1", name)
        for name, valid in CHOICES.items():
            if getattr(self, name) not in valid:
                raise OptionError(
                    f"{name} {getattr(self, name)!r} is none of {', '.join(valid)}", name
                )
        if self.width % self.heads:
            raise OptionError(
                f"width {self.width} is no multiple of heads {self.heads}: "
                f"{nearest_shapes(self.width, self.heads)}",
                "width",
                "heads",
            )
        if self.positions == "sincos" and self.width % 4:
            raise OptionError(
                f"width {self.width} is no multiple of 4, as positions sincos needs "
                "(sine and cosine, along two sides): take another width or positions learned",
                "width",
                "positions",
            )
        if not 0 <= self.drop_path < 1:
            raise OptionError(f"drop_path {self.drop_path} is not in [0, 1)", "drop_path")


class ViT(VisionFamily):
    """The family ``vit``; see :class:`ViTConfig` for its options.

    Without options it is ViT-Ti. ``mlp_width`` is 4 times the width unless given, ``heads`` the
    divisor of the width nearest to width / 64, or to 3 in narrow models. The patch is 16; below
    64 pixels it is 4, and up to 16 pixels 2 (28x28: 49 tokens, 8x8: 16), unless it is given.

    SoViT (Alabdulmohsin et al. 2023, arXiv 2305.13035) is a shape of the same network:
    ``so150m14`` and ``so400m14`` have its depth, width and perceptron (section 4.1), with mean
    pooling where the paper has an attention-pooling head (its 15 million further parameters
    make the larger one 428 million). The dial ``sovit_compute``, a factor c on the compute of
    the whole training, multiplies depth by c^(0.45/3), width by c^(0.22/3) and ``mlp_width`` by
    c^(0.6/3), that paper's exponents: ten times the compute makes 2.5 times the parameters.
    """

    name: ClassVar[str] = "vit"
    config: ClassVar[type[Any]] = ViTConfig
    dials: ClassVar[tuple[str, ...]] = ("sovit_compute", *MULTIPLIERS, *TARGETS)
    either: ClassVar[tuple[tuple[str, str], ...]] = TARGET_OR_WIDTH
    presets: ClassVar[Mapping[str, Options]] = {
        **{
            f"{size}{patch}": {
                **dict(zip(("depth", "width", "mlp_width", "heads"), shape, strict=True)),
                "patch": patch,
            }
            for size, shape in SHAPES.items()
            for patch in PATCHES[size]
        },
        **{
            f"{size}14": {
                **dict(zip(("depth", "width", "mlp_width", "heads"), shape, strict=True)),
                "patch": 14,
                "pool": "mean",
            }
            for size, shape in SOVIT_SHAPES.items()
        },
    }

    def configure(self, options: dict[str, Any]) -> ViTConfig:
        """The configuration, with a patch for its resolution and a shape for its width."""
        options = dict(options)
        compute = convert("float", "sovit_compute", options.pop("sovit_compute", 1.0))
        if not 1 / SOVIT_LIMIT <= compute <= SOVIT_LIMIT:
            raise OptionError(
                f"sovit_compute {compute:g} is not in [{1 / SOVIT_LIMIT:g}, {SOVIT_LIMIT:g}]",
                "sovit_compute",
            )
        resolution = convert("int", "resolution", options.get("resolution", 224))
        patch = 16 if resolution >= SMALL else 4 if resolution > 16 else 2
        depth, width, _, _ = SHAPES["ti"]
        width = convert("int", "width", options.get("width", width))
        sized = {
            "depth": depth,
            "width": width,
            "mlp_width": 4 * width,
            "heads": nearest_heads(width, max(width / HEAD_DIM, FEWEST_HEADS)),
            "patch": patch,
        }
        config: ViTConfig = super().configure({**sized, **options})
        if compute != 1:
            grown = {name: compute**power for name, power in SOVIT.items()}
            mlp_width = round_width(config.mlp_width * grown["mlp_width"])
            config = replace(
                self.scaled(config, grown["depth"], grown["width"]), mlp_width=mlp_width
            )
        return config

    def scaled(self, config: ViTConfig, depth: float, width: float) -> ViTConfig:
        """Depth rounded, width to a multiple of 8; the head's width is kept as divisors allow."""
        deep = replace(config, depth=max(1, round(depth * config.depth)))
        if width == 1:
            return deep
        wide = round_width(width * config.width)
        ratio = wide / config.width
        heads = max(config.heads * ratio, min(config.heads, FEWEST_HEADS))
        return replace(
            deep,
            width=wide,
            mlp_width=max(1, round(config.mlp_width * ratio)),
            heads=nearest_heads(wide, heads),
        )

    def network(self, config: ViTConfig) -> Network:
        """Patches, blocks, norm and head."""
        c = config
        return Network(
            input_shape=c.input_shape,
            stem=(
                Conv(c.width, c.patch, stride=c.patch, bias=True, padding=0),
                ToTokens(class_token=c.pool == "token", positions=c.positions),
            ),
            body=blocks(c.depth, c.width, c.mlp_width, c.heads, c.drop_path),
            head=(
                Norm("layer", eps=EPS),
                TakeToken() if c.pool == "token" else MeanTokens(),
                Dropout(c.dropout),
                Linear(c.num_classes),
            ),
            init=c.init,
        )


def blocks(depth: int, width: int, mlp_width: int, heads: int, drop_path: float) -> Layers:
    """Pre-norm blocks of attention over all tokens and a GELU perceptron."""
    norm = Norm("layer", eps=EPS)
    attention: Layers = (norm, Attention(heads))
    perceptron: Layers = (norm, Linear(mlp_width), Act("gelu"), Linear(width))
    branches = depth * [attention, perceptron]
    last = max(1, len(branches) - 1)
    return tuple(Residual(branch, drop=drop_path * i / last) for i, branch in enumerate(branches))


def nearest_heads(width: int, wanted: float) -> int:
    """Of the divisors of ``width``, the one nearest in ratio to ``wanted``."""
    if not 1 <= width <= LARGEST:
        raise OptionError(f"width {width} is not within [1, {LARGEST}]", "width")
    divisors = (heads for heads in range(1, width + 1) if width % heads == 0)
    return min(divisors, key=lambda heads: max(heads / wanted, wanted / heads))


VIT = ViT()
