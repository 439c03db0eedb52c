"""A transformer encoder over sequences with a label: text, or frames such as those of speech.

The blocks are those of the vision transformer: pre-norm, attention over all places (bidirectional,
as BERT's: Devlin et al. 2019), a GELU perceptron, biases. Only the input differs: a table of
vectors for tokens, a matrix for the features of frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from scaling.base import OptionError, Unit, convert, read_where
from scaling.families.base import ModelConfig, Options, nearest_shapes
from scaling.families.vision.family import (
    LARGEST,
    TARGET_OR_WIDTH,
    TARGETS,
    VisionFamily,
    round_width,
)
from scaling.families.vision.layers import (
    Dropout,
    Embed,
    Layers,
    Linear,
    MeanTokens,
    Network,
    Norm,
    Stack,
    TakeToken,
    ToTokens,
)
from scaling.families.vision.zoo.vit import (
    CHOICES,
    EPS,
    FEWEST_HEADS,
    HEAD_DIM,
    blocks,
    nearest_heads,
)


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(ModelConfig):
    """``depth`` pre-norm blocks over a sequence, then the classes.

    Attributes
    ----------
    depth, width, mlp_width, heads : int
        Blocks, channels of a token, hidden width of the perceptron, attention heads.
    input_shape : tuple of int
        Of one example: ``(time,)`` of tokens, or ``(time, features)`` of frames.
    vocab_size : int
        Tokens; 0 for frames.
    num_classes : int
    stack : int
        Frames side by side in one token, as speech models shorten their input.
    pool : {"token", "mean"}
        The classifier sees a class token, or the mean of all tokens (then there is no class
        token).
    positions : {"learned", "sincos", "none"}
    dropout : float
        Before the last layer.
    drop_path : float
        Stochastic depth: branch i of n, two a block, is dropped with probability
        drop_path * i / (n - 1).
    init : str
        How matrices start: a name of ``scaling.families.vision.layers_module.INITS``.
    """

    depth: int = 2
    width: int = 64
    mlp_width: int = 256
    heads: int = 2
    input_shape: tuple[int, ...] = (256,)
    vocab_size: int = 256
    num_classes: int = 10
    stack: int = field(default=1, metadata=read_where(vocab_size=(0,)))
    pool: str = "token"
    positions: str = "learned"
    dropout: float = 0.0
    drop_path: float = 0.0
    init: str = "lecun"

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", tuple(self.input_shape))
        for name in ("depth", "width", "mlp_width", "heads", "num_classes", "stack"):
            if not 1 <= getattr(self, name) <= LARGEST:
                raise OptionError(f"{name} {getattr(self, name)} is not in [1, {LARGEST}]", name)
        for name, valid in CHOICES.items():
            if getattr(self, name) not in valid:
                raise OptionError(
                    f"{name} {getattr(self, name)!r} is none of {', '.join(valid)}", name
                )
        if self.vocab_size < 0:
            raise OptionError(f"vocab_size {self.vocab_size} is below 0", "vocab_size")
        for name in ("dropout", "drop_path"):
            if not 0 <= getattr(self, name) < 1:
                raise OptionError(f"{name} {getattr(self, name)} is not in [0, 1)", name)
        if len(self.input_shape) != (1 if self.vocab_size else 2) or min(self.input_shape) < 1:
            raise OptionError(
                f"input_shape {list(self.input_shape)} is neither [time] of tokens (with "
                "vocab_size) nor [time, features] of frames (vocab_size 0)",
                "input_shape",
                "vocab_size",
            )
        if self.stack > self.input_shape[0]:
            raise OptionError(
                f"stack {self.stack} is more than the {self.input_shape[0]} frames of an example: "
                "take fewer",
                "stack",
            )
        if self.width % self.heads:
            raise OptionError(
                f"width {self.width} is no multiple of heads {self.heads}: "
                f"{nearest_shapes(self.width, self.heads)}",
                "width",
                "heads",
            )


class Encoder(VisionFamily):
    """The family ``encoder``; see :class:`EncoderConfig` for its options.

    ``mlp_width`` is 4 times the width unless given, ``heads`` the divisor of the width nearest to
    width / 64, or to 3 in narrow models. Shorter texts are filled up with byte 0, which is a token
    like the others.
    """

    name: ClassVar[str] = "encoder"
    unit: ClassVar[Unit] = "example"
    config: ClassVar[type[Any]] = EncoderConfig
    dials: ClassVar[tuple[str, ...]] = ("depth_multiplier", "width_multiplier", *TARGETS)
    either: ClassVar[tuple[tuple[str, str], ...]] = TARGET_OR_WIDTH
    # Devlin et al. 2019, sec. 3, and Turc et al. 2019 (arXiv 1908.08962), table 1, the shapes.
    presets: ClassVar[Mapping[str, Options]] = {
        f"bert-{size}": {"depth": depth, "width": 64 * heads, "heads": heads}
        for size, depth, heads in (
            ("tiny", 2, 2),
            ("mini", 4, 4),
            ("small", 4, 8),
            ("medium", 8, 8),
            ("base", 12, 12),
            ("large", 24, 16),
        )
    }

    def configure(self, options: dict[str, Any]) -> EncoderConfig:
        """The configuration, with a shape for its width."""
        width = convert("int", "width", options.get("width", EncoderConfig.width))
        sized = {"mlp_width": 4 * width, "heads": _heads(width)}
        config: EncoderConfig = super().configure({**sized, **options})
        return config

    def data_options(self, info: Any) -> dict[str, Any]:
        """Classes and shape of the data."""
        if len(info.input_shape) not in (1, 2) or (
            len(info.input_shape) == 1 and not info.vocab_size
        ):
            has = f"inputs of shape {tuple(info.input_shape)}"
            raise OptionError(
                f"family {self.name} sees labelled texts or frames, data set {info.name!r} has "
                f"{has if info.unit == 'example' else 'tokens without labels'}: choose another "
                "of the two",
                "family",
                "data",
            )
        return {
            "num_classes": info.num_classes,
            "input_shape": tuple(info.input_shape),
            "vocab_size": info.vocab_size or 0,
        }

    def scaled(self, config: EncoderConfig, depth: float, width: float) -> EncoderConfig:
        """Depth rounded, width to a multiple of 8; the head's width is kept as divisors allow."""
        deep = replace(config, depth=max(1, round(depth * config.depth)))
        if width == 1:
            return deep
        wide = round_width(width * config.width)
        ratio = wide / config.width
        return replace(
            deep, width=wide, mlp_width=max(1, round(config.mlp_width * ratio)), heads=_heads(wide)
        )

    def network(self, config: EncoderConfig) -> Network:
        """Input, blocks, norm and head."""
        c = config
        front: Layers = (Embed(c.vocab_size, c.width),)
        if not c.vocab_size:
            front = (*([Stack(c.stack)] if c.stack > 1 else []), Linear(c.width))
        return Network(
            input_shape=c.input_shape,
            stem=(*front, ToTokens(class_token=c.pool == "token", positions=c.positions)),
            body=blocks(c.depth, c.width, c.mlp_width, c.heads, c.drop_path),
            head=(
                Norm("layer", eps=EPS),
                TakeToken() if c.pool == "token" else MeanTokens(),
                Dropout(c.dropout),
                Linear(c.num_classes),
            ),
            init=c.init,
        )


def _heads(width: int) -> int:
    return nearest_heads(width, max(width / HEAD_DIM, FEWEST_HEADS))


ENCODER = Encoder()
