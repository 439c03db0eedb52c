"""The decoder-only transformer: configuration and dials.

Left as it is: pre-norm blocks of causal self-attention with rotary positions (Su et al. 2021) and a
GELU or SwiGLU (Shazeer 2020) perceptron; no biases; an output head of its own unless ``tied``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from scaling.base import (
    Cost,
    OptionError,
    Unit,
    convert,
    nearest_size,
    read_where,
    stated,
    typed,
)
from scaling.families.attention_patterns import Pattern, patterns_of
from scaling.families.base import DEEPEST, ModelConfig, Options, check_options, vocabulary
from scaling.families.parametrisation import (
    BASE_WIDTH,
    PARAMETRISATIONS,
    WITH_BASE,
    Parametrised,
)
from scaling.families.transformer_checks import check
from scaling.families.transformer_counts import count
from scaling.families.transformer_defaults import (
    CONTEXT,
    base_model,
    default_mlp_width,
    heads_of,
    window_of,
)
from scaling.families.transformer_options import ACTIVATIONS, TransformerOptions
from scaling.families.transformer_presets import PRESETS

if TYPE_CHECKING:
    from torch import nn

WIDTH_MULTIPLE = 8

LARGEST = 1_000_000
SIZED = ("num_params", "num_params_active")
SIZES = ("width", "heads", "head_dim", "mlp_width", "vocab_size", "context", "base_width")
LIMITS = {
    "depth": (1, DEEPEST),
    "base_depth": (0, DEEPEST),
    "base_head_dim": (0, LARGEST),
    **dict.fromkeys((*SIZES, "vocab_multiple"), (1, LARGEST)),
    **dict.fromkeys(("aspect", "mlp_ratio"), (1 / LARGEST, LARGEST)),
    **dict.fromkeys(
        ("head_width", "score_width", "kv_heads", "expert_width", "embedding_width"), (0, LARGEST)
    ),
    **dict.fromkeys(("experts", "shared_experts", "predict_ahead"), (0, DEEPEST)),
    **dict.fromkeys(SIZED, (1, 1e13)),
}
"""What options may be: nothing larger is meant, and all of it is counted in a moment."""

MANY_HEADS = 8
"""Heads from which on a target size is met by heads of equal width, as kernels and ladders want."""

ASPECT_PRICE = 0.1
"""How much of a deviation in ln N one in ln(width / depth) is worth."""


@dataclass(frozen=True)
class TransformerConfig(Parametrised, TransformerOptions, ModelConfig):
    """A decoder-only transformer; options beyond its shape are ``TransformerOptions``.

    Attributes
    ----------
    depth, width, heads : int
        Blocks L, model width d, attention heads; d / heads must be even (rotary pairs).
    mlp_width : int
        Hidden width of the perceptron.
    mlp : str
        One of ``ACTIVATIONS``: ``gelu``, ``swiglu``, ...
    norm : {"rmsnorm", "layernorm", "rmsnorm+1"}
        ``+1``: the gain is kept as its distance from 1 (Gemma).
    tied : bool
        Whether the output head is the embedding's transpose.
    vocab_size, context : int
        V and T.
    parametrisation : {"standard", "mup", "completep"}
        How it starts and learns at other sizes than that of the base model, where each equals
        the standard one. ``mup``: Yang et al. 2022 (arXiv 2203.03466), table 8, by width.
        ``completep``: by depth too (Dey et al. 2025, arXiv 2505.01618, table 1, alpha = 1).
    base_width : int
        Width of the base model; the perceptron's width is taken to grow with it.
    base_head_dim : int
        Width of a head of the base model; 0 resolves to what ``head_dim`` gives. A resolved muP
        with 0 is of before it was asked, when other rules held: it is not trained.
    base_depth : int
        Depth of the base model; 0 resolves to 2.
    embedding_std : float
        Standard deviation of the embeddings at the start.
    dropout : float
        On the embeddings and on each residual branch.
    vocab_multiple : int
        Embedding and head have rows for the next multiple of this, as kernels like it. What is
        beyond ``vocab_size`` are classes like the others, which never occur.
    """

    depth: int
    width: int
    heads: int
    mlp_width: int
    mlp: str = "gelu"
    norm: str = "rmsnorm"
    tied: bool = False
    vocab_size: int = 256
    context: int = CONTEXT
    parametrisation: str = "standard"
    base_width: int = field(default=BASE_WIDTH, metadata=WITH_BASE)
    embedding_std: float = 0.5
    dropout: float = 0.0
    vocab_multiple: int = field(default=1, metadata={"before": 1})
    base_head_dim: int = field(default=0, metadata={"before": 0, **WITH_BASE})
    base_depth: int = field(
        default=0, metadata={"before": 0, **read_where(parametrisation=("completep",))}
    )

    def __post_init__(self) -> None:
        for name in ("depth", "width", "heads", "mlp_width", "vocab_size", "context", "base_width"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} {getattr(self, name)} is below 1", name)
        if self.vocab_multiple < 1:
            raise OptionError(f"vocab_multiple {self.vocab_multiple} is below 1", "vocab_multiple")
        check(self)
        _one_of("parametrisation", self.parametrisation, PARAMETRISATIONS)
        if not 0 <= self.dropout < 1:
            raise OptionError(f"dropout {self.dropout} is not in [0, 1)", "dropout")
        self.check_base()

    @property
    def vocab_rows(self) -> int:
        """Rows of the embedding and the head, padding included."""
        return -(-self.vocab_size // self.vocab_multiple) * self.vocab_multiple

    @property
    def key_heads(self) -> int:
        """Heads of keys and values."""
        return self.kv_heads or self.heads

    @property
    def table_width(self) -> int:
        """Width of the embeddings and of the head's rows."""
        return self.embedding_width or self.width

    @property
    def rope_width(self) -> int:
        """Dimensions of a head that rotary positions turn."""
        if self.kv_latent:
            return self.rope_head_width
        return 2 * round(self.rope_fraction * self.head_dim / 2)

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """What the queries of each layer see."""
        return patterns_of(self.attention, self.depth, self.window, self.summary)

    @property
    def is_gated(self) -> bool:
        """Whether the perceptron has a gate."""
        return ACTIVATIONS[self.mlp][1]

    @property
    def is_plain(self) -> bool:
        """Whether all options beyond the shape are left as they are."""
        left = not stated(self).keys() & TransformerOptions.__dataclass_fields__.keys()
        return left and self.mlp in ("gelu", "swiglu") and self.norm != "rmsnorm+1"


def _one_of(name: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise OptionError(f"{name} {value!r} is none of {', '.join(valid)}", name)


def _canonical(config: TransformerConfig) -> TransformerConfig:
    """The same model with what follows from the rest as 0, or as it follows."""
    c = config
    plain: dict[str, Any] = {
        "kv_heads": 0 if c.kv_heads == c.heads else c.kv_heads,
        "head_width": 0 if c.head_width * c.heads == c.width else c.head_width,
        "score_width": 0 if c.score_width == c.head_dim else c.score_width,
        "embedding_width": 0 if c.embedding_width == c.width else c.embedding_width,
        "rope_head_width": (c.rope_head_width or max(2, c.head_dim // 4 * 2)) * bool(c.kv_latent),
        "expert_width": (c.expert_width or c.mlp_width) if c.experts else 0,
        "rope_base_local": 0.0 if c.rope_base_local == c.rope_base else c.rope_base_local,
    }
    changed = {name: value for name, value in plain.items() if value != getattr(c, name)}
    return replace(c, **changed) if changed else c


def _check_limits(options: Options) -> None:
    for name, (low, high) in LIMITS.items():
        if name in options and not low <= convert("float", name, options[name]) <= high:
            raise OptionError(f"{name} {options[name]} is not in [{low:g}, {high:g}]", name)


class Transformer:
    """The family ``transformer``; see :class:`TransformerConfig` for its options.

    The size is chosen by ``depth`` alone (width = ``aspect`` x depth), by ``depth`` and
    ``width``, or by a target ``num_params``. That is met as nearly as widths in steps of 8 allow;
    from 8 heads on widths are multiples of ``head_dim``, and depth and width give way to each
    other.
    """

    name: ClassVar[str] = "transformer"
    unit: ClassVar[Unit] = "token"
    config: ClassVar[type[ModelConfig]] = TransformerConfig
    dials: ClassVar[tuple[str, ...]] = (*SIZED, "aspect", "head_dim", "mlp_ratio")
    either: ClassVar[tuple[tuple[str, str], ...]] = (
        ("width", "aspect"),
        ("heads", "head_dim"),
        ("mlp_width", "mlp_ratio"),
        ("num_params", "num_params_active"),
        ("head_width", "head_dim"),
    )
    presets: ClassVar[Mapping[str, Options]] = PRESETS

    def resolve(self, options: Options) -> TransformerConfig:
        """The configuration that ``options`` describe.

        Raises
        ------
        ValueError
            For an unknown option, an impossible shape, or no size at all.
        """
        check_options(self, options)
        _check_limits(options)
        chosen = dict(options)
        sized = {name: chosen.pop(name) for name in SIZED if name in chosen}
        aspect = convert("float", "aspect", chosen.pop("aspect", 32))
        head_dim = convert("int", "head_dim", chosen.pop("head_dim", 32))
        asked = chosen.pop("mlp_ratio", None)
        ratio = None if asked is None else convert("float", "mlp_ratio", asked)
        gated = ACTIVATIONS.get(str(chosen.get("mlp", "gelu")), ("", False))[1]

        def shape(depth: int, width: int) -> TransformerConfig:
            mlp_width = default_mlp_width(width, gated, ratio)
            heads = {"heads": heads_of(chosen, width, head_dim), "mlp_width": mlp_width}
            base = base_model(chosen, width, head_dim)
            shaped = {**heads, **window_of(chosen), **chosen, **base}
            if "heads" not in chosen and chosen.get("kv_heads"):
                most = convert("int", "kv_heads", chosen["kv_heads"])
                shaped["kv_heads"] = max(d for d in range(1, most + 1) if heads["heads"] % d == 0)
            return _canonical(typed(TransformerConfig, {**shaped, "depth": depth, "width": width}))

        for name, target in sized.items():
            if "depth" in chosen or "width" in chosen:
                raise OptionError(
                    f"{name} sets depth and width: give either, not both", name, "depth", "width"
                )
            step = WIDTH_MULTIPLE if "heads" in chosen else head_dim
            return self._nearest(name, convert("float", name, target), aspect, step, shape)
        if "depth" not in chosen:
            raise OptionError(
                "no size: give depth, depth and width, or num_params",
                "depth",
                "width",
                "num_params",
            )
        depth = convert("int", "depth", chosen["depth"])
        rounded = WIDTH_MULTIPLE * max(1, round(aspect * depth / WIDTH_MULTIPLE))
        width = convert("int", "width", chosen.get("width", rounded))
        _check_limits({"width": width})
        return shape(depth, width)

    def _nearest(
        self, name: str, target: float, aspect: float, step: int, shape: Any
    ) -> TransformerConfig:
        """Of the depths, that whose nearest width is closest to the aspect ratio.

        From ``MANY_HEADS`` times ``step`` on widths are multiples of that, and of the depths
        around that one the best compromise between size and aspect ratio is taken.
        """

        def size(config: TransformerConfig) -> int:
            found: int = getattr(self.cost(config), name)
            return found

        def at(depth: int, step: int = WIDTH_MULTIPLE) -> TransformerConfig:
            def count(units: int) -> int:
                return size(shape(depth, step * units))

            best: TransformerConfig = shape(depth, step * nearest_size(count, target))
            return best

        def distance(config: TransformerConfig) -> float:
            wanted = aspect * config.depth
            return max(config.width / wanted, wanted / config.width)

        best = at(1)
        for depth in range(2, 512):
            candidate = at(depth)
            if distance(candidate) > distance(best):
                break
            best = candidate
        if step > WIDTH_MULTIPLE and best.width >= MANY_HEADS * step:
            depths = range(math.ceil(0.8 * best.depth), math.floor(1.25 * best.depth) + 1)

            def price(config: TransformerConfig) -> float:
                off = abs(math.log(size(config) / target))
                return off + ASPECT_PRICE * math.log(distance(config))

            best = min((at(depth, step) for depth in depths), key=price)
        count = size(best)
        if not 0.5 <= count / target <= 2:
            raise OptionError(
                f"{name} {target:.4g} is out of reach: the nearest model has {count} "
                f"(vocabulary {best.vocab_size}, width in steps of {WIDTH_MULTIPLE})",
                name,
                "width",
            )
        return best

    def cost(self, config: TransformerConfig) -> Cost:
        """Exact counts per token at full context; see ``transformer_counts``."""
        return count(config)

    def data_options(self, info: Any) -> dict[str, Any]:
        """The vocabulary of the data."""
        return vocabulary(self, info)

    def units_per_item(self, config: TransformerConfig) -> int:
        """Tokens of one sequence."""
        return config.context

    def input_shape(self, config: TransformerConfig) -> list[int]:
        """One sequence."""
        return [config.context]

    def build(self, config: TransformerConfig) -> nn.Module:
        """The torch module.

        Raises
        ------
        ValueError
            For muP without the base model's head width, so from before it was asked.
        """
        config.check_rules()
        from scaling.families.transformer_module import TransformerModule

        return TransformerModule(config)


TRANSFORMER = Transformer()
