"""Cross-entropy of a linear layer's outputs, without all of them at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

CHUNK_BYTES = 1 << 30
"""Logits in float32 that are held at a time: 5,336 tokens of a vocabulary of 50,304."""


def rows_at_once(classes: int) -> int:
    """Rows of logits in float32 within ``CHUNK_BYTES``, a power of two as kernels like it."""
    most = max(1, CHUNK_BYTES // (4 * classes))
    return 1 << (most.bit_length() - 1)


def linear_losses(hidden: Tensor, weight: Tensor, targets: Tensor, scale: float) -> Tensor:
    """-ln softmax(scale x W h)[target] of each row ``(n,)`` in float32; has no gradient.

    Parameters
    ----------
    hidden, weight, targets : Tensor
        h ``(n, width)``, W ``(classes, width)``, ``(n,)``.
    """
    rows = rows_at_once(len(weight))
    parts = []
    with torch.no_grad():
        for h, target in zip(hidden.split(rows), targets.split(rows), strict=True):
            logits = F.linear(h, weight).float()
            parts.append(
                F.cross_entropy(
                    logits if scale == 1.0 else logits * scale, target, reduction="none"
                )
            )
    return torch.cat(parts)


def linear_loss(
    hidden: Tensor, weight: Tensor, targets: Tensor, scale: float, smoothing: float = 0.0
) -> Tensor:
    """The mean of ``cross_entropy(scale x W h, target)`` over rows, chunk by chunk.

    The gradients are made in the forward pass, where a chunk's logits are at hand, so no product is
    computed twice (as Hsu et al. 2024, arXiv 2410.10989, sec. 3.2).

    Parameters
    ----------
    hidden, weight, targets : Tensor
        h ``(n, width)``, W ``(classes, width)``, ``(n,)``. Products are in h's type, or autocast's.
    smoothing : float
        As ``label_smoothing`` of ``cross_entropy``.
    """
    loss: Tensor = _LinearLoss.apply(hidden, weight, targets, scale, smoothing)
    return loss


class _LinearLoss(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, scale: float, smoothing: float
    ) -> Tensor:
        count, classes = len(hidden), len(weight)
        kind = hidden.device.type
        product = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        product = product or hidden.dtype
        w = weight.to(product)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        to_hidden = torch.empty_like(hidden)
        to_weight = torch.zeros_like(weight)
        rows = rows_at_once(classes)
        for start in range(0, count, rows):
            target = targets[start : start + rows, None]
            h = hidden[start : start + rows].to(product)
            logits = (h @ w.T).float() * scale
            log_sum = logits.logsumexp(1, keepdim=True)
            right = logits.gather(1, target)
            losses = log_sum - (1 - smoothing) * right
            slope = (logits - log_sum).exp()
            if smoothing:
                losses = losses - smoothing * logits.mean(1, keepdim=True)
                slope = slope - smoothing / classes
            total = total + losses.sum()
            slope = slope.scatter_add(1, target, torch.full_like(right, smoothing - 1))
            slope = (slope * (scale / count)).to(product)
            to_hidden[start : start + rows] = slope @ w
            to_weight += slope.T @ h
        ctx.save_for_backward(to_hidden, to_weight)
        return total / count

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        to_hidden, to_weight = ctx.saved_tensors
        return to_hidden * slope, to_weight * slope, None, None, None
