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
        "OPTForCausalLM",
        "opt",
        "layernorm",
        _DENSE,
        {**_ALL, "position_offset": 2, "norm_position": "post", "scale_tied": False},
        ("embedding_width",),
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
