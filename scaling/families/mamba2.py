"""Mamba-2: a state-space model whose state decays by a gate; configuration and exact counts.

Dao and Gu 2024 (arXiv 2405.21060): pre-norm blocks, each a projection, a short convolution, the
state's recurrence, a gated norm and a projection back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from scaling.base import Cost, OptionError, Unit, convert, nearest_size, typed
from scaling.families.base import DEEPEST, ModelConfig, Options, check_options, vocabulary

if TYPE_CHECKING:
    from torch import nn

WIDEST = 1 << 16


@dataclass(frozen=True)
class Mamba2Config(ModelConfig):
    """A Mamba-2 language model.

    Attributes
    ----------
    depth, width : int
        Blocks, and model width d.
    expand : int
        Inner width over d.
    head_dim : int
        Width P of a head; it divides the inner width.
    state : int
        Width N of the state: each head has P x N numbers. Keys and queries (B, C) are shared by
        all heads.
    kernel : int
        Tokens that the convolution sees.
    chunk : int
        Tokens that are computed at once, as attention; between chunks the state goes on. Another
        chunk is the same function with other FLOPs.
    tied : bool
        Whether the output head is the embedding's transpose.
    vocab_size, context : int
    """

    depth: int
    width: int
    expand: int = 2
    head_dim: int = 32
    state: int = 64
    kernel: int = 4
    chunk: int = 32
    tied: bool = False
    vocab_size: int = 256
    context: int = 128

    def __post_init__(self) -> None:
        for name, limit in (
            ("depth", DEEPEST),
            *dict.fromkeys(("width", "head_dim", "state", "chunk"), WIDEST).items(),
            ("expand", 64),
            ("kernel", 1024),
            ("vocab_size", 1 << 24),
            ("context", 1 << 20),
        ):
            value = getattr(self, name)
            if not 1 <= value <= limit:
                raise OptionError(f"{name} {value} is not in [1, {limit}]", name)
        inner = self.expand * self.width
        if inner % self.head_dim:
            near = max(d for d in range(1, self.head_dim) if inner % d == 0)
            raise OptionError(
                f"head_dim {self.head_dim} does not divide the inner width {inner} (expand x "
                f"width): take {near}",
                "head_dim",
                "width",
            )
        if self.context % self.chunk:
            near = max(c for c in range(1, self.chunk) if self.context % c == 0)
            raise OptionError(
                f"chunk {self.chunk} does not divide context {self.context}: take {near}",
                "chunk",
                "context",
            )

    @property
    def inner(self) -> int:
        """The inner width."""
        return self.expand * self.width

    @property
    def heads(self) -> int:
        """Heads of the recurrence."""
        return self.inner // self.head_dim


class Mamba2:
    """The family ``mamba2``; see :class:`Mamba2Config` for its options.

    The size is chosen by ``depth`` and ``width``, or by a target ``num_params`` at a ``depth``,
    met as nearly as widths allow that are multiples of ``head_dim``.
    """

    name: ClassVar[str] = "mamba2"
    unit: ClassVar[Unit] = "token"
    config: ClassVar[type[ModelConfig]] = Mamba2Config
    dials: ClassVar[tuple[str, ...]] = ("num_params",)
    either: ClassVar[tuple[tuple[str, str], ...]] = (("num_params", "width"),)
    presets: ClassVar[Mapping[str, Options]] = {
        # Dao and Gu 2024, as released: state-spaces/mamba2-130m and larger.
        label: {
            "depth": depth,
            "width": width,
            "head_dim": 64,
            "state": 128,
            "chunk": 256,
            "tied": True,
            "vocab_size": 50288,
            "context": 2048,
        }
        for label, depth, width in (
            ("130m", 24, 768),
            ("370m", 48, 1024),
            ("780m", 48, 1536),
            ("1.3b", 48, 2048),
            ("2.7b", 64, 2560),
        )
    }

    def resolve(self, options: Options) -> Mamba2Config:
        """The configuration that ``options`` describe.

        Raises
        ------
        ValueError
            For an unknown option, an impossible shape, or no size at all.
        """
        check_options(self, options)
        chosen = dict(options)
        target = chosen.pop("num_params", None)
        if "depth" not in chosen or (target is None and "width" not in chosen):
            raise OptionError(
                "no size: give depth and width, or depth and num_params",
                "depth",
                "width",
                "num_params",
            )
        if target is None:
            return typed(Mamba2Config, chosen)
        wanted = convert("float", "num_params", target)
        step = convert("int", "head_dim", chosen.get("head_dim", Mamba2Config.head_dim))

        def at(multiples: int) -> Mamba2Config:
            return typed(Mamba2Config, {**chosen, "width": step * multiples})

        most = max(2, WIDEST // step)
        best = at(nearest_size(lambda m: self.cost(at(m)).num_params, wanted, 1, most))
        found = self.cost(best).num_params
        if not 0.5 <= found / wanted <= 2:
            raise OptionError(
                f"num_params {wanted:.4g} is out of reach: the nearest model has {found} "
                f"(vocabulary {best.vocab_size}, depth {best.depth}, width in steps of {step})",
                "num_params",
                "width",
            )
        return best

    def cost(self, config: Mamba2Config) -> Cost:
        """Exact counts per token.

        What the chunked form multiplies, whole squares as kernels do: with Q tokens a chunk Q N
        for the scores that all heads share, Q inner for what they weigh, and N inner each to write
        the state and to read it (Dao and Gu 2024, sec. 6). Between chunks and elementwise nothing
        counts.
        """
        c = config
        inner, heads, convolved = c.inner, c.heads, c.inner + 2 * c.state
        enter, leave = c.width * (inner + convolved + heads), inner * c.width
        convolution = convolved * c.kernel
        block = c.depth * (enter + leave + convolution)
        # the convolution's bias; decay, step and shortcut of a head; the gated norm; the norm
        vectors = c.depth * (convolved + 3 * heads + inner + c.width) + c.width
        table = c.vocab_size * c.width
        mixing = c.chunk * (c.state + inner) + 2 * c.state * inner
        macs = block + c.depth * mixing + table
        outputs = inner + convolved + heads + convolved + c.chunk + 2 * inner + c.width
        states = inner * c.state // c.chunk
        return Cost(
            unit="token",
            num_params=block + vectors + (1 if c.tied else 2) * table,
            num_params_block=block,
            num_params_matmul=block + table,
            num_params_non_embedding=block + vectors,
            macs_forward=macs,
            activations=c.depth * (outputs + states) + c.vocab_size,
            flops_kaplan=6 * macs,
            flops_chinchilla=6 * macs,
        )

    def data_options(self, info: Any) -> dict[str, Any]:
        """The vocabulary of the data."""
        return vocabulary(self, info)

    def units_per_item(self, config: Mamba2Config) -> int:
        """Tokens of one sequence."""
        return config.context

    def input_shape(self, config: Mamba2Config) -> list[int]:
        """One sequence."""
        return [config.context]

    def build(self, config: Mamba2Config) -> nn.Module:
        """The torch module."""
        from scaling.families.mamba2_module import Mamba2Module

        return Mamba2Module(config)


MAMBA2 = Mamba2()
