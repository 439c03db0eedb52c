"""``config.json`` of ``transformers`` for a transformer of ours."""

from __future__ import annotations

from typing import Any

from scaling.weights.hugging_face_kinds import Kind, kind_of

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu-tanh": "gelu_new",
    "relu": "relu",
    "swiglu": "silu",
    "geglu-tanh": "gelu_pytorch_tanh",
}


def config_of(c: Any) -> dict[str, Any]:
    """``config.json`` of a configuration of ours.

    Raises
    ------
    ValueError
        If no architecture computes the same.
    """
    kind = kind_of(c)
    shared = {
        "architectures": [kind.name],
        "model_type": kind.model_type,
        "vocab_size": c.vocab_rows,
        "tie_word_embeddings": c.tied,
        "attention_dropout": 0.0,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
        "dtype": "float32",
        "torch_dtype": "float32",
    }
    return {**shared, **_LAYOUTS[kind.layout](c, kind), **kind.config}


def _llama(c: Any, kind: Kind) -> dict[str, Any]:
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": c.rope_base}
    if "rope_fraction" in kind.takes:
        rope["partial_rotary_factor"] = c.rope_fraction
    if kind.model_type == "llama" and c.rope_factor != 1:
        rope |= {"rope_type": "linear", "factor": c.rope_factor}
        if c.rope_original:
            rope |= {
                "rope_type": "llama3",
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": c.rope_original,
            }
    act = "hidden_activation" if kind.model_type.startswith("gemma") else "hidden_act"
    found: dict[str, Any] = {
        "hidden_size": c.width,
        "intermediate_size": c.expert_width if kind.model_type == "mixtral" else c.mlp_width,
        "num_hidden_layers": c.depth,
        "num_attention_heads": c.heads,
        "num_key_value_heads": c.key_heads,
        "head_dim": c.head_dim,
        act: ACTIVATIONS[c.mlp],
        "max_position_embeddings": c.context,
        kind.names["eps"]: c.norm_eps,
        "rope_theta": c.rope_base,  # read by transformers 4
        "rope_parameters": rope,  # and by 5
        **({"rope_scaling": rope} if rope["rope_type"] != "default" else {}),
        "attention_bias": c.biases != "none",
        "mlp_bias": False,
    }
    kinds = [pattern.kind for pattern in c.patterns]
    if kind.model_type in ("mistral", "gemma2", "gemma3_text"):
        found["sliding_window"] = c.window or None
    if kind.model_type in ("gemma2", "gemma3_text"):
        found["query_pre_attn_scalar"] = c.score_width or c.head_dim
        found["attn_logit_softcapping"] = c.attention_cap or None
        found["final_logit_softcapping"] = c.logit_cap or None
        found["layer_types"] = [
            "sliding_attention" if kind == "local" else "full_attention" for kind in kinds
        ]
    if kind.model_type == "gemma3_text":
        local = c.rope_base_local or c.rope_base
        scaled = {"rope_type": "linear", "factor": c.rope_factor} if c.rope_factor != 1 else {}
        found["rope_parameters"] = {
            "full_attention": {**rope, **scaled},
            "sliding_attention": {"rope_type": "default", "rope_theta": local},
        }
        found |= {"rope_local_base_freq": local}
    if c.experts:
        found |= {
            "num_local_experts": c.experts,
            "num_experts": c.experts,
            "num_experts_per_tok": c.experts_per_token,
            "moe_intermediate_size": c.expert_width,
            "shared_expert_intermediate_size": c.shared_experts * c.expert_width,
            "norm_topk_prob": c.router_renormalise,
            "mlp_only_layers": list(range(c.dense_layers)),
            "router_aux_loss_coef": c.balance_weight if c.balance == "aux" else 0.0,
        }
        if kind.model_type == "deepseek_v2":
            del found["num_experts"], found["num_local_experts"]
            found |= {
                "n_routed_experts": c.experts,
                "n_shared_experts": c.shared_experts,
                "first_k_dense_replace": c.dense_layers,
                "routed_scaling_factor": c.routed_scale,
                "q_lora_rank": c.query_latent or None,
                "kv_lora_rank": c.kv_latent,
                "qk_nope_head_dim": c.head_dim,
                "qk_rope_head_dim": c.rope_head_width,
                "v_head_dim": c.head_dim,
                "topk_method": "group_limited_greedy" if c.router_groups else "greedy",
                "n_group": c.router_groups or 1,
                "topk_group": c.router_groups_kept if c.router_groups else 1,
            }
        if kind.model_type == "mixtral":
            del found["num_experts"], found["moe_intermediate_size"]
    return found


def _gpt2(c: Any, kind: Kind) -> dict[str, Any]:
    return {
        "n_embd": c.width,
        "n_layer": c.depth,
        "n_head": c.heads,
        "n_inner": c.mlp_width,
        "n_positions": c.context,
        "activation_function": ACTIVATIONS[c.mlp],
        "layer_norm_epsilon": c.norm_eps,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "attn_pdrop": 0.0,
    }


def _opt(c: Any, kind: Kind) -> dict[str, Any]:
    return {
        "hidden_size": c.width,
        "num_hidden_layers": c.depth,
        "num_attention_heads": c.heads,
        "ffn_dim": c.mlp_width,
        "max_position_embeddings": c.context,
        "activation_function": ACTIVATIONS[c.mlp],
        "word_embed_proj_dim": c.table_width,
        "do_layer_norm_before": c.norm_position == "pre",
        "dropout": 0.0,
    }


def _gpt_neox(c: Any, kind: Kind) -> dict[str, Any]:
    return {
        "hidden_size": c.width,
        "num_hidden_layers": c.depth,
        "num_attention_heads": c.heads,
        "intermediate_size": c.mlp_width,
        "max_position_embeddings": c.context,
        "hidden_act": ACTIVATIONS[c.mlp],
        "layer_norm_eps": c.norm_eps,
        "use_parallel_residual": c.parallel,
        "rotary_pct": c.rope_fraction,
        "rotary_emb_base": c.rope_base,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": c.rope_base,
            "partial_rotary_factor": c.rope_fraction,
        },
    }


_LAYOUTS = {"llama": _llama, "gpt2": _gpt2, "opt": _opt, "gpt_neox": _gpt_neox}
