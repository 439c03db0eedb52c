"""Graphs and mixtures of layers (:mod:`scaling.families.vision.layers`) as torch modules."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from scaling.families.vision import layers as L

# ``make(layers, shape)``: a module for inputs of ``shape``, and the shape of its outputs.
Make = Callable[[L.Layers, tuple[int, ...]], tuple[Any, tuple[int, ...]]]


class GraphModule(nn.Module):
    """Nodes in the order of their wiring; a value is dropped once the last node saw it."""

    def __init__(self, layer: L.Graph, shape: tuple[int, ...], make: Make) -> None:
        super().__init__()
        self.wiring = [(node.inputs, node.join) for node in layer.nodes]
        self.last = {i: n for n, node in enumerate(layer.nodes) for i in node.inputs}
        self.nodes, self.weights = nn.ModuleList(), nn.ParameterDict()
        shapes = [shape]
        for n, node in enumerate(layer.nodes):
            seen = [shapes[i] for i in node.inputs]
            channels = sum(s[0] for s in seen) if node.join == "concat" else seen[0][0]
            module, out = make(node.layers, (channels, *seen[0][1:]))
            self.nodes.append(module)
            if node.join == "weighted":
                self.weights[str(n)] = nn.Parameter(torch.zeros(len(seen)))
            shapes.append(out)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, c, h, w)`` to the last node's value."""
        values: dict[int, Tensor] = {0: x}
        for n, ((inputs, join), node) in enumerate(zip(self.wiring, self.nodes, strict=True)):
            seen = [values[i] for i in inputs]
            if join == "weighted":
                weights = self.weights[str(n)].sigmoid()
                seen = [w * value for w, value in zip(weights, seen, strict=True)]
            value: Tensor = node(_joined(seen, join))
            for i in inputs:
                if self.last[i] == n:
                    values.pop(i, None)
            values[n + 1] = value
        return value


def _joined(values: list[Tensor], join: str) -> Tensor:
    if join == "concat":
        return torch.cat(values, dim=1)
    total = reduce(torch.add, values)
    return total / len(values) if join == "mean" else total


class MixedModule(nn.Module):
    """The sum of the options times ``weights``, which are set before each pass."""

    weights: Tensor

    def __init__(self, layer: L.Mixed, shape: tuple[int, ...], make: Make) -> None:
        super().__init__()
        self.place = (layer.kind, layer.edge)
        self.columns = [i for i, option in enumerate(layer.options) if option is not None]
        self.options = nn.ModuleList(make(o, shape)[0] for o in layer.options if o is not None)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, c, h, w)`` to the mixture."""
        options = zip(self.columns, self.options, strict=True)
        return reduce(torch.add, (self.weights[i] * option(x) for i, option in options))
