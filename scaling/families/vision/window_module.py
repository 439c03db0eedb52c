"""Attention within windows of an image (Liu et al. 2021, arXiv 2103.14030) as a torch module."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.families.vision import layers as L
from scaling.families.vision.counts import Shape, window_of

FAR = -100.0  # added to the logits of pairs that are no neighbours, as in the authors' code


class WindowAttentionModule(nn.Module):
    """Multi-head self-attention in (shifted) windows, with a bias for each relative position."""

    def __init__(self, layer: L.WindowAttention, shape: Shape) -> None:
        super().__init__()
        width, h, w = shape
        self.heads, self.window = layer.heads, window_of(layer, shape)
        self.padded = tuple(-(-side // self.window) * self.window for side in (h, w))
        self.shift = [
            self.window // 2 if layer.shifted and side > self.window else 0 for side in self.padded
        ]
        self.query_key_value = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.biases = nn.Parameter(torch.empty((2 * self.window - 1) ** 2, self.heads))
        nn.init.trunc_normal_(self.biases, std=0.02)
        self.register_buffer("pairs", relative_positions(self.window), persistent=False)
        far = None if not any(self.shift) else far_pairs(self.padded, self.window, self.shift)
        self.register_buffer("far", far, persistent=False)

    def _windows(self, x: Tensor) -> Tensor:
        """``(batch, h, w, c)`` to ``(batch, windows, tokens, c)``."""
        batch, h, w, width = x.shape
        side = self.window
        x = x.view(batch, h // side, side, w // side, side, width).transpose(2, 3)
        return x.reshape(batch, -1, side**2, width)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, c, h, w)`` to the same."""
        batch, width, h, w = x.shape
        x = x.permute(0, 2, 3, 1)
        x = F.pad(x, (0, 0, 0, self.padded[1] - w, 0, self.padded[0] - h))
        if any(self.shift):
            x = x.roll([-shift for shift in self.shift], (1, 2))
        x = self._windows(x)
        windows, tokens = x.shape[1:3]
        q, k, v = (
            self.query_key_value(x)
            .view(batch, windows, tokens, 3, self.heads, -1)
            .permute(3, 0, 1, 4, 2, 5)
            .flatten(1, 2)
        )
        bias = self.biases[self.pairs].permute(2, 0, 1)[None]
        if self.far is not None:
            bias = (bias + self.far[:, None].to(bias.dtype)).repeat(batch, 1, 1, 1)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        x = self.project(mixed.transpose(1, 2).reshape(batch, windows, tokens, width))
        rows, columns = (side // self.window for side in self.padded)
        x = x.view(batch, rows, columns, self.window, self.window, width).transpose(2, 3)
        x = x.reshape(batch, *self.padded, width)
        if any(self.shift):
            x = x.roll(self.shift, (1, 2))
        return x[:, :h, :w].permute(0, 3, 1, 2)


def relative_positions(window: int) -> Tensor:
    """For each pair of a window's positions the number of its offset, ``(tokens, tokens)``."""
    rows, columns = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    i, j = rows.flatten(), columns.flatten()
    down, right = i[:, None] - i[None], j[:, None] - j[None]
    return (down + window - 1) * (2 * window - 1) + right + window - 1


def far_pairs(padded: tuple[int, ...], window: int, shift: list[int]) -> Tensor:
    """What is added for pairs that the shift brought together, ``(windows, tokens, tokens)``."""
    regions = []
    for side, by in zip(padded, shift, strict=True):
        place = torch.arange(side)
        regions.append((place >= side - window).long() + (place >= side - by).long() * bool(by))
    h, w = padded
    region = 3 * regions[0][:, None] + regions[1]
    cut = region.view(h // window, window, w // window, window).transpose(1, 2)
    cut = cut.reshape(-1, window**2)
    return torch.where(cut[:, :, None] == cut[:, None], 0.0, FAR)
