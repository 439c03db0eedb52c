"""The decoder-only transformer as a torch module."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.families.loss_module import linear_loss, linear_losses
from scaling.families.transformer import TransformerConfig

ROPE_BASE = 10000.0  # Su et al. 2021, sec. 3.2.2


class _LayerNorm(nn.LayerNorm):
    """Layer normalisation whose weights may lie in another type than what they normalise."""

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return F.layer_norm(x, self.normalized_shape, weight, bias, self.eps)


class _RMSNorm(nn.RMSNorm):
    """The same without mean and bias."""

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


def _norm(config: TransformerConfig) -> nn.Module:
    return (_LayerNorm if config.norm == "layernorm" else _RMSNorm)(config.width, eps=1e-6)


def _linear(fan_in: int, fan_out: int, std: float) -> nn.Linear:
    layer = nn.Linear(fan_in, fan_out, bias=False)
    nn.init.normal_(layer.weight, std=std)
    return layer


def _writing_std(config: TransformerConfig, fan_in: int) -> float:
    """Of matrices that write to the residual stream: variance 1 / (2 L fan-in).

    L is that of the base model under ``completep``, where the branches themselves shrink.
    """
    depth = config.base_depth if config.parametrisation == "completep" else config.depth
    return float((2 * depth * fan_in) ** -0.5)


class Attention(nn.Module):
    """Causal self-attention with rotary positions."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width, self.heads = config.width, config.heads
        self.head_dim, self.scale = config.head_dim, config.attention_scale
        self.query_key_value = _linear(width, 3 * width, width**-0.5)
        self.project = _linear(width, width, _writing_std(config, width))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """``(batch, time, width)`` to the same."""
        batch, time, width = x.shape
        qkv = self.query_key_value(x).view(batch, time, 3, self.heads, self.head_dim)
        cos, sin = cos.to(qkv.dtype)[:, None], sin.to(qkv.dtype)[:, None]
        query, key, value = (part.transpose(1, 2) for part in _turned(qkv, cos, sin))
        y = F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=self.scale)
        out: Tensor = self.project(y.transpose(1, 2).reshape(batch, time, width))
        return out


def _turned(qkv: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries and keys with their positions, and values, of ``(batch, time, 3, heads, ...)``."""
    if torch.compiler.is_compiling():  # three gradients become one kernel, as two of these do not
        query, key, value = qkv.unbind(2)
        return _rotate(query, cos, sin), _rotate(key, cos, sin), value
    both, value = qkv.split([2, 1], dim=2)
    query, key = _rotate(both, cos[:, None], sin[:, None]).unbind(2)
    return query, key, value.squeeze(2)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1)


class Perceptron(nn.Module):
    """GELU, or SwiGLU with its gate."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.gated = config.mlp == "swiglu"
        hidden = config.mlp_width
        self.enter = _linear(config.width, (2 if self.gated else 1) * hidden, config.width**-0.5)
        self.leave = _linear(hidden, config.width, _writing_std(config, hidden))

    def forward(self, x: Tensor) -> Tensor:
        """``(..., width)`` to the same."""
        h = self.enter(x)
        if self.gated:
            gate, h = h.chunk(2, dim=-1)
            h = F.silu(gate) * h
        else:
            h = F.gelu(h)
        out: Tensor = self.leave(h)
        return out


class Block(nn.Module):
    """Pre-norm attention and perceptron, each on a residual branch."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention_norm = _norm(config)
        self.attention = Attention(config)
        self.perceptron_norm = _norm(config)
        self.perceptron = Perceptron(config)
        self.dropout = nn.Dropout(config.dropout)
        self.scale = config.depth_scale

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """``(batch, time, width)`` to the same."""
        mixed = self.dropout(self.attention(self.attention_norm(x), cos, sin))
        x = torch.add(x, mixed, alpha=self.scale)
        changed = self.dropout(self.perceptron(self.perceptron_norm(x)))
        return torch.add(x, changed, alpha=self.scale)


class TransformerModule(nn.Module):
    """Tokens ``(batch, time)`` to logits ``(batch, time, vocab_rows)``.

    Matrices start normal with variance 1 / fan-in, those that write to the residual stream with
    1 / (2 L fan-in) (Radford et al. 2019, sec. 2.3). Under muP the output starts with the base
    model's variance and its logits are multiplied by base width / width, tied to the embedding
    or not (Yang et al. 2022, table 8).
    """

    rope_base = ROPE_BASE
    takes_targets = True  # it can be asked for its loss instead of its logits
    can_replay = True  # no step differs from another but in its numbers
    blocks_in_bfloat16 = True  # blocks whose weights are in it compute what autocast does

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_rows, config.width)
        nn.init.normal_(self.embedding.weight, std=config.embedding_std)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = _norm(config)
        self.head: nn.Linear | None = None
        # The width that decides the variance of the output at the start: muP's is the base model's.
        fan_in = config.width if config.parametrisation == "standard" else config.base_width
        self.logit_scale = config.width_scale
        if config.tied:
            # Unit variance of the logits at the start, whatever the embeddings' scale.
            self.logit_scale *= 1 / (config.embedding_std * math.sqrt(fan_in))
        else:
            self.head = _linear(config.width, config.vocab_rows, fan_in**-0.5)
        head_dim = config.head_dim
        frequency = ROPE_BASE ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
        angle = torch.outer(torch.arange(config.context, dtype=torch.float32), frequency)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(
        self,
        tokens: Tensor,
        targets: Tensor | None = None,
        smoothing: float = 0.0,
        mean: bool = True,
    ) -> Tensor:
        """Logits of each next token; with ``targets`` its loss, without all logits at once.

        That is the mean over all tokens, or, if not ``mean``, each token's ``(batch, time)``,
        without smoothing and without a gradient.
        """
        time = tokens.shape[1]
        x = self.dropout(self.embedding(tokens))
        cos, sin = self.cos[:time], self.sin[:time]
        for block in self.blocks:
            x = block(x, cos, sin)
        weight = self.embedding.weight if self.head is None else self.head.weight
        x = self.norm(x)
        if targets is not None:
            rows = x.flatten(0, 1), weight, targets.flatten(), self.logit_scale
            if mean:
                return linear_loss(*rows, smoothing)
            return linear_losses(*rows).view_as(targets)
        logits = F.linear(x, weight)
        return logits if self.logit_scale == 1.0 else logits * self.logit_scale

    def param_groups(self) -> list[dict[str, Any]]:
        """Multipliers of rates and gradients: 1, but for muP and CompleteP away from their base.

        Rates are those of optimisers that divide each gradient by its size: base width / width
        for matrices with two growing dimensions, else 1 (Yang et al. 2022, table 8, Adam). The
        multiplier of a gradient is 1 over its size beside the base model's: with it Adam's eps
        counts as much there as here (Dey et al. 2025, eq. 40), and rates for SGD are table 8's.
        """
        config = self.config
        inner, outer = 1 / (config.width_scale * config.depth_scale), 1 / config.width_scale
        hidden = [p for p in self.blocks.parameters() if p.ndim == 2]
        head = [] if self.head is None else [self.head.weight]
        table = [self.embedding.weight]
        gains = [p for p in self.blocks.parameters() if p.ndim == 1]
        last = list(self.norm.parameters())
        if inner == outer:  # one group, as checkpoints have it
            gains, last = gains + last, []
        rows = (
            (hidden, config.width_scale, inner, True),
            (head, 1.0, outer, True),
            (table, 1.0, outer, False),
            (gains, 1.0, inner, False),
            (last, 1.0, outer, False),
        )
        names = ("params", "lr_scale", "gradient_scale", "decay")
        return [dict(zip(names, row, strict=True)) for row in rows]
