"""What does not go together in a transformer's options, each refused in one line."""

from __future__ import annotations

from typing import Any

from scaling.base import OptionError, refuse_unknown
from scaling.families.attention_patterns import kinds_of
from scaling.families.base import nearest_divisor, nearest_shapes
from scaling.families.transformer_options import CHOICES


def check(c: Any) -> None:
    """Refuse what does not go together in a ``TransformerConfig``, with the nearest that does.

    Raises
    ------
    ValueError
        One line: value, limit, remedy.
    """
    for name, valid in CHOICES.items():
        if getattr(c, name) not in valid:
            refuse_unknown(getattr(c, name), valid, name)
    if c.parallel and c.norm_position == "post":
        raise OptionError(
            "parallel branches have no sum between them to normalise: take norm_position: pre, "
            "sandwich or branch",
            "parallel",
            "norm_position",
        )
    _check_ranges(c)
    if c.embedding_width and c.parametrisation != "standard":
        raise OptionError(
            f"{c.parametrisation} has no rule for embedding_width {c.embedding_width}: "
            "take parametrisation: standard",
            "parametrisation",
            "embedding_width",
        )
    _check_heads(c)
    _check_positions(c)
    _check_patterns(c)
    if c.kv_latent:
        _check_latent(c)
    if c.experts:
        _check_experts(c)


def _check_ranges(c: Any) -> None:
    least = {"kv_heads": 0, "head_width": 0, "score_width": 0, "window": 0, "summary": 1}
    least |= {"position_offset": 0, "predict_ahead": 1, "experts": 0, "experts_per_token": 1}
    least |= {"kv_latent": 0, "query_latent": 0, "rope_head_width": 0}
    least |= {"expert_width": 0, "shared_experts": 0, "dense_layers": 0}
    least |= {"embedding_width": 0, "router_groups": 0, "router_groups_kept": 1}
    for name, low in least.items():
        if getattr(c, name) < low:
            raise OptionError(f"{name} {getattr(c, name)} is below {low}", name)
    signed = (
        "attention_cap",
        "logit_cap",
        "z_loss",
        "rope_base_local",
        "rope_original",
        "expert_capacity",
    )
    for name in (*signed, "ahead_weight", "balance_weight", "balance_rate", "router_z_loss"):
        if getattr(c, name) < 0:
            raise OptionError(f"{name} {getattr(c, name)} is below 0", name)
    for name in ("rope_base", "rope_factor", "norm_eps", "routed_scale"):
        if getattr(c, name) <= 0:
            raise OptionError(f"{name} {getattr(c, name)} is not above 0", name)
    if not -1 <= c.document_separator < c.vocab_size:
        raise OptionError(
            f"document_separator {c.document_separator} is no token of {c.vocab_size}: "
            f"take one in [0, {c.vocab_size - 1}], or -1 for none",
            "document_separator",
        )
    if c.predict_ahead > c.context:
        raise OptionError(
            f"predict_ahead {c.predict_ahead} is more than context {c.context}: "
            f"take {c.context} at most",
            "predict_ahead",
            "context",
        )


def _check_heads(c: Any) -> None:
    if not c.head_width and c.width % c.heads:
        raise OptionError(
            f"width {c.width} is no multiple of heads {c.heads}: "
            f"{nearest_shapes(c.width, c.heads, _pairs(c))}",
            "width",
            "heads",
        )
    if c.kv_heads and c.heads % c.kv_heads:
        raise OptionError(
            f"kv_heads {c.kv_heads} does not divide heads {c.heads}: "
            f"take {nearest_divisor(c.heads, c.kv_heads)}",
            "kv_heads",
            "heads",
        )


def _pairs(c: Any) -> int:
    """What the width of a head is a multiple of: rotary positions turn pairs."""
    return 2 if c.positions == "rotary" and c.rope_fraction == 1 and not c.kv_latent else 1


def _check_positions(c: Any) -> None:
    if c.positions != "rotary" or c.kv_latent:
        return
    if c.rope_fraction == 1 and c.head_dim % 2:
        shape = f" (width {c.width} / heads {c.heads})" if not c.head_width else ""
        raise OptionError(
            f"head width {c.head_dim}{shape} is odd; rotary positions need pairs: "
            + (f"take {c.head_dim + 1}" if c.head_width else nearest_shapes(c.width, c.heads, 2)),
            "width",
            "heads",
            "head_width",
            "positions",
        )
    turned = c.rope_fraction * c.head_dim
    if abs(turned - c.rope_width) > 1e-6 or not 0 < turned <= c.head_dim:
        nearest = min(max(2, c.rope_width), c.head_dim // 2 * 2) / c.head_dim
        raise OptionError(
            f"rope_fraction {c.rope_fraction:g} of head width {c.head_dim} is {turned:g}; rotary "
            f"positions need pairs: take {nearest:g}",
            "rope_fraction",
            "head_width",
        )


def _check_latent(c: Any) -> None:
    plain = {"kv_heads": 0, "qk_norm": "none", "biases": "none", "positions": "rotary"}
    plain |= {"rope_fraction": 1.0, "score_width": 0, "parametrisation": "standard"}
    for name, value in plain.items():
        if getattr(c, name) != value:
            raise OptionError(
                f"kv_latent {c.kv_latent} goes with {name} {value} alone, which is "
                f"{getattr(c, name)}: leave one of them out",
                "kv_latent",
                name,
            )
    if c.rope_head_width % 2:
        raise OptionError(
            f"rope_head_width {c.rope_head_width} is odd; rotary positions need pairs: "
            f"take {c.rope_head_width + 1}",
            "rope_head_width",
        )


def _check_patterns(c: Any) -> None:
    kinds = {*kinds_of(c.attention, c.depth)} - {"global"}
    if kinds and not c.window:
        raise OptionError(
            f"attention {c.attention!r} asks for a window: give window, {c.context} at most",
            "window",
            "attention",
        )
    if c.window > c.context:
        raise OptionError(
            f"window {c.window} is longer than context {c.context}: take {c.context}, "
            "or attention: global with window: 0",
            "window",
            "context",
        )
    if c.window and not kinds:
        raise OptionError(
            f"window {c.window} has no effect: attention is global in all {c.depth} layers: "
            "write attention: local, or window: 0",
            "window",
            "attention",
        )
    if c.summary != 1 and "summary" not in kinds:
        raise OptionError(
            f"summary {c.summary} has no effect: attention {c.attention!r} has no layer of kind "
            "summary: leave summary out, or write attention: block, summary",
            "summary",
            "attention",
        )
    if c.summary > c.window and "summary" in kinds:
        raise OptionError(
            f"summary {c.summary} is longer than window {c.window}: take {c.window} at most",
            "summary",
            "window",
        )


def _check_experts(c: Any) -> None:
    if c.experts_per_token > c.experts:
        raise OptionError(
            f"experts_per_token {c.experts_per_token} is more than experts {c.experts}: "
            f"take {c.experts}",
            "experts_per_token",
            "experts",
        )
    if c.experts_per_token == 1 and c.router_renormalise and c.experts > 1:
        raise OptionError(
            "one expert a token has a weight of 1 if weights are renormalised, and its router "
            "learns nothing: take router_renormalise: false, or experts_per_token 2",
            "experts_per_token",
            "router_renormalise",
        )
    if c.dense_layers >= c.depth:
        raise OptionError(
            f"dense_layers {c.dense_layers} leaves no layer of {c.depth} with experts: "
            f"take {c.depth - 1}",
            "dense_layers",
            "depth",
        )
    if c.router_groups:
        _check_groups(c)
    if c.biases == "all":
        raise OptionError("experts have no biases: take biases: qkv or none", "biases", "experts")
    if c.parametrisation != "standard":
        raise OptionError(
            f"{c.parametrisation} has no rule for a router: take parametrisation: standard",
            "parametrisation",
            "experts",
        )


def _check_groups(c: Any) -> None:
    if c.experts % c.router_groups:
        raise OptionError(
            f"router_groups {c.router_groups} does not divide experts {c.experts}: "
            f"take {nearest_divisor(c.experts, c.router_groups)}",
            "router_groups",
            "experts",
        )
    if c.router_groups_kept >= c.router_groups:
        raise OptionError(
            f"router_groups_kept {c.router_groups_kept} is no choice of {c.router_groups} groups: "
            f"take {c.router_groups - 1} at most, or router_groups: 0"
            if c.router_groups > 1
            else "one router group is no choice: take router_groups: 0",
            "router_groups_kept",
            "router_groups",
        )
    within = c.router_groups_kept * c.experts // c.router_groups
    if c.experts_per_token > within:
        raise OptionError(
            f"experts_per_token {c.experts_per_token} is more than the {within} experts of "
            f"{c.router_groups_kept} groups: take {within}, or more router_groups_kept",
            "experts_per_token",
            "router_groups_kept",
        )
