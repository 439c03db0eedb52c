"""The search for a cell by gradients (DARTS, Liu et al. 2019, arXiv 1806.09055), as a family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from scaling.base import Cost, OptionError
from scaling.families.base import Options
from scaling.families.vision.counts import Tally, count, walk
from scaling.families.vision.family import VisionFamily, round_depth, scaled_widths
from scaling.families.vision.layers import Layers, Mixed, Network
from scaling.families.vision.wired.cells import (
    KINDS,
    NONE,
    OPERATIONS,
    Cell,
    CellConfig,
    Wiring,
    cell_network,
    check_nodes,
    check_operations,
    operation_layers,
)

if TYPE_CHECKING:
    from torch import nn

KEPT = 2  # edges of a node that are kept


@dataclass(frozen=True, kw_only=True)
class SearchConfig(CellConfig):
    """A network of mixed operations, and how their weights, the alphas, are learned.

    Attributes
    ----------
    nodes : int
        Of a cell; each sees all values before it.
    operations : tuple of str
    order : {1, 2}
        Of the alphas' gradient: 1 takes the weights as they are, 2 after a step (eq. 6).
    alpha_lr, alpha_decay : float
        Adam's rate for the alphas, with betas 0.5 and 0.999, and their (coupled) decay.
    """

    cells: int = 8
    width: int = 16
    nodes: int = 4
    operations: tuple[str, ...] = OPERATIONS
    order: int = 2
    alpha_lr: float = 3e-4
    alpha_decay: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_nodes(self.nodes)
        check_operations(self.operations)
        if self.order not in (1, 2):
            raise OptionError(f"order {self.order} is neither 1 nor 2", "order")
        for name in ("alpha_lr", "alpha_decay"):
            if getattr(self, name) < 0:
                raise OptionError(f"{name} {getattr(self, name):g} is below 0", name)

    @property
    def alphas_shape(self) -> tuple[int, int, int]:
        """Kinds of cells, edges of one, operations."""
        edges = sum(range(2, self.nodes + 2))
        return len(KINDS), edges, len(self.operations)


@dataclass(frozen=True)
class SearchCost(Cost):
    """What a search costs: per example that the weights learn from, one that the alphas do.

    In passes F forward: a step of the weights is 3 F, a gradient of the alphas alone 2 F. The
    first order is 2 F + 3 F; the second has a gradient of the weights (3 F), one of weights and
    alphas after that step (3 F), two of the alphas (4 F), and the step, 13 F in all.

    Attributes
    ----------
    order : int
    macs_before_alphas : int
        Those of ``macs_forward`` whose input does not depend on an alpha, so that the alphas'
        gradient needs none of it.
    """

    order: int = 1
    macs_before_alphas: int = 0

    @property
    def flops_train(self) -> int:
        """FLOPs of a step for an example by convention."""
        return (5 if self.order == 1 else 13) * self.flops_forward

    @property
    def flops_exact(self) -> int:
        """FLOPs of a step for an example without gradients that none computes."""
        steps, alone = (1, 1) if self.order == 1 else (3, 2)
        left_out = steps * self.macs_without_input_gradient + alone * self.macs_before_alphas
        return self.flops_train - 2 * left_out


class DartsSearch(VisionFamily):
    """The family ``darts_search``; see :class:`SearchConfig` for its options.

    A run of it learns weights on every second training example and alphas on the others, and ends
    with the cell that it found: ``normal`` and ``reduce`` of the family ``darts``. N counts the
    weights; the alphas, two a cell's edges times operations, are no part of it.
    """

    name: ClassVar[str] = "darts_search"
    config: ClassVar[type[Any]] = SearchConfig
    task: ClassVar[str] = "scaling.training.search:Search"
    presets: ClassVar[Mapping[str, Options]] = {
        "cifar": {"resolution": 32, "num_classes": 10},
    }

    def scaled(self, config: SearchConfig, depth: float, width: float) -> SearchConfig:
        """More cells, rounded up, and wider ones."""
        return replace(
            config,
            cells=round_depth(depth * config.cells),
            width=scaled_widths((config.width,), width)[0],
        )

    def network(self, config: SearchConfig) -> Network:
        """Stem, cells of mixed operations, head."""
        return cell_network(config, *(_wiring(config, i) for i in range(len(KINDS))), search=True)

    def cost(self, config: SearchConfig) -> SearchCost:
        """Exact counts per example."""
        network = self.network(config)
        alone = Tally(network.input_shape, side=config.resolution, learns=False)
        walk((*network.stem, *network.body, *network.head), alone)
        cost = SearchCost(
            **vars(count(network)),
            order=config.order,
            macs_before_alphas=alone.macs_without_input_gradient,
        )
        by_convention = cost.flops_train
        return replace(cost, flops_kaplan=by_convention, flops_chinchilla=by_convention)

    def build(self, config: SearchConfig) -> nn.Module:
        """The torch module."""
        from scaling.families.vision.wired.search_module import SearchModule

        return SearchModule(self.network(config), config)


def _wiring(config: SearchConfig, kind: int) -> Wiring:
    cell, edge = [], 0
    for node in range(config.nodes):
        edges = []
        for value in range(node + 2):
            edges.append((value, partial(_mixed, config.operations, kind, edge)))
            edge += 1
        cell.append(tuple(edges))
    return tuple(cell)


def _mixed(operations: tuple[str, ...], kind: int, edge: int, width: int, stride: int) -> Layers:
    options = (
        None if name == NONE else operation_layers(name, width, stride, search=True)
        for name in operations
    )
    return (Mixed(tuple(options), kind, edge),)


def found_cell(weights: list[list[float]], nodes: int, operations: tuple[str, ...]) -> Cell:
    """The cell that the mixtures' ``weights`` (edges, operations) say (section 2.4 of the paper).

    Each node keeps its two edges with the strongest operation other than ``none``, and of each
    that operation; of equal ones the first.
    """
    offered = [i for i, name in enumerate(operations) if name != NONE]
    cell, first = [], 0
    for node in range(nodes):
        best = [max(offered, key=weights[first + value].__getitem__) for value in range(node + 2)]
        strength = [weights[first + value][i] for value, i in enumerate(best)]
        strongest = sorted(range(node + 2), key=strength.__getitem__, reverse=True)[:KEPT]
        cell.append(tuple((operations[best[value]], value) for value in sorted(strongest)))
        first += node + 2
    return tuple(cell)


DARTS_SEARCH = DartsSearch()
