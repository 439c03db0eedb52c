"""Mamba-2 as a torch module, in plain torch: chunks as attention, a state between them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.families.loss_module import linear_loss, linear_losses
from scaling.families.mamba2 import Mamba2Config

EPS = 1e-5
STEPS = (1e-3, 1e-1)  # of time, at the start: log-uniform
DECAYS = (1.0, 16.0)  # a unit of time, at the start: uniform


def recurrence(x: Tensor, log_decay: Tensor, key: Tensor, query: Tensor) -> Tensor:
    """y_t = q_t S_t with S_t = exp(log_decay_t) S_(t-1) + k_t x_t^T, a step after another.

    Parameters
    ----------
    x : Tensor (batch, time, heads, head_dim)
    log_decay : Tensor (batch, time, heads)
    key, query : Tensor (batch, time, state)
        B and C, the same for all heads.

    Returns
    -------
    Tensor (batch, time, heads, head_dim)
    """
    state = x.new_zeros(x.shape[0], x.shape[2], x.shape[3], key.shape[-1])
    found = []
    for t in range(x.shape[1]):
        decay = log_decay[:, t].exp()[..., None, None]
        state = decay * state + x[:, t, :, :, None] * key[:, t, None, None]
        found.append((state * query[:, t, None, None]).sum(-1))
    return torch.stack(found, dim=1)


def chunked(x: Tensor, log_decay: Tensor, key: Tensor, query: Tensor, size: int) -> Tensor:
    """The same as :func:`recurrence`, ``size`` tokens at once (Dao and Gu 2024, listing 1).

    The time is a multiple of ``size``. Sums of decays are in float32.
    """
    batch, time, heads, head_dim = x.shape
    chunks = time // size
    x = x.view(batch, chunks, size, heads, head_dim).transpose(2, 3)
    key, query = (part.reshape(batch, chunks, size, -1) for part in (key, query))
    total = log_decay.float().view(batch, chunks, size, heads).transpose(2, 3).cumsum(-1)
    # Within a chunk: attention whose scores decay.
    future = torch.ones(size, size, dtype=torch.bool, device=x.device).triu(1)
    between = (total[..., :, None] - total[..., None, :]).masked_fill(future, -math.inf).exp()
    scores = (query @ key.transpose(-1, -2))[:, :, None] * between.to(x.dtype)
    inside = scores @ x
    # What each chunk adds to the state, decayed to its end, and the state before each.
    left = (total[..., -1:] - total).exp().to(x.dtype)
    added = (x * left[..., None]).transpose(-1, -2) @ key[:, :, None]
    whole = total[..., -1].exp()[..., None, None].to(x.dtype)
    state, before = torch.zeros_like(added[:, 0]), []
    for i in range(chunks):
        before.append(state)
        state = whole[:, i] * state + added[:, i]
    carried = query[:, :, None] @ torch.stack(before, dim=1).transpose(-1, -2)
    y = inside + carried * total.exp()[..., None].to(x.dtype)
    return y.transpose(2, 3).reshape(batch, time, heads, head_dim)


class Block(nn.Module):
    """Projection, convolution, recurrence, gated norm, projection, on a residual branch."""

    def __init__(self, config: Mamba2Config) -> None:
        super().__init__()
        c = self.config = config
        convolved = c.inner + 2 * c.state
        self.norm = nn.RMSNorm(c.width, eps=EPS)
        self.enter = nn.Linear(c.width, c.inner + convolved + c.heads, bias=False)
        self.convolution = nn.Conv1d(convolved, convolved, c.kernel, groups=convolved)
        self.log_rate = nn.Parameter(torch.empty(c.heads).uniform_(*DECAYS).log())
        low, high = map(math.log, STEPS)
        step = torch.empty(c.heads).uniform_(low, high).exp()
        self.step_bias = nn.Parameter(step + (-torch.expm1(-step)).log())  # softplus gives step
        self.shortcut = nn.Parameter(torch.ones(c.heads))
        self.gated_norm = nn.RMSNorm(c.inner, eps=EPS)
        self.leave = nn.Linear(c.inner, c.width, bias=False)
        nn.init.normal_(self.enter.weight, std=c.width**-0.5)
        nn.init.normal_(self.leave.weight, std=(2 * c.depth * c.inner) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, time, width)`` to the same."""
        c = self.config
        batch, time, _ = x.shape
        gate, mixed, step = self.enter(self.norm(x)).split(
            (c.inner, c.inner + 2 * c.state, c.heads), dim=-1
        )
        padded = F.pad(mixed.transpose(1, 2), (c.kernel - 1, 0))
        mixed = F.silu(self.convolution(padded)).transpose(1, 2)
        values, key, query = mixed.split((c.inner, c.state, c.state), dim=-1)
        values = values.reshape(batch, time, c.heads, c.head_dim)
        step = F.softplus(step.float() + self.step_bias)
        log_decay = -step * self.log_rate.exp()
        given = values * step[..., None].to(values.dtype)
        y = self._mix(given, log_decay, key, query) + values * self.shortcut[:, None]
        y = self.gated_norm(y.reshape(batch, time, c.inner) * F.silu(gate))
        out: Tensor = x + self.leave(y)
        return out

    def _mix(self, x: Tensor, log_decay: Tensor, key: Tensor, query: Tensor) -> Tensor:
        """:func:`chunked`, padded at the end to whole chunks."""
        time, size = x.shape[1], self.config.chunk
        if missing := -time % size:
            x = F.pad(x, (0, 0, 0, 0, 0, missing))
            log_decay, key, query = (F.pad(p, (0, 0, 0, missing)) for p in (log_decay, key, query))
        return chunked(x, log_decay, key, query, size)[:, :time]


class Mamba2Module(nn.Module):
    """Tokens ``(batch, time)`` to logits ``(batch, time, vocab_size)``."""

    takes_targets = True

    def __init__(self, config: Mamba2Config) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        std = config.width**-0.5 if config.tied else 1.0
        nn.init.normal_(self.embedding.weight, std=std)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.RMSNorm(config.width, eps=EPS)
        self.head: nn.Linear | None = None
        if not config.tied:
            self.head = nn.Linear(config.width, config.vocab_size, bias=False)
            nn.init.normal_(self.head.weight, std=config.width**-0.5)

    def forward(
        self,
        tokens: Tensor,
        targets: Tensor | None = None,
        smoothing: float = 0.0,
        mean: bool = True,
    ) -> Tensor:
        """Logits of each next token, or, with ``targets``, its loss.

        That is the mean over all tokens, or, if not ``mean``, each token's ``(batch, time)``,
        without smoothing and without a gradient.
        """
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        weight = self.embedding.weight if self.head is None else self.head.weight
        if targets is None:
            return F.linear(x, weight)
        rows = x.flatten(0, 1), weight, targets.flatten(), 1.0
        return linear_loss(*rows, smoothing) if mean else linear_losses(*rows).view_as(targets)

    def param_groups(self) -> list[dict[str, Any]]:
        """One rate for all; projections and the head decay."""
        decayed = [p for p in self.blocks.parameters() if p.ndim == 2]
        kept = [p for p in self.blocks.parameters() if p.ndim != 2]
        decayed += [] if self.head is None else [self.head.weight]
        kept += [self.embedding.weight, self.norm.weight]
        names = ("params", "lr_scale", "gradient_scale", "decay")
        rows = ((decayed, 1.0, 1.0, True), (kept, 1.0, 1.0, False))
        return [dict(zip(names, row, strict=True)) for row in rows]
