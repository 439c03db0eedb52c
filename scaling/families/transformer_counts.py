"""Exact counts of a transformer per token at full context, layer by layer, without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling.base import Cost, Routing

if TYPE_CHECKING:
    from scaling.families.transformer import TransformerConfig


@dataclass(frozen=True)
class Part:
    """What one part of a layer adds.

    Attributes
    ----------
    params, matrices : int
        All parameters, and entries of matrices among them.
    inactive : int
        Parameters that a token passes by.
    macs : int
        Of products with weights, for each token, biases left out.
    biases : int
        Outputs that get a bias, for each token.
    outputs : int
        Elements of products' outputs, for each token.
    """

    params: int = 0
    matrices: int = 0
    inactive: int = 0
    macs: int = 0
    biases: int = 0
    outputs: int = 0

    def __add__(self, other: Part) -> Part:
        return Part(
            self.params + other.params,
            self.matrices + other.matrices,
            self.inactive + other.inactive,
            self.macs + other.macs,
            self.biases + other.biases,
            self.outputs + other.outputs,
        )

    def __mul__(self, times: int) -> Part:
        return Part(*(times * value for value in vars(self).values()))


def count(config: TransformerConfig) -> Cost:
    """Counts per token at full context.

    Forward FLOPs are 2 (matrices + head) and attention's, over the pairs that kernels compute:
    the whole T x T square where it is global, see ``attention_patterns`` where it is not. A bias
    is one more for each output. Norms, rotations and activations are not counted. What pads the
    vocabulary is trained and computed, so it is counted, and so are the blocks and the heads for
    tokens further ahead, which training computes.
    """
    c = config
    ahead = c.predict_ahead - 1
    attention = _attention(c)
    first, experts = _perceptron(c), _experts(c)
    dense = c.dense_layers if c.experts else c.depth
    norms = Part(params=_norms_of_a_block(c))
    each = attention + norms
    parts = (each + first) * dense + (each + experts) * (c.depth - dense)
    parts = parts + (each + (experts if c.experts else first)) * ahead
    outer_norm = 0 if c.norm_position == "post" else _norm(c, c.width)

    table, tables = c.vocab_rows * c.table_width, 1 if c.tied else 2
    padding = table - c.vocab_size * c.table_width
    narrow = c.width * c.embedding_width  # of the matrix that enters, and of that which leaves
    positions = (c.context + c.position_offset) * c.width if c.positions == "learned" else 0
    # The token i further ahead is known at all but the last i positions.
    predicted = c.predict_ahead - ahead * c.predict_ahead / 2 / c.context
    heads = round(table * predicted) + narrow * (1 + c.predict_ahead)
    not_tables = parts.params + outer_norm + 2 * narrow
    outputs = round(c.vocab_rows * predicted)
    outputs += (c.width + c.predict_ahead * c.embedding_width) if narrow else 0
    # A pair of a query and a key is a product of heads' widths, and one with the value.
    inner, pair = c.heads * c.head_dim, c.heads * (2 * c.head_dim + c.rope_head_width)
    patterns = (*c.patterns, *(c.patterns[-1],) * ahead)
    pairs = sum(pattern.pairs(c.context) for pattern in patterns)
    all_pairs = len(patterns) * c.context
    macs = parts.macs + parts.biases + heads + round(pairs * pair / c.context)
    macs_dense = parts.macs + parts.biases + heads + all_pairs * pair
    active = parts.params - parts.inactive
    softmax = len(patterns) * (2 * c.context * pair + 3 * c.heads * c.context)
    chinchilla = 2 * table + 2 * parts.macs + softmax + 2 * heads
    num_params = not_tables + tables * table + positions
    return Cost(
        unit="token",
        num_params=num_params,
        num_params_block=parts.matrices,
        num_params_matmul=parts.matrices + table + 2 * narrow,
        num_params_non_embedding=not_tables,
        macs_forward=macs,
        macs_without_input_gradient=parts.biases,
        activations=parts.outputs + len(patterns) * inner + outputs,
        flops_kaplan=3 * (2 * (active + outer_norm + 2 * narrow) + all_pairs * pair),
        flops_chinchilla=3 * chinchilla,
        num_params_unpadded=num_params - tables * padding if padding else None,
        macs_unpadded=macs - round(padding * predicted) if padding else None,
        num_params_inactive=parts.inactive,
        macs_dense=None if macs == macs_dense else macs_dense,
        kv_cache=_kept(c) * sum(p.kept(c.context) for p in c.patterns),
        routing=_routing(c) if c.experts else None,
    )


def _kept(c: TransformerConfig) -> int:
    """What a cache keeps of one position in one layer."""
    return c.kv_latent + c.rope_head_width if c.kv_latent else 2 * c.key_heads * c.head_dim


def _routing(c: TransformerConfig) -> Routing:
    idle = (c.experts - c.experts_per_token) / c.experts
    return Routing(c.experts, idle, c.mlp_width / c.expert_width)


def _norm(c: TransformerConfig, width: int) -> int:
    """Gains, and biases with ``layernorm``."""
    return (2 if c.norm == "layernorm" else 1) * width


def _norms_of_a_block(c: TransformerConfig) -> int:
    of_stream = (4 if c.norm_position == "sandwich" else 2) * _norm(c, c.width)
    if c.qk_norm == "none":
        return of_stream
    heads = (1, 1) if c.qk_norm == "head" else (c.heads, c.key_heads)
    return of_stream + _norm(c, sum(heads) * c.head_dim)


def _product(fan_in: int, fan_out: int, bias: bool = False) -> Part:
    """A matrix that every token passes."""
    size = fan_in * fan_out
    biases = fan_out if bias else 0
    return Part(size + biases, size, 0, size, biases, fan_out)


def _attention(c: TransformerConfig) -> Part:
    if c.kv_latent:
        return _latent_attention(c)
    inner, keys = c.heads * c.head_dim, c.key_heads * c.head_dim
    enter = _product(c.width, inner + 2 * keys, c.biases != "none")
    return enter + _product(inner, c.width, c.biases == "all")


def _latent_attention(c: TransformerConfig) -> Part:
    inner, width = c.heads * c.head_dim, c.head_dim + c.rope_head_width
    enter = Part()
    if c.query_latent:
        enter = _product(c.width, c.query_latent) + Part(params=_norm(c, c.query_latent))
    queries = _product(c.query_latent or c.width, c.heads * width)
    squeezed = _product(c.width, c.kv_latent + c.rope_head_width)
    keys = Part(params=_norm(c, c.kv_latent)) + _product(c.kv_latent, 2 * inner)
    return enter + queries + squeezed + keys + _product(inner, c.width)


def _perceptron(c: TransformerConfig) -> Part:
    bias = c.biases == "all"
    enter = _product(c.width, (2 if c.is_gated else 1) * c.mlp_width, bias)
    return enter + _product(c.mlp_width, c.width, bias)


def _experts(c: TransformerConfig) -> Part:
    """Router, experts, and those that are shared; with a capacity all places are computed."""
    if not c.experts:
        return Part()
    hidden = (2 if c.is_gated else 1) * c.expert_width
    one = _product(c.width, hidden) + _product(c.expert_width, c.width)
    places = c.expert_capacity and c.experts * expert_places(c) / c.context
    run = places or c.experts_per_token
    routed = Part(
        params=c.experts * one.params,
        matrices=c.experts * one.matrices,
        inactive=(c.experts - c.experts_per_token) * one.params,
        macs=round(run * one.macs),
        outputs=round(run * one.outputs),
    )
    shared = c.shared_experts * c.expert_width
    always = _product(c.width, c.experts)
    if shared:
        always += _product(c.width, (2 if c.is_gated else 1) * shared) + _product(shared, c.width)
    if c.shared_gate:
        always += _product(c.width, 1)
    return routed + always


def expert_places(c: TransformerConfig) -> int:
    """Tokens of one sequence that an expert takes at most."""
    wanted = c.expert_capacity * c.experts_per_token * c.context / c.experts
    return min(c.context, math.ceil(wanted))
