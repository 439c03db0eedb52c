"""Networks by binary codes (Genetic CNN, Xie and Yuille 2017, arXiv 1703.01513)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from scaling.base import OptionError, convert, read_unless
from scaling.families.base import Options
from scaling.families.vision.family import (
    VisionConfig,
    VisionFamily,
    same_length,
    scaled_widths,
    small_strides,
    stage_values,
)
from scaling.families.vision.layers import (
    Act,
    Conv,
    Dropout,
    Flatten,
    Graph,
    Layer,
    Layers,
    Linear,
    Network,
    Node,
    Norm,
    Pool,
)
from scaling.families.vision.wired.graphs import Drawn, code_edges, inputs_of

CHAIN = ("1-01", "1-01-001", "1-01-001-0001")  # K = (3, 4, 5)
ALL = ("1-11", "1-11-111", "1-11-111-1111")


@dataclass(frozen=True, kw_only=True)
class GeneticConfig(VisionConfig):
    """Stages of coded graphs of convolutions; tuples have one entry for each stage.

    Attributes
    ----------
    codes : tuple of str
        The edges among a stage's nodes, a group a node: ``"1-01-001"`` has those from 1 to 2,
        from 2 to 3, from 3 to 4.
    widths : tuple of int
        Channels.
    kernel : int
        Odd, so that all nodes of a stage have one side.
    strides : tuple of int
        2: a 3x3 max pool of stride 2, padded, ends the stage; 1: none does.
    head_widths : tuple of int
        Hidden layers of the classifier.
    """

    codes: tuple[str, ...] = CHAIN
    widths: tuple[int, ...] = (8, 16, 32)
    kernel: int = 5
    strides: tuple[int, ...]
    head_widths: tuple[int, ...] = (128,)
    dropout: float = field(default=0.5, metadata=read_unless(head_widths=()))

    def __post_init__(self) -> None:
        super().__post_init__()
        for code in self.codes:
            code_edges(code)
        stage_values(self, ("widths", "strides"))
        same_length(self, ("codes", "widths", "strides"))
        if self.head_widths:
            stage_values(self, ("head_widths",))
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise OptionError(f"kernel {self.kernel} is no odd number: take 3 or 5", "kernel")

    @property
    def depth(self) -> int:
        """Convolutions."""
        return sum(len(stage_inputs(code)) for code in self.codes)


class Genetic(VisionFamily):
    """The family ``genetic``; see :class:`GeneticConfig` for its options.

    A node is a convolution, batch norm, ReLU on the sum of what it sees. Each stage has two more:
    the input, seen by the nodes without an edge into them, and the output, which sees those
    without an edge out of them. Nodes without any edge are left out; a stage without one is a
    single convolution (section 3.1 of the paper). Sizes are those of its search on CIFAR-10
    (section 4.2); its codes are what was searched, and ours a chain.
    """

    name: ClassVar[str] = "genetic"
    config: ClassVar[type[Any]] = GeneticConfig
    presets: ClassVar[Mapping[str, Options]] = {"chain": {"codes": CHAIN}, "dense": {"codes": ALL}}

    def configure(self, options: dict[str, Any]) -> GeneticConfig:
        """The configuration, with as many pools as leave 4 positions a side."""
        resolution = convert("int", "resolution", options.get("resolution", 224))
        codes = options.get("codes", CHAIN)
        if not isinstance(codes, list | tuple):
            raise OptionError(f"codes {codes!r} is not a list: write [1-01, 1-01-001]", "codes")
        chosen = {"strides": small_strides(resolution, (2,) * len(codes)), **options}
        config: GeneticConfig = super().configure({**chosen, "codes": tuple(map(str, codes))})
        return config

    def scaled(self, config: GeneticConfig, depth: float, width: float) -> GeneticConfig:
        """Wider stages and classifier; a code has the nodes that it has."""
        if depth != 1:
            raise OptionError(
                "depth_multiplier has no code of more nodes: leave it out, and give other codes",
                "depth_multiplier",
            )
        heads = config.head_widths and scaled_widths(config.head_widths, width)
        return replace(config, widths=scaled_widths(config.widths, width), head_widths=heads)

    def network(self, config: GeneticConfig) -> Network:
        """Stages, each ended by its pool, and the classifier."""
        c = config
        body: list[Layer] = []
        for code, width, stride in zip(c.codes, c.widths, c.strides, strict=True):
            unit: Layers = (Conv(width, c.kernel), Norm(), Act())
            nodes = stage_inputs(code)
            body.append(Graph(tuple(Node(seen, unit) for seen in nodes)))
            if stride > 1:
                body.append(Pool("max", 3, stride))
        head: list[Layer] = [Flatten()]
        for width in c.head_widths:
            head += [Linear(width), Act(), Dropout(c.dropout)]
        return Network(c.input_shape, (), tuple(body), (*head, Linear(c.num_classes)), c.init)

    def wiring(self, config: GeneticConfig) -> tuple[Drawn, ...]:
        """The stages, to be drawn."""
        return tuple(_drawn(i, code) for i, code in enumerate(config.codes, 1))


def stage_inputs(code: str) -> tuple[tuple[int, ...], ...]:
    """What each node of a stage sees: 0 is what comes in, i the value of its i-th node.

    The first is the default input node, the last the default output node.
    """
    nodes, edges = code_edges(code)
    if not edges:
        return ((0,),)
    kept = sorted({node for edge in edges for node in edge})
    place = {node: i + 2 for i, node in enumerate(kept)}
    inputs = inputs_of(nodes, edges)
    between = [tuple(place[i] for i in inputs[node]) or (1,) for node in kept]
    starts = {start for start, _ in edges}
    last = tuple(place[node] for node in kept if node not in starts)
    return ((0,), *between, last)


def _drawn(stage: int, code: str) -> Drawn:
    _, edges = code_edges(code)
    title = f"stage {stage}: {code}"
    if not edges:
        return title, ("", "one convolution"), ((0, 1, ""),)
    kept = sorted({node + 1 for edge in edges for node in edge})
    wired = [(i - 1, n, "") for n, seen in enumerate(stage_inputs(code)) for i in seen if i]
    return title, ("input", *map(str, kept), "output"), tuple(wired)


GENETIC = Genetic()
