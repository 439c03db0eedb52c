"""Language models of the literature as options of ``transformer``; counts are exact to the unit.

Rows are depth, width, heads, heads of keys (0: as many), hidden width, and what else differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Options = Mapping[str, Any]
_NAMES = ("depth", "width", "heads", "kv_heads", "mlp_width")


def _sizes(
    rows: Mapping[str, tuple[int, ...]],
    shared: Options,
    more: Mapping[str, Options] | None = None,
) -> dict[str, Options]:
    """A preset for each row, with what all share and what each has beside it."""
    extra = more or {}
    return {
        name: {**dict(zip(_NAMES, row, strict=True)), **shared, **extra.get(name, {})}
        for name, row in rows.items()
    }


_START = {"embedding_std": 0.02}
_TIED = {"tied": True, "scale_tied": False, **_START}
_LLAMA = {"mlp": "swiglu", **_START}

# Radford et al. 2019, table 2.
_GPT2_ROWS = {
    "gpt2-124m": (12, 768, 12, 0, 3072),
    "gpt2-355m": (24, 1024, 16, 0, 4096),
    "gpt2-774m": (36, 1280, 20, 0, 5120),
    "gpt2-1.5b": (48, 1600, 25, 0, 6400),
}
_GPT2 = {
    "vocab_size": 50257,
    "context": 1024,
    "mlp": "gelu-tanh",
    "norm": "layernorm",
    "norm_eps": 1e-5,
    "positions": "learned",
    "biases": "all",
    **_TIED,
}
# What these names were until they got the published positions and biases.
_ROTARY = {
    f"{name.replace('1.5b', '1558m')}-rotary": {
        "depth": row[0],
        "width": row[1],
        "heads": row[2],
        "vocab_size": 50257,
        "context": 1024,
        "norm": "layernorm",
        "tied": True,
    }
    for name, row in _GPT2_ROWS.items()
}

# Biderman et al. 2023, table 1; GPT-NeoX's rotary quarter and parallel branches. The vocabulary is
# that of the published weights, padded to a multiple of 128 for one card, or for more.
_PYTHIA_ROWS = {
    "pythia-14m": (6, 128, 4, 0, 512),
    "pythia-31m": (6, 256, 8, 0, 1024),
    "pythia-70m": (6, 512, 8, 0, 2048),
    "pythia-160m": (12, 768, 12, 0, 3072),
    "pythia-410m": (24, 1024, 16, 0, 4096),
    "pythia-1b": (16, 2048, 8, 0, 8192),
    "pythia-1.4b": (24, 2048, 16, 0, 8192),
    "pythia-2.8b": (32, 2560, 32, 0, 10240),
    "pythia-6.9b": (32, 4096, 32, 0, 16384),
    "pythia-12b": (36, 5120, 40, 0, 20480),
}
_PYTHIA = {
    "vocab_size": 50304,
    "context": 2048,
    "norm": "layernorm",
    "norm_eps": 1e-5,
    "rope_fraction": 0.25,
    "parallel": True,
    "biases": "all",
    **_START,
}
_PYTHIA_MORE = {"pythia-6.9b": {"vocab_size": 50432}, "pythia-12b": {"vocab_size": 50688}}

# Zhang et al. 2022, table 1; the 350M model's embeddings and norms as its published weights.
_OPT_ROWS = {
    f"opt-{name}": (depth, width, heads, 0, 4 * width)
    for name, depth, width, heads in (
        ("125m", 12, 768, 12),
        ("350m", 24, 1024, 16),
        ("1.3b", 24, 2048, 32),
        ("2.7b", 32, 2560, 32),
        ("6.7b", 32, 4096, 32),
        ("13b", 40, 5120, 40),
        ("30b", 48, 7168, 56),
        ("66b", 64, 9216, 72),
        ("175b", 96, 12288, 96),
    )
}
_OPT = {
    "vocab_size": 50272,
    "context": 2048,
    "mlp": "relu",
    "norm": "layernorm",
    "norm_eps": 1e-5,
    "positions": "learned",
    "position_offset": 2,
    "biases": "all",
    **_TIED,
}
_OPT_MORE = {"opt-350m": {"norm_position": "post", "embedding_width": 512}}

# Touvron et al. 2023, arXiv 2302.13971, table 2, and 2307.09288; Dubey et al. 2024, table 3. The
# wavelengths that Llama 3.1 and later stretch beyond 8,192 positions are left as they were.
_LLAMA1 = {
    "7b": (32, 4096, 32, 0, 11008),
    "13b": (40, 5120, 40, 0, 13824),
    "30b": (60, 6656, 52, 0, 17920),
    "65b": (80, 8192, 64, 0, 22016),
}
_LLAMA2 = {
    "7b": (32, 4096, 32, 0, 11008),
    "13b": (40, 5120, 40, 0, 13824),
    "70b": (80, 8192, 64, 8, 28672),
}
_LLAMA3 = {
    "llama3-8b": (32, 4096, 32, 8, 14336),
    "llama3-70b": (80, 8192, 64, 8, 28672),
    "llama3.1-8b": (32, 4096, 32, 8, 14336),
    "llama3.1-70b": (80, 8192, 64, 8, 28672),
    "llama3.1-405b": (126, 16384, 128, 8, 53248),
    "llama3.2-1b": (16, 2048, 32, 8, 8192),
    "llama3.2-3b": (28, 3072, 24, 8, 8192),
}
_OF_LLAMA1 = {"vocab_size": 32000, "context": 2048, **_LLAMA}
_OF_LLAMA2 = {"vocab_size": 32000, "context": 4096, "norm_eps": 1e-5, **_LLAMA}
_OF_LLAMA3 = {
    "vocab_size": 128256,
    "context": 8192,
    "norm_eps": 1e-5,
    "rope_base": 500000.0,
    **_LLAMA,
}
_LONG = {"context": 131072, "rope_factor": 8.0, "rope_original": 8192}
_LLAMA3_MORE = {
    **{name: _LONG for name in _LLAMA3 if name.startswith("llama3.1")},
    **{f"llama3.2-{size}": {**_LONG, **_TIED, "rope_factor": 32.0} for size in ("1b", "3b")},
}

# Jiang et al. 2023, table 1, and 2024, table 1.
_MISTRAL = {
    "mistral-7b": {
        **dict(zip(_NAMES, (32, 4096, 32, 8, 14336), strict=True)),
        "vocab_size": 32000,
        "context": 32768,
        "attention": "local",
        "window": 4096,
        "norm_eps": 1e-5,
        **_LLAMA,
    },
    **_sizes(
        {
            "mixtral-8x7b": (32, 4096, 32, 8, 14336),
            "mixtral-8x22b": (56, 6144, 48, 8, 16384),
        },
        {
            "vocab_size": 32000,
            "context": 32768,
            "rope_base": 1e6,
            "norm_eps": 1e-5,
            "experts": 8,
            "experts_per_token": 2,
            "balance": "aux",
            **_LLAMA,
        },
        {"mixtral-8x22b": {"context": 65536}},
    ),
}

# Qwen Team 2024, arXiv 2412.15115, table 1, and 2025, arXiv 2505.09388, tables 1 and 2.
_QWEN25_ROWS = {
    "qwen2.5-0.5b": (24, 896, 14, 2, 4864),
    "qwen2.5-1.5b": (28, 1536, 12, 2, 8960),
    "qwen2.5-3b": (36, 2048, 16, 2, 11008),
    "qwen2.5-7b": (28, 3584, 28, 4, 18944),
    "qwen2.5-14b": (48, 5120, 40, 8, 13824),
    "qwen2.5-32b": (64, 5120, 40, 8, 27648),
    "qwen2.5-72b": (80, 8192, 64, 8, 29568),
}
_QWEN25 = {
    "vocab_size": 151936,
    "context": 32768,
    "rope_base": 1e6,
    "biases": "qkv",
    **_LLAMA,
}
_LARGE_QWEN = {"vocab_size": 152064, "context": 131072, "norm_eps": 1e-5}
_QWEN25_MORE: dict[str, Options] = {
    **dict.fromkeys(("qwen2.5-0.5b", "qwen2.5-1.5b", "qwen2.5-3b"), _TIED),
    "qwen2.5-7b": {**_LARGE_QWEN, "norm_eps": 1e-6},
    "qwen2.5-14b": _LARGE_QWEN,
    "qwen2.5-32b": _LARGE_QWEN,
    "qwen2.5-72b": _LARGE_QWEN,
}
# Yang et al. 2024, arXiv 2407.10671, table 1 and sec. 3.2; those of 0.5B to 72B are 2.5's shapes.
_QWEN2_MOE_ROWS = {
    "qwen1.5-moe-a2.7b": (24, 2048, 16, 0, 5632),
    "qwen2-57b-a14b": (28, 3584, 28, 4, 18944),
}
_QWEN2_MOE = {
    **_QWEN25,
    "shared_gate": True,
    "router_renormalise": False,
    "balance": "aux",
    "balance_weight": 0.001,
}
_QWEN2_MOE_MORE: dict[str, Options] = {
    "qwen1.5-moe-a2.7b": {
        "context": 8192,
        "experts": 60,
        "experts_per_token": 4,
        "expert_width": 1408,
        "shared_experts": 4,
    },
    "qwen2-57b-a14b": {
        "experts": 64,
        "experts_per_token": 8,
        "expert_width": 2560,
        "shared_experts": 8,
    },
}
_QWEN3_ROWS = {
    "qwen3-0.6b": (28, 1024, 16, 8, 3072),
    "qwen3-1.7b": (28, 2048, 16, 8, 6144),
    "qwen3-4b": (36, 2560, 32, 8, 9728),
    "qwen3-8b": (36, 4096, 32, 8, 12288),
    "qwen3-14b": (40, 5120, 40, 8, 17408),
    "qwen3-32b": (64, 5120, 64, 8, 25600),
    "qwen3-30b-a3b": (48, 2048, 32, 4, 6144),
    "qwen3-235b-a22b": (94, 4096, 64, 4, 12288),
}
_QWEN3 = {
    "vocab_size": 151936,
    "context": 40960,
    "head_width": 128,
    "rope_base": 1e6,
    "qk_norm": "head",
    **_LLAMA,
}
_QWEN3_EXPERTS = {"experts": 128, "experts_per_token": 8, "balance": "aux", "balance_weight": 0.001}
_QWEN3_MORE: dict[str, Options] = {
    **dict.fromkeys(("qwen3-0.6b", "qwen3-1.7b", "qwen3-4b"), _TIED),
    "qwen3-30b-a3b": {**_QWEN3_EXPERTS, "expert_width": 768},
    "qwen3-235b-a22b": {**_QWEN3_EXPERTS, "expert_width": 1536},
}

# Gemma Team 2024, arXiv 2403.08295, table 1; 2408.00118, table 1; 2025, 2503.19786, table 1. Of
# Gemma 3 the part that reads text.
_GEMMA = {
    "mlp": "geglu-tanh",
    "norm": "rmsnorm+1",
    "scale_embedding": True,
    **_TIED,
}
_GEMMA1 = {"vocab_size": 256000, "context": 8192, "head_width": 256, **_GEMMA}
_GEMMA2 = {
    **_GEMMA1,
    "attention": "local, global",
    "window": 4096,
    "norm_position": "sandwich",
    "attention_cap": 50.0,
    "logit_cap": 30.0,
}
_GEMMA3 = {
    "vocab_size": 262208,
    "context": 131072,
    "head_width": 256,
    "attention": "local*5, global",
    "window": 1024,
    "norm_position": "sandwich",
    "qk_norm": "head",
    "rope_base": 1e6,
    "rope_base_local": 10000.0,
    "rope_factor": 8.0,
    **_GEMMA,
}
_SMALL_GEMMA3 = {"vocab_size": 262144, "context": 32768, "window": 512, "rope_factor": 1.0}
_GEMMA_ROWS = {"gemma-2b": (18, 2048, 8, 1, 16384), "gemma-7b": (28, 3072, 16, 16, 24576)}
_GEMMA2_ROWS = {
    "gemma2-2b": (26, 2304, 8, 4, 9216),
    "gemma2-9b": (42, 3584, 16, 8, 14336),
    "gemma2-27b": (46, 4608, 32, 16, 36864),
}
_GEMMA2_MORE = {"gemma2-27b": {"head_width": 128, "score_width": 144}}
_GEMMA3_ROWS = {
    "gemma3-270m": (18, 640, 4, 1, 2048),
    "gemma3-1b": (26, 1152, 4, 1, 6912),
    "gemma3-4b": (34, 2560, 8, 4, 10240),
    "gemma3-12b": (48, 3840, 16, 8, 15360),
    "gemma3-27b": (62, 5376, 32, 16, 21504),
}
_GEMMA3_MORE: dict[str, Options] = {
    "gemma3-270m": _SMALL_GEMMA3,
    "gemma3-1b": _SMALL_GEMMA3,
    "gemma3-27b": {"head_width": 128, "score_width": 168},
}

# DeepSeek-AI 2024, arXiv 2405.04434, sec. 3.1.2 and appendix B: 236B parameters, 21B active, and
# 15.7B, 2.4B active; their wavelengths, stretched from 4,096 positions on, are left as they were.
_DEEPSEEK_ROWS = {
    "deepseek-v2": (60, 5120, 128, 0, 12288),
    "deepseek-v2-lite": (27, 2048, 16, 0, 10944),
}
_DEEPSEEK = {
    "vocab_size": 102400,
    "context": 4096,
    "head_width": 128,
    "rope_head_width": 64,
    "kv_latent": 512,
    "experts": 64,
    "experts_per_token": 6,
    "expert_width": 1408,
    "shared_experts": 2,
    "dense_layers": 1,
    "router_renormalise": False,
    "balance": "aux",
    "balance_weight": 0.001,
    **_LLAMA,
}
_DEEPSEEK_MORE: dict[str, Options] = {
    "deepseek-v2": {
        "query_latent": 1536,
        "experts": 160,
        "expert_width": 1536,
        "router_groups": 8,
        "router_groups_kept": 3,
        "routed_scale": 16.0,
        "balance_weight": 0.003,
    }
}

# OLMo Team 2025, arXiv 2501.00656, table 3; Allal et al. 2025, arXiv 2502.02737.
_OLMO2_ROWS = {
    "olmo2-1b": (16, 2048, 16, 0, 8192),
    "olmo2-7b": (32, 4096, 32, 0, 11008),
    "olmo2-13b": (40, 5120, 40, 0, 13824),
    "olmo2-32b": (64, 5120, 40, 8, 27648),
}
_OLMO2 = {
    "vocab_size": 100352,
    "context": 4096,
    "rope_base": 500000.0,
    "norm_position": "branch",
    "qk_norm": "full",
    **_LLAMA,
}
_SMOLLM_ROWS = {
    "smollm-135m": (30, 576, 9, 3, 1536),
    "smollm-360m": (32, 960, 15, 5, 2560),
    "smollm-1.7b": (24, 2048, 32, 0, 8192),
}
_SMOLLM = {"vocab_size": 49152, "context": 2048, "norm_eps": 1e-5, **_LLAMA, **_TIED}

PRESETS: Mapping[str, Options] = {
    **_sizes(_GPT2_ROWS, _GPT2),
    **_ROTARY,
    **_sizes(_PYTHIA_ROWS, _PYTHIA, _PYTHIA_MORE),
    **_sizes(_OPT_ROWS, _OPT, _OPT_MORE),
    **_sizes({f"llama-{k}": v for k, v in _LLAMA1.items()}, _OF_LLAMA1),
    **_sizes({f"llama2-{k}": v for k, v in _LLAMA2.items()}, _OF_LLAMA2),
    **_sizes(_LLAMA3, _OF_LLAMA3, _LLAMA3_MORE),
    **_MISTRAL,
    **_sizes(_QWEN25_ROWS, _QWEN25, _QWEN25_MORE),
    **{
        name.replace("2.5", "2"): {**options, "context": 32768}
        for name, options in _sizes(_QWEN25_ROWS, _QWEN25, _QWEN25_MORE).items()
        if name.removeprefix("qwen2.5-") in ("0.5b", "1.5b", "7b", "72b")
    },
    **_sizes(_QWEN2_MOE_ROWS, _QWEN2_MOE, _QWEN2_MOE_MORE),
    **_sizes(_QWEN3_ROWS, _QWEN3, _QWEN3_MORE),
    **_sizes(_GEMMA_ROWS, _GEMMA1),
    **_sizes(_GEMMA2_ROWS, _GEMMA2, _GEMMA2_MORE),
    **_sizes(_GEMMA3_ROWS, _GEMMA3, _GEMMA3_MORE),
    **_sizes(_DEEPSEEK_ROWS, _DEEPSEEK, _DEEPSEEK_MORE),
    **_sizes(_OLMO2_ROWS, _OLMO2),
    **_sizes(_SMOLLM_ROWS, _SMOLLM),
}
