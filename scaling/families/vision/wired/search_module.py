"""A network of mixed operations with its alphas, as a torch module."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from scaling.families.vision.graph_module import MixedModule
from scaling.families.vision.layers import Network
from scaling.families.vision.layers_module import NetworkModule
from scaling.families.vision.wired.cells import KINDS, write_cell
from scaling.families.vision.wired.search import SearchConfig, found_cell

BETAS, EPS = (0.5, 0.999), 1e-8  # of the alphas' Adam: section A.1.1 of the paper
START = 1e-3  # standard deviation of the alphas at the start, as in the authors' code


class SearchModule(NetworkModule):
    """Inputs to logits, each mixture with the softmax of its alphas.

    The alphas, and Adam's moments of them, are buffers: they are kept with the weights, and no
    optimiser of weights sees them. All cells of a kind share theirs.
    """

    alphas: Tensor
    mean: Tensor
    square: Tensor
    updates: Tensor

    def __init__(self, network: Network, config: SearchConfig) -> None:
        super().__init__(network)
        self.config = config
        self.register_buffer("alphas", START * torch.randn(config.alphas_shape))
        for name in ("mean", "square"):
            self.register_buffer(name, torch.zeros(config.alphas_shape))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.mixtures = [m for m in self.modules() if isinstance(m, MixedModule)]

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        weights = self.alphas.softmax(-1)
        for mixture in self.mixtures:
            mixture.weights = weights[mixture.place]
        out: Tensor = super().forward(x)
        return out

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def update_alphas(self, gradient: Tensor) -> None:
        """A step of Adam with coupled decay (Kingma and Ba 2015, alg. 1)."""
        gradient = gradient + self.config.alpha_decay * self.alphas
        self.updates += 1
        for moment, value, beta in (
            (self.mean, gradient, BETAS[0]),
            (self.square, gradient**2, BETAS[1]),
        ):
            moment.lerp_(value, 1 - beta)
        mean, square = (
            m / (1 - b**self.updates) for m, b in zip((self.mean, self.square), BETAS, strict=True)
        )
        self.alphas -= self.config.alpha_lr * mean / (square.sqrt() + EPS)

    def entropy(self) -> float:
        """The mixtures' mean entropy, in nats: ln(operations) at first, 0 once each has one."""
        weights = self.alphas.double().softmax(-1)
        return float(-(weights * weights.log()).sum(-1).mean())

    def cells(self) -> dict[str, str]:
        """The cells that the alphas say, by kind: options of the family ``darts``."""
        weights: Sequence[list[list[float]]] = self.alphas.softmax(-1).tolist()
        nodes, operations = self.config.nodes, self.config.operations
        return {
            kind: write_cell(found_cell(table, nodes, operations))
            for kind, table in zip(KINDS, weights, strict=True)
        }
