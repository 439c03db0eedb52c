"""A sweep shape of one's own: from its block of the sweep file to points, options of a run."""

from __future__ import annotations

from typing import Any


def doublings(document: Any, block: Any, where: tuple[str | int, ...]) -> list[dict[str, Any]]:
    """``{option: width, from: 8, times: 4}``: 8, 16, 32, 64."""
    keys = document.mapping(block, where, ("option", "from", "times"))
    for key in ("option", "from", "times"):
        if key not in keys:
            document.refuse(where, f"doublings has no {key}")
    return [{keys["option"]: keys["from"] * 2**i} for i in range(keys["times"])]
