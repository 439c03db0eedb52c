"""What a run was trained on, where that is not what was planned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaling.base import read_json
from scaling.run.journal import SPEC
from scaling.specs import read_any_spec

COUNTED = ("num_params", "num_params_non_embedding")


def trained_columns(
    row: Mapping[str, Any], last: Mapping[str, Any], run_dir: Path | None = None
) -> dict[str, Any]:
    """What a run's ``end`` event says otherwise than its planned columns: D and C as trained.

    N too, where the data decide it (``ngram``).

    Parameters
    ----------
    row : mapping
        The planned columns, and the ``spec`` where it is no matter of ``run_dir``.
    last : mapping
        The journal's ``end`` event; ``tokens`` is what was trained.
    run_dir : Path, optional
        Where the spec is if the row has none.

    Returns
    -------
    dict
        See ``RunSpec.columns_after``; empty for a run that went to its end, or
        failed.
    """
    counted = {name: last[name] for name in COUNTED if name in last}
    tokens = last.get("tokens")
    if tokens is None or tokens == row.get("num_tokens"):
        return counted
    spec = row.get("spec") or (read_json(run_dir / SPEC) if run_dir else None) or {}
    return {**read_any_spec(spec).columns_after(int(tokens)), **counted}
