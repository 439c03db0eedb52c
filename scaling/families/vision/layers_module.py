"""Networks of plain layers (:mod:`scaling.families.vision.layers`) as torch modules."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial, singledispatch
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.families.vision import layers as L
from scaling.families.vision.counts import Shape, Tally, padding_of, walk
from scaling.families.vision.graph_module import GraphModule, MixedModule
from scaling.families.vision.pieces_module import (
    AdaptivePoolModule,
    AuxiliaryModule,
    ConcatModule,
    MaxoutModule,
    PaddedModule,
    PReLUModule,
    ResponseNormModule,
    SpaceToDepthModule,
    WSConv2d,
)
from scaling.families.vision.tokens_module import (
    AttentionModule,
    Embedding,
    Stacked,
    Take,
    Tokens,
)
from scaling.families.vision.window_module import WindowAttentionModule

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    name: getattr(F, name) for name in L.ACTIVATIONS if name not in ("identity", "prelu")
}
PRODUCTS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
STANDARDISE_EPS = 1e-4  # least variance of a standardised filter, as in the code of Brock et al.


def _he(kernel: Tensor, last: bool) -> None:
    image = kernel.ndim == 4 and not last
    fan = kernel.shape[0] * kernel[0, 0].numel() if image else kernel[0].numel()
    nn.init.normal_(kernel, std=math.sqrt((1 if last else 2) / fan))


def _he_fan_in(kernel: Tensor, last: bool) -> None:
    nn.init.normal_(kernel, std=math.sqrt((1 if last else 2) / kernel[0].numel()))


def _lecun(kernel: Tensor, last: bool) -> None:
    nn.init.normal_(kernel, std=kernel[0].numel() ** -0.5)


def _glorot(kernel: Tensor, last: bool) -> None:
    nn.init.xavier_uniform_(kernel)


def _orthogonal(kernel: Tensor, last: bool) -> None:
    nn.init.orthogonal_(kernel, gain=1 if last else math.sqrt(2))


def _trunc_normal(kernel: Tensor, last: bool) -> None:
    nn.init.trunc_normal_(kernel, std=0.02)


# How kernels and matrices start, by Network.init; biases start at 0. `last` is the classifier's.
INITS: dict[str, Callable[[Tensor, bool], None]] = {
    # He et al. 2015, eq. 14: variance 2 / (k^2 out); of a matrix 2 / in, of the last one 1 / in.
    # (0.01 for the last, as often at widths of 2048, makes narrow networks start slowly.)
    "he": _he,
    "he_fan_in": _he_fan_in,  # eq. 10: 2 / (k^2 in); the last one 1 / in
    "lecun": _lecun,  # LeCun et al. 1998, sec. 4.6: 1 / (k^2 in)
    "glorot": _glorot,  # Glorot and Bengio 2010 (Xavier), eq. 16
    # Saxe et al. 2014 (arXiv 1312.6120): rows, or columns, of norm sqrt(2) and at right angles.
    "orthogonal": _orthogonal,
    "trunc_normal": _trunc_normal,  # std 0.02 (Touvron et al. 2021; Liu et al. 2022)
}


class ScaledWSConv2d(nn.Conv2d):
    """A convolution with the kernel g (W - mean) / sqrt(fan-in var), over each filter.

    Scaled weight standardisation, Brock et al. 2021 (arXiv 2101.08692), eq. 2; ``gain`` g is
    learned, one for each output channel. The gain of the activation is in :class:`Act`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gain = nn.Parameter(torch.ones(self.out_channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, c, h, w)`` to the convolved image."""
        fan_in = self.weight[0].numel()
        var, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        factor = (var * fan_in).clamp_min(STANDARDISE_EPS).rsqrt() * self.gain
        return self._conv_forward(x, (self.weight - mean) * factor, self.bias)


class ZeroLinear(nn.Linear):
    """A matrix that starts at 0."""


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels at each position of an image."""

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, c, h, w)`` to the same."""
        out: Tensor = super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return out


class Activation(nn.Module):
    """An elementwise function times a gain."""

    def __init__(self, layer: L.Act) -> None:
        super().__init__()
        self.kind, self.gain = layer.kind, layer.gain

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        x = FUNCTIONS[self.kind](x) if self.kind != "identity" else x
        return x if self.gain == 1 else x * self.gain

    def extra_repr(self) -> str:
        """The function's name."""
        return self.kind


class GlobalMean(nn.Module):
    """The mean over the axes ``dim``."""

    def __init__(self, *dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """All axes but ``dim`` are kept."""
        return x.mean(self.dim)


class Factor(nn.Module):
    """Multiplies by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return x * self.factor


class SqueezeExciteModule(nn.Module):
    """x times gate(W2 act(W1 mean(x))) (Hu et al. 2018, eqs. 2 to 4)."""

    def __init__(self, layer: L.SqueezeExcite, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, layer.hidden)
        self.act = _module(L.Act(layer.act), (layer.hidden,))
        self.expand = nn.Linear(layer.hidden, channels)
        self.gain = layer.gain
        self.gate: Callable[[Tensor], Tensor] = getattr(F, layer.gate)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, c, h, w)`` to the same."""
        gate = self.gate(self.expand(self.act(self.reduce(x.mean((2, 3))))))
        return x * (gate * self.gain if self.gain != 1 else gate)[:, :, None, None]


class ResidualModule(nn.Module):
    """shortcut(x) + scale * drop(branch(x)); see ``layers.Residual``."""

    def __init__(self, layer: L.Residual, shape: Shape) -> None:
        super().__init__()
        self.branch, out = sequence(layer.branch, shape)
        self.shortcut = sequence(layer.shortcut, shape)[0]
        self.drop = layer.drop
        self.scale: nn.Parameter | None = None
        if layer.scale is not None:
            per_channel = (out[0], 1, 1) if len(out) == 3 else (out[-1],)
            size = (1,) if layer.scalar else per_channel
            self.scale = nn.Parameter(torch.full(size, float(layer.scale)))

    def forward(self, x: Tensor) -> Tensor:
        """The signal after the block."""
        branch: Tensor = self.branch(x)
        if self.scale is not None:
            branch = branch * self.scale
        if self.drop and self.training:
            keep = 1 - self.drop
            kept = torch.rand(len(x), *(1,) * (branch.ndim - 1), device=x.device) < keep
            branch = branch * (kept.to(branch.dtype) / keep)
        out: Tensor = self.shortcut(x) + branch
        return out


@singledispatch
def _module(layer: Any, shape: Shape) -> Any:
    """The module of ``layer`` for an input of ``shape`` (without the batch)."""
    raise TypeError(f"no torch module for {layer}")


@_module.register
def _(layer: L.Conv, shape: Shape) -> Any:
    standardised: Any = WSConv2d if layer.plain else ScaledWSConv2d
    kind = standardised if layer.standardised else nn.Conv2d
    return kind(
        shape[0],
        layer.out,
        layer.kernel,
        layer.stride,
        padding_of(layer),
        dilation=layer.dilation,
        groups=layer.groups or shape[0],
        bias=layer.bias,
    )


@_module.register
def _(layer: L.Norm, shape: Shape) -> Any:
    image = len(shape) == 3
    channels = shape[0] if image else shape[-1]
    module: nn.Module
    if layer.kind == "batch":
        kind = nn.BatchNorm2d if image else nn.BatchNorm1d
        module = kind(channels, eps=layer.eps, affine=layer.affine)
    elif layer.kind == "group":
        module = nn.GroupNorm(_num_groups(channels, layer.groups), channels, eps=layer.eps)
    elif layer.kind == "instance":
        module = nn.GroupNorm(channels, channels, eps=layer.eps)
    else:
        module = (ChannelNorm if image else nn.LayerNorm)(channels, eps=layer.eps)
    if layer.zero:
        nn.init.zeros_(module.weight)
    return module


def _num_groups(channels: int, most: int) -> int:
    """The most equal groups of two channels or more: a group of one loses its mean."""
    return max(g for g in range(1, max(1, min(most, channels // 2)) + 1) if channels % g == 0)


@_module.register
def _(layer: L.Linear, shape: Shape) -> Any:
    return (ZeroLinear if layer.zero else nn.Linear)(shape[-1], layer.out, bias=layer.bias)


@_module.register
def _(layer: L.Padded, shape: Shape) -> Any:
    return PaddedModule(layer, shape)


@_module.register
def _(layer: L.Pool, shape: Shape) -> Any:
    size = (layer.kernel, layer.stride, padding_of(layer))
    if layer.kind == "max":
        return nn.MaxPool2d(*size, ceil_mode=layer.ceil)
    return nn.AvgPool2d(*size, ceil_mode=layer.ceil, count_include_pad=False)


@_module.register
def _(layer: L.Act, shape: Shape) -> Any:
    return PReLUModule(layer, shape) if layer.kind == "prelu" else Activation(layer)


@_module.register
def _(layer: L.Concat, shape: Shape) -> Any:
    return ConcatModule(sequence(branch, shape)[0] for branch in layer.branches)


@_module.register
def _(layer: L.LineConv, shape: Shape) -> Any:
    size = (1, layer.kernel) if layer.across else (layer.kernel, 1)
    return nn.Conv2d(shape[0], layer.out, size, padding="same", bias=False)


@_module.register
def _(layer: L.UpConv, shape: Shape) -> Any:
    return nn.ConvTranspose2d(shape[0], layer.out, 2, stride=2)


@_module.register
def _(layer: L.Auxiliary, shape: Shape) -> Any:
    return AuxiliaryModule(sequence(layer.layers, shape)[0], layer.weight)


_SHAPELESS: dict[type, Callable[[Any], Any]] = {
    L.Maxout: MaxoutModule,
    L.ResponseNorm: lambda layer: ResponseNormModule(),
    L.AdaptivePool: AdaptivePoolModule,
    L.SpaceToDepth: lambda layer: SpaceToDepthModule(),
    L.GlobalPool: lambda layer: GlobalMean(2, 3),
    L.Flatten: lambda layer: nn.Flatten(),
    L.Dropout: lambda layer: nn.Dropout(layer.rate) if layer.rate else nn.Identity(),
    L.Scale: lambda layer: Factor(layer.factor),
    L.TakeToken: lambda layer: Take(),
    L.MeanTokens: lambda layer: GlobalMean(1),
}
for _kind, _make in _SHAPELESS.items():
    _module.register(_kind, partial(lambda make, layer, shape: make(layer), _make))
_module.register(L.SqueezeExcite, lambda layer, shape: SqueezeExciteModule(layer, shape[0]))
_module.register(L.Residual, ResidualModule)
_module.register(L.ToTokens, Tokens)
_module.register(L.Shift, lambda layer, shape: nn.ZeroPad2d((-1, 1, -1, 1)))
_module.register(L.Graph, lambda layer, shape: GraphModule(layer, shape, sequence))
_module.register(L.Mixed, lambda layer, shape: MixedModule(layer, shape, sequence))
_module.register(L.Embed, lambda layer, shape: Embedding(layer.vocab_size, layer.width))
_module.register(L.Stack, lambda layer, shape: Stacked(layer.times))
_module.register(L.WindowAttention, WindowAttentionModule)
_module.register(L.Attention, lambda layer, shape: AttentionModule(layer, shape[-1]))


def sequence(layers: L.Layers, shape: Shape) -> tuple[nn.Sequential, Shape]:
    """``layers`` as one module for inputs of ``shape``, and the shape of its outputs."""
    modules = []
    for layer in layers:
        modules.append(_module(layer, shape))
        shape = walk((layer,), Tally(shape, side=shape[-1])).shape
    return nn.Sequential(*modules), shape


class NetworkModule(nn.Module):
    """Inputs ``(batch, *input_shape)`` to logits ``(batch, classes)``, or of each pixel.

    Images are kept channels last: on one CPU core small networks are 1.1 to 1.8 times faster so.
    """

    def __init__(self, network: L.Network) -> None:
        super().__init__()
        self.stem, shape = sequence(network.stem, network.input_shape)
        self.body, shape = sequence(network.body, shape)
        self.head, _ = sequence(network.head, shape)
        matrices = [m for m in self.modules() if isinstance(m, PRODUCTS)]
        # Classifiers on the side; while training each keeps its last ``logits``.
        self.auxiliaries = [m for m in self.modules() if isinstance(m, AuxiliaryModule)]
        lasts = {id(matrices[-1]), *(id(m.last) for m in self.auxiliaries)}
        for module in matrices:
            if isinstance(module, ZeroLinear):
                nn.init.zeros_(module.weight)
            else:
                INITS[network.init](module.weight, id(module) in lasts)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

        self.image = len(network.input_shape) == 3
        if self.image:
            self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        if self.image:
            x = x.contiguous(memory_format=torch.channels_last)
        out: Tensor = self.head(self.body(self.stem(x)))
        return out

    def in_a_row(self) -> list[tuple[str, nn.Module]]:
        """The layers that an input goes through one after another, by name."""
        parts = (("stem", self.stem), ("body", self.body), ("head", self.head))
        return [(f"{part}.{i}", layer) for part, layers in parts for i, layer in enumerate(layers)]

    def param_groups(self) -> list[dict[str, Any]]:
        """Kernels and matrices decay; norms, biases, gains, scales, positions and tokens do not."""
        kernels = [m.weight for m in self.modules() if isinstance(m, PRODUCTS)]
        decayed = {id(p) for p in kernels}
        others = [p for p in self.parameters() if id(p) not in decayed]
        return [
            {"params": kernels, "lr_scale": 1.0, "decay": True},
            {"params": others, "lr_scale": 1.0, "decay": False},
        ]
