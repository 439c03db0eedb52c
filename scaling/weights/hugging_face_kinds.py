"""Which architecture of ``transformers`` computes what a transformer of ours does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scaling.base import stated

# What the weights of a trained model do not show.
OF_TRAINING = {"z_loss", "predict_ahead", "ahead_weight", "scale_tied", "norm_eps"}
OF_TRAINING |= {"balance", "balance_weight", "router_z_loss"}
_HEADS = ("kv_heads", "head_width", "rope_base")
_EXPERTS = ("experts", "experts_per_token", "expert_width")


@dataclass(frozen=True)
class Kind:
    """An architecture, and which of our options it has.

    Attributes
    ----------
    name, model_type : str
        As ``config.json`` has them.
    norm, mlp : str, tuple of str
    needs : dict
        Options that must have these values.
    takes : tuple of str
        Options that may have any.
    layout : str
        How it calls what ours has too: ``llama``, ``gpt2``, ``opt`` or ``gpt_neox``.
    names : dict
        What it calls otherwise than Llama.
    config : dict
        What its configuration must say beside the rest.
    """

    name: str
    model_type: str
    norm: str
    mlp: tuple[str, ...]
    needs: Mapping[str, Any] = field(default_factory=dict)
    takes: tuple[str, ...] = ()
    layout: str = "llama"
    names: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    def computes(self, c: Any) -> bool:
        """Whether it computes what a configuration of ours says."""
        options = {f for f in stated(c) if type(c).__dataclass_fields__[f].metadata.get("terse")}
        known = {*self.needs, *self.takes, *OF_TRAINING}
        return (
            c.norm == self.norm
            and c.mlp in self.mlp
            and options <= known
            and all(getattr(c, name) == value for name, value in self.needs.items())
            and bool(c.kv_latent) == ("kv_latent" in self.takes)
            and bool(c.experts) == ("experts" in self.takes)
            and {pattern.kind for pattern in c.patterns} <= {"global", "local"}
            and (c.parametrisation == "standard" or not options - OF_TRAINING)
        )


_RMS, _LAYER = {"eps": "rms_norm_eps"}, {"eps": "layer_norm_eps"}
_ONE = {"scale_embedding": True}
_SANDWICH = {**_ONE, "norm_position": "sandwich"}
_WINDOWS = (*_HEADS, "attention", "window", "score_width")
_ALL = {"biases": "all", "positions": "learned"}
_DENSE = ("gelu", "gelu-tanh", "relu")

KINDS = (
    Kind(
        "LlamaForCausalLM",
        "llama",
        "rmsnorm",
        ("swiglu",),
        takes=(*_HEADS, "rope_factor", "rope_original"),
        names=_RMS,
    ),
    Kind("ArceeForCausalLM", "arcee", "rmsnorm", ("gelu",), takes=("kv_heads",), names=_RMS),
    Kind(
        "Starcoder2ForCausalLM",
        "starcoder2",
        "layernorm",
        ("gelu",),
        takes=("kv_heads", "rope_base"),
        names={"eps": "norm_epsilon", "up": "mlp.c_fc", "down": "mlp.c_proj"},
        config={"use_bias": False, "residual_dropout": 0.0, "embedding_dropout": 0.0},
    ),
    Kind(
        "StableLmForCausalLM",
        "stablelm",
        "layernorm",
        ("swiglu",),
        takes=("kv_heads", "rope_base", "rope_fraction"),
        names=_LAYER,
        config={"use_qkv_bias": False, "hidden_dropout": 0.0},
    ),
    Kind(
        "MistralForCausalLM",
        "mistral",
        "rmsnorm",
        ("swiglu",),
        {"attention": "local"},
        (*_HEADS, "window"),
        names=_RMS,
    ),
    Kind(
        "Qwen2ForCausalLM",
        "qwen2",
        "rmsnorm",
        ("swiglu",),
        {"biases": "qkv"},
        ("kv_heads", "rope_base"),
        names=_RMS,
    ),
    Kind(
        "Qwen3ForCausalLM", "qwen3", "rmsnorm", ("swiglu",), {"qk_norm": "head"}, _HEADS, names=_RMS
    ),
    Kind(
        "Olmo2ForCausalLM",
        "olmo2",
        "rmsnorm",
        ("swiglu",),
        {"norm_position": "branch", "qk_norm": "full"},
        ("kv_heads", "rope_base"),
        names=_RMS,
    ),
    Kind("GemmaForCausalLM", "gemma", "rmsnorm+1", ("geglu-tanh",), _ONE, _HEADS, names=_RMS),
    Kind(
        "Gemma2ForCausalLM",
        "gemma2",
        "rmsnorm+1",
        ("geglu-tanh",),
        _SANDWICH,
        (*_WINDOWS, "attention_cap", "logit_cap"),
        names=_RMS,
    ),
    Kind(
        "Gemma3ForCausalLM",
        "gemma3_text",
        "rmsnorm+1",
        ("geglu-tanh",),
        {**_SANDWICH, "qk_norm": "head"},
        (*_WINDOWS, "rope_base_local", "rope_factor"),
        names=_RMS,
    ),
    Kind(
        "MixtralForCausalLM",
        "mixtral",
        "rmsnorm",
        ("swiglu",),
        takes=(*_HEADS, *_EXPERTS),
        names={
            **_RMS,
            "experts": "block_sparse_moe.experts",
            "router": "block_sparse_moe.gate",
            "gate_up_down": "w1 w3 w2",
        },
    ),
    Kind(
        "Qwen2MoeForCausalLM",
        "qwen2_moe",
        "rmsnorm",
        ("swiglu",),
        {"biases": "qkv", "shared_gate": True},
        ("kv_heads", "rope_base", *_EXPERTS, "shared_experts", "router_renormalise"),
        names=_RMS,
    ),
    Kind(
        "Qwen3MoeForCausalLM",
        "qwen3_moe",
        "rmsnorm",
        ("swiglu",),
        {"qk_norm": "head"},
        (*_HEADS, *_EXPERTS, "dense_layers", "router_renormalise"),
        names=_RMS,
    ),
    Kind(
        "DeepseekV2ForCausalLM",
        "deepseek_v2",
        "rmsnorm",
        ("swiglu",),
        {"router_renormalise": False},
        (
            *("head_width", "rope_base", "kv_latent", "query_latent", "rope_head_width"),
            *_EXPERTS,
            *("shared_experts", "dense_layers", "routed_scale"),
            *("router_groups", "router_groups_kept"),
        ),
        names=_RMS,
    ),
    Kind("GPT2LMHeadModel", "gpt2", "layernorm", _DENSE, _ALL, layout="gpt2"),
    Kind(
        "OPTForCausalLM",
        "opt",
        "layernorm",
        _DENSE,
        {**_ALL, "position_offset": 2},
        layout="opt",
    ),
    Kind(
        "GPTNeoXForCausalLM",
        "gpt_neox",
        "layernorm",
        _DENSE,
        {"biases": "all"},
        ("parallel", "rope_base", "rope_fraction"),
        layout="gpt_neox",
    ),
)
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu-tanh": "gelu_new",
    "relu": "relu",
    "swiglu": "silu",
    "geglu-tanh": "gelu_pytorch_tanh",
}


def kind_of(c: Any) -> Kind:
    """The architecture that computes what a configuration says.

    Raises
    ------
    ValueError
        If there is none; the message has the options that it must have.
    """
    for kind in KINDS:
        if kind.computes(c):
            return kind
    options = {k: v for k, v in stated(c).items() if k in type(c).__dataclass_fields__}
    told = [
        f"{name} {value}"
        for name, value in options.items()
        if type(c).__dataclass_fields__[name].metadata.get("terse") and name not in OF_TRAINING
    ]
    raise ValueError(
        "transformers has no architecture that computes norm "
        f"{c.norm}, mlp {c.mlp}{', ' if told else ''}{', '.join(told)}"
    )


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
