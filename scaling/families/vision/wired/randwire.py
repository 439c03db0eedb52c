"""Randomly wired networks (Xie et al. 2019, arXiv 1904.01569)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from scaling.base import OptionError, convert, read_where, refuse_unknown
from scaling.families.base import Options
from scaling.families.vision.family import (
    VisionConfig,
    VisionFamily,
    round_depth,
    scaled_widths,
    small_strides,
    stage_values,
)
from scaling.families.vision.layers import (
    Act,
    Conv,
    Dropout,
    GlobalPool,
    Graph,
    Layers,
    Linear,
    Network,
    Node,
    Norm,
)
from scaling.families.vision.wired.graphs import (
    GRAPHS,
    Drawn,
    Edges,
    given_edges,
    inputs_of,
    random_edges,
)

STAGE_SEEDS = 1000  # a stage's graph has the seed graph_seed * 1000 + its number
REGIMES = {"small": (1, 1, 2, 4), "regular": (1, 2, 4, 8)}  # channels of conv2 to conv5, over width


@dataclass(frozen=True, kw_only=True)
class RandWireConfig(VisionConfig):
    """A randomly wired network.

    Attributes
    ----------
    graph : {"ws", "er", "ba", "given"}
    p : float
        Of ``er`` and ``ws``.
    m : int
        Of ``ba``.
    k : int
        Of ``ws``.
    graph_seed : int
        Every stage has a graph of its own.
    edges : str
        Of ``given``: ``"0>1 0>2 1>2"``, the wiring of every stage.
    nodes : int
        N; half of them in ``conv2`` of the regular regime.
    width : int
        C: channels of a node in the first random stage.
    regime : {"small", "regular"}
    head_width : int
        Channels of the last 1x1 convolution.
    strides : tuple of int
        Of ``conv1`` to ``conv5``.
    """

    graph: str = "ws"
    p: float = field(default=0.75, metadata=read_where(graph=("er", "ws")))
    m: int = field(default=5, metadata=read_where(graph=("ba",)))
    k: int = field(default=4, metadata=read_where(graph=("ws",)))
    graph_seed: int = field(default=0, metadata=read_where(graph=GRAPHS))
    edges: str = field(default="", metadata=read_where(graph=("given",)))
    nodes: int = field(default=32, metadata=read_where(graph=GRAPHS))
    width: int = 78
    regime: str = "small"
    head_width: int = 1280
    strides: tuple[int, ...] = (2, 2, 2, 2, 2)

    def __post_init__(self) -> None:
        super().__post_init__()
        stage_values(self, ("strides",))
        for name, known in (("graph", (*GRAPHS, "given")), ("regime", tuple(REGIMES))):
            if getattr(self, name) not in known:
                refuse_unknown(getattr(self, name), known, name)
        for name, least in (("nodes", 4), ("width", 2), ("head_width", 1), ("graph_seed", 0)):
            if getattr(self, name) < least:
                raise OptionError(f"{name} {getattr(self, name)} is below {least}", name)
        if len(self.strides) != 5:
            raise OptionError(
                f"strides {list(self.strides)} are not five: one each of conv1 to conv5", "strides"
            )
        self.stages()

    @property
    def depth(self) -> int:
        """Nodes of all random stages."""
        return sum(nodes for nodes, _ in self.stages().values())

    def stages(self) -> dict[str, tuple[int, Edges]]:
        """Nodes and edges of the random stages, by their names in table 1 of the paper."""
        names: tuple[str, ...] = ("conv3", "conv4", "conv5")
        if self.regime == "regular":
            names = ("conv2", *names)
        if self.graph == "given":
            edges = given_edges(self.edges)
            return dict.fromkeys(names, (max(map(max, edges)) + 1, edges))
        found = {}
        for name in names:
            nodes = self.nodes // 2 if name == "conv2" else self.nodes
            seed = self.graph_seed * STAGE_SEEDS + int(name[-1])
            found[name] = nodes, random_edges(self.graph, nodes, self.p, self.m, self.k, seed)
        return found


class RandWire(VisionFamily):
    """The family ``randwire``; see :class:`RandWireConfig` for its options.

    A node sums what it sees with the sigmoid of a learned number for each edge, then ReLU, a
    3x3 separable convolution without an activation between its halves, batch norm. Nodes
    without an edge into them see the stage's input and have its stride; the stage's value is
    the mean of the nodes without an edge out of them. What one node alone sees has no number.

    Below 64 pixels as many of the five strides as it takes to leave 4 positions a side are 1, the
    first ones first: at 28 and 32 pixels 1, 1, 2, 2, 2.
    """

    name: ClassVar[str] = "randwire"
    config: ClassVar[type[Any]] = RandWireConfig
    presets: ClassVar[Mapping[str, Options]] = {
        "small": {},  # table 2 of the paper
        "regular": {"regime": "regular", "width": 109},  # table 3
        "regular-154": {"regime": "regular", "width": 154},
    }

    def configure(self, options: dict[str, Any]) -> RandWireConfig:
        """The configuration, with strides for its resolution."""
        resolution = convert("int", "resolution", options.get("resolution", 224))
        strides = options.get("strides", small_strides(resolution, (2,) * 5))
        config: RandWireConfig = super().configure({**options, "strides": strides})
        return config

    def scaled(self, config: RandWireConfig, depth: float, width: float) -> RandWireConfig:
        """More nodes, rounded up, and wider ones; the head keeps its width, as in the paper."""
        if depth != 1 and config.graph == "given":
            raise OptionError(
                "depth_multiplier has no graph of more nodes where edges are given: leave it out",
                "depth_multiplier",
            )
        nodes = round_depth(depth * config.nodes)
        return replace(config, nodes=nodes, width=scaled_widths((config.width,), width)[0])

    def network(self, config: RandWireConfig) -> Network:
        """Table 1 of the paper."""
        c, stages = config, config.stages()
        widths = {f"conv{i + 2}": f * c.width for i, f in enumerate(REGIMES[c.regime])}
        strides = {f"conv{i + 1}": s for i, s in enumerate(c.strides)}
        stem: Layers = (Conv(c.width // 2, 3, strides["conv1"]), Norm())
        if "conv2" not in stages:
            stem += (Act(), Conv(widths["conv2"], 3, strides["conv2"]), Norm())
        body, before = [], c.width // 2 if "conv2" in stages else widths["conv2"]
        for name, (nodes, edges) in stages.items():
            body.append(stage(nodes, edges, before, widths[name], strides[name]))
            before = widths[name]
        head: Layers = (
            *(Act(), Conv(c.head_width), Norm(), Act()),
            *(GlobalPool(), Dropout(c.dropout), Linear(c.num_classes)),
        )
        return Network(c.input_shape, stem, tuple(body), head, c.init)

    def wiring(self, config: RandWireConfig) -> tuple[Drawn, ...]:
        """The random stages, to be drawn."""
        return tuple(_drawn(name, *stage) for name, stage in config.stages().items())


def _drawn(name: str, nodes: int, edges: Edges) -> Drawn:
    inputs = inputs_of(nodes, edges)
    first = [n for n in range(nodes) if not inputs[n]]
    last = sorted(set(range(nodes)) - {start for start, _ in edges})
    between = [(start + 1, end + 1, "") for start, end in edges]
    ends = [*((0, n + 1, "") for n in first), *((n + 1, nodes + 1, "") for n in last)]
    return f"{name}: {nodes} nodes", ("input", *[""] * nodes, "output"), (*between, *ends)


def unit(before: int, width: int, stride: int) -> Layers:
    """ReLU, a 3x3 separable convolution, batch norm: what a node does."""
    return Act(), Conv(before, 3, stride, groups=0), Conv(width), Norm()


def stage(nodes: int, edges: Edges, before: int, width: int, stride: int) -> Graph:
    """The nodes of one random stage, and the mean of those that no other one sees."""
    inputs = inputs_of(nodes, edges)
    made = []
    for seen in inputs:
        if seen:
            join = "weighted" if len(seen) > 1 else "sum"
            made.append(Node(tuple(i + 1 for i in seen), unit(width, width, 1), join))
        else:
            made.append(Node((0,), unit(before, width, stride)))
    last = sorted(set(range(nodes)) - {i for seen in inputs for i in seen})
    made.append(Node(tuple(i + 1 for i in last), (), "mean"))
    return Graph(tuple(made))


RANDWIRE = RandWire()
