"""``settle``: no two labels of a figure overlap, however small it is."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.ticker import FixedLocator

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

GAP = 2.0  # pixels at least between two labels of an axis
LINE_ENDS = "says"  # the gid of what is written at a line's end


def settle(figure: Figure) -> None:
    """Thin ticks, break long titles and labels, push line ends apart, and keep the layout so."""
    figure.draw_without_rendering()
    changed = [
        _break(text, along, axes) for axes in figure.axes for text, along in _labels(axes)
    ] + [_thin(axis) for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    if any(changed):
        figure.draw_without_rendering()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            _thin(axis)
        _push_apart(axes)
    # Laying it out again would take as long once more. "none" would leave a placeholder, and with
    # any engine matplotlib draws a figure once for nothing before it writes it.
    engines = ("figure.autolayout", "figure.constrained_layout.use")
    with matplotlib.rc_context(dict.fromkeys(engines, False)):
        figure.set_layout_engine(None)


def _labels(axes: Axes) -> list[tuple[Text, str]]:
    """The texts of a panel that may be too long, and the axis that each runs along."""
    titles = (axes.title, axes._left_title)  # type: ignore[attr-defined]
    found = [(axes.xaxis.label, "x"), (axes.yaxis.label, "y"), *((t, "x") for t in titles)]
    return [(text, along) for text, along in found if text.get_text()]


def overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts of a figure whose boxes overlap."""
    figure.draw_without_rendering()
    boxes = [(text.get_text(), _box(text)) for text in _texts(figure)]
    return [
        (one, other)
        for i, (one, a) in enumerate(boxes)
        for other, b in boxes[i + 1 :]
        if a.x0 < b.x1 - 1 and b.x0 < a.x1 - 1 and a.y0 < b.y1 - 1 and b.y0 < a.y1 - 1
    ]


def _texts(figure: Figure) -> Iterator[Text]:
    """The texts that are drawn."""
    for axes in figure.axes:
        if axes.axison and axes.get_visible():
            for axis in (axes.xaxis, axes.yaxis):
                yield from _tick_labels(axis)
                yield from [axis.label] if axis.label.get_text() else []
        own = [axes.title, axes._left_title, *axes.texts]  # type: ignore[attr-defined]
        legend = axes.get_legend()
        yield from (t for t in own if t.get_text().strip() and t.get_visible())
        yield from legend.get_texts() if legend else []
    for legend in figure.legends:
        yield from legend.get_texts()


def _box(text: Text) -> Bbox:
    return text.get_window_extent()


def _tick_labels(axis: Any) -> list[Any]:
    """The labels of the ticks that are within the view, in order."""
    found = [tick.label1 for tick in axis._update_ticks()]
    return [label for label in found if label.get_visible() and label.get_text().strip()] + [
        tick.label2
        for tick in axis._update_ticks()
        if tick.label2.get_visible() and tick.label2.get_text().strip()
    ]


def _thin(axis: Any) -> bool:
    """Keep every second, third, ... tick, the first that lets no labels touch; if any went."""
    is_x = axis.axis_name == "x"
    labels = _tick_labels(axis)
    boxes = [_box(label) for label in labels]
    places = [label.get_position()[0 if is_x else 1] for label in labels]
    order = sorted(range(len(boxes)), key=lambda i: boxes[i].x0 if is_x else boxes[i].y0)
    for stride in range(1, len(order) + 1):
        kept = order[::stride]
        if all(_clear(boxes[a], boxes[b], is_x) for a, b in pairwise(kept)):
            break
    else:
        return False
    if stride > 1:
        axis.set_major_locator(FixedLocator([places[i] for i in sorted(kept)]))
    return stride > 1


def _clear(one: Bbox, other: Bbox, is_x: bool) -> bool:
    return bool(other.x0 - one.x1 > 2 * GAP if is_x else other.y0 - one.y1 > GAP / 2)


def _break(text: Text, along: str, axes: Axes) -> bool:
    """Break a text that is longer than its axis at spaces; whether it was."""
    words = text.get_text()
    box, room = _box(text), axes.get_window_extent()
    length, space = (box.width, room.width) if along == "x" else (box.height, room.height)
    if along == "x" and text is not axes.xaxis.label:
        space = axes.get_figure().bbox.width - room.x0  # type: ignore[union-attr]
    if "\n" in words or "$" in words or length <= space or " " not in words or space <= 0:
        return False
    most = max(8, int(len(words) * space / length))
    text.set_text("\n".join(textwrap.wrap(words, most, break_long_words=False)))
    return True


def _push_apart(axes: Axes) -> None:
    """Move what stands at line ends up and down until none covers another."""
    said = [text for text in axes.texts if text.get_gid() == LINE_ENDS]
    boxes = sorted(((_box(text), text) for text in said), key=lambda pair: pair[0].y0)
    if not boxes:
        return
    room = axes.get_window_extent()
    height = max(box.height for box, _ in boxes) + 1
    if height * len(boxes) > room.height:  # more than fit: the colour bar tells the others
        for _, text in boxes[1:-1]:
            text.set_visible(False)
        boxes = [boxes[0], boxes[-1]] if len(boxes) > 1 else boxes
    wanted = [box.y0 for box, _ in boxes]
    for place, (box, text) in zip(_spread(wanted, height), boxes, strict=True):
        x, y = text.xyann  # type: ignore[attr-defined]
        dpi = axes.get_figure().dpi  # type: ignore[union-attr]
        text.xyann = (x, y + (place - box.y0) * 72 / dpi)  # type: ignore[attr-defined]


def _spread(wanted: Sequence[float], height: float) -> list[float]:
    """Places at least ``height`` apart, in order and near to the wanted ones."""
    places = list(wanted)
    for _ in range(50):
        moved = False
        for i in range(len(places) - 1):
            lack = height - (places[i + 1] - places[i])
            if lack > 1e-6:
                places[i] -= lack / 2
                places[i + 1] += lack / 2
                moved = True
        if not moved:
            break
    return places
