"""The transformer's options beyond its shape; each left out is what runs had before it existed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from scaling.base import read_unless, read_where

ACTIVATIONS = {  # of the perceptron: the function, and whether it gates a second product
    "gelu": ("gelu", False),
    "gelu-tanh": ("gelu-tanh", False),
    "relu": ("relu", False),
    "relu2": ("relu2", False),
    "swiglu": ("silu", True),
    "geglu": ("gelu", True),
    "geglu-tanh": ("gelu-tanh", True),
}
NORMS = ("rmsnorm", "layernorm", "rmsnorm+1")
CHOICES = {
    "mlp": tuple(ACTIVATIONS),
    "norm": NORMS,
    "qk_norm": ("none", "head", "full"),
    "positions": ("rotary", "learned", "sinusoidal", "alibi", "none"),
    "biases": ("none", "qkv", "all"),
    "norm_position": ("pre", "post", "sandwich", "branch"),
    "router": ("softmax", "sigmoid"),
    "balance": ("none", "aux", "bias"),
}
ROTARY = read_where(positions=("rotary",))
LEARNED = read_where(positions=("learned",))
WITH_EXPERTS = read_unless(experts=0)


def added(default: Any, read: dict[str, Any] | None = None) -> Any:
    """A field that runs from before it existed had at ``default``; so written only if it differs.

    Parameters
    ----------
    read : dict, optional
        Where it is read, as ``read_where`` has it.
    """
    return field(default=default, metadata={"before": default, "terse": True, **(read or {})})


@dataclass(frozen=True, kw_only=True)
class TransformerOptions:
    """How a transformer differs from the plain one.

    Attributes
    ----------
    kv_heads : int
        Heads of keys and values, each for as many of queries: grouped queries (Ainslie et al.
        2023), with 1 multi-query attention (Shazeer 2019). 0: as many as ``heads``.
    head_width : int
        Width of a head by itself; 0: ``width`` / ``heads``.
    score_width : int
        Products of queries and keys are over its root; 0: the head's width.
    qk_norm : {"none", "head", "full"}
        Queries and keys normalised, each head by itself (Qwen 3) or all heads as one (OLMo 2).
    kv_latent, query_latent : int
        Widths that keys and values, and queries, are squeezed through; 0: they are not.
        Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, eq. 9 to 19).
    rope_head_width : int
        Of such a head the part that is turned, beside ``head_width``; the keys' is one for all
        heads. 0: half of the head's width.
    attention_cap, logit_cap : float
        c: scores and logits are c tanh(x / c) (Gemma 2); 0 for none.
    attention : str
        The kinds of the layers; see ``attention_patterns``.
    window, summary : int
        Positions, of the kinds that ask for them.
    document_separator : int
        The token that ends a document: attention stays within documents. -1: it does not.
    positions : {"rotary", "learned", "sinusoidal", "alibi", "none"}
        Su et al. 2021; a table; Vaswani et al. 2017, sec. 3.5; Press et al. 2022.
    rope_base, rope_fraction : float
        The longest wavelength over 2 pi, and the share of a head's width that is turned.
    rope_base_local : float
        The base in layers with ``local`` attention; 0: the same.
    rope_factor : float
        Positions are divided by it, but in ``local`` layers.
    rope_original : int
        The context before it was stretched: only wavelengths above a quarter of it are divided, and
        those above all of it wholly (Llama 3.1: Grattafiori et al. 2024, and its code). 0: all.
    position_offset : int
        Rows of the table before that of the first position (OPT has 2).
    biases : {"none", "qkv", "all"}
        Of no matrix, of queries, keys and values, or of all but the head's.
    norm_position : {"pre", "post", "sandwich", "branch"}
        N is before a branch; after the sum (and not at the end); before and after a branch (Gemma
        2); after a branch (OLMo 2).
    norm_eps : float
    parallel : bool
        Attention and perceptron side by side, each with its norm (GPT-NeoX).
    embedding_width : int
        Embeddings, and rows of the head, are so wide, with a matrix from there to ``width`` and
        one back before the head (OPT 350M; Lan et al. 2020, sec. 3.1). 0: ``width``, and none.
    scale_embedding : bool
        Embeddings times the root of the width (Vaswani et al. 2017, sec. 3.4), under muP of the
        base model's.
    scale_tied : bool
        Whether tied logits are scaled to unit variance at the start.
    z_loss : float
        Weight of the mean of ln(Z)^2 in the training loss (Chowdhery et al. 2022, sec. 5).
    predict_ahead : int
        Tokens predicted at each position; each after the first has a block of its own over the
        trunk, and the same head (Gloeckle et al. 2024, arXiv 2404.19737, sec. 2).
    ahead_weight : float
        Of their mean loss beside that of the next token (DeepSeek-V3, eq. 25).
    experts, experts_per_token : int
        E and k; 0 experts: perceptrons.
    expert_width : int
        Hidden width of an expert; 0: ``mlp_width``.
    shared_experts : int
        Experts that every token passes.
    shared_gate : bool
        Their output times a learned sigmoid (Qwen 1.5 MoE).
    dense_layers : int
        First layers with a perceptron.
    expert_capacity : float
        c: an expert takes at most ceil(c k T / E) tokens of a sequence, the first ones; what is
        over passes by it. 0: it takes all.
    router_groups, router_groups_kept : int
        A token chooses among the experts of ``kept`` of so many equal groups alone, those whose
        best score is highest, as it is sent to so many devices at most (DeepSeek-V2, arXiv
        2405.04434, sec. 2.2.2). 0 groups: among all.
    router : {"softmax", "sigmoid"}
    router_renormalise : bool
        Whether the weights of the chosen experts sum to 1.
    routed_scale : float
        What they are multiplied by then.
    balance : {"none", "aux", "bias"}
        ``aux``: ``balance_weight`` x E sum f P in the training loss (Fedus et al. 2022, eq. 4), of
        each sequence, so that it does not depend on how a batch is taken apart.
        ``bias``: no loss; what is added to the scores, for the choice alone, moves by
        ``balance_rate`` a step (Wang et al. 2024, arXiv 2408.15664, alg. 1).
    balance_weight, balance_rate : float
    router_z_loss : float
        Weight of the mean of ln(Z)^2 of the router (Zoph et al. 2022, eq. 5).
    """

    kv_heads: int = added(0)
    head_width: int = added(0)
    score_width: int = added(0)
    qk_norm: str = added("none")
    kv_latent: int = added(0)
    query_latent: int = added(0, read_unless(kv_latent=0))
    rope_head_width: int = added(0, read_unless(kv_latent=0))
    attention_cap: float = added(0.0)
    attention: str = added("global")
    window: int = added(0)
    summary: int = added(1)
    document_separator: int = added(-1)
    positions: str = added("rotary")
    rope_base: float = added(10000.0, ROTARY)
    rope_fraction: float = added(1.0, ROTARY)
    rope_base_local: float = added(0.0, ROTARY)
    rope_factor: float = added(1.0, ROTARY)
    rope_original: int = added(0, read_unless(rope_factor=1.0))
    position_offset: int = added(0, LEARNED)
    biases: str = added("none")
    norm_position: str = added("pre")
    norm_eps: float = added(1e-6)
    parallel: bool = added(False)
    embedding_width: int = added(0)
    scale_embedding: bool = added(False)
    scale_tied: bool = added(True, read_where(tied=(True,)))
    logit_cap: float = added(0.0)
    z_loss: float = added(0.0)
    predict_ahead: int = added(1)
    ahead_weight: float = added(0.3, read_unless(predict_ahead=1))
    experts: int = added(0)
    experts_per_token: int = added(2, WITH_EXPERTS)
    expert_width: int = added(0, WITH_EXPERTS)
    shared_experts: int = added(0, WITH_EXPERTS)
    shared_gate: bool = added(False, read_unless(experts=0, shared_experts=0))
    dense_layers: int = added(0, WITH_EXPERTS)
    expert_capacity: float = added(0.0, WITH_EXPERTS)
    router_groups: int = added(0, WITH_EXPERTS)
    router_groups_kept: int = added(3, read_unless(experts=0, router_groups=0))
    router: str = added("softmax", WITH_EXPERTS)
    router_renormalise: bool = added(True, WITH_EXPERTS)
    routed_scale: float = added(1.0, WITH_EXPERTS)
    balance: str = added("none", WITH_EXPERTS)
    balance_weight: float = added(0.01, read_where(balance=("aux",)))
    balance_rate: float = added(0.001, read_where(balance=("bias",)))
    router_z_loss: float = added(0.0, WITH_EXPERTS)
