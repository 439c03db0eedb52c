"""Figure of how a network is wired: graphs from top to bottom, a panel each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from analysis.plotting.style import INK, MUTED, PAPER, SERIES, styled

SWEEPS = 6  # passes that put each node below what it sees, and above what sees it
BEND = 0.12  # of an edge that passes other nodes
LABEL = (0.85, 0.14)  # width and height of a label, in places


@dataclass(frozen=True)
class Wiring:
    """A directed acyclic graph; nodes with a name are drawn larger, edges may have a label."""

    title: str
    names: Sequence[str]
    edges: Sequence[tuple[int, int, str]]


def wiring(graphs: Sequence[Wiring], title: str) -> Figure:
    """The graphs side by side; a node lies below all that it sees."""
    with styled():
        tall = max(max(_levels(graph)) + 1 for graph in graphs)
        labelled = any(label for graph in graphs for *_, label in graph.edges)
        wide, high = (4.2, 0.9) if labelled else (3.0, 0.4)
        figure = Figure(figsize=(wide * len(graphs), min(9.0, 1.2 + high * tall)))
        panels: Any = figure.subplots(1, len(graphs), squeeze=False)
        for graph, axes in zip(graphs, panels[0], strict=True):
            _draw(graph, axes)
        figure.suptitle(title, fontsize=10)
    return figure


def _draw(graph: Wiring, axes: Any) -> None:
    levels = _levels(graph)
    across = _across(graph, levels)
    places = [(x, -float(y)) for x, y in zip(across, levels, strict=True)]
    taken = list(places)
    for start, end, label in graph.edges:
        a, b = places[start], places[end]
        close = _is_close(a, b, places) if label else levels[end] - levels[start] > 1
        bend = BEND * (1 if a[0] + b[0] >= 0 else -1) if close else 0.0
        axes.add_patch(
            FancyArrowPatch(
                a, b, connectionstyle=f"arc3,rad={bend}", lw=0.7, arrowstyle="-|>",
                mutation_scale=6, color=MUTED, shrinkA=3, shrinkB=4, zorder=1,
            )
        )  # fmt: skip
        if label:
            along = [(x + bend * (a[1] - b[1]) / 2, y) for x, y in _between(a, b)]
            place = max(along, key=lambda at: min(_apart(at, it) for it in taken))
            taken.append(place)
            box = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.5}
            axes.text(*place, label, fontsize=6, ha="center", va="center", color=INK, bbox=box)
    _draw_nodes(graph, places, axes)
    axes.set_title(graph.title)
    axes.margins(0.12, 0.1)
    axes.axis("off")


def _between(a: tuple[float, float], b: tuple[float, float]) -> list[tuple[float, float]]:
    """Points of the middle part of a straight line."""
    parts = [k / 10 for k in range(2, 9)]
    return [(a[0] + at * (b[0] - a[0]), a[1] + at * (b[1] - a[1])) for at in parts]


def _apart(one: tuple[float, float], other: tuple[float, float]) -> float:
    """How far apart two labels are, in sizes of one; 1 and more do as well."""
    return min(1.0, max(abs(a - b) / size for a, b, size in zip(one, other, LABEL, strict=True)))


def _is_close(
    a: tuple[float, float], b: tuple[float, float], places: Sequence[tuple[float, float]]
) -> bool:
    """Whether a straight line passes another node at less than a quarter."""
    for x, y in places:
        if b[1] < y < a[1] and abs(a[0] + (a[1] - y) / (a[1] - b[1]) * (b[0] - a[0]) - x) < 0.25:
            return True
    return False


def _draw_nodes(graph: Wiring, places: Sequence[tuple[float, float]], axes: Any) -> None:
    first = {start for start, *_ in graph.edges} - {end for _, end, _ in graph.edges}
    last = {end for _, end, _ in graph.edges} - {start for start, *_ in graph.edges}
    for node, (place, name) in enumerate(zip(places, graph.names, strict=True)):
        ends = node in first or node in last
        colour = SERIES[0] if node in first else SERIES[1] if node in last else INK
        axes.plot(*place, "o", ms=7 if ends else 5, color=colour, zorder=2)
        if name:
            aside = (0, 7) if node in first else (0, -7) if node in last else (6, 0)
            axes.annotate(
                name, place, aside, textcoords="offset points", fontsize=7, color=INK,
                ha="center" if ends else "left",
                va="bottom" if node in first else "top" if node in last else "center",
            )  # fmt: skip


def _levels(graph: Wiring) -> list[int]:
    """How many edges the longest way from the top to each node has."""
    import networkx as nx

    found = nx.DiGraph((start, end) for start, end, _ in graph.edges)
    return [
        level
        for _, level in sorted(
            (node, level)
            for level, nodes in enumerate(nx.topological_generations(found))
            for node in nodes
        )
    ]


def _across(graph: Wiring, levels: Sequence[int]) -> list[float]:
    """Places from left to right, in each level in the order of what its nodes hang on to."""
    nodes = range(len(levels))
    rows = [[n for n in nodes if levels[n] == level] for level in range(max(levels) + 1)]
    across = [0.0] * len(levels)
    for row in rows:
        _spread(row, across)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else rows[::-1]:
            for node in row:
                near = [a if down else b for a, b, _ in graph.edges if (b if down else a) == node]
                if near:
                    across[node] = mean(across[i] for i in near)
            row.sort(key=across.__getitem__)
            _spread(row, across)
    return across


def _spread(row: Sequence[int], across: list[float]) -> None:
    for place, node in enumerate(row):
        across[node] = place - (len(row) - 1) / 2
