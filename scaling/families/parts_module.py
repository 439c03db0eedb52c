"""What the transformer's modules share: matrices, norms, how they start."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from scaling.families.transformer import TransformerConfig


class _LayerNorm(nn.LayerNorm):
    """Layer normalisation whose weights may lie in another type than what they normalise."""

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return F.layer_norm(x, self.normalized_shape, weight, bias, self.eps)


class _RMSNorm(nn.RMSNorm):
    """The same without mean and bias."""

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


class _FromOne(nn.RMSNorm):
    """RMS normalisation whose gain is 1 + its weight (Gemma)."""

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, 1 + self.weight.to(x.dtype), self.eps)


_NORMS = {"layernorm": _LayerNorm, "rmsnorm": _RMSNorm, "rmsnorm+1": _FromOne}


def norm(config: TransformerConfig, width: int = 0) -> nn.Module:
    """The model's kind of norm, over its width or another."""
    return _NORMS[config.norm](width or config.width, eps=config.norm_eps)


def linear(fan_in: int, fan_out: int, std: float, bias: bool = False) -> nn.Linear:
    """A matrix that starts normal, and a bias that starts at 0."""
    layer = nn.Linear(fan_in, fan_out, bias=bias)
    nn.init.normal_(layer.weight, std=std)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def writing_std(config: TransformerConfig, fan_in: int) -> float:
    """Of matrices that write to the residual stream: variance 1 / (2 L fan-in).

    L is that of the base model under ``completep``, where the branches themselves shrink.
    """
    depth = config.base_depth if config.parametrisation == "completep" else config.depth
    return float((2 * depth * fan_in) ** -0.5)


def activate(name: str, x: Tensor) -> Tensor:
    """An activation by its name in ``transformer_options.ACTIVATIONS``."""
    if name == "silu":
        return F.silu(x)
    if name in ("relu", "relu2"):
        return F.relu(x) if name == "relu" else F.relu(x).square()
    return F.gelu(x, approximate="tanh") if name == "gelu-tanh" else F.gelu(x)


def rotations(config: TransformerConfig, base: float, factor: float = 1.0) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``(context, rope_width / 2)`` of rotary positions."""
    width = config.rope_width
    frequency = base ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
    if factor != 1 and config.rope_original:
        frequency = stretched(frequency, factor, config.rope_original)
    elif factor != 1:
        frequency = frequency / factor
    angle = torch.outer(torch.arange(config.context, dtype=torch.float32), frequency)
    return angle.cos(), angle.sin()


def stretched(frequency: Tensor, factor: float, original: int) -> Tensor:
    """Frequencies of a longer context than the ``original`` one, as Llama 3.1 has them.

    Those that turn four times within the original context stay, those that turn less than once
    are divided by ``factor``, and between them the two are mixed by the number of turns.
    """
    turns = original * frequency / (2 * math.pi)
    kept = ((turns - 1) / (4 - 1)).clamp(0, 1)
    return (1 - kept) * frequency / factor + kept * frequency


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the first dimensions of ``(..., head_dim)``, halves as pairs."""
    width = 2 * cos.shape[-1]
    first, second = x[..., :width].chunk(2, dim=-1)
    rest = () if width == x.shape[-1] else (x[..., width:],)
    return torch.cat((first * cos - second * sin, first * sin + second * cos, *rest), dim=-1)


def sinusoids(time: int, width: int) -> Tensor:
    """Positions ``(time, width)`` of Vaswani et al. 2017, sec. 3.5: sines, then cosines."""
    frequency = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
    angle = torch.outer(torch.arange(time, dtype=torch.float32), frequency)
    return torch.cat((angle.sin(), angle.cos()), dim=1)[:, :width]


def alibi_slopes(heads: int) -> Tensor:
    """Of each head ``(heads,)``: Press et al. 2022 (arXiv 2108.12409), sec. 3.

    2^(-8 i / n) for n a power of two; for others those of the power below, and of every other of
    twice that many.
    """
    power = 1 << (heads.bit_length() - 1)
    slopes = [2 ** (-8 * i / power) for i in range(1, power + 1)]
    slopes += [2 ** (-4 * i / power) for i in range(1, 2 * power, 2)]
    return torch.tensor(slopes[:heads])
