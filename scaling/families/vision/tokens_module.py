"""Tokens and attention over all of them, as in vision transformers, as torch modules."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.families.parts_module import sinusoids
from scaling.families.vision import layers as L
from scaling.families.vision.counts import Shape


class Take(nn.Module):
    """The first token."""

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, tokens, c)`` to ``(batch, c)``."""
        return x[:, 0]


class Embedding(nn.Embedding):
    """Vectors of tokens, which start with standard deviation 0.02 (Devlin et al. 2019's code)."""

    def reset_parameters(self) -> None:
        """Start anew."""
        nn.init.trunc_normal_(self.weight, std=0.02)


class Stacked(nn.Module):
    """Neighbours along time side by side."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, t, c)`` to ``(batch, t // times, times c)``."""
        whole = x.shape[1] // self.times * self.times
        return x[:, :whole].reshape(len(x), -1, self.times * x.shape[2])


class Tokens(nn.Module):
    """Positions of an image or a sequence as tokens, with embeddings, after a class token."""

    def __init__(self, layer: L.ToTokens, shape: Shape) -> None:
        super().__init__()
        self.image = len(shape) == 3
        channels, *sides = shape if self.image else shape[::-1]
        first = int(layer.class_token)
        self.class_token: nn.Parameter | None = None
        if first:
            self.class_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.positions: Any = None
        if layer.positions == "learned":
            self.positions = nn.Parameter(torch.empty(first + math.prod(sides), channels))
            nn.init.trunc_normal_(self.positions, std=0.02)
        elif layer.positions == "sincos":
            del self.positions
            make: Any = sincos if self.image else sinusoids
            fixed = F.pad(make(*sides, channels), (0, 0, first, 0))
            self.register_buffer("positions", fixed, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, c, h, w)`` or ``(batch, t, c)`` to ``(batch, tokens, c)``."""
        if self.image:
            x = x.flatten(2).transpose(1, 2)
        if self.class_token is not None:
            x = torch.cat([self.class_token.expand(len(x), -1, -1).to(x.dtype), x], dim=1)
        return x if self.positions is None else x + self.positions


def sincos(h: int, w: int, channels: int) -> Tensor:
    """Fixed 2-d embeddings ``(h w, channels)``: sines and cosines of x and y, a quarter each.

    Frequencies 10000^(-i / (channels / 4 - 1)): ``posemb_sincos_2d`` of the code of Beyer et
    al. 2022 (arXiv 2205.01580).
    """
    quarter = channels // 4
    frequency = 10000.0 ** -(torch.arange(quarter) / max(1, quarter - 1))
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    angles = [place.flatten()[:, None] * frequency for place in (x, y)]
    return torch.cat([f(a) for a in angles for f in (torch.sin, torch.cos)], dim=1)


class AttentionModule(nn.Module):
    """Multi-head self-attention over all tokens (Vaswani et al. 2017, sec. 3.2.2)."""

    def __init__(self, layer: L.Attention, width: int) -> None:
        super().__init__()
        self.heads = layer.heads
        self.query_key_value = nn.Linear(width, 3 * width, bias=layer.bias)
        self.project = nn.Linear(width, width, bias=layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, tokens, c)`` to the same."""
        batch, tokens, width = x.shape
        parts = self.query_key_value(x).view(batch, tokens, 3, self.heads, -1)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.project(mixed.transpose(1, 2).reshape(batch, tokens, width))
        return out
