"""Networks of found cells (DARTS, Liu et al. 2019, arXiv 1806.09055): the family ``darts``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

from scaling.base import OptionError, read_where
from scaling.families.base import Options
from scaling.families.vision.family import VisionFamily, round_depth, scaled_widths
from scaling.families.vision.layers import Network
from scaling.families.vision.wired.cells import (
    KINDS,
    OPERATIONS,
    Cell,
    CellConfig,
    Wiring,
    cell_network,
    cell_of_edges,
    check_nodes,
    check_operations,
    operation_layers,
    random_cells,
    read_cell,
    write_cell,
)
from scaling.families.vision.wired.graphs import Drawn

# genotypes.py of the authors' code: found by the first- and by the second-order search on CIFAR-10.
V1 = {
    "normal": "sep_conv_3x3:1 sep_conv_3x3:0 | skip_connect:0 sep_conv_3x3:1 | "
    "skip_connect:0 sep_conv_3x3:1 | sep_conv_3x3:0 skip_connect:2",
    "reduce": "max_pool_3x3:0 max_pool_3x3:1 | skip_connect:2 max_pool_3x3:0 | "
    "max_pool_3x3:0 skip_connect:2 | skip_connect:2 avg_pool_3x3:0",
}
V2 = {
    "normal": "sep_conv_3x3:0 sep_conv_3x3:1 | sep_conv_3x3:0 sep_conv_3x3:1 | "
    "sep_conv_3x3:1 skip_connect:0 | skip_connect:0 dil_conv_3x3:2",
    "reduce": "max_pool_3x3:0 max_pool_3x3:1 | skip_connect:2 max_pool_3x3:1 | "
    "max_pool_3x3:0 skip_connect:2 | skip_connect:2 max_pool_3x3:1",
}
IMAGENET = {"cells": 14, "width": 48, "stem": "imagenet", "resolution": 224}


@dataclass(frozen=True, kw_only=True)
class DartsConfig(CellConfig):
    """A network of cells that were found.

    Attributes
    ----------
    cell : {"given", "random"}
    normal, reduce : str
        Given: a node's operations and the values that they see, ``|`` between nodes, as in
        ``"sep_conv_3x3:0 skip_connect:1 | max_pool_3x3:0 sep_conv_3x3:2"``. 0 and 1 are the
        two cells before, 2 the first node. A search's end says the one that it found. Or a list:
        one operation for each edge, of the first node's two, the second's three and so on, with
        ``none`` for those that are not there.
    cell_seed : int
    nodes : int
    operations : tuple of str
        Random: each node sums operations on two different values, all of them alike likely.
    """

    cell: str = "given"
    normal: str = field(default="", metadata=read_where(cell=("given",)))
    reduce: str = field(default="", metadata=read_where(cell=("given",)))
    cell_seed: int = field(default=0, metadata=read_where(cell=("random",)))
    nodes: int = field(default=4, metadata=read_where(cell=("random",)))
    operations: tuple[str, ...] = field(default=OPERATIONS, metadata=read_where(cell=("random",)))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cell not in ("given", "random"):
            raise OptionError(f"cell {self.cell!r} is none of given, random", "cell")
        if self.cell_seed < 0:
            raise OptionError(f"cell_seed {self.cell_seed} is below 0", "cell_seed")
        check_nodes(self.nodes)
        check_operations(self.operations)
        self.genotype()

    def genotype(self) -> tuple[Cell, Cell]:
        """The normal and the reduction cell."""
        if self.cell == "random":
            return random_cells(self.nodes, self.operations, self.cell_seed)
        return read_cell("normal", self.normal), read_cell("reduce", self.reduce)


class Darts(VisionFamily):
    """The family ``darts``; see :class:`DartsConfig` for its options.

    Without a cell it has that of the paper's second-order search on CIFAR-10. There is neither an
    auxiliary classifier nor drop-path, which the paper trains with. Sides that a stride of two does
    not divide are padded, so that any resolution does.
    """

    name: ClassVar[str] = "darts"
    config: ClassVar[type[Any]] = DartsConfig
    presets: ClassVar[Mapping[str, Options]] = {
        "v1": {**V1, "resolution": 32, "num_classes": 10},
        "v2": {**V2, "resolution": 32, "num_classes": 10},
        "v2-imagenet": {**V2, **IMAGENET},
    }

    def configure(self, options: dict[str, Any]) -> DartsConfig:
        """The configuration, with the paper's cell where none is given."""
        own = {} if options.get("cell", "given") != "given" else V2
        listed = {
            kind: write_cell(cell_of_edges(kind, list(map(str, options[kind]))))
            for kind in KINDS
            if isinstance(options.get(kind), list | tuple)
        }
        config: DartsConfig = super().configure({**own, **options, **listed})
        return config

    def scaled(self, config: DartsConfig, depth: float, width: float) -> DartsConfig:
        """More cells, rounded up, and wider ones."""
        return replace(
            config,
            cells=round_depth(depth * config.cells),
            width=scaled_widths((config.width,), width)[0],
        )

    def network(self, config: DartsConfig) -> Network:
        """Stem, cells, head."""
        normal, reduction = map(_wiring, config.genotype())
        return cell_network(config, normal, reduction)

    def wiring(self, config: DartsConfig) -> tuple[Drawn, ...]:
        """The normal and the reduction cell, to be drawn."""
        return tuple(_drawn(*both) for both in zip(KINDS, config.genotype(), strict=True))


def _drawn(kind: str, cell: Cell) -> Drawn:
    last = len(cell) + 2
    edges = [(v, i + 2, name) for i, node in enumerate(cell) for name, v in node]
    ends = [(i + 2, last, "") for i in range(len(cell))]
    names = ("cell before last", "last cell", *map(str, range(2, last)), "output")
    # What no node sees is not drawn.
    seen = sorted({n for start, end, _ in (*edges, *ends) for n in (start, end)})
    place = {n: i for i, n in enumerate(seen)}
    return (
        kind,
        tuple(names[n] for n in seen),
        tuple((place[start], place[end], name) for start, end, name in (*edges, *ends)),
    )


def _wiring(cell: Cell) -> Wiring:
    return tuple(tuple((v, partial(operation_layers, name)) for name, v in node) for node in cell)


DARTS = Darts()
