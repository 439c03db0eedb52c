"""The file of a submitted sweep, ``sweeps/<name>/sweep.jsonl``: a JSON object a run."""

from __future__ import annotations

import json
from typing import Any

from scaling.base import Store

REMEDY = "remove it and submit the sweep again; what is done stays done"


def read_rows(store: Store, name: str) -> list[dict[str, Any]]:
    """The lines of a submitted sweep: ``run_id``, ``name``, ``spec`` and columns.

    Raises
    ------
    ValueError
        If no sweep of that name was submitted, or its file is damaged.
    """
    path = store.sweep_dir(name) / "sweep.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        known = sorted(p.parent.name for p in (store.root / "sweeps").glob("*/sweep.jsonl"))
        listed = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
        raise ValueError(
            f"no sweep {name!r} under {store.root}: "
            + (f"there are {listed}" if known else "submit one first, or give its --root")
        ) from None
    rows = [_row(f"{path}:{i}", line) for i, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise ValueError(f"{path} has no runs: {REMEDY}")
    return rows


def _row(place: str, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: not JSON ({error.msg}): {REMEDY}") from None
    if not isinstance(row, dict):
        raise ValueError(f"{place}: not a run: {REMEDY}")
    return row
