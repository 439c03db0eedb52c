"""Exact counts of a network without building it.

Conventions, those of Radosavovic et al. 2020 and their published table: MACs are those of
convolutions and matrix products, a bias is one more for each output; activations are the
outputs of these and of poolings by windows; norms and elementwise functions count
parameters only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from scaling.base import Cost, OptionError
from scaling.families.vision import layers as L

Shape = tuple[int, ...]


@dataclass
class Tally:
    """Running counts of one walk through a network.

    Attributes
    ----------
    shape : tuple of int
        Of the signal now: (c, h, w), (tokens, c) or (features,).
    field, jump : int
        Receptive field and the distance of neighbouring outputs, in input pixels along a side
        (Araujo et al. 2019, eqs. 1 and 2; the largest over all paths).
    kernels, others : int
        Parameters: entries of kernels and matrices, and all others.
    embedding : int
        Of the others, those of tables of tokens.
    asks : bool
        Whether the signal asks for a gradient: once a parameter came in.
    learns : bool
        Whether parameters ask for one; else only the numbers of mixtures do.
    macs_without_input_gradient : int
        See :class:`scaling.base.Cost`.
    biases : int
        Those of ``macs`` that add a bias.
    """

    shape: Shape
    field: int = 1
    jump: int = 1
    kernels: int = 0
    others: int = 0
    embedding: int = 0
    macs: int = 0
    asks: bool = False
    macs_without_input_gradient: int = 0
    activations: int = 0
    side: int = 0
    learns: bool = True
    biases: int = 0

    @property
    def params(self) -> int:
        """All trainable parameters."""
        return self.kernels + self.others

    def window(self, kernel: int, stride: int, padding: int, ceil: bool = False) -> tuple[int, int]:
        """Slide a window over the image: the new height and width.

        With ``ceil`` a last window may reach over the edge, if it begins within the image.

        Raises
        ------
        ValueError
            If nothing is left.
        """
        _, h, w = self.shape
        out = tuple((x + 2 * padding - kernel) // stride + 1 for x in (h, w))
        if ceil:
            last = tuple(-(-(x + 2 * padding - kernel) // stride) for x in (h, w))
            out = tuple(n + (n * stride < x + padding) for n, x in zip(last, (h, w), strict=True))
        if min(out) < 1 or (stride > 1 and min(h, w) < stride):
            raise OptionError(
                f"resolution {self.side} is too small: {h}x{w} positions are left before a "
                f"{kernel}x{kernel} window of stride {stride}: take a larger resolution, or "
                "a stem or stages with less stride",
                "resolution",
                "stem",
            )
        self.field += (kernel - 1) * self.jump
        self.jump *= stride
        return out[0], out[1]

    def product(self, weights: int, bias: int, outputs: int, times: int) -> None:
        """Add a product with ``weights`` entries, done ``times`` times, for ``outputs`` outputs."""
        if not self.asks:
            self.macs_without_input_gradient += weights * times
        self.asks = self.asks or self.learns
        self.kernels += weights
        self.others += bias
        self.macs += weights * times + (outputs if bias else 0)
        self.biases += outputs if bias else 0
        self.macs_without_input_gradient += outputs if bias else 0
        self.activations += outputs


def padding_of(layer: L.Conv | L.Pool) -> int:
    """The padding on each side."""
    return (span_of(layer) - 1) // 2 if layer.padding is None else layer.padding


def span_of(layer: L.Conv | L.Pool) -> int:
    """Pixels along a side that a window spans."""
    return (layer.kernel - 1) * getattr(layer, "dilation", 1) + 1


@singledispatch
def _count(layer: Any, t: Tally) -> None:
    """Add a layer that has no parameters and keeps the shape."""


@_count.register
def _(layer: L.Conv, t: Tally) -> None:
    channels = t.shape[0]
    groups = layer.groups or channels
    if channels % groups or layer.out % groups:
        raise OptionError(
            f"{groups} groups divide not both {channels} and {layer.out} channels", "groups"
        )
    h, w = t.window(span_of(layer), layer.stride, padding_of(layer))
    weights = layer.kernel**2 * channels * layer.out // groups
    t.product(weights, layer.out if layer.bias else 0, layer.out * h * w, h * w)
    if layer.standardised and not layer.plain:
        t.others += layer.out
    t.shape = (layer.out, h, w)


@_count.register
def _(layer: L.Norm, t: Tally) -> None:
    if layer.kind == "instance" and math.prod(t.shape[1:]) == 1:
        raise OptionError(
            f"resolution {t.side} leaves one position, of which norm instance makes 0: take a "
            "larger resolution, less stride, or norm group",
            "resolution",
            "norm",
        )
    if layer.affine:
        t.others += 2 * _channels(t.shape)
        t.asks = t.asks or t.learns


@_count.register
def _(layer: L.Act, t: Tally) -> None:
    if layer.kind == "prelu":
        t.others += _channels(t.shape)
        t.asks = t.asks or t.learns


@_count.register
def _(layer: L.Maxout, t: Tally) -> None:
    axis = 0 if len(t.shape) == 3 else len(t.shape) - 1
    if t.shape[axis] % layer.pieces:
        raise OptionError(
            f"maxout of {layer.pieces} pieces divides not {t.shape[axis]} channels", "activation"
        )
    t.shape = (*t.shape[:axis], t.shape[axis] // layer.pieces, *t.shape[axis + 1 :])


@_count.register
def _(layer: L.Pool, t: Tally) -> None:
    sides = t.window(layer.kernel, layer.stride, padding_of(layer), layer.ceil)
    t.shape = (t.shape[0], *sides)
    t.activations += math.prod(t.shape)


@_count.register
def _(layer: L.AdaptivePool, t: Tally) -> None:
    t.field += (-(-max(t.shape[1:]) // layer.side) - 1) * t.jump
    t.shape = (t.shape[0], layer.side, layer.side)


@_count.register
def _(layer: L.GlobalPool, t: Tally) -> None:
    t.shape = (t.shape[0],)


@_count.register
def _(layer: L.Flatten, t: Tally) -> None:
    if len(t.shape) == 3:
        t.field = max(t.field, t.side)
    t.shape = (math.prod(t.shape),)


@_count.register
def _(layer: L.Linear, t: Tally) -> None:
    times = math.prod(t.shape[:-1])
    bias = layer.out if layer.bias else 0
    t.product(t.shape[-1] * layer.out, bias, layer.out * times, times)
    t.shape = (*t.shape[:-1], layer.out)


@_count.register
def _(layer: L.SqueezeExcite, t: Tally) -> None:
    channels = t.shape[0]
    t.product(channels * layer.hidden, layer.hidden, layer.hidden, 1)
    t.product(channels * layer.hidden, channels, channels, 1)
    t.others += layer.hidden if layer.act == "prelu" else 0


@_count.register
def _(layer: L.Residual, t: Tally) -> None:
    before, field_before, jump_before, asked = t.shape, t.field, t.jump, t.asks
    walk(layer.shortcut, t)
    shape, field_shortcut, asks_shortcut = t.shape, t.field, t.asks
    t.shape, t.field, t.jump, t.asks = before, field_before, jump_before, asked
    walk(layer.branch, t)
    t.asks = t.asks or asks_shortcut or layer.scale is not None
    if t.shape != shape:
        raise OptionError(
            f"an even kernel makes {t.shape} of {shape} in a block, which has to keep the side: "
            "take odd kernels",
            "kernel",
        )
    t.field = max(t.field, field_shortcut)
    if layer.scale is not None:
        t.others += 1 if layer.scalar else _channels(t.shape)


@_count.register
def _(layer: L.Padded, t: Tally) -> None:
    if layer.out < t.shape[0]:
        raise OptionError(
            f"shortcut padded has no {layer.out} of {t.shape[0]} channels: take widths that do "
            "not fall, or shortcut projection",
            "shortcut",
            "widths",
        )
    t.shape = (layer.out, *t.window(1, layer.stride, 0))


@_count.register
def _(layer: L.Graph, t: Tally) -> None:
    values = [(t.shape, t.field, t.jump, t.asks)]
    for node in layer.nodes:
        _join([values[i] for i in node.inputs], node.join, t)
        walk(node.layers, t)
        values.append((t.shape, t.field, t.jump, t.asks))


def _join(values: list[tuple[Shape, int, int, bool]], how: str, t: Tally) -> None:
    """Go on from what a node makes of the values that it sees."""
    shapes, fields, jumps, asks = zip(*values, strict=True)
    alike = shapes if how != "concat" else [shape[1:] for shape in shapes]
    if len(set(alike)) > 1:
        raise OptionError(
            f"a node of a graph sees images of {' and '.join(map(str, sorted(set(shapes))))}: "
            "take a resolution that the strides divide",
            "resolution",
        )
    t.shape, t.field, t.jump, t.asks = shapes[0], max(fields), max(jumps), any(asks)
    if how == "concat":
        t.shape = (sum(shape[0] for shape in shapes), *shapes[0][1:])
    if how == "weighted":
        t.others += len(values)
        t.asks = t.asks or t.learns


@_count.register
def _(layer: L.Mixed, t: Tally) -> None:
    before = (t.shape, t.field, t.jump, t.asks)
    ends = []
    for option in layer.options:
        if option is not None:
            t.shape, t.field, t.jump, t.asks = before
            walk(option, t)
            ends.append((t.shape, t.field, t.jump, t.asks))
    _join(ends, "sum", t)
    t.asks = t.asks or not t.learns


@_count.register
def _(layer: L.Embed, t: Tally) -> None:
    t.others += layer.vocab_size * layer.width
    t.embedding += layer.vocab_size * layer.width
    t.asks = t.asks or t.learns
    t.shape = (*t.shape, layer.width)


@_count.register
def _(layer: L.Stack, t: Tally) -> None:
    time, channels = t.shape
    t.shape = (time // layer.times, channels * layer.times)


@_count.register
def _(layer: L.Concat, t: Tally) -> None:
    before, ends = (t.shape, t.field, t.jump, t.asks), []
    for branch in layer.branches:
        t.shape, t.field, t.jump, t.asks = before
        walk(branch, t)
        ends.append((t.shape, t.field, t.jump, t.asks))
    shapes, fields, jumps, asks = zip(*ends, strict=True)
    if len({shape[1:] for shape in shapes}) > 1:
        raise OptionError(
            f"branches of {' and '.join(map(str, shapes))} cannot be put side by side: take odd "
            "kernels, or a resolution that the strides divide",
            "kernel",
            "resolution",
        )
    t.shape = (sum(shape[0] for shape in shapes), *shapes[0][1:])
    t.field, t.jump, t.asks = max(fields), max(jumps), any(asks)


@_count.register
def _(layer: L.LineConv, t: Tally) -> None:
    channels, h, w = t.shape
    if layer.across:  # one down follows it: the field is as high as wide
        t.field += (layer.kernel - 1) * t.jump
    t.product(layer.kernel * channels * layer.out, 0, layer.out * h * w, h * w)
    t.shape = (layer.out, h, w)


@_count.register
def _(layer: L.UpConv, t: Tally) -> None:
    channels, h, w = t.shape
    t.jump //= 2
    t.product(4 * channels * layer.out, layer.out, 4 * layer.out * h * w, h * w)
    t.shape = (layer.out, 2 * h, 2 * w)


@_count.register
def _(layer: L.Auxiliary, t: Tally) -> None:
    before = (t.shape, t.field, t.jump, t.asks)
    walk(layer.layers, t)
    t.shape, t.field, t.jump, t.asks = before


@_count.register
def _(layer: L.SpaceToDepth, t: Tally) -> None:
    channels, h, w = t.shape
    t.field, t.jump = t.field + t.jump, 2 * t.jump
    t.shape = (4 * channels, -(-h // 2), -(-w // 2))


@_count.register
def _(layer: L.WindowAttention, t: Tally) -> None:
    width, h, w = t.shape
    window = window_of(layer, t.shape)
    tokens, within = math.prod(-(-side // window) * window for side in (h, w)), window**2
    asked = t.asks
    for _ in "qkv":
        t.asks = asked
        t.product(width**2, width, tokens * width, tokens)
    t.macs += 2 * tokens * within * width  # q k^T and its product with v
    t.activations += layer.heads * tokens * within + tokens * width
    t.product(width**2, width, tokens * width, tokens)
    t.others += layer.heads * (2 * window - 1) ** 2  # a bias for each relative position
    t.field += (window - 1) * t.jump


def window_of(layer: L.WindowAttention, shape: Shape) -> int:
    """Positions a side of a window in an image of ``shape``."""
    return min(layer.window, max(shape[1:]))


@_count.register
def _(layer: L.ToTokens, t: Tally) -> None:
    channels, places = _channels(t.shape), math.prod(t.shape) // _channels(t.shape)
    tokens = places + layer.class_token
    t.others += channels * layer.class_token
    t.asks = t.asks or layer.class_token or layer.positions == "learned"
    parts = 4 if len(t.shape) == 3 else 2  # sines and cosines, along each side
    if layer.positions == "sincos" and channels % parts:
        raise OptionError(
            f"sincos positions need a width that {parts} divides, not {channels}",
            "positions",
            "width",
        )
    if layer.positions == "learned":
        t.others += tokens * channels
    t.shape = (tokens, channels)


@_count.register
def _(layer: L.Attention, t: Tally) -> None:
    tokens, width = t.shape
    bias, asked = width if layer.bias else 0, t.asks
    for _ in "qkv":
        t.asks = asked
        t.product(width**2, bias, tokens * width, tokens)
    t.product(width**2, bias, tokens * width, tokens)
    t.macs += 2 * tokens**2 * width  # q k^T and its product with v
    t.activations += layer.heads * tokens**2 + tokens * width
    t.field = max(t.field, t.side)


@_count.register
def _(layer: L.TakeToken, t: Tally) -> None:
    t.shape = t.shape[1:]


@_count.register
def _(layer: L.MeanTokens, t: Tally) -> None:
    t.shape = t.shape[1:]


def _channels(shape: Shape) -> int:
    """Channels of an image, else the last axis."""
    return shape[0] if len(shape) == 3 else shape[-1]


def walk(layers: L.Layers, tally: Tally) -> Tally:
    """``tally`` with ``layers`` added, one after another."""
    for layer in layers:
        _count(layer, tally)
    return tally


def count(network: L.Network) -> Cost:
    """Exact counts of ``network`` per example, as it is in training.

    Raises
    ------
    ValueError
        If a shape does not fit, such as a resolution too small for the strides.
    """
    t = Tally(network.input_shape, side=network.input_shape[-1])
    walk(network.stem, t)
    outside = t.kernels
    walk(network.body, t)
    receptive = t.field
    block = t.kernels - outside
    walk(network.head, t)
    train = 6 * t.macs
    return Cost(
        unit="example",
        num_params=t.params,
        num_params_block=block,
        num_params_matmul=t.kernels,
        num_params_non_embedding=t.params - t.embedding,
        macs_forward=t.macs,
        activations=t.activations,
        flops_kaplan=train,
        flops_chinchilla=train,
        receptive_field=receptive if len(network.input_shape) == 3 else None,
        macs_without_input_gradient=t.macs_without_input_gradient,
    )
