"""The vocabulary of vision networks: a network is a tree of these plain values.

From the one tree follow both the exact counts (:mod:`scaling.families.vision.counts`, no torch)
and the torch module (:mod:`scaling.families.vision.layers_module`), so the two cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from scaling.base import refuse_unknown

ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "mish"),
    *("hardswish", "softplus", "sigmoid", "tanh", "identity"),
)
NORMS = ("batch", "layer", "group")
INITS = ("he", "he_fan_in", "lecun", "glorot", "trunc_normal")


@dataclass(frozen=True)
class Conv:
    """A 2-d convolution; stride s divides the side, rounded up, unless ``padding`` is given.

    Attributes
    ----------
    out : int
        Output channels.
    groups : int
        0 for depthwise: as many as input channels.
    standardised : bool
        Scaled weight standardisation (Brock et al. 2021, arXiv 2101.08692, eq. 2), with a
        learned gain per output channel.
    dilation : int
        Distance of the kernel's neighbouring entries (Yu and Koltun 2016).
    """

    out: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    bias: bool = False
    padding: int | None = None
    standardised: bool = False
    dilation: int = 1


@dataclass(frozen=True)
class Norm:
    """Normalisation over channels, of images or tokens.

    Attributes
    ----------
    kind : {"batch", "layer", "group"}
        ``layer`` normalises the channels at each position.
    zero : bool
        Gain 0 at the start: the last norm of a residual branch (Goyal et al. 2017, sec. 5.1).
    groups : int
        Of ``group``: at most, for they are equal and have two channels or more.
    affine : bool
        Whether gain and bias are learned; for ``batch`` alone they may be left out.
    """

    kind: str = "batch"
    zero: bool = False
    groups: int = 32
    eps: float = 1e-5
    affine: bool = True

    def __post_init__(self) -> None:
        if self.kind not in NORMS:
            refuse_unknown(self.kind, NORMS, "norm")


@dataclass(frozen=True)
class Act:
    """An elementwise activation, one of ``ACTIVATIONS``, times ``gain``."""

    kind: str = "relu"
    gain: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in ACTIVATIONS:
            refuse_unknown(self.kind, ACTIVATIONS, "activation")


@dataclass(frozen=True)
class Pool:
    """Max or average pooling; padding (k - 1) // 2 unless given."""

    kind: str
    kernel: int
    stride: int
    padding: int | None = None


@dataclass(frozen=True)
class GlobalPool:
    """The mean over all positions of an image: (c, h, w) to (c,)."""


@dataclass(frozen=True)
class Flatten:
    """All elements as one vector."""


@dataclass(frozen=True)
class Linear:
    """A matrix product on the last axis: of a vector, or of every token.

    ``zero``: weights and biases 0 at the start.
    """

    out: int
    bias: bool = True
    zero: bool = False


@dataclass(frozen=True)
class Dropout:
    """Zeroes elements with probability ``rate``."""

    rate: float


@dataclass(frozen=True)
class Scale:
    """Multiplies by a constant."""

    factor: float


@dataclass(frozen=True)
class SqueezeExcite:
    """Squeeze-and-excitation (Hu et al. 2018): pool, two 1x1 products with bias, a gate.

    ``gain`` multiplies the gated signal (2 in NFNets).
    """

    hidden: int
    act: str = "relu"
    gain: float = 1.0


@dataclass(frozen=True)
class Residual:
    """shortcut(x) + scale * drop(branch(x)).

    Attributes
    ----------
    shortcut : tuple of layers
        Empty for the identity.
    drop : float
        Stochastic depth: the branch of an example is dropped with this probability, and
        scaled by 1 / (1 - drop) otherwise (Huang et al. 2016).
    scale : None, float
        A learned scale starts at this value: per channel (LayerScale, Touvron et al. 2021b,
        eq. 4), or one number for the branch when ``scalar`` (SkipInit, De and Smith 2020).
    """

    branch: Layers
    shortcut: Layers = ()
    drop: float = 0.0
    scale: float | None = None
    scalar: bool = False


@dataclass(frozen=True)
class Shift:
    """The image moved by one pixel, up and to the left; zeros come in."""


@dataclass(frozen=True)
class Node:
    """``layers`` on what ``join`` makes of the values ``inputs`` of a graph.

    Attributes
    ----------
    inputs : tuple of int
        0 is what comes into the graph, i the value of its i-th node; all before this one.
    join : str
        ``sum``, ``mean``, ``concat`` along the channels, or ``weighted``: a sum with the
        sigmoid of a learned number for each input (Xie et al. 2019, sec. 3.2), 0 at the start.
    """

    inputs: tuple[int, ...]
    layers: Layers = ()
    join: str = "sum"


@dataclass(frozen=True)
class Graph:
    """Nodes wired as a directed acyclic graph, in an order that follows it; the last is its value.

    All values that a node sums are of one shape.
    """

    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Mixed:
    """The sum of ``options`` of one shape, each times a number that is given from outside.

    ``weights`` of the module is set before each pass: see ``wired.search_module``. An option of
    None is 0 times its number.
    """

    options: tuple[Layers | None, ...]
    kind: int
    edge: int


@dataclass(frozen=True)
class Embed:
    """Tokens to vectors: whole numbers (t,) to (t, width)."""

    vocab_size: int
    width: int


@dataclass(frozen=True)
class Stack:
    """Neighbours along time side by side: (t, c) to (t // times, times c); a rest is not seen."""

    times: int


@dataclass(frozen=True)
class ToTokens:
    """Positions of an image as tokens, (c, h, w) to (h w, c); a sequence (t, c) has them already.

    And what belongs to a transformer encoder's input.

    Attributes
    ----------
    class_token : bool
        A learned token is put first.
    positions : {"learned", "sincos", "none"}
        Learned (Dosovitskiy et al. 2021) or fixed sine-cosine position embeddings, 2-d for
        images (Beyer et al. 2022), 1-d for sequences (Vaswani et al. 2017), added to all tokens.
    """

    class_token: bool = True
    positions: str = "learned"


@dataclass(frozen=True)
class Attention:
    """Multi-head self-attention over all tokens, with the products q, k, v and out."""

    heads: int
    bias: bool = True


@dataclass(frozen=True)
class TakeToken:
    """The first token: (t, c) to (c,)."""


@dataclass(frozen=True)
class MeanTokens:
    """The mean over tokens: (t, c) to (c,)."""


Layer: TypeAlias = (
    Conv
    | Norm
    | Act
    | Pool
    | GlobalPool
    | Flatten
    | Linear
    | Dropout
    | Scale
    | SqueezeExcite
    | Residual
    | Shift
    | Graph
    | Mixed
    | Embed
    | Stack
    | ToTokens
    | Attention
    | TakeToken
    | MeanTokens
)
Layers: TypeAlias = "tuple[Layer, ...]"


@dataclass(frozen=True)
class Network:
    """A whole model: ``stem``, ``body`` (the repeated blocks) and ``head`` (to the classes).

    ``init`` names how kernels start: see ``scaling.families.vision.layers_module.INITS``.
    """

    input_shape: tuple[int, ...]
    stem: Layers
    body: Layers
    head: Layers
    init: str = "he"

    def __post_init__(self) -> None:
        if self.init not in INITS:
            refuse_unknown(self.init, INITS, "init")
