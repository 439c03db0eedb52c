"""The multilayer perceptron, on images or on any vector of features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from scaling.base import OptionError, read_unless
from scaling.families.base import ModelConfig, Options
from scaling.families.vision.family import (
    LARGEST,
    TARGET_OR_WIDTH,
    TARGETS,
    VisionFamily,
    round_depth,
    round_width,
    whole_tuple,
)
from scaling.families.vision.layers import ALIASES, Dropout, Flatten, Layer, Linear, Network
from scaling.families.vision.zoo.plain import check_unit, unit

NORMS = ("none", "batch", "layer")


@dataclass(frozen=True, kw_only=True)
class MLPConfig(ModelConfig):
    """``depth`` hidden layers of ``width``, then the classes.

    Attributes
    ----------
    depth, width : int
    input_shape : tuple of int
        Of one example; it is flattened.
    num_classes : int
    activation : str
    norm : {"none", "batch", "layer"}
        Before each activation.
    dropout : float
        After each hidden layer.
    init : str
        How matrices start: a name of ``scaling.families.vision.layers_module.INITS``.
    """

    depth: int = 2
    width: int = field(default=256, metadata=read_unless(depth=0))
    input_shape: tuple[int, ...] = (1, 28, 28)
    num_classes: int = 10
    activation: str = field(default="relu", metadata=read_unless(depth=0))
    norm: str = field(default="none", metadata=read_unless(depth=0))
    dropout: float = field(default=0.0, metadata=read_unless(depth=0))
    init: str = "he_fan_in"

    def __post_init__(self) -> None:
        shape = whole_tuple("input_shape", self.input_shape)
        object.__setattr__(self, "input_shape", shape)
        if not shape or min(shape) < 1:
            raise OptionError(
                f"input_shape {list(shape)} is empty or has a number below 1", "input_shape"
            )
        object.__setattr__(self, "init", ALIASES.get(self.init, self.init))
        if not 0 <= self.depth <= LARGEST:
            raise OptionError(f"depth {self.depth} is not within [0, {LARGEST}]", "depth")
        for name in ("width", "num_classes"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} {getattr(self, name)} is below 1", name)
        if not 0 <= self.dropout < 1:
            raise OptionError(f"dropout {self.dropout} is not in [0, 1)", "dropout")
        check_unit(self.norm, self.activation, NORMS)


class MLP(VisionFamily):
    """The family ``mlp``; see :class:`MLPConfig` for its options."""

    name: ClassVar[str] = "mlp"
    config: ClassVar[type[Any]] = MLPConfig
    dials: ClassVar[tuple[str, ...]] = ("depth_multiplier", "width_multiplier", *TARGETS)
    either: ClassVar[tuple[tuple[str, str], ...]] = TARGET_OR_WIDTH
    presets: ClassVar[Mapping[str, Options]] = {}

    def data_options(self, info: Any) -> dict[str, Any]:
        """Classes and shape of the data."""
        if info.vocab_size:
            raise OptionError(
                f"family {self.name} sees numbers, data set {info.name!r} has tokens: choose "
                "another of the two, such as family encoder for labelled texts",
                "family",
                "data",
            )
        return {"num_classes": info.num_classes, "input_shape": tuple(info.input_shape)}

    def scaled(self, config: MLPConfig, depth: float, width: float) -> MLPConfig:
        """The depth rounded up, the width to a whole number."""
        return replace(
            config,
            depth=round_depth(depth * config.depth),
            width=round_width(width * config.width, 1),
        )

    def network(self, config: MLPConfig) -> Network:
        """Hidden layers, then the classifier."""
        c, body = config, list[Layer]()
        for _ in range(c.depth):
            body += [*unit(Linear(c.width), c.norm, c.activation), Dropout(c.dropout)]
        return Network(c.input_shape, (Flatten(),), tuple(body), (Linear(c.num_classes),), c.init)


MLP_FAMILY = MLP()
