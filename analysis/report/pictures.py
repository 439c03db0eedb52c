"""Figures and formulas as SVG elements of the page: the only text that is not escaped."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from analysis.plotting import INK, ON_BLACK, ON_WHITE, THEME, Picture, as_json, svg

if TYPE_CHECKING:
    from analysis.fits import Fit

_NAMED = THEME | {colour: f"s{i}" for i, colour in enumerate(ON_WHITE)}
_PLACES = re.compile(r'\b(?:d|x|y)="[^"]*"')
_LONG = re.compile(r"(\.\d\d)\d+")  # hundredths of a point are not seen
_REFERENCES = re.compile(r'(href="#|url\(#)([^")]+)')
_MARKS = {"points": "points", **dict.fromkeys(("line", "hrule", "vrule", "hbars", "vbars"), "line")}
"""What a mark looks like in a legend; others are areas. The page's script has the same list."""
_HEX = re.compile("|".join(_NAMED))


def still(picture: Picture, name: str) -> list[Markup]:
    """Each panel as an SVG element that takes the page's colours, light or dark."""
    return [
        _themed(svg(part, f"{name}-{i}"), f"{name}: {part.panel.y.label} over {part.panel.x.label}")
        for i, part in enumerate(picture.apart())
    ]


def legend(picture: Picture) -> list[tuple[str, str, str]]:
    """Each label, the name of its colour (ink for several), and what its mark looks like."""
    found: dict[str, set[str]] = {}
    marks: dict[str, str] = {}
    for panel in picture.panels:
        for layer in panel.layers:
            if layer.label:
                found.setdefault(layer.label, set()).add(THEME.get(layer.colour, "ink"))
                dash = " dash" if layer.dash else ""
                marks.setdefault(layer.label, _MARKS.get(layer.kind, "band") + dash)
    return [
        (label, of.pop() if len(of) == 1 else "ink", marks[label]) for label, of in found.items()
    ]


def shades() -> str:
    """The shades as CSS: those for a white ground, and in the dark those for a black one."""
    light, dark = (
        "".join(f"--s{i}:{colour};" for i, colour in enumerate(colours))
        for colours in (ON_WHITE, ON_BLACK)
    )
    return f":root{{{light}}}\n@media screen and (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"


def numbers(pictures: Mapping[str, Picture]) -> dict[str, Any]:
    """The pictures for the page's script; a run is the place of its id in ``runs``."""
    ids: dict[str, int] = {}
    drawn = {name: as_json(picture) for name, picture in pictures.items()}
    for picture in drawn.values():
        for panel in picture["panels"]:
            for layer in panel["layers"]:
                if "runs" in layer:
                    layer["runs"] = [ids.setdefault(run, len(ids)) for run in layer["runs"]]
    return {"runs": list(ids), "pictures": drawn}


def embedded(value: Any) -> Markup:
    """JSON inside a script element: no letter of it is read as a tag."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def typeset(fit: Fit) -> Markup:
    """The fitted law typeset, with its plain text for screen readers."""
    figure = Figure(figsize=(0.01, 0.01))
    latex = f"${fit.formula('latex')}$"
    figure.text(0, 0, latex, fontsize=17, color=INK, math_fontfamily="cm")
    buffer = io.StringIO()
    try:
        with matplotlib.rc_context({"svg.hashsalt": "formula"}):
            figure.savefig(
                buffer,
                format="svg",
                transparent=True,
                bbox_inches="tight",
                pad_inches=0.05,
                metadata={"Date": None},
            )
    except ValueError:  # not in the subset of LaTeX that matplotlib typesets
        return Markup(fit.formula("html"))
    text = buffer.getvalue()
    return _themed(text[text.index("<svg") :], fit.formula())


def _themed(text: str, label: str) -> Markup:
    text = _PLACES.sub(lambda found: _LONG.sub(r"\1", found[0]), text)
    text = _HEX.sub(lambda found: f"var(--{_NAMED[found[0]]})", text)
    text = _own_ids(re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL))
    opening, rest = text.split(">", 1)
    opening = re.sub(r' (?:width|height)="[^"]*"', "", opening)
    return Markup(f'{opening} role="img" aria-label="{escape(label)}">{rest}')


def _own_ids(text: str) -> str:
    """A drawing with ids that no other one of the page has, and none that nothing refers to."""
    drawing = hashlib.sha256(text.encode()).hexdigest()[:6]
    named = dict.fromkeys(name for _, name in _REFERENCES.findall(text))
    ids = {name: f"d{drawing}-{i}" for i, name in enumerate(named)}
    text = _REFERENCES.sub(lambda found: found[1] + ids[found[2]], text)
    return re.sub(
        r' id="([^"]*)"', lambda found: f' id="{ids[found[1]]}"' if found[1] in ids else "", text
    )
