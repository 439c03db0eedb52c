"""The forward passes of many models of one shape as one, with weights ``(members, ...)``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.families.parts_module import rotate
from scaling.families.transformer_module import TransformerModule

Weights = Mapping[str, Tensor]
Forward = Callable[[Weights, Tensor], Tensor]


def stacked_forward(model: nn.Module) -> Forward:
    """Weights by name ``(k, ...)`` and inputs ``(k, batch, ...)`` to outputs ``(k, batch, ...)``.

    ``model`` is one member; its own weights are not read, its buffers are those of all. A plain
    transformer is batched by hand, as ``torch.func.vmap`` takes its norms and rotations apart into
    a fifth more work, and so are matrices that stand in a row; any other model goes through
    ``vmap``.
    """
    if isinstance(model, TransformerModule) and model.config.is_plain:
        return _Transformers(model)
    if hasattr(model, "in_a_row"):
        return _Layers(model.in_a_row())
    return _mapped(model)


def _mapped(model: nn.Module) -> Forward:
    buffers = dict(model.named_buffers())

    def one(weights: Weights, inputs: Tensor) -> Tensor:
        out: Tensor = torch.func.functional_call(model, {**weights, **buffers}, (inputs,))
        return out

    together: Forward = torch.func.vmap(one)
    return together


class _Layers:
    """Layers one after another for many sets of weights.

    Members' matrices are one batched product, where ``vmap`` takes twice as long.
    """

    def __init__(self, layers: Iterable[tuple[str, nn.Module]]) -> None:
        self.layers = [
            (_for_all(layer), {own: f"{name}.{own}" for own, _ in layer.named_parameters()})
            for name, layer in layers
            if not isinstance(layer, nn.Identity)
        ]

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Inputs ``(k, batch, *input_shape)`` to logits ``(k, batch, classes)``."""
        for layer, names in self.layers:
            x = layer({own: weights[name] for own, name in names.items()}, x)
        return x


def _for_all(layer: nn.Module) -> Forward:
    is_matrix = type(layer) is nn.Linear and layer.bias is not None
    return _matrix if is_matrix else _mapped(layer)


def _matrix(weights: Weights, x: Tensor) -> Tensor:
    return torch.baddbmm(weights["bias"][:, None], x, weights["weight"].mT)


class _Transformers:
    """:class:`TransformerModule`'s forward pass for many sets of weights, without dropout."""

    def __init__(self, model: TransformerModule) -> None:
        self.model, self.config = model, model.config

    def __call__(self, weights: Weights, tokens: Tensor) -> Tensor:
        """Tokens ``(k, batch, time)`` to logits ``(k, batch, time, vocab_rows)``."""
        config, model = self.config, self.model
        k, batch, time = tokens.shape
        table = weights["embedding.weight"]
        first = torch.arange(k, device=tokens.device) * config.vocab_rows
        x = F.embedding(tokens + first[:, None, None], table.reshape(-1, config.width))
        x = x.view(k, batch * time, config.width)
        cos, sin = (part[:time].to(x.dtype) for part in (model.cos, model.sin))
        for i in range(config.depth):
            own = f"blocks.{i}."
            normed = self._normed(x, weights, f"{own}attention_norm")
            mixed = self._attention(normed, weights, f"{own}attention", batch, cos, sin)
            x = torch.add(x, mixed, alpha=config.depth_scale)
            normed = self._normed(x, weights, f"{own}perceptron_norm")
            changed = self._perceptron(normed, weights, f"{own}perceptron")
            x = torch.add(x, changed, alpha=config.depth_scale)
        logits = _linear(self._normed(x, weights, "norm"), weights.get("head.weight", table))
        logits = logits if model.logit_scale == 1.0 else logits * model.logit_scale
        return logits.view(k, batch, time, -1)

    def _normed(self, x: Tensor, weights: Weights, name: str) -> Tensor:
        kind = F.layer_norm if self.config.norm == "layernorm" else F.rms_norm
        out: Tensor = kind(x, (self.config.width,), eps=1e-6)
        out = out * weights[f"{name}.weight"][:, None]
        bias = weights.get(f"{name}.bias")
        return out if bias is None else out + bias[:, None]

    def _attention(
        self, x: Tensor, weights: Weights, name: str, batch: int, cos: Tensor, sin: Tensor
    ) -> Tensor:
        config = self.config
        k, rows, width = x.shape
        qkv = _linear(x, weights[f"{name}.query_key_value.weight"])
        parts = qkv.view(k * batch, -1, 3, config.heads, config.head_dim).permute(2, 0, 3, 1, 4)
        # Queries and keys are turned together, before they are told apart.
        query, key = rotate(parts[:2], cos, sin).unbind(0)
        y = F.scaled_dot_product_attention(
            query, key, parts[2], is_causal=True, scale=config.attention_scale
        )
        return _linear(y.transpose(1, 2).reshape(k, rows, width), weights[f"{name}.project.weight"])

    def _perceptron(self, x: Tensor, weights: Weights, name: str) -> Tensor:
        h = _linear(x, weights[f"{name}.enter.weight"])
        if self.config.mlp == "swiglu":
            gate, h = h.chunk(2, dim=-1)
            h = F.silu(gate) * h
        else:
            h = F.gelu(h)
        return _linear(h, weights[f"{name}.leave.weight"])


def _linear(x: Tensor, weight: Tensor) -> Tensor:
    """``(k, n, in)`` times ``(k, out, in)``."""
    return torch.bmm(x, weight.mT)
