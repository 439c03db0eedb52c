"""A recurrent language model: a module and its frozen configuration are all that is needed."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Config:
    """``vocab_size`` comes from the data; ``context`` says that the model sees tokens."""

    width: int = 32
    depth: int = 1
    vocab_size: int = 256
    context: int = 32


class Recurrent(nn.Module):
    """Tokens ``(batch, time)`` to logits ``(batch, time, vocab_size)``."""

    size_by = "width"  # what a target num_params is met by
    multiple_of = 4

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.mixers = nn.ModuleList(Mixer(config) for _ in range(config.depth))
        self.head = nn.Linear(config.width, config.vocab_size, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of each next token."""
        x = self.embedding(tokens)
        for mixer in self.mixers:
            x = x + mixer(x)
        return self.head(x)


class Mixer(nn.Module):
    """A running mean of the past, and a perceptron on it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.enter = nn.Linear(config.width, 2 * config.width)
        self.leave = nn.Linear(2 * config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, time, width)`` to the same."""
        count = x.new_ones(x.shape[1]).cumsum(0)[:, None]
        return self.leave((self.enter(x).cumsum(1) / count).relu())
