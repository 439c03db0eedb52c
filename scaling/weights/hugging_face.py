"""Our models as those of Hugging Face ``transformers``, where the mathematics is the same.

All four transformers have a namesake there: pre-norm blocks one after the other, rotary positions
over whole heads in halves, no biases in matrices.

==========  ==========  ============
norm        perceptron  architecture
==========  ==========  ============
RMSNorm     SwiGLU      Llama
RMSNorm     GELU        Arcee
LayerNorm   GELU        Starcoder2
LayerNorm   SwiGLU      StableLM
==========  ==========  ============

Multipliers that these do not have (muP's attention, residual branches, logits) go into the weights:
that of the attention into the queries, that of a branch into the matrix that ends it, that of the
logits into the head or, where it is tied, into the last norm. Exact but for the rounding of a
float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Tensors = dict[str, Any]


@dataclass(frozen=True)
class HuggingFace:
    """A model as ``transformers`` has it: ``config.json``, and the tensors by its names."""

    config: dict[str, Any]
    weights: Tensors


@dataclass(frozen=True)
class _Architecture:
    """An architecture's name, and how it calls what ours has too."""

    name: str
    model_type: str
    norm_eps: str
    up: str = "mlp.up_proj"
    down: str = "mlp.down_proj"
    config: Mapping[str, Any] = field(default_factory=dict)


_ARCHITECTURES = {
    ("rmsnorm", "swiglu"): _Architecture("LlamaForCausalLM", "llama", "rms_norm_eps"),
    ("rmsnorm", "gelu"): _Architecture("ArceeForCausalLM", "arcee", "rms_norm_eps"),
    ("layernorm", "gelu"): _Architecture(
        "Starcoder2ForCausalLM",
        "starcoder2",
        "norm_epsilon",
        up="mlp.c_fc",
        down="mlp.c_proj",
        config={"use_bias": False, "residual_dropout": 0.0, "embedding_dropout": 0.0},
    ),
    ("layernorm", "swiglu"): _Architecture(
        "StableLmForCausalLM",
        "stablelm",
        "layer_norm_eps",
        config={"use_qkv_bias": False, "hidden_dropout": 0.0, "partial_rotary_factor": 1.0},
    ),
}


def to_hugging_face(family: str, model: Any) -> HuggingFace:
    """The torch module of a family as a model of ``transformers``.

    Parameters
    ----------
    family : str
    model : Module
        With its weights, float32.

    Raises
    ------
    ValueError
        If there is no architecture that computes the same.
    """
    if family not in _CONVERTERS:
        raise ValueError(
            f"transformers has no architecture that computes what family {family} does: it is for "
            f"{', '.join(_CONVERTERS)}"
        )
    return _CONVERTERS[family](model)


def _transformer(model: Any) -> HuggingFace:
    c = model.config
    rope = {"rope_type": "default", "rope_theta": c.rope_base}
    found = _ARCHITECTURES[c.norm, c.mlp]
    if "partial_rotary_factor" in found.config:
        rope["partial_rotary_factor"] = found.config["partial_rotary_factor"]
    config = {
        "architectures": [found.name],
        "model_type": found.model_type,
        "vocab_size": c.vocab_rows,
        "hidden_size": c.width,
        "intermediate_size": c.mlp_width,
        "num_hidden_layers": c.depth,
        "num_attention_heads": c.heads,
        "num_key_value_heads": c.heads,
        "hidden_act": "silu" if c.mlp == "swiglu" else "gelu",
        "max_position_embeddings": c.context,
        found.norm_eps: model.norm.eps,
        "rope_theta": c.rope_base,  # read by transformers 4
        "rope_parameters": rope,  # and by 5
        "tie_word_embeddings": c.tied,
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
        "dtype": "float32",
        "torch_dtype": "float32",
        **found.config,
    }
    weights = {"model.embed_tokens.weight": model.embedding.weight}
    for i, block in enumerate(model.blocks):
        weights |= {f"model.layers.{i}.{k}": v for k, v in _block(block, found).items()}
    if model.head is None:
        weights |= _norm("model.norm", model.norm, model.logit_scale)
    else:
        weights |= _norm("model.norm", model.norm)
        weights["lm_head.weight"] = model.head.weight * model.logit_scale
    return HuggingFace(config, {name: tensor.detach() for name, tensor in weights.items()})


def _block(block: Any, found: _Architecture) -> Tensors:
    attention, perceptron = block.attention, block.perceptron
    query, key, value = attention.query_key_value.weight.chunk(3)
    weights = {
        # Theirs divide by the root of a head's width.
        "self_attn.q_proj.weight": query * (attention.scale * attention.head_dim**0.5),
        "self_attn.k_proj.weight": key,
        "self_attn.v_proj.weight": value,
        "self_attn.o_proj.weight": attention.project.weight * block.scale,
        f"{found.down}.weight": perceptron.leave.weight * block.scale,
        **_norm("input_layernorm", block.attention_norm),
        **_norm("post_attention_layernorm", block.perceptron_norm),
    }
    if perceptron.gated:
        gate, up = perceptron.enter.weight.chunk(2)
        return {**weights, "mlp.gate_proj.weight": gate, f"{found.up}.weight": up}
    return {**weights, f"{found.up}.weight": perceptron.enter.weight}


def _norm(name: str, norm: Any, scale: float = 1.0) -> Tensors:
    """A norm's gain, and its bias where it has one, times ``scale``."""
    return {f"{name}.{key}": tensor * scale for key, tensor in norm.named_parameters()}


_CONVERTERS: dict[str, Callable[[Any], HuggingFace]] = {"transformer": _transformer}
