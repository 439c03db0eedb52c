"""``Picture``: the numbers behind a figure, as one value.

Static figures (:func:`analysis.plotting.draw`), interactive ones (the report's page) and tables
(``scaling plot --data``) are all made from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analysis.laws import Array

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["points", "line", "band", "hbars", "vbars", "hrule", "vrule", "hspan", "vspan"]
Numbers = Literal["plain", "counts", "powers", "few"]
_TO = {"band": "y", "vbars": "y", "hspan": "y", "hbars": "x", "vspan": "x"}
NOTHING: Array = np.empty(0)


@dataclass(frozen=True)
class Layer:
    """One kind of mark of a panel.

    Attributes
    ----------
    kind : str
        ``points``; ``line``; ``band`` from ``y`` to ``to`` along ``x``; ``hbars`` from ``x`` to
        ``to`` at ``y``; ``vbars`` from ``y`` to ``to`` at ``x``; ``hrule``, ``vrule``: a line
        across the panel at each ``y``, ``x``; ``hspan``, ``vspan``: a strip across it.
    x, y, to : array_like, shape (n,)
        Kept as arrays of floats.
    label : str
        In the legend; layers of one label share an entry.
    colour : str
        A colour of the palette, where ``shade`` gives none.
    shade : float or ndarray, optional
        A value, or one for each point, that the picture's shading colours.
    runs : sequence of str
        The run of each point; of a line the one that it is of.
    marker : str
        ``o``, ``D`` (hollow), ``O`` (a ring), ``*``, ``P``, ``|``, ``s``, ``^``, ``v``.
    size, width, alpha : float
        Area of a marker and width of a line, in points; opacity.
    dash : tuple of float
        Lengths of ink and gap, in line widths.
    order : float
        What is drawn later has more.
    says : str
        Written at a line's end.
    """

    kind: Kind
    x: Any = field(default_factory=lambda: NOTHING)
    y: Any = field(default_factory=lambda: NOTHING)
    to: Any = field(default_factory=lambda: NOTHING)
    label: str = ""
    colour: str = ""
    shade: Any = None
    runs: Sequence[str] = ()
    marker: str = "o"
    size: float = 18.0
    width: float = 1.4
    alpha: float = 1.0
    dash: tuple[float, ...] = ()
    order: float = 2.0
    says: str = ""

    def __post_init__(self) -> None:
        for name in ("x", "y", "to"):
            values = np.atleast_1d(np.asarray(getattr(self, name), dtype=float))
            object.__setattr__(self, name, values)

    @property
    def length(self) -> int:
        """How many points, ends or rules it has."""
        return max(len(self.x), len(self.y))

    def along(self, axis: Literal["x", "y"]) -> Array:
        """All coordinates along one axis."""
        own = self.x if axis == "x" else self.y
        return np.concatenate([own, self.to]) if _TO.get(self.kind) == axis else own


@dataclass(frozen=True)
class Axis:
    """An axis: its label, scale, numbers and ends.

    ``log`` asks for a log scale, which is taken where all that is drawn is positive. ``names`` are
    of the places 0, 1, ... of an axis without numbers. ``most``: ticks at most.
    """

    label: str = ""
    log: bool = False
    numbers: Numbers = "plain"
    low: float | None = None
    high: float | None = None
    names: Sequence[str] = ()
    most: int = 8


@dataclass(frozen=True)
class Panel:
    """Layers over one pair of axes."""

    layers: Sequence[Layer]
    x: Axis
    y: Axis
    title: str = ""
    bold: bool = False

    def is_log(self, axis: Literal["x", "y"]) -> bool:
        """Whether that axis is logarithmic: asked for, and nothing drawn is 0 or less."""
        values = [layer.along(axis) for layer in self.layers]
        flat = np.concatenate([*values, NOTHING])
        asked = self.x.log if axis == "x" else self.y.log
        return asked and bool((flat[np.isfinite(flat)] > 0).all())


@dataclass(frozen=True)
class Shading:
    """What the shades of a picture stand for: a quantity on a log scale, with its range."""

    label: str
    low: float
    high: float
    numbers: Numbers = "counts"

    @classmethod
    def of(cls, values: Any, label: str, numbers: Numbers = "counts") -> Shading:
        """The shading of these values; those that are not positive count for nothing."""
        values = np.asarray(values, dtype=float)
        values = values[np.isfinite(values) & (values > 0)]
        low, high = (values.min(), values.max()) if len(values) else (1.0, 10.0)
        if high / low < 1.01:
            low, high = low / 2, high * 2
        return cls(label, float(low), float(high), numbers)

    def at(self, values: Any) -> Array:
        """Where values lie from 0 to 1, on a log scale."""
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.log(np.asarray(values, dtype=float) / self.low) / np.log(
                self.high / self.low
            )
        return np.asarray(np.clip(np.nan_to_num(share), 0, 1))


@dataclass(frozen=True)
class Picture:
    """A figure as a value.

    Attributes
    ----------
    panels : sequence of Panel
        Side by side, ``columns`` in a row (0: all).
    shading : Shading, optional
    width, height : float
        Inches, as it is drawn unless asked otherwise.
    legend : str
        Where it stands: a place in the panel, or ``above`` or ``below``; empty: none.
    share_y : bool
        Whether the panels have one y axis.
    note : str
        Written below the panels.
    """

    panels: Sequence[Panel]
    shading: Shading | None = None
    width: float = 5.2
    height: float = 3.7
    legend: str = "best"
    share_y: bool = False
    columns: int = 0
    note: str = ""

    @property
    def in_a_row(self) -> int:
        """How many panels stand side by side."""
        return self.columns or len(self.panels)

    @property
    def panel(self) -> Panel:
        """The first panel."""
        return self.panels[0]

    def apart(self) -> list[Picture]:
        """Each panel as a picture of its own; the legend is the first's."""
        if len(self.panels) == 1:
            return [self]
        return [
            replace(
                self,
                panels=[replace(p, y=replace(p.y, label=p.y.label or self.panel.y.label))],
                width=self.width / len(self.panels) + 0.6,
                legend="",
            )
            for p in self.panels
        ]

    def _repr_html_(self) -> str:
        """The picture itself, in a notebook."""
        from analysis.plotting.save import svg

        return (
            f'<div style="max-width:{96 * self.width:.0f}px;background:#fff">{svg(self, "p")}</div>'
        )

    def data(self) -> pd.DataFrame:
        """The numbers: a row each point, with panel, series and run; ``to`` is a range's end."""
        import pandas as pd

        rows = list(self._rows())
        names = ["panel", "kind", "series", "run_id", "x", "y", "to", "shade"]
        return pd.DataFrame(rows, columns=names).dropna(axis=1, how="all")

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        for panel in self.panels:
            for layer in panel.layers:
                count = layer.length
                columns = [_as_long(values, count) for values in (layer.x, layer.y, layer.to)]
                shade = _as_long(np.atleast_1d(np.asarray(layer.shade, dtype=float)), count)
                runs = list(layer.runs) if len(layer.runs) == count else [*layer.runs] * count
                for i in range(count):
                    run = runs[i] if i < len(runs) else None
                    yield (
                        panel.x.label, layer.kind, layer.says or layer.label or None, run,
                        *(column[i] for column in columns), shade[i],
                    )  # fmt: skip


def _as_long(values: Array, count: int) -> Array:
    """Values as many as ``count``: those that are, one for all, or none."""
    if len(values) == count:
        return values
    return np.full(count, values[0] if len(values) == 1 else np.nan)


def log_x(label: str, numbers: Numbers = "counts", **ends: Any) -> Axis:
    """A log axis of counts or FLOPs."""
    return Axis(label, log=True, numbers=numbers, **ends)


def loss_y(label: str, **ends: Any) -> Axis:
    """A log axis of losses, with plain decimals."""
    return Axis(label, log=True, numbers="few", **ends)
