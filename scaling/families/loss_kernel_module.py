"""Losses of rows of logits and their gradient in one kernel, for CUDA (Triton, as torch brings it).

torch's own operations read and write all logits about ten times, and in float32.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK, WARPS = 16384, 32  # logits that are looked at at a time, by how many warps


@triton.jit  # type: ignore[untyped-decorator]
def _rows(logits, targets, losses, stride, classes, smoothing, block: tl.constexpr):  # type: ignore[no-untyped-def]
    row = tl.program_id(0).to(tl.int64)
    at = logits + row * stride
    target = tl.load(targets + row)
    right = tl.load(at + target).to(tl.float32)
    columns = tl.arange(0, block)
    top, total, plain = float("-inf"), 0.0, 0.0
    for first in range(0, classes, block):  # Milakov & Gimelshein 2018 (arXiv 1805.02867), alg. 3
        inside = first + columns < classes
        x = tl.load(at + first + columns, mask=inside, other=float("-inf")).to(tl.float32)
        higher = tl.maximum(top, tl.max(x, 0))
        total = total * tl.exp(top - higher) + tl.sum(tl.exp(x - higher), 0)
        plain += tl.sum(tl.where(inside, x, 0.0), 0)
        top = higher
    log_sum = top + tl.log(total)
    tl.store(losses + row, log_sum - (1 - smoothing) * right - smoothing * plain / classes)
    for first in range(0, classes, block):
        inside = first + columns < classes
        x = tl.load(at + first + columns, mask=inside, other=float("-inf")).to(tl.float32)
        slope = tl.exp(x - log_sum) - smoothing / classes
        slope = tl.where(first + columns == target, slope - (1 - smoothing), slope)
        tl.store(at + first + columns, slope.to(logits.dtype.element_ty), mask=inside)


@torch.library.custom_op(  # type: ignore[untyped-decorator]
    "scaling::losses_and_slopes_",
    mutates_args=("logits",),
    schema="(Tensor(a!) logits, Tensor targets, float smoothing) -> Tensor",
)
def losses_and_slopes_(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """As ``loss_module.losses_and_slopes_``."""
    count, classes = logits.shape
    losses = torch.empty(count, dtype=torch.float32, device=logits.device)
    block = min(BLOCK, triton.next_power_of_2(classes))
    warps = min(WARPS, max(1, block // 256))
    _rows[(count,)](
        logits, targets, losses, logits.stride(0), classes, smoothing, block=block, num_warps=warps
    )
    return losses


@losses_and_slopes_.register_fake  # type: ignore[untyped-decorator]
def _(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    return torch.empty(len(logits), dtype=torch.float32, device=logits.device)
