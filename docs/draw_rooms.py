"""Draws the rooms and who needs whom, and counts their files: ``make rooms``.

    python docs/draw_rooms.py

writes ``docs/images/rooms.svg`` and the table between the marks in ``docs/architecture.md``, both
from the code's own imports (``docs/rooms.py``). An arrow points to what a room needs; where a room
needs another by way of a third, the direct arrow is left out, and so are other packages' arrows to
``scaling/base``, which all need.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from docs.rooms import arrows, modules, rooms  # noqa: E402

COLUMNS = {"analysis": "#8e5bb5", "scaling": "#2f7d4f", "sweeps": "#b36b00", "cluster": "#2f6db3"}
WIDTH, HEIGHT, ACROSS, UP, TOP, BETWEEN = 112, 34, 122, 60, 56, 26
ABREAST = 5
BEGIN, END = "<!-- the rooms: made by `make rooms` -->", "<!-- end of the rooms -->"


def needs() -> dict[str, set[str]]:
    """For each room the rooms that it needs, without those that it needs by way of another."""
    direct = arrows()

    @cache
    def below(room: str) -> frozenset[str]:
        return frozenset().union(*({one} | below(one) for one in direct[room]))

    return {
        room: {one for one in found if not any(one in below(other) for other in found)}
        for room, found in direct.items()
    }


def levels(direct: dict[str, set[str]]) -> dict[str, int]:
    """The floor of each room: above all that it needs, close below whatever needs it.

    Where a package has ``ABREAST`` rooms on that floor, it is the next one down that has a place.
    """

    @cache
    def lowest(room: str) -> int:
        return max((lowest(one) + 1 for one in direct[room]), default=0)

    floor: dict[str, int] = {}
    taken: Counter[tuple[str, int]] = Counter()
    for room in sorted(direct, key=lowest, reverse=True):
        users = [floor[one] for one, found in direct.items() if room in found]
        package, level = room.split(".")[0], min(users, default=lowest(room) + 1) - 1
        while taken[package, level] >= ABREAST and level > lowest(room):
            level -= 1
        floor[room] = level
        taken[package, level] += 1
    return floor


def places(direct: dict[str, set[str]]) -> tuple[dict[str, tuple[float, float]], dict[str, float]]:
    """The middle of each room's box, and the right edge of each package's column."""
    level = levels(direct)
    rows: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for room in sorted(direct, key=lambda room: (level[room], room)):
        rows[room.split(".")[0]][level[room]].append(room)
    place: dict[str, tuple[float, float]] = {}
    edges: dict[str, float] = {}
    left = 0.0
    for package in COLUMNS:
        widest = max(len(row) for row in rows[package].values())
        for height, row in rows[package].items():
            below = {room: [place[one][0] for one in direct[room] if one in place] for room in row}
            wanted = {room: sum(xs) / len(xs) if xs else left for room, xs in below.items()}
            row.sort(key=lambda room: wanted[room])
            start = left + ACROSS * (widest - len(row)) / 2
            for i, room in enumerate(row):
                y = TOP + UP * (max(level.values()) - height) + HEIGHT / 2
                place[room] = (start + ACROSS * (i + 0.5), y)
        left += ACROSS * widest + BETWEEN
        edges[package] = left - BETWEEN
    return place, edges


def draw() -> str:
    """The picture, in SVG."""
    direct = {room: found for room, found in needs().items() if room != "scaling.__main__"}
    place, edges = places(direct)
    width = max(edges.values())
    height = max(y for _, y in place.values()) + HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-14 0 {width + 28:.0f} {height:.0f}" '
        'font-family="Helvetica, Arial, sans-serif" text-anchor="middle">',
        "<title>The rooms of scaling-lab, and who needs whom</title>",
        '<rect x="-14" width="100%" height="100%" fill="white"/>',
    ]
    left = 0.0
    for package, colour in COLUMNS.items():
        parts.append(
            f'<rect x="{left - 8:.0f}" y="8" width="{edges[package] - left + 16:.0f}" '
            f'height="{height - 16:.0f}" rx="10" fill="{colour}" fill-opacity="0.06"/>'
            f'<text x="{(left + edges[package]) / 2:.0f}" y="32" font-size="20" '
            f'font-weight="bold" fill="{colour}">{package}</text>'
        )
        left = edges[package] + BETWEEN
    for room, found in direct.items():
        colour = COLUMNS[room.split(".")[0]]
        for other in sorted(found):
            if other == "scaling.base" and not room.startswith("scaling."):
                continue  # every room needs it
            parts.append(_arrow(place[room], place[other], colour))
    for room, (x, y) in place.items():
        colour = COLUMNS[room.split(".")[0]]
        files = len(rooms()[room])
        name = room.partition(".")[2]
        size = min(17, round(2 * (WIDTH - 20) / len(name)))  # a letter is about half as wide
        many = f'<tspan fill="#666" font-size="12"> {files}</tspan>' if files > 1 else ""
        parts.append(
            f'<rect x="{x - WIDTH / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{WIDTH}" '
            f'height="{HEIGHT}" rx="6" fill="white" stroke="{colour}" stroke-width="1.5"/>'
            f'<text x="{x:.0f}" y="{y + 5:.0f}" font-size="{size}">'
            f"{name}{many}</text>"
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _arrow(source: tuple[float, float], target: tuple[float, float], colour: str) -> str:
    """A curve from the bottom of one box to the top of another, with a head."""
    (x0, y0), (x1, y1) = source, target
    y0, y1 = y0 + HEIGHT / 2, y1 - HEIGHT / 2 - 7
    bend = min(60.0, max(20.0, (y1 - y0) / 2))
    return (
        f'<path d="M{x0:.0f},{y0:.0f} C{x0:.0f},{y0 + bend:.0f} {x1:.0f},{y1 - bend:.0f} '
        f'{x1:.0f},{y1:.0f}" fill="none" stroke="{colour}" stroke-width="1.3" '
        f'stroke-opacity="0.75"/><path d="M{x1 - 4:.0f},{y1:.0f} h8 l-4,7 z" fill="{colour}"/>'
    )


def table() -> str:
    """The rooms, from the ground up: what lives there (the docstring's first line), files."""
    level = levels(needs())
    lines = ["| room | what lives there | files |", "| --- | --- | --- |"]
    for room, paths in sorted(
        rooms().items(),
        key=lambda item: (
            ("scaling", "sweeps", "cluster", "analysis").index(item[0].split(".")[0]),
            level[item[0]],
        ),
    ):
        path = modules()[room]
        where = path.parent if path.name == "__init__.py" else path
        shown = str(where.relative_to(ROOT)) + ("/" if where.is_dir() else "")
        text = str(ast.get_docstring(ast.parse(path.read_text()))).partition("\n\n")[0]
        fact = " ".join(text.replace("``", "`").split()).replace("|", "\\|")
        lines.append(f"| `{shown}` | {fact} | {len(paths)} |")
    return "\n".join(lines)


def main() -> None:
    """Write the picture and the table."""
    (ROOT / "docs" / "images" / "rooms.svg").write_text(draw(), encoding="utf-8")
    page = ROOT / "docs" / "architecture.md"
    text = page.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
