"""Cells of DARTS (Liu et al. 2019, arXiv 1806.09055): operations, genotypes, networks of cells."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from scaling.base import OptionError, refuse_unknown
from scaling.families.vision.family import VisionConfig
from scaling.families.vision.layers import (
    Act,
    Conv,
    Dropout,
    GlobalPool,
    Graph,
    Layer,
    Layers,
    Linear,
    Network,
    Node,
    Norm,
    Pool,
    Shift,
)

NONE = "none"
OPERATIONS = (  # section 3.1 of the paper, in the order of its code
    *(NONE, "max_pool_3x3", "avg_pool_3x3", "skip_connect"),
    *("sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"),
)
KINDS = ("normal", "reduce")
STEMS = ("cifar", "imagenet")
MOST_NODES = 12

# A cell by its nodes, each with the operations on the values that it sums: (operation, value),
# where values 0 and 1 are the two cells before, 2 the first node, and so on.
Cell = tuple[tuple[tuple[str, int], ...], ...]
# The same with ``layers(width, stride)`` in place of an operation's name.
Wiring = tuple[tuple[tuple[int, Callable[[int, int], Layers]], ...], ...]


@dataclass(frozen=True, kw_only=True)
class CellConfig(VisionConfig):
    """What networks of cells have in common.

    Attributes
    ----------
    cells : int
        In all; those at a third and at two thirds of the depth halve the side and double the width.
    width : int
        Channels of a node in the first cell; a cell's value has as many for each of its nodes.
    stem : {"cifar", "imagenet"}
        A 3x3 convolution of three times the width, or three of stride 2.
    """

    cells: int = 20
    width: int = 36
    stem: str = "cifar"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cells < 1:
            raise OptionError(f"cells {self.cells} is below 1", "cells")
        if self.width < 2 or self.width % 2:
            raise OptionError(f"width {self.width} is no even number above 0", "width")
        if self.stem not in STEMS:
            refuse_unknown(self.stem, STEMS, "stem")

    @property
    def depth(self) -> int:
        """Cells."""
        return self.cells


def check_nodes(nodes: int) -> None:
    """Refuse a number of nodes out of range."""
    if not 1 <= nodes <= MOST_NODES:
        raise OptionError(f"nodes {nodes} is not in [1, {MOST_NODES}]", "nodes")


def check_operations(operations: tuple[str, ...]) -> None:
    """Refuse operations that are unknown, repeated or none at all."""
    for name in operations:
        if name not in OPERATIONS:
            refuse_unknown(name, OPERATIONS, "operation")
    if len(set(operations)) < len(operations) or not set(operations) - {NONE}:
        raise OptionError(
            f"operations {list(operations)} has one twice, or none but {NONE!r}", "operations"
        )


def read_cell(name: str, text: str) -> Cell:
    """The cell ``"sep_conv_3x3:0 skip_connect:1 | ..."``: one part a node.

    Raises
    ------
    ValueError
        If it is not of that form, has an unknown operation, or sees what comes later.
    """
    found = []
    for i, part in enumerate(text.split("|")):
        node = []
        for word in part.split():
            operation, _, value = word.partition(":")
            if operation not in OPERATIONS or operation == NONE:
                refuse_unknown(operation, OPERATIONS[1:], "operation")
            if not value.isdecimal() or int(value) > i + 1:
                raise OptionError(
                    f"{name}: {word} of node {i} must see one of the values 0 to {i + 1}, as in "
                    f"{operation}:0",
                    name,
                )
            node.append((operation, int(value)))
        if not node:
            raise OptionError(f"{name}: node {i} sees nothing: write {OPERATIONS[3]}:0", name)
        found.append(tuple(node))
    check_nodes(len(found))
    return tuple(found)


def cell_of_edges(name: str, operations: Sequence[str]) -> Cell:
    """The cell of one operation for each edge: of the first node's two, the second's three, ...

    An edge of operation ``none`` is not there.

    Raises
    ------
    ValueError
        If no cell has so many edges, an operation is unknown, or a node sees nothing.
    """
    cell: list[tuple[tuple[str, int], ...]] = []
    first = 0
    while first < len(operations):
        edges = operations[first : first + len(cell) + 2]
        if len(edges) < len(cell) + 2:
            raise OptionError(
                f"{name} has {len(operations)} operations, and cells have 2, 5, 9, 14, ... edges: "
                "give one for each",
                name,
            )
        cell.append(tuple((op, value) for value, op in enumerate(edges) if op != NONE))
        first += len(edges)
    return read_cell(name, write_cell(tuple(cell)))


def write_cell(cell: Cell) -> str:
    """``cell`` as :func:`read_cell` reads it."""
    return " | ".join(" ".join(f"{name}:{value}" for name, value in node) for node in cell)


def random_cells(nodes: int, operations: tuple[str, ...], seed: int) -> tuple[Cell, Cell]:
    """A normal and a reduction cell, of uniform edges and operations (Li and Talwalkar 2019).

    Each node sums an operation on each of two different values.
    """
    source = random.Random(seed)
    offered = [name for name in operations if name != NONE]

    def one() -> Cell:
        return tuple(
            tuple(
                (source.choice(offered), value) for value in sorted(source.sample(range(i + 2), 2))
            )
            for i in range(nodes)
        )

    return one(), one()


def operation_layers(name: str, width: int, stride: int, *, search: bool = False) -> Layers:
    """The layers of an operation from ``width`` channels to as many.

    In a search norms learn nothing, and poolings have one, so that scales say nothing of an
    operation (section 3.1.1 of the paper).
    """
    norm = Norm(affine=not search)
    kind, _, size = name.partition("_conv_")
    if kind in ("sep", "dil"):
        kernel, dilation = int(size[0]), 2 if kind == "dil" else 1

        def half(stride: int) -> Layers:
            deep = Conv(width, kernel, stride, groups=0, dilation=dilation)
            return Act(), deep, Conv(width), norm

        return half(stride) + (half(1) if kind == "sep" else ())
    if name == "skip_connect":
        return () if stride == 1 else halve(width, search=search)
    pool = Pool(name[:3], 3, stride)
    return (pool, norm) if search else (pool,)


def halve(width: int, *, search: bool = False) -> Layers:
    """Half of the side: two 1x1 convolutions of stride 2, one of them a pixel aside."""
    near: Layers = (Conv(width // 2, stride=2),)
    both = Graph((Node((0,), near), Node((0,), (Shift(), *near)), Node((1, 2), (), "concat")))
    return Act(), both, Norm(affine=not search)


def cell_network(
    config: CellConfig, normal: Wiring, reduction: Wiring, *, search: bool = False
) -> Network:
    """The network of cells, each of which sees the two before it: section 3 of the paper."""
    c, norm = config, Norm(affine=not search)
    nodes: list[Node] = []

    def add(inputs: tuple[int, ...], layers: Layers = (), join: str = "sum") -> int:
        """A further node, or the value itself where nothing is done to it."""
        if len(inputs) == 1 and not layers:
            return inputs[0]
        nodes.append(Node(inputs, layers, join))
        return len(nodes)

    width, before, last, halved = c.width, 0, 0, False
    stem: Layers = (Conv(3 * width, 3), Norm())
    if c.stem == "imagenet":
        stem = (Conv(width // 2, 3, 2), Norm(), Act(), Conv(width, 3, 2), Norm())
        last, halved = add((0,), (Act(), Conv(width, 3, 2), Norm())), True
    for i in range(c.cells):
        reduces = i in (c.cells // 3, 2 * c.cells // 3)
        width *= 2 if reduces else 1
        narrow: Layers = (Act(), Conv(width), norm)
        # The older one of the two has the side that the younger one halved.
        older = halve(width, search=search) if halved else narrow
        values = [add((before,), older), add((last,), narrow)]
        for edges in reduction if reduces else normal:
            made = ((v, layers(width, 2 if reduces and v < 2 else 1)) for v, layers in edges)
            values.append(add(tuple(add((values[v],), layers) for v, layers in made)))
        before, last, halved = last, add(tuple(values[2:]), (), "concat"), reduces
    head: tuple[Layer, ...] = (GlobalPool(), Dropout(c.dropout), Linear(c.num_classes))
    return Network(c.input_shape, stem, (Graph(_alive(nodes)),), head, c.init)


def _alive(nodes: list[Node]) -> tuple[Node, ...]:
    """The nodes that the last one depends on: a cell may see only one of the two before it."""
    seen = {len(nodes)}
    for i in range(len(nodes), 0, -1):
        if i in seen:
            seen.update(nodes[i - 1].inputs)
    kept = sorted(seen - {0})
    place = {0: 0, **{old: new for new, old in enumerate(kept, 1)}}
    return tuple(
        replace(nodes[i - 1], inputs=tuple(place[j] for j in nodes[i - 1].inputs)) for i in kept
    )
