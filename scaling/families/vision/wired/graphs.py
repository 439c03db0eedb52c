"""Random graphs and given ones as directed acyclic graphs.

Sources: Xie et al. 2019 (arXiv 1904.01569); of codes Xie and Yuille 2017 (arXiv 1703.01513).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from scaling.base import OptionError

GRAPHS = ("er", "ba", "ws")
TRIES = 100  # graphs of Erdős and Rényi that are drawn until one is connected
MOST_CODED = 32  # nodes of a code
Edges = tuple[tuple[int, int], ...]
Drawn = tuple[str, tuple[str, ...], tuple[tuple[int, int, str], ...]]
"""A graph to draw: its title, its nodes' names, and edges (from, to, label)."""


@lru_cache(maxsize=4096)
def random_edges(graph: str, nodes: int, p: float, m: int, k: int, seed: int) -> Edges:
    """Edges ``(from, to)`` of a connected random graph, each from the lower to the higher node.

    Nodes are in the order of section 3.1 of the paper: as drawn (``er``), as added (``ba``),
    around the ring (``ws``).

    Parameters
    ----------
    graph : {"er", "ba", "ws"}
        Erdős and Rényi's: each edge with probability ``p``; Barabási and Albert's: each further
        node has ``m`` edges; Watts and Strogatz': ``k`` neighbours on a ring, rewired with ``p``.
    nodes : int
    seed : int

    Raises
    ------
    ValueError
        If there is no such graph, or none that is connected was drawn.
    """
    import networkx as nx

    if graph == "ba":
        if not 1 <= m < nodes:
            raise OptionError(f"m {m} is not in [1, {nodes - 1}], for {nodes} nodes", "m", "nodes")
        found: Any = nx.barabasi_albert_graph(nodes, m, seed=seed)
    elif not 0 <= p <= 1:
        raise OptionError(f"p {p:g} is not in [0, 1]", "p")
    elif graph == "ws":
        if not 2 <= k < nodes or k % 2:
            raise OptionError(
                f"k {k} is no even number in [2, {nodes - 1}], for {nodes} nodes", "k", "nodes"
            )
        try:
            found = nx.connected_watts_strogatz_graph(nodes, k, p, tries=TRIES, seed=seed)
        except nx.NetworkXError:
            raise _loose(graph, nodes, f"k {k} at p {p:g}", "k") from None
    else:
        import random

        source = random.Random(seed)
        drawn = (nx.gnp_random_graph(nodes, p, seed=source) for _ in range(TRIES))
        found = next((one for one in drawn if nx.is_connected(one)), None)
        if found is None:
            raise _loose(graph, nodes, f"p {p:g}", "p")
    return tuple(sorted((min(edge), max(edge)) for edge in found.edges))


def _loose(graph: str, nodes: int, value: str, option: str) -> OptionError:
    return OptionError(
        f"{value} is too low for a connected graph {graph} of {nodes} nodes ({TRIES} were drawn): "
        "take a higher one",
        option,
        "nodes",
    )


def given_edges(text: str) -> Edges:
    """The edges of ``"0>1 0>2 1>2"``, nodes numbered anew in an order that follows them.

    Raises
    ------
    ValueError
        If it is not of that form, or has a cycle.
    """
    from graphlib import CycleError, TopologicalSorter

    before: dict[int, set[int]] = {}
    for word in text.replace(",", " ").split():
        ends = word.split(">")
        if len(ends) != 2 or not all(end.isdecimal() for end in ends):
            raise OptionError(
                f"edges {word!r} is not of the form FROM>TO: write 0>1 0>2 1>2", "edges"
            )
        start, end = map(int, ends)
        before.setdefault(start, set())
        before.setdefault(end, set()).add(start)
    if not before:
        raise OptionError("edges has none: write 0>1 0>2 1>2", "edges")
    try:
        order = tuple(
            TopologicalSorter({n: sorted(before[n]) for n in sorted(before)}).static_order()
        )
    except CycleError as error:
        cycle = ">".join(map(str, error.args[1]))
        raise OptionError(
            f"edges has the cycle {cycle}: a network is wired without one: leave an edge out",
            "edges",
        ) from None
    place = {node: i for i, node in enumerate(order)}
    return tuple(sorted((place[a], place[b]) for b, starts in before.items() for a in starts))


def code_edges(code: str) -> tuple[int, Edges]:
    """Nodes and edges of a code ``"1-01-001"``: bit i of group j is the edge from i to j + 1.

    Raises
    ------
    ValueError
        If its groups are not of one, two, three, ... bits.
    """
    groups = code.split("-")
    nodes = len(groups) + 1
    if nodes > MOST_CODED:
        raise OptionError(f"code of {nodes} nodes is above {MOST_CODED}", "codes")
    for i, bits in enumerate(groups, 1):
        if len(bits) != i or set(bits) - {"0", "1"}:
            raise OptionError(
                f"codes has {code!r}, whose group {bits!r} is not {i} of 0 and 1: write 1-01-001 "
                "for the four nodes of a stage",
                "codes",
            )
    bit = [(i, j) for j in range(1, nodes) for i in range(j)]
    set_bits = zip(bit, "".join(groups), strict=True)
    return nodes, tuple(sorted(edge for edge, is_set in set_bits if is_set == "1"))


def write_code(bits: str) -> str:
    """``"101001"`` as the code ``"1-01-001"``."""
    groups, size = [], 1
    while bits:
        groups.append(bits[:size])
        bits, size = bits[size:], size + 1
    return "-".join(groups)


def inputs_of(nodes: int, edges: Iterable[tuple[int, int]]) -> list[list[int]]:
    """For each node those that it has an edge from."""
    found: list[list[int]] = [[] for _ in range(nodes)]
    for start, end in edges:
        found[end].append(start)
    return found
