"""n-gram models: how often a token came after the last few, smoothed; counted, not trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from scaling.base import Cost, OptionError, Unit, read_where, refuse_unknown, typed
from scaling.families.base import ModelConfig, Options, check_options, vocabulary

if TYPE_CHECKING:
    from torch import nn

SMOOTHINGS = ("kneser-ney", "backoff", "additive")
HIGHEST = 64


@dataclass(frozen=True)
class NgramConfig(ModelConfig):
    """An n-gram model.

    Attributes
    ----------
    order : int
        n: a token is predicted from the n - 1 before it; from fewer at a window's beginning.
    smoothing : {"kneser-ney", "backoff", "additive"}
        ``kneser-ney``: modified, interpolated, with three discounts an order from the counts of
        counts (Chen and Goodman 1999, sec. 3). ``backoff``: P(x'|x) = (n(x, x') + eps P(x')) /
        (n(x) + eps), P(x') from one token less, below the first order 1 / V. ``additive``:
        (n(x, x') + eps) / (n(x) + eps V), Laplace's for eps = 1.
    epsilon : float
        eps above 0.
    vocab_size, context : int
        V, and tokens of a window, as networks see them.
    """

    order: int
    smoothing: str = "kneser-ney"
    epsilon: float = field(default=1.0, metadata=read_where(smoothing=SMOOTHINGS[1:]))
    vocab_size: int = 256
    context: int = 128

    def __post_init__(self) -> None:
        if self.smoothing not in SMOOTHINGS:
            refuse_unknown(self.smoothing, SMOOTHINGS, "smoothing")
        for name in ("vocab_size", "context"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} {getattr(self, name)} is below 1", name)
        most = min(HIGHEST, self.context + 1)
        if not 1 <= self.order <= most:
            raise OptionError(
                f"order {self.order} is not in [1, {most}]: a window has {self.context} tokens "
                f"and one to predict, and {HIGHEST} is the highest order",
                "order",
                "context",
            )
        if not self.epsilon > 0:
            raise OptionError(
                f"epsilon {self.epsilon} is not above 0: what never came would be impossible",
                "epsilon",
            )


@dataclass(frozen=True)
class NgramCost(Cost):
    """What an n-gram model costs. N is the number of stored counts, which the data decide.

    Counting adds one to a count of each order: n FLOPs a token. A prediction is a multiplication
    and an addition an order.

    Attributes
    ----------
    order, vocab_size : int
    """

    order: int = 1
    vocab_size: int = 1

    @property
    def flops_train(self) -> int:
        """FLOPs of counting one token."""
        return self.order

    def on(self, num_tokens: int) -> NgramCost:
        """The same with the most counts that so many tokens leave: min(V^k, D) of each order k."""
        most = sum(min(self.vocab_size**k, num_tokens) for k in range(1, self.order + 1))
        return replace(self, num_params=most, num_params_non_embedding=most)

    def run_columns(self, num_tokens: int) -> dict[str, Any]:
        """N at most, until it is counted; D and C."""
        most = self.on(num_tokens).num_params
        return {
            "num_params": most,
            "num_params_non_embedding": most,
            "num_tokens": num_tokens,
            "data_unit": self.unit,
            "flops": self.flops_train * num_tokens,
        }


class Ngram:
    """The family ``ngram``; see :class:`NgramConfig` for its options."""

    name: ClassVar[str] = "ngram"
    unit: ClassVar[Unit] = "token"
    config: ClassVar[type[ModelConfig]] = NgramConfig
    dials: ClassVar[tuple[str, ...]] = ()
    either: ClassVar[tuple[tuple[str, str], ...]] = ()
    counted: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Options]] = {
        "bigram": {"order": 2},
        "trigram": {"order": 3},
    }

    def resolve(self, options: Options) -> NgramConfig:
        """The configuration that ``options`` describe.

        Raises
        ------
        ValueError
            For an unknown option, a value out of range, or no order.
        """
        check_options(self, options)
        if "order" not in options:
            raise OptionError("no size: give order", "order")
        return typed(NgramConfig, options)

    def cost(self, config: NgramConfig) -> NgramCost:
        """The counts that all there could be would take, V + V^2 + ... + V^n."""
        every = sum(config.vocab_size**k for k in range(1, config.order + 1))
        return NgramCost(
            unit="token",
            num_params=every,
            num_params_block=0,
            num_params_matmul=0,
            num_params_non_embedding=every,
            macs_forward=config.order,
            activations=0,
            flops_kaplan=config.order,
            flops_chinchilla=config.order,
            order=config.order,
            vocab_size=config.vocab_size,
        )

    def data_options(self, info: Any) -> dict[str, Any]:
        """The vocabulary of the data."""
        return vocabulary(self, info)

    def units_per_item(self, config: NgramConfig) -> int:
        """Tokens of one window."""
        return config.context

    def input_shape(self, config: NgramConfig) -> list[int]:
        """One window."""
        return [config.context]

    def build(self, config: NgramConfig) -> nn.Module:
        """There is none.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError("an n-gram model is counted (scaling.counting): there is no torch module")


NGRAM = Ngram()
