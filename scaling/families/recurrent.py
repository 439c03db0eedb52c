"""Recurrent language models: RNN, GRU, LSTM and Jozefowicz's variants; dials and exact counts.

An embedding, ``depth`` layers of one cell, and an output head without bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from scaling.base import (
    Cost,
    OptionError,
    Unit,
    convert,
    nearest_size,
    read_where,
    refuse_unknown,
    typed,
)
from scaling.families.base import DEEPEST, ModelConfig, Options, check_options, vocabulary

if TYPE_CHECKING:
    from torch import nn

WIDTH_MULTIPLE = 8
WIDEST = 1 << 16
DEFAULT_DEPTH = 2


@dataclass(frozen=True)
class Cell:
    """What a cell multiplies: matrices from the input and from its last output, and biases.

    Attributes
    ----------
    from_input, from_output, biases : int
        How many, each of the layer's width.
    forgets : bool
        Whether it has a forget gate.
    square : bool
        Whether it adds its input to its gates, so that both are of one width.
    """

    from_input: int
    from_output: int
    biases: int
    forgets: bool = False
    square: bool = False


CELLS: Mapping[str, Cell] = {
    # torch.nn's, with two biases a gate
    "rnn": Cell(1, 1, 2),
    "gru": Cell(3, 3, 6),
    "lstm": Cell(4, 4, 8, forgets=True),
    # Jozefowicz et al. 2015, sec. 3.4: an LSTM without its input, forget or output gate
    "lstm-i": Cell(3, 3, 3, forgets=True),
    "lstm-f": Cell(3, 3, 3),
    "lstm-o": Cell(3, 3, 3, forgets=True),
    # and the three best of those that they found, same place
    "mut1": Cell(2, 2, 3, square=True),
    "mut2": Cell(2, 3, 3, square=True),
    "mut3": Cell(3, 3, 3),
}
FORGETTING = tuple(name for name, cell in CELLS.items() if cell.forgets)


@dataclass(frozen=True)
class RecurrentConfig(ModelConfig):
    """A recurrent language model.

    Attributes
    ----------
    width, depth : int
        Units of a layer, and layers one upon the other.
    cell : str
        A name of ``CELLS``. ``rnn`` is tanh's (Elman 1990); ``lstm-f``, ``-i`` and ``-o`` lack a
        gate, ``mut1`` to ``mut3`` are Jozefowicz et al. 2015's.
    projection : int
        Width of an LSTM's output, and of embedding and head with it (Sak et al. 2014, LSTMP);
        0: ``width``.
    tied : bool
        Whether the output head is the embedding's transpose.
    forget_bias : float
        Bias of a forget gate at the start; 1 as Jozefowicz et al. 2015 (sec. 3.2) ask.
    dropout : float
        On what goes up: the embeddings and each layer's outputs, not from step to step (Zaremba
        et al. 2014).
    vocab_size, context : int
        V, and tokens of a window: through so many gradients are propagated back.
    """

    width: int
    depth: int = DEFAULT_DEPTH
    cell: str = "lstm"
    projection: int = field(default=0, metadata=read_where(cell=("lstm",)))
    tied: bool = False
    forget_bias: float = field(default=1.0, metadata=read_where(cell=FORGETTING))
    dropout: float = 0.0
    vocab_size: int = 256
    context: int = 128

    def __post_init__(self) -> None:
        for name, limit in (
            ("width", WIDEST),
            ("depth", DEEPEST),
            ("vocab_size", 1 << 24),
            ("context", 1 << 20),
        ):
            value = getattr(self, name)
            if not 1 <= value <= limit:
                raise OptionError(f"{name} {value} is not in [1, {limit}]", name)
        if self.cell not in CELLS:
            refuse_unknown(self.cell, CELLS, "cell")
        if self.projection and not 0 < self.projection < self.width:
            raise OptionError(
                f"projection {self.projection} is not in [1, {self.width - 1}], below the width: "
                "leave it out, or widen the layer",
                "projection",
                "width",
            )
        if not 0 <= self.dropout < 1:
            raise OptionError(f"dropout {self.dropout} is not in [0, 1)", "dropout")

    @property
    def out_width(self) -> int:
        """The width of a layer's output, of the embedding and of the head."""
        return self.projection or self.width


class Recurrent:
    """The family ``recurrent``; see :class:`RecurrentConfig` for its options.

    The size is chosen by ``width``, or by a target ``num_params``, which is met as nearly as
    widths in steps of 8 allow.
    """

    name: ClassVar[str] = "recurrent"
    unit: ClassVar[Unit] = "token"
    config: ClassVar[type[ModelConfig]] = RecurrentConfig
    dials: ClassVar[tuple[str, ...]] = ("num_params",)
    either: ClassVar[tuple[tuple[str, str], ...]] = (("num_params", "width"),)
    carries_state: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Options]] = {
        # Zaremba et al. 2014, sec. 4.1: on the 10,000 words of the Penn Treebank
        f"zaremba-{label}": {
            "width": width,
            "depth": 2,
            "dropout": dropout,
            "vocab_size": 10000,
            "context": 35,
        }
        for label, width, dropout in (("medium", 650, 0.5), ("large", 1500, 0.65))
    }

    def resolve(self, options: Options) -> RecurrentConfig:
        """The configuration that ``options`` describe.

        Raises
        ------
        ValueError
            For an unknown option, a value out of range, or no size at all.
        """
        check_options(self, options)
        chosen = dict(options)
        target = chosen.pop("num_params", None)
        if target is None:
            if "width" not in chosen:
                raise OptionError("no size: give width or num_params", "width", "num_params")
            return typed(RecurrentConfig, chosen)
        wanted = convert("float", "num_params", target)
        narrowest = convert("int", "projection", chosen.get("projection", 0)) + 1
        low = -(-narrowest // WIDTH_MULTIPLE)

        def at(multiples: int) -> RecurrentConfig:
            return typed(RecurrentConfig, {**chosen, "width": WIDTH_MULTIPLE * multiples})

        best = at(
            nearest_size(
                lambda m: self.cost(at(m)).num_params, wanted, low, WIDEST // WIDTH_MULTIPLE
            )
        )
        found = self.cost(best).num_params
        if not 0.5 <= found / wanted <= 2:
            raise OptionError(
                f"num_params {wanted:.4g} is out of reach: the nearest model has {found} "
                f"(vocabulary {best.vocab_size}, depth {best.depth}, width in steps of "
                f"{WIDTH_MULTIPLE})",
                "num_params",
                "width",
            )
        return best

    def cost(self, config: RecurrentConfig) -> Cost:
        """Exact counts per token.

        Every matrix is used once a token, so a forward pass has as many multiply-accumulates as
        there are weights in matrices; gates' products of elements are not counted.
        """
        c, cell = config, CELLS[config.cell]
        out = c.out_width
        project = c.projection * c.width
        products = cell.from_input + cell.from_output
        block = c.depth * (products * c.width * out + project)
        biases = c.depth * cell.biases * c.width
        table = c.vocab_size * out
        macs = block + table
        return Cost(
            unit="token",
            num_params=block + biases + (1 if c.tied else 2) * table,
            num_params_block=block,
            num_params_matmul=block + table,
            num_params_non_embedding=block + biases,
            macs_forward=macs,
            activations=c.depth * (products * c.width + c.projection) + c.vocab_size,
            flops_kaplan=6 * macs,
            flops_chinchilla=6 * macs,
        )

    def data_options(self, info: Any) -> dict[str, Any]:
        """The vocabulary of the data."""
        return vocabulary(self, info)

    def units_per_item(self, config: RecurrentConfig) -> int:
        """Tokens of one window."""
        return config.context

    def input_shape(self, config: RecurrentConfig) -> list[int]:
        """One window."""
        return [config.context]

    def build(self, config: RecurrentConfig) -> nn.Module:
        """The torch module."""
        from scaling.families.recurrent_module import RecurrentModule

        return RecurrentModule(config)


RECURRENT = Recurrent()
