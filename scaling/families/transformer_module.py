"""The decoder-only transformer as a torch module."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.families.transformer import TransformerConfig

ROPE_BASE = 10000.0  # Su et al. 2021, sec. 3.2.2
MUP_HEAD_DIM = 32  # the head width at which 1/d attention equals 1/sqrt(d)


def _norm(config: TransformerConfig) -> nn.Module:
    return (nn.LayerNorm if config.norm == "layernorm" else nn.RMSNorm)(config.width, eps=1e-6)


def _linear(fan_in: int, fan_out: int, std: float) -> nn.Linear:
    layer = nn.Linear(fan_in, fan_out, bias=False)
    nn.init.normal_(layer.weight, std=std)
    return layer


class Attention(nn.Module):
    """Causal self-attention with rotary positions."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width, self.heads = config.width, config.heads
        self.head_dim = width // config.heads
        mup = config.parametrisation == "mup"
        self.scale = math.sqrt(MUP_HEAD_DIM) / self.head_dim if mup else self.head_dim**-0.5
        self.query_key_value = _linear(width, 3 * width, width**-0.5)
        self.project = _linear(width, width, (2 * config.depth * width) ** -0.5)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """``(batch, time, width)`` to the same."""
        batch, time, width = x.shape
        qkv = self.query_key_value(x).view(batch, time, 3, self.heads, self.head_dim)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        query, key = _rotate(query, cos, sin), _rotate(key, cos, sin)
        y = F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=self.scale)
        out: Tensor = self.project(y.transpose(1, 2).reshape(batch, time, width))
        return out


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
        self.leave = _linear(hidden, config.width, (2 * config.depth * hidden) ** -0.5)

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

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """``(batch, time, width)`` to the same."""
        x = x + self.dropout(self.attention(self.attention_norm(x), cos, sin))
        out: Tensor = x + self.dropout(self.perceptron(self.perceptron_norm(x)))
        return out


class TransformerModule(nn.Module):
    """Tokens ``(batch, time)`` to logits ``(batch, time, vocab_rows)``.

    Matrices start normal with variance 1 / fan-in, those that write to the residual stream with
    1 / (2 L fan-in) (Radford et al. 2019, sec. 2.3).
    """

    rope_base = ROPE_BASE

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_rows, config.width)
        nn.init.normal_(self.embedding.weight, std=config.embedding_std)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = _norm(config)
        self.mup = config.parametrisation == "mup"
        self.head: nn.Linear | None = None
        if config.tied:
            # Unit variance of the logits at the start, whatever the embeddings' scale.
            self.logit_scale = 1 / (config.embedding_std * math.sqrt(config.width))
        else:
            fan_in = config.base_width if self.mup else config.width
            self.head = _linear(config.width, config.vocab_rows, fan_in**-0.5)
            self.logit_scale = config.base_width / config.width if self.mup else 1.0
        head_dim = config.width // config.heads
        frequency = ROPE_BASE ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
        angle = torch.outer(torch.arange(config.context, dtype=torch.float32), frequency)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of each next token."""
        time = tokens.shape[1]
        x = self.dropout(self.embedding(tokens))
        cos, sin = self.cos[:time].to(x.dtype), self.sin[:time].to(x.dtype)
        for block in self.blocks:
            x = block(x, cos, sin)
        weight = self.embedding.weight if self.head is None else self.head.weight
        logits = F.linear(self.norm(x), weight)
        return logits if self.logit_scale == 1.0 else logits * self.logit_scale

    def param_groups(self) -> list[dict[str, Any]]:
        """Learning-rate multipliers: 1, and base width / width for muP's hidden matrices.

        Yang et al. 2022, table 8 (Adam): vector-like parameters and the output keep the rate,
        matrices with two infinite dimensions take it over the width.
        """
        hidden = [p for p in self.blocks.parameters() if p.ndim == 2]
        vectors = [p for p in self.parameters() if p.ndim == 1]
        head = [] if self.head is None else [self.head.weight]
        scale = self.config.base_width / self.config.width if self.mup else 1.0
        return [
            {"params": hidden, "lr_scale": scale, "decay": True},
            {"params": head, "lr_scale": 1.0, "decay": True},
            {"params": [self.embedding.weight], "lr_scale": 1.0, "decay": False},
            {"params": vectors, "lr_scale": 1.0, "decay": False},
        ]
