"""Smaller layers of :mod:`scaling.families.vision.layers` as torch modules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.families.vision import layers as L
from scaling.families.vision.counts import Shape

SLOPE = 0.25  # of PReLU at the start: He et al. 2015, sec. 2.1
WS_EPS = 1e-5  # of a filter's standard deviation, as in the code of Qiao et al.


class WSConv2d(nn.Conv2d):
    """A convolution with the kernel (W - mean) / standard deviation, over each filter.

    Weight standardisation, Qiao et al. 2019 (arXiv 1903.10520), eq. 4.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, c, h, w)`` to the convolved image."""
        var, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        return self._conv_forward(x, (self.weight - mean) / (var.sqrt() + WS_EPS), self.bias)


class PReLUModule(nn.Module):
    """max(x, 0) + a min(x, 0), with a slope a for each channel, times a gain."""

    def __init__(self, layer: L.Act, shape: Shape) -> None:
        super().__init__()
        size = (shape[0], 1, 1) if len(shape) == 3 else (shape[-1],)
        self.slope = nn.Parameter(torch.full(size, SLOPE))
        self.gain = layer.gain

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        x = F.relu(x) - self.slope * F.relu(-x)
        return x if self.gain == 1 else x * self.gain


class MaxoutModule(nn.Module):
    """The largest of each ``pieces`` successive channels."""

    def __init__(self, layer: L.Maxout) -> None:
        super().__init__()
        self.pieces = layer.pieces

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, c, h, w)`` or ``(..., c)`` to the same with c / pieces."""
        axis = 1 if x.ndim == 4 else -1
        return x.unflatten(axis, (-1, self.pieces)).amax(axis + 1 if axis == 1 else -1)


class ResponseNormModule(nn.LocalResponseNorm):
    """Local response normalisation: n 5, k 2, alpha 1e-4, beta 0.75 (Krizhevsky et al. 2012).

    Their alpha multiplies the sum over n channels, torch's the mean.
    """

    def __init__(self) -> None:
        super().__init__(5, alpha=5e-4, beta=0.75, k=2.0)


class AdaptivePoolModule(nn.AdaptiveAvgPool2d):
    """The mean over windows that make a given side."""

    def __init__(self, layer: L.AdaptivePool) -> None:
        super().__init__(layer.side)


class ConcatModule(nn.Module):
    """The channels of all branches, side by side."""

    def __init__(self, branches: Iterable[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, c, h, w)`` to the branches' channels."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class AuxiliaryModule(nn.Module):
    """Hands its input on; while training it keeps the ``logits`` that its layers make of it."""

    def __init__(self, layers: nn.Sequential, weight: float) -> None:
        super().__init__()
        self.layers, self.weight = layers, weight
        self.logits: Tensor | None = None

    @property
    def last(self) -> Any:
        """The classifier's matrix."""
        return self.layers[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        self.logits = self.layers(x) if self.training else None
        return x


class PaddedModule(nn.Module):
    """Each ``stride``-th position, with channels of 0 behind its own."""

    def __init__(self, layer: L.Padded, shape: Shape) -> None:
        super().__init__()
        self.more, self.stride = layer.out - shape[0], layer.stride

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, c, h, w)`` to ``(batch, out, h / stride, w / stride)``, sides rounded up."""
        thin = x[:, :, :: self.stride, :: self.stride]
        return F.pad(thin, (0, 0, 0, 0, 0, self.more))


class SpaceToDepthModule(nn.Module):
    """Each 2x2 pixels as one with four times the channels; in the order of Liu et al.'s code."""

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, c, h, w)`` to ``(batch, 4 c, h / 2, w / 2)``, sides rounded up."""
        x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        corners = [x[:, :, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        return torch.cat(corners, dim=1)
