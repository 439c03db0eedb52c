"""What one model costs: parameters, FLOPs and activations by named convention, and inverses.

FLOPs are an amount; 1 MAC = 2 FLOPs. By the convention of the literature a training step costs 3 x
the forward pass: for each of its products the backward pass forms two, the gradients of the weights
and of the input. No step computes the gradient of the data, so ``flops_exact`` leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Literal, Protocol

Unit = Literal["token", "example"]
MAX_EPOCHS = 4
"""Repeated data are nearly as good as new up to here (Muennighoff et al. 2023, abstract)."""


@dataclass(frozen=True)
class Routing:
    """What laws of experts ask of a model that has them.

    Attributes
    ----------
    num_experts : int
        That a token may be sent to, in each layer.
    sparsity : float
        The share of these that one token passes by (Abnar et al. 2025, sec. 2).
    granularity : float
        Width of a dense layer over that of an expert (Krajewski et al. 2024, eq. 5).
    """

    num_experts: int
    sparsity: float
    granularity: float


@dataclass(frozen=True)
class Cost:
    """Exact counts for one model; FLOPs, MACs and activations are per token or example.

    Attributes
    ----------
    unit : {"token", "example"}
        What one unit of data is.
    num_params : int
        All trainable parameters.
    num_params_block : int
        Entries of the weight matrices (kernels) of the repeated blocks.
    num_params_matmul : int
        Entries of every matrix that enters a product: blocks, stem and output head.
    num_params_non_embedding : int
        ``num_params`` without token embeddings and, for language models, without the output
        head (Kaplan et al. 2020, sec. 2.1).
    macs_forward : int
        Multiply-accumulates of matrix products and convolutions in one forward pass.
    macs_without_input_gradient : int
        Those of ``macs_forward`` whose input asks for no gradient: the products of the data with
        the first layer, and the biases. An embedding is no product.
    activations : int
        Elements of the outputs of these products.
    flops_kaplan, flops_chinchilla : int
        Training FLOPs in the conventions of Kaplan et al. 2020 (eq. 2.2) and Hoffmann et al.
        2022 (appendix F); for a family that they do not define, the exact count.
    receptive_field : int or None
        Of the last features, in input pixels along a side (Araujo et al. 2019); None where
        there is no image.
    num_params_unpadded, macs_unpadded : int or None
        ``num_params`` and ``macs_forward`` without what pads a vocabulary; None where nothing does.
    num_params_inactive : int
        Those of ``num_params`` that a token passes by: of the experts that it is not sent to.
    macs_dense : int or None
        ``macs_forward`` if attention were over all pairs; None where it is.
    kv_cache : int or None
        Elements of keys and values that a sequence of full context keeps for the next token; None
        where there is no attention over what was before.
    routing : Routing or None
        None without experts.
    """

    unit: Unit
    num_params: int
    num_params_block: int
    num_params_matmul: int
    num_params_non_embedding: int
    macs_forward: int
    activations: int
    flops_kaplan: int
    flops_chinchilla: int
    receptive_field: int | None = None
    macs_without_input_gradient: int = 0
    num_params_unpadded: int | None = None
    macs_unpadded: int | None = None
    num_params_inactive: int = 0
    macs_dense: int | None = None
    kv_cache: int | None = None
    routing: Routing | None = None

    @property
    def num_params_active(self) -> int:
        """Parameters that one token (example) passes; all of them but in a mixture of experts."""
        return self.num_params - self.num_params_inactive

    def on(self, num_tokens: int) -> Cost:
        """The same on so many tokens; another one only where the data decide the size."""
        return self

    @property
    def flops_forward(self) -> int:
        """FLOPs of one forward pass: 2 x MACs."""
        return 2 * self.macs_forward

    @property
    def flops_train(self) -> int:
        """FLOPs of one training step by convention: 3 x forward."""
        return 3 * self.flops_forward

    @property
    def flops_exact(self) -> int:
        """FLOPs of one training step without gradients that no step computes."""
        return self.flops_train - 2 * self.macs_without_input_gradient

    @property
    def flops_6nd(self) -> int:
        """6 N with N = ``num_params_active`` (Hoffmann et al. 2022, sec. 3)."""
        return 6 * self.num_params_active

    def run_columns(self, num_tokens: int) -> dict[str, Any]:
        """The run table's columns that follow from the model and ``num_tokens``."""
        others: dict[str, Any] = {}
        if self.num_params_unpadded is not None and self.macs_unpadded is not None:
            others = {
                "num_params_unpadded": self.num_params_unpadded,
                "flops_unpadded": 6 * self.macs_unpadded * num_tokens,
            }
        if self.routing is not None:
            others |= asdict(self.routing)
        if self.macs_dense is not None:
            others["flops_dense"] = 6 * self.macs_dense * num_tokens
        return {
            "num_params": self.num_params,
            "num_params_active": self.num_params_active,
            "num_params_non_embedding": self.num_params_non_embedding,
            "num_params_matmul": self.num_params_matmul,
            "num_params_block": self.num_params_block,
            "num_tokens": num_tokens,
            "data_unit": self.unit,
            "flops": self.flops_train * num_tokens,
            "flops_exact": self.flops_exact * num_tokens,
            "flops_6nd": self.flops_6nd * num_tokens,
            "flops_kaplan": self.flops_kaplan * num_tokens,
            "flops_chinchilla": self.flops_chinchilla * num_tokens,
            "macs_forward": self.macs_forward,
            "activations": self.activations,
            **others,
        }

    def to_dict(self) -> dict[str, Any]:
        """All counts, the derived ones too."""
        derived = {
            "num_params_active": self.num_params_active,
            "flops_forward": self.flops_forward,
            "flops_train": self.flops_train,
            "flops_exact": self.flops_exact,
            "flops_6nd": self.flops_6nd,
            "per": self.unit,
        }
        left = ("unit", "num_params_inactive", "routing")
        fields = {k: v for k, v in asdict(self).items() if k not in left and v is not None}
        routing = {} if self.routing is None else asdict(self.routing)
        return {**fields, **routing, **derived}


class Sized(Protocol):
    """What one model costs, as far as D follows from it: a :class:`Cost`, a program's counts."""

    @property
    def unit(self) -> Unit:
        """What one unit of data is."""

    @property
    def num_params(self) -> int:
        """N."""

    @property
    def flops_train(self) -> float:
        """Training FLOPs per token (example)."""


def tokens_for_flops(cost: Sized, flops: float) -> int:
    """D = C / c, rounded to the nearest token, for c training FLOPs per token.

    Parameters
    ----------
    cost : Sized
    flops : float
        Budget C in FLOPs.

    Returns
    -------
    int
        Tokens (examples) that ``flops`` trains the model on.

    Raises
    ------
    ValueError
        If the budget does not pay for one token.
    """
    tokens = round(flops / cost.flops_train)
    if tokens < 1:
        raise ValueError(
            f"budget {flops:.3g} FLOPs is below one {cost.unit} of this model "
            f"({cost.flops_train:.3g} FLOPs): raise the budget or take a smaller model"
        )
    return tokens


def training_memory(cost: Cost, units_per_step: int, bytes_per_activation: int = 4) -> int:
    """Bytes to train with Adam: 16 a parameter, and the activations of one step.

    Weights, gradients and Adam's two moments in float32 are 16 bytes a parameter (Rajbhandari
    et al. 2020, sec. 3.1); every product's output is kept once for the backward pass, and
    about once more for the elementwise function after it.
    """
    return 16 * cost.num_params + 2 * bytes_per_activation * cost.activations * units_per_step


def nearest_size(
    count: Callable[[int], int], target: float, low: int = 1, high: int = 1 << 20
) -> int:
    """The integer x in [low, high] whose rising ``count(x)`` is nearest to ``target``, in ratio.

    ``count`` may grow by any law: bisection finds the two neighbours of the target.
    """
    count = cache(count)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= target else (low, middle)

    def ratio(x: int) -> float:
        n = count(x)
        return max(n / target, target / n)

    return min((low, high), key=ratio)
