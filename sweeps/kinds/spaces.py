"""Design spaces as values: parameters with ranges, ties and orders, and how they are drawn.

A design space is a set of models, described by the free parameters of a family (Radosavovic et
al. 2020, arXiv 2003.13678, sec. 3). Its parameters are drawn independently; an order among the
stages of one is drawn from the uniform distribution over the ordered settings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scaling.families.vision import write_code

DISTRIBUTIONS = ("log", "uniform", "power2", "choices", "codes")
ORDERS = ("increasing", "decreasing")
MAX_DRAWS = 10_000_000  # of one parameter, to meet its order


@dataclass(frozen=True)
class Parameter:
    """One option of the family.

    Attributes
    ----------
    distribution : {"log", "uniform", "power2", "choices", "codes"}
        ``log`` and ``uniform`` over [low, high] in multiples of ``multiple_of``, ``power2``
        over the powers of two from low to high, ``choices`` over ``values``, ``codes`` over the
        binary codes of the family ``genetic``, each bit with probability 1/2.
    values : tuple
        (low, high), the choices, or how many nodes each stage has.
    multiple_of : float
        0 for any number.
    each : int
        How many stages have one of their own; 0 for an option that is one number.
    tied : bool
        Whether all stages share one.
    order : {"", "increasing", "decreasing"}
        From stage to stage, equal neighbours allowed.
    """

    distribution: str
    values: tuple[Any, ...]
    multiple_of: float = 0
    each: int = 0
    tied: bool = False
    order: str = ""

    def draw(self, rng: Any, count: int) -> list[Any]:
        """``count`` settings: numbers, or lists of ``each``.

        ``log`` rounds up and ``uniform`` rounds down so that both ends of the range get the
        same share as any other multiple.
        """
        import numpy as np

        if self.distribution == "codes":
            return [[_code(rng, nodes) for nodes in self.values] for _ in range(count)]
        columns = 1 if self.tied or not self.each else self.each
        found = self._numbers(rng, (count, columns))
        if self.order and columns > 1:
            drawn = count
            found = self._ordered(found)
            while len(found) < count:
                if drawn > MAX_DRAWS:
                    raise ValueError(f"{self.each} stages in order are too many to draw")
                drawn += 4 * count
                more = self._ordered(self._numbers(rng, (4 * count, columns)))
                found = np.concatenate([found, more])
        rows = found[:count].tolist()
        if not self.each:
            return [row[0] for row in rows]
        return [row * self.each if self.tied else row for row in rows]

    def _numbers(self, rng: Any, shape: tuple[int, int]) -> Any:
        import numpy as np

        if self.distribution == "choices":
            return np.array(self.values)[rng.integers(len(self.values), size=shape)]
        low, high = self.values
        step = self.multiple_of
        if self.distribution == "power2":
            levels = np.floor(rng.uniform(math.log2(low), math.log2(high) + 1, shape))
            return (2 ** np.clip(levels, math.log2(low), math.log2(high))).astype(int)
        if self.distribution == "log":
            start = low - min(step, low / 2) if step else low
            raw = np.exp(-rng.uniform(-math.log(high), -math.log(start), shape))
            return self._multiples(np.ceil(raw / step)) if step else raw
        raw = rng.uniform(low, high + step, shape)
        return self._multiples(np.floor(raw / step)) if step else raw

    def _multiples(self, counted: Any) -> Any:
        import numpy as np

        low, high = self.values
        found = np.clip(counted * self.multiple_of, low, high)
        whole = all(float(v) == int(v) for v in (low, high, self.multiple_of))
        return np.rint(found).astype(int) if whole else np.round(found, 12)

    def _ordered(self, rows: Any) -> Any:
        """The rows that are in order."""
        import numpy as np

        steps = np.diff(rows, axis=1)
        return rows[((steps >= 0) if self.order == "increasing" else (steps <= 0)).all(axis=1)]

    def size(self) -> float:
        """How many settings there are; infinite for a continuous one."""
        if self.distribution == "codes":
            return math.prod(2.0 ** math.comb(nodes, 2) for nodes in self.values)
        if self.distribution == "choices":
            n = len(self.values)
        elif self.distribution == "power2":
            n = round(math.log2(self.values[1] / self.values[0])) + 1
        elif self.multiple_of:
            first = math.ceil(self.values[0] / self.multiple_of - 1e-9)
            n = math.floor(self.values[1] / self.multiple_of + 1e-9) - first + 1
        else:
            return math.inf
        if self.tied or not self.each:
            return n
        return math.comb(n + self.each - 1, self.each) if self.order else n**self.each


def _code(rng: Any, nodes: int) -> str:
    return write_code("".join(map(str, rng.integers(2, size=math.comb(nodes, 2)))))


@dataclass(frozen=True)
class Space:
    """A named set of models of one family.

    Attributes
    ----------
    stages : int
        How many stages a model must come out with; 0 for any number.
    """

    name: str
    family: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    stages: int = 0

    def draw(self, rng: Any, count: int) -> list[dict[str, Any]]:
        """``count`` models as options of the family."""
        columns = {name: p.draw(rng, count) for name, p in self.parameters.items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def size(self) -> float:
        """How many settings of the parameters there are."""
        return math.prod(p.size() for p in self.parameters.values())

    def having(self, name: str, changes: Mapping[str, Mapping[str, Any]]) -> Space:
        """The space ``name`` with some parameters changed."""
        parameters = dict(self.parameters)
        for key, change in changes.items():
            parameters[key] = replace(parameters[key], **change)
        return replace(self, name=name, parameters=parameters)


def _anynet() -> dict[str, Space]:
    """AnyNetX A to E (Radosavovic et al. 2020, sec. 3.2, table 2)."""
    a = Space(
        "anynetx-a",
        "anynet",
        {
            "depths": Parameter("log", (1, 16), 1, each=4),
            "widths": Parameter("log", (8, 1024), 8, each=4),
            "bottleneck_ratios": Parameter("choices", (1, 2, 4), each=4),
            "group_widths": Parameter("power2", (1, 32), each=4),
        },
    )
    b = a.having("anynetx-b", {"bottleneck_ratios": {"tied": True}})
    c = b.having("anynetx-c", {"group_widths": {"tied": True}})
    d = c.having("anynetx-d", {"widths": {"order": "increasing"}})
    e = d.having("anynetx-e", {"depths": {"order": "increasing"}})
    return {space.name: space for space in (a, b, c, d, e)}


def _regnet() -> dict[str, Space]:
    """RegNetX and Y: widths from a quantised line (sec. 3.3; ranges of 3.4 and pycls)."""
    parameters = {
        "depth": Parameter("uniform", (12, 28), 1),
        "w0": Parameter("log", (8, 256), 8),
        "wa": Parameter("log", (8.0, 256.0), 0.1),
        "wm": Parameter("log", (2.0, 3.0), 0.001),
        "group_width": Parameter("power2", (8, 128)),
    }
    return {name: Space(name, name, parameters, stages=4) for name in ("regnetx", "regnety")}


SPACES: dict[str, Space] = _anynet() | _regnet()
