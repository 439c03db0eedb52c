"""Cross-entropy of a linear layer's outputs, without all of them at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

try:
    from scaling.families.loss_kernel_module import losses_and_slopes_ as kernel
except ImportError:  # torch without Triton: for CPUs, or another system than Linux
    kernel = None

CHUNK_BYTES = 1 << 32
"""Logits in float32 that are held at a time, half of it in bfloat16: 16,384 tokens of 50,304."""


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


def losses_and_slopes_(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """The cross-entropy of each row ``(n,)`` in float32; ``logits`` become its gradient by them."""
    if logits.is_cuda and kernel is not None:
        losses: Tensor = kernel(logits, targets, smoothing)
        return losses
    right, classes = targets[:, None], logits.shape[1]
    log_shares = logits.float().log_softmax(1)
    losses = (smoothing - 1) * log_shares.gather(1, right).squeeze(1)
    slope = log_shares.exp().scatter_add(1, right, torch.full_like(losses, smoothing - 1)[:, None])
    if smoothing:
        losses, slope = losses - smoothing * log_shares.mean(1), slope - smoothing / classes
    logits.copy_(slope)
    return losses


class _LinearLoss(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, scale: float, smoothing: float
    ) -> Tensor:
        kind = hidden.device.type
        product = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        product = product or hidden.dtype
        w, rows = weight.to(product), rows_at_once(len(weight))
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        to_hidden, to_weight = [], torch.zeros_like(weight)
        for h, target in zip(hidden.split(rows), targets.split(rows), strict=True):
            # The scale goes to the few numbers of h, not to the many logits.
            h = (h if scale == 1.0 else h * scale).to(product)
            logits = h @ w.T
            total = total + losses_and_slopes_(logits, target, smoothing).sum()
            to_hidden.append(logits @ w)
            to_weight += logits.T @ h
        ctx.scale, ctx.count, ctx.kind = scale, len(hidden), hidden.dtype
        ctx.save_for_backward(torch.cat(to_hidden), to_weight)
        return total / len(hidden)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        to_hidden, to_weight = ctx.saved_tensors
        slope = slope / ctx.count
        by_hidden = to_hidden.to(ctx.kind) * (slope * ctx.scale)
        return by_hidden, to_weight * slope, None, None, None
