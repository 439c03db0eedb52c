"""The vocabulary of vision networks: a network is a tree of these plain values.

From the one tree follow both the exact counts (:mod:`scaling.families.vision.counts`, no torch)
and the torch module (:mod:`scaling.families.vision.layers_module`), so the two cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from scaling.base import refuse_unknown

ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu", "prelu", "elu", "selu", "gelu", "silu", "mish"),
    *("hardswish", "softplus", "sigmoid", "tanh", "identity"),
)
NORMS = ("batch", "layer", "group", "instance")
INITS = ("he", "he_fan_in", "lecun", "glorot", "orthogonal", "trunc_normal")
ALIASES = {"xavier": "glorot", "kaiming": "he"}  # by their authors' first names
GATES = ("sigmoid", "hardsigmoid")


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
    plain : bool
        With ``standardised``: (W - mean) / standard deviation and no gain (Qiao et al. 2019,
        arXiv 1903.10520, eq. 4), for networks with norms.
    """

    out: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    bias: bool = False
    padding: int | None = None
    standardised: bool = False
    dilation: int = 1
    plain: bool = False


@dataclass(frozen=True)
class Norm:
    """Normalisation over channels, of images or tokens.

    Attributes
    ----------
    kind : {"batch", "layer", "group", "instance"}
        ``layer`` normalises the channels at each position, ``instance`` the positions of each
        channel (Ulyanov et al. 2016, arXiv 1607.08022).
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
    """An elementwise activation, one of ``ACTIVATIONS``, times ``gain``.

    ``prelu`` learns the slope of each channel, from 0.25 on (He et al. 2015, sec. 2.1).
    """

    kind: str = "relu"
    gain: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in ACTIVATIONS:
            refuse_unknown(self.kind, ACTIVATIONS, "activation")


@dataclass(frozen=True)
class Maxout:
    """The largest of each ``pieces`` successive channels (Goodfellow et al. 2013, eq. 1)."""

    pieces: int = 2


@dataclass(frozen=True)
class ResponseNorm:
    """Local response normalisation with the constants of Krizhevsky et al. 2012, sec. 3.3."""


@dataclass(frozen=True)
class Pool:
    """Max or average pooling; padding (k - 1) // 2 unless given; ``ceil`` keeps a part window."""

    kind: str
    kernel: int
    stride: int
    padding: int | None = None
    ceil: bool = False


@dataclass(frozen=True)
class AdaptivePool:
    """The mean over as equal windows as make ``side`` x ``side`` positions."""

    side: int


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

    ``gain`` multiplies the gated signal (2 in NFNets); ``gate`` is one of ``GATES``.
    """

    hidden: int
    act: str = "relu"
    gain: float = 1.0
    gate: str = "sigmoid"


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
class Padded:
    """Each ``stride``-th position, with channels of 0 behind its own, ``out`` in all.

    A shortcut without parameters (He et al. 2016, sec. 3.3, option A).
    """

    out: int
    stride: int = 1


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
class Concat:
    """The channels of all ``branches`` of one input, side by side; () is the input itself."""

    branches: tuple[Layers, ...]


@dataclass(frozen=True)
class LineConv:
    """A convolution over ``kernel`` pixels across, or down; the sides stay as they are."""

    out: int
    kernel: int
    across: bool


@dataclass(frozen=True)
class UpConv:
    """A transposed 2x2 convolution of stride 2, with bias: each position makes four."""

    out: int


@dataclass(frozen=True)
class Auxiliary:
    """A classifier on the side, while training; the signal goes on as it is.

    The gradient of its loss, times ``weight``, is added (Szegedy et al. 2015, sec. 5).
    """

    layers: Layers
    weight: float


@dataclass(frozen=True)
class SpaceToDepth:
    """Each 2x2 pixels as one with four times the channels; odd sides are padded with 0."""


@dataclass(frozen=True)
class WindowAttention:
    """Multi-head self-attention within windows of an image (Liu et al. 2021, sec. 3.2).

    Attributes
    ----------
    heads, window : int
        A window has ``window`` x ``window`` positions, no more than the image; images are padded
        with 0 to whole windows.
    shifted : bool
        Windows start half a window further, around the edges, and pairs that are no neighbours
        are masked; not where one window is the image.
    """

    heads: int
    window: int
    shifted: bool = False


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
    | Maxout
    | ResponseNorm
    | Pool
    | AdaptivePool
    | GlobalPool
    | Flatten
    | Linear
    | Dropout
    | Scale
    | SqueezeExcite
    | Residual
    | Padded
    | Shift
    | Graph
    | Mixed
    | Embed
    | Stack
    | Concat
    | LineConv
    | UpConv
    | Auxiliary
    | SpaceToDepth
    | WindowAttention
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
