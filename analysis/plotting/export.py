"""``as_json``: a picture as plain values, for whatever draws it elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.laws import Array
from analysis.plotting.picture import Axis, Layer, Panel, Picture, Shading
from analysis.plotting.style import SHADES, THEME

_WORDS = {
    r"\\propto": "∝", r"\\alpha": "α", r"\\beta": "β", r"\\gamma": "γ", r"\\delta": "δ",
    r"\\times": "×", r"\\,": "", r"\^\*": "*", r"[${}]": "",
}  # fmt: skip
MOST = 120
"""Points of a line at most: more are not seen."""


def as_json(picture: Picture) -> dict[str, Any]:
    """The picture as dicts, lists, numbers to five digits and texts without mathematics.

    Colours are names of the palette, or ``s0`` to ``s23`` of the shades.
    """
    return {
        "panels": [_panel(panel, picture) for panel in picture.panels],
        "shading": picture.shading
        and {
            "label": picture.shading.label,
            "low": picture.shading.low,
            "high": picture.shading.high,
            "numbers": picture.shading.numbers,
        },
        "height": round(picture.height / (picture.width / len(picture.panels)), 3),
    }


def plain(text: str) -> str:
    """A label without the marks of mathematics."""
    for pattern, word in _WORDS.items():
        text = re.sub(pattern, word, text)
    return text


def _panel(panel: Panel, picture: Picture) -> dict[str, Any]:
    return {
        "title": plain(panel.title),
        "x": _axis(panel.x, panel.is_log("x")),
        "y": _axis(panel.y, panel.is_log("y")),
        "layers": [_layer(layer, picture.shading) for layer in panel.layers if layer.length],
    }


def _axis(axis: Axis, log: bool) -> dict[str, Any]:
    found = {
        "label": plain(axis.label), "log": log, "numbers": axis.numbers, "low": _end(axis.low),
        "high": _end(axis.high), "names": list(axis.names),
    }  # fmt: skip
    return {k: v for k, v in found.items() if v not in (None, [], "")}


def _end(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def _layer(layer: Layer, shading: Shading | None) -> dict[str, Any]:
    keep = _few(layer)
    found: dict[str, Any] = {
        "kind": layer.kind,
        "x": _numbers(layer.x[keep] if len(layer.x) else layer.x),
        "y": _numbers(layer.y[keep] if len(layer.y) else layer.y),
        "to": _numbers(layer.to[keep] if len(layer.to) == layer.length else layer.to),
        "label": plain(layer.label),
        "says": layer.says,
        "colour": _colours(layer, shading),
        "runs": list(layer.runs),
        "dash": list(layer.dash),
    }
    if layer.kind == "points":
        found |= {"marker": layer.marker, "size": layer.size}
    else:
        found["width"] = layer.width
    if layer.alpha < 1:
        found["alpha"] = round(layer.alpha, 3)
    return {k: v for k, v in found.items() if v not in ("", [])}


def _few(layer: Layer) -> Any:
    """Which points of a layer are kept: of a long line evenly many."""
    if layer.kind not in ("line", "band") or layer.length <= MOST:
        return slice(None)
    return np.unique(np.linspace(0, layer.length - 1, MOST).round().astype(int))


def _colours(layer: Layer, shading: Shading | None) -> str | list[str]:
    if layer.shade is None or shading is None:
        return THEME.get(layer.colour, "ink")
    places = np.atleast_1d((shading.at(layer.shade) * (SHADES - 1)).round().astype(int))
    names = [f"s{i}" for i in places]
    return names[0] if len(set(names)) == 1 else names


def _numbers(values: Array | Sequence[float]) -> list[float | None]:
    """Five digits of each; None where it is not finite."""
    return [float(f"{v:.5g}") if np.isfinite(v) else None for v in np.asarray(values, float)]
