"""Tokens and attention over all of them, as in vision transformers, as torch modules."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.families.vision import layers as L
from scaling.families.vision.counts import Shape


class Take(nn.Module):
    """The first token."""

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, tokens, c)`` to ``(batch, c)``."""
        return x[:, 0]


class Tokens(nn.Module):
    """Positions of an image as tokens, with their embeddings, after a class token."""

    def __init__(self, layer: L.ToTokens, shape: Shape) -> None:
        super().__init__()
        channels, h, w = shape
        first = int(layer.class_token)
        self.class_token: nn.Parameter | None = None
        if first:
            self.class_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.positions: Any = None
        if layer.positions == "learned":
            self.positions = nn.Parameter(torch.empty(first + h * w, channels))
            nn.init.trunc_normal_(self.positions, std=0.02)
        elif layer.positions == "sincos":
            del self.positions
            fixed = F.pad(sincos(h, w, channels), (0, 0, first, 0))
            self.register_buffer("positions", fixed, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, c, h, w)`` to ``(batch, tokens, c)``."""
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
