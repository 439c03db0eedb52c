"""Causal self-attention: grouped queries, norms, positions, patterns, documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.families.attention_patterns import Pattern
from scaling.families.parts_module import alibi_slopes, linear, norm, rotate, writing_std

if TYPE_CHECKING:
    from scaling.families.transformer import TransformerConfig

Parts = tuple[Tensor, Tensor, Tensor]


class Attention(nn.Module):
    """Causal self-attention of one layer, over what its pattern lets a query see."""

    def __init__(self, config: TransformerConfig, pattern: Pattern) -> None:
        super().__init__()
        width, self.heads, self.key_heads = config.width, config.heads, config.key_heads
        self.head_dim, self.scale = config.head_dim, config.attention_scale
        self.pattern, self.cap = pattern, config.attention_cap
        self._enter(config)
        inner = self.heads * self.head_dim
        self.project = linear(inner, width, writing_std(config, inner), config.biases == "all")
        if config.positions == "alibi":
            self.register_buffer("slopes", alibi_slopes(self.heads), persistent=False)
        else:
            self.slopes = None

    def _enter(self, config: TransformerConfig) -> None:
        """Make what leads to queries, keys and values."""
        rows = (self.heads + 2 * self.key_heads) * self.head_dim
        std = config.width**-0.5
        self.query_key_value = linear(config.width, rows, std, config.biases != "none")
        self.normalised = config.qk_norm
        if config.qk_norm != "none":
            heads = (1, 1) if config.qk_norm == "head" else (self.heads, self.key_heads)
            self.query_norm, self.key_norm = (norm(config, n * self.head_dim) for n in heads)

    def forward(
        self, x: Tensor, cos: Tensor | None, sin: Tensor | None, documents: Tensor | None = None
    ) -> Tensor:
        """``(batch, time, width)`` to the same; ``documents`` numbers each token's ``(b, t)``."""
        batch, time, _ = x.shape
        y = self._mixed(*self._parts(x, cos, sin), documents)
        out: Tensor = self.project(y.transpose(1, 2).reshape(batch, time, -1))
        return out

    def _parts(self, x: Tensor, cos: Tensor | None, sin: Tensor | None) -> Parts:
        """Queries, keys and values ``(batch, heads, time, head_dim)``."""
        batch, time, _ = x.shape
        qkv = self.query_key_value(x).view(batch, time, -1, self.head_dim)
        heads, keys = self.heads, self.key_heads
        if cos is not None and sin is not None:
            cos, sin = cos.to(qkv.dtype)[:, None], sin.to(qkv.dtype)[:, None]
            if self.normalised == "none" and not torch.compiler.is_compiling():
                both, value = qkv.split((heads + keys, keys), dim=2)
                query, key = rotate(both, cos, sin).split((heads, keys), dim=2)
                return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        # Compiled, three gradients become one kernel, as two of the above do not.
        query, key, value = qkv.split((heads, keys, keys), dim=2)
        if self.normalised == "head":
            query, key = self.query_norm(query), self.key_norm(key)
        elif self.normalised == "full":
            query = self.query_norm(query.flatten(2)).view(query.shape)
            key = self.key_norm(key.flatten(2)).view(key.shape)
        if cos is not None and sin is not None:
            query, key = rotate(query, cos, sin), rotate(key, cos, sin)
        return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)

    def _mixed(self, query: Tensor, key: Tensor, value: Tensor, documents: Tensor | None) -> Tensor:
        """Queries ``(batch, heads, time, head_dim)`` to what they take of the values."""
        time, grouped = query.shape[2], self.heads != self.key_heads
        whole = self.pattern.kind == "global" and not self.cap
        if whole and self.slopes is None and documents is None:
            more = {"enable_gqa": True} if grouped else {}
            return F.scaled_dot_product_attention(
                query, key, value, is_causal=True, scale=self.scale, **more
            )
        if grouped:
            key, value = (
                part.repeat_interleave(self.heads // self.key_heads, dim=1) for part in (key, value)
            )
        at, seen, allowed = visible(self.pattern, time, query.device)
        # (batch, groups, heads, positions, head_dim): each group of queries has its own keys.
        query = query[:, :, at.clamp(max=time - 1)].transpose(1, 2)
        inside = seen.clamp(0, time - 1)
        key, value = (part[:, :, inside].transpose(1, 2) for part in (key, value))
        mask = allowed[:, None]
        if documents is not None:
            mine, theirs = documents[:, at.clamp(max=time - 1)], documents[:, inside]
            mask = mask & (mine[..., :, None] == theirs[..., None, :])[:, :, None]
        distance = None
        if self.slopes is not None:
            away = at[:, None, :, None] - seen[:, None, None, :]
            distance = (-self.slopes[:, None, None] * away).to(query.dtype)
        y = _attend(query, key, value, mask, distance, self.scale, self.cap)
        y = y.transpose(1, 2).flatten(2, 3)
        if self.pattern.kind == "column":
            y = y[:, :, at.flatten().argsort()]
        return y[:, :, :time]


class LatentAttention(Attention):
    """Multi-head latent attention: a cache keeps what keys and values are made of.

    DeepSeek-V2 (arXiv 2405.04434), eq. 9 to 19. A head has a part without positions and a part
    that is turned, the keys' of which all heads share.
    """

    def _enter(self, config: TransformerConfig) -> None:
        c, width, turned = config, config.width, config.rope_head_width
        self.latent, self.turned = c.kv_latent, turned
        if c.query_latent:
            self.query_squeeze = linear(width, c.query_latent, width**-0.5)
            self.query_norm = norm(c, c.query_latent)
        source = c.query_latent or width
        self.query = linear(source, self.heads * (self.head_dim + turned), source**-0.5)
        self.squeeze = linear(width, self.latent + turned, width**-0.5)
        self.latent_norm = norm(c, self.latent)
        self.key_value = linear(self.latent, 2 * self.heads * self.head_dim, self.latent**-0.5)

    def _parts(self, x: Tensor, cos: Tensor | None, sin: Tensor | None) -> Parts:
        assert cos is not None and sin is not None
        batch, time, _ = x.shape
        source = self.query_norm(self.query_squeeze(x)) if hasattr(self, "query_squeeze") else x
        query = self.query(source).view(batch, time, self.heads, -1).transpose(1, 2)
        latent, turned = self.squeeze(x).split((self.latent, self.turned), dim=-1)
        key_value = self.key_value(self.latent_norm(latent)).view(batch, time, self.heads, -1)
        key, value = key_value.transpose(1, 2).chunk(2, dim=-1)
        cos, sin = cos.to(query.dtype), sin.to(query.dtype)
        query, moving = query.split((self.head_dim, self.turned), dim=-1)
        query = torch.cat((query, rotate(moving, cos, sin)), dim=-1)
        shared = rotate(turned[:, None], cos, sin).expand(-1, self.heads, -1, -1)
        return query, torch.cat((key, shared), dim=-1), value


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    distance: Tensor | None,
    scale: float,
    cap: float,
) -> Tensor:
    """Attention under a mask; a query that sees nothing takes nothing.

    Parameters
    ----------
    query, key, value : Tensor
        ``(batch, groups, heads, positions, head_dim)``.
    mask : Tensor
        Which keys a query sees ``(groups, 1, queries, keys)``, or with the batch before.
    distance : Tensor, optional
        What is added to the scores ``(groups, heads, queries, keys)``.
    """
    some = mask.any(-1, keepdim=True)
    mask = mask | ~some
    if cap:
        scores = cap * torch.tanh((query @ key.transpose(-1, -2)) * (scale / cap))
        scores = scores if distance is None else scores + distance
        shares = scores.masked_fill(~mask, -torch.inf).float().softmax(-1)
        y = shares.to(value.dtype) @ value
    else:
        bias = mask if distance is None else distance.masked_fill(~mask, -torch.inf)
        y = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=scale)
    return y * some.to(y.dtype)


def visible(pattern: Pattern, time: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Positions of groups of queries, of the keys that they are multiplied by, and who sees whom.

    Returns
    -------
    at, seen, allowed : Tensor
        ``(groups, queries)``, ``(groups, keys)`` and ``(groups, queries, keys)``. Positions from
        ``time`` on fill the last group; negative ones are before the first.
    """
    w, kind = pattern.window, pattern.kind
    if pattern.is_dense(time) or kind == "summary":
        at = torch.arange(time, device=device)[None]
        seen = at
        if kind == "summary":
            chosen = [i for i in range(time) if i % w >= w - pattern.summary]
            seen = torch.tensor(chosen, device=device)[None]
    else:
        blocks = -(-time // w)
        at = torch.arange(blocks * w, device=device).view(blocks, w)
        if kind == "column":
            at = at.T
        seen = torch.cat((at - w, at), dim=1) if kind == "local" else at
    mine, theirs = at[:, :, None], seen[:, None, :]
    allowed = (theirs <= mine) & (theirs >= 0)
    if kind == "local":
        allowed &= mine - theirs < w
    if kind == "summary":
        allowed &= theirs // w < mine // w
    return at, seen, allowed
