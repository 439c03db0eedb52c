"""Our models as those of Hugging Face ``transformers``, where the mathematics is the same.

All four plain transformers have a namesake there (Llama, Arcee, Starcoder2, StableLM), and so have
those with the options of the literature's models; ``hugging_face_kinds`` has the table.

Multipliers that these do not have (muP's attention, residual branches, logits) go into the weights:
that of the attention into the queries, that of a branch into the matrix that ends it, that of the
logits into the head or, where it is tied, into the last norm. Exact but for the rounding of a
float32. Blocks for tokens further ahead are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scaling.weights.hugging_face_configs import config_of
from scaling.weights.hugging_face_kinds import Kind, kind_of

Tensors = dict[str, Any]


@dataclass(frozen=True)
class HuggingFace:
    """A model as ``transformers`` has it: ``config.json``, and the tensors by its names."""

    config: dict[str, Any]
    weights: Tensors


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
    kind = kind_of(model.config)
    weights = _LAYOUTS[kind.layout](model, kind)
    return HuggingFace(
        config_of(model.config), {name: tensor.detach() for name, tensor in weights.items()}
    )


def _layer(name: str, layer: Any, scale: float = 1.0) -> Tensors:
    """A layer's weights, and biases where it has them, times ``scale``."""
    return {f"{name}.{key}": tensor * scale for key, tensor in layer.named_parameters()}


def _last(name: str, head: str, model: Any) -> Tensors:
    """The last norm, and the head where it is not tied."""
    if model.head is not None:
        return {**_layer(name, model.norm), head: model.head.weight * model.logit_scale}
    scaled = _layer(name, model.norm, model.logit_scale)
    if model.config.norm == "rmsnorm+1":  # kept as its distance from 1
        return {key: tensor + (model.logit_scale - 1) for key, tensor in scaled.items()}
    return scaled


def _parts(attention: Any) -> list[Tensors]:
    """Weights, and biases, of queries, keys and values."""
    rows = [n * attention.head_dim for n in (attention.heads, *2 * (attention.key_heads,))]
    layer = attention.query_key_value
    split = {key: tensor.split(rows) for key, tensor in layer.named_parameters()}
    return [{key: parts[i] for key, parts in split.items()} for i in range(3)]


def _llama(model: Any, kind: Kind) -> Tensors:
    weights = {"model.embed_tokens.weight": model.embedding.weight}
    for i, block in enumerate(model.blocks):
        weights |= {f"model.layers.{i}.{k}": v for k, v in _llama_block(block, kind).items()}
    return weights | _last("model.norm", "lm_head.weight", model)


def _llama_block(block: Any, kind: Kind) -> Tensors:
    attention, perceptron = block.attention, block.perceptron
    weights = _layer("self_attn.o_proj", attention.project, block.scale) | _norms(block)
    weights |= _latent(attention) if hasattr(attention, "latent") else _heads(attention, kind)
    if hasattr(perceptron, "router"):
        return weights | _experts(perceptron, kind)
    return weights | _perceptron(perceptron, kind, block.scale)


def _heads(attention: Any, kind: Kind) -> Tensors:
    """What leads to queries, keys and values."""
    # Theirs divide by the root of a head's width, or of the width that they are told.
    told = model_width(attention, kind)
    weights: Tensors = {}
    names = ("q_proj", "k_proj", "v_proj")
    for name, part in zip(names, _parts(attention), strict=True):
        scale = attention.scale * told**0.5 if name == "q_proj" else 1.0
        weights |= {f"self_attn.{name}.{key}": tensor * scale for key, tensor in part.items()}
    if attention.normalised != "none":
        weights |= _layer("self_attn.q_norm", attention.query_norm)
        weights |= _layer("self_attn.k_norm", attention.key_norm)
    return weights


def _latent(attention: Any) -> Tensors:
    """The same of latent attention; what theirs turn in pairs side by side we turn in halves."""
    heads, width, turned = attention.heads, attention.head_dim, attention.turned
    side_by_side = [i // 2 + turned // 2 * (i % 2) for i in range(turned)]

    def turn(weight: Any, still: int) -> Any:
        return weight[..., [*range(still), *(still + i for i in side_by_side)], :]

    query = attention.query.weight.view(heads, width + turned, -1)
    key_value = attention.key_value.weight
    weights = {
        "self_attn.kv_a_proj_with_mqa.weight": turn(attention.squeeze.weight, attention.latent),
        "self_attn.kv_b_proj.weight": key_value,
        **_layer("self_attn.kv_a_layernorm", attention.latent_norm),
    }
    name = "q_proj"
    if hasattr(attention, "query_squeeze"):
        name = "q_b_proj"
        weights |= _layer("self_attn.q_a_proj", attention.query_squeeze)
        weights |= _layer("self_attn.q_a_layernorm", attention.query_norm)
    return {**weights, f"self_attn.{name}.weight": turn(query, width).flatten(0, 1)}


def model_width(attention: Any, kind: Kind) -> int:
    """The width over whose root theirs divide the products of queries and keys."""
    told = "score_width" in kind.takes
    return round(attention.scale**-2) if told else int(attention.head_dim)


def _norms(block: Any) -> Tensors:
    first, second = block.attention_norm, block.perceptron_norm
    if block.order == "branch":
        return _layer("post_attention_layernorm", first) | _layer(
            "post_feedforward_layernorm", second
        )
    if block.order == "sandwich":
        return {
            **_layer("input_layernorm", first),
            **_layer("post_attention_layernorm", block.attention_end_norm),
            **_layer("pre_feedforward_layernorm", second),
            **_layer("post_feedforward_layernorm", block.perceptron_end_norm),
        }
    return _layer("input_layernorm", first) | _layer("post_attention_layernorm", second)


def _perceptron(perceptron: Any, kind: Kind, scale: float = 1.0) -> Tensors:
    up = f"{kind.names.get('up', 'mlp.up_proj')}.weight"
    down = f"{kind.names.get('down', 'mlp.down_proj')}.weight"
    weights = {down: perceptron.leave.weight * scale}
    if not perceptron.gated:
        return {**weights, up: perceptron.enter.weight}
    gate, rest = perceptron.enter.weight.chunk(2)
    return {**weights, "mlp.gate_proj.weight": gate, up: rest}


def _experts(experts: Any, kind: Kind) -> Tensors:
    names = kind.names.get("gate_up_down", "gate_proj up_proj down_proj").split()
    where = kind.names.get("experts", "mlp.experts")
    weights = _layer(kind.names.get("router", "mlp.gate"), experts.router)
    for i, (enter, leave) in enumerate(zip(experts.enter, experts.leave, strict=True)):
        parts = (*enter.chunk(2), leave)
        weights |= {f"{where}.{i}.{n}.weight": t for n, t in zip(names, parts, strict=True)}
    if experts.shared is not None:
        name = "shared_expert" if experts.gate is not None else "shared_experts"
        shared = _perceptron(experts.shared, kind)
        weights |= {k.replace("mlp.", f"mlp.{name}."): v for k, v in shared.items()}
    if experts.gate is not None:
        weights |= _layer("mlp.shared_expert_gate", experts.gate)
    return weights


def _gpt2(model: Any, kind: Kind) -> Tensors:
    weights = {
        "transformer.wte.weight": model.embedding.weight,
        "transformer.wpe.weight": model.positions.weight,
    }
    for i, block in enumerate(model.blocks):
        layers = {
            "attn.c_attn": block.attention.query_key_value,
            "attn.c_proj": block.attention.project,
            "mlp.c_fc": block.perceptron.enter,
            "mlp.c_proj": block.perceptron.leave,
        }
        for name, layer in layers.items():  # theirs are (in, out)
            weights[f"transformer.h.{i}.{name}.weight"] = layer.weight.T
            weights[f"transformer.h.{i}.{name}.bias"] = layer.bias
        weights |= _layer(f"transformer.h.{i}.ln_1", block.attention_norm)
        weights |= _layer(f"transformer.h.{i}.ln_2", block.perceptron_norm)
    return weights | _last("transformer.ln_f", "lm_head.weight", model)


def _opt(model: Any, kind: Kind) -> Tensors:
    weights = {
        "model.decoder.embed_tokens.weight": model.embedding.weight,
        "model.decoder.embed_positions.weight": model.positions.weight,
    }
    for i, block in enumerate(model.blocks):
        before = f"model.decoder.layers.{i}."
        for name, part in zip("qkv", _parts(block.attention), strict=True):
            weights |= {f"{before}self_attn.{name}_proj.{key}": t for key, t in part.items()}
        layers = {
            "self_attn.out_proj": block.attention.project,
            "self_attn_layer_norm": block.attention_norm,
            "fc1": block.perceptron.enter,
            "fc2": block.perceptron.leave,
            "final_layer_norm": block.perceptron_norm,
        }
        for name, layer in layers.items():
            weights |= _layer(before + name, layer)
    if model.config.embedding_width:
        weights |= _layer("model.decoder.project_in", model.enter)
        weights |= _layer("model.decoder.project_out", model.leave)
    return weights | _last("model.decoder.final_layer_norm", "lm_head.weight", model)


def _gpt_neox(model: Any, kind: Kind) -> Tensors:
    weights = {"gpt_neox.embed_in.weight": model.embedding.weight}
    for i, block in enumerate(model.blocks):
        before, attention = f"gpt_neox.layers.{i}.", block.attention
        for key, tensor in attention.query_key_value.named_parameters():
            # Theirs have the three of a head side by side.
            heads = tensor.view(3, attention.heads, attention.head_dim, -1).transpose(0, 1)
            name = f"{before}attention.query_key_value.{key}"
            weights[name] = heads.reshape(tensor.shape)
        layers = {
            "attention.dense": attention.project,
            "input_layernorm": block.attention_norm,
            "post_attention_layernorm": block.perceptron_norm,
            "mlp.dense_h_to_4h": block.perceptron.enter,
            "mlp.dense_4h_to_h": block.perceptron.leave,
        }
        for name, layer in layers.items():
            weights |= _layer(before + name, layer)
    return weights | _last("gpt_neox.final_layer_norm", "embed_out.weight", model)


_LAYOUTS: dict[str, Callable[[Any, Kind], Tensors]] = {
    "llama": _llama,
    "gpt2": _gpt2,
    "opt": _opt,
    "gpt_neox": _gpt_neox,
}
_CONVERTERS: dict[str, Callable[[Any], HuggingFace]] = {"transformer": _transformer}
