"""A page that follows a sweep: what it shows now, as plain values, and the page itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis import plotting
from analysis.plotting import used
from analysis.report.figures import side_by_side, trimmed
from analysis.report.findings import Findings
from analysis.report.page import SCRIPTS, rendered
from analysis.report.pictures import numbers
from analysis.wording import count, cut
from scaling.base import NoAnswerError

if TYPE_CHECKING:
    from analysis.plotting import Picture

COLUMNS = ("state", "name", "N", "D", "done", "loss", "expected at its end", "left", "reason")


@dataclass(frozen=True)
class State:
    """One run as it stands: ``done`` is a share, ``left`` words."""

    run_id: str
    name: str
    state: str
    done: float
    loss: float | None
    left: str = ""
    reason: str = ""


def live_page(title: str) -> str:
    """The page; it asks its own server for ``now`` and nobody else for anything."""
    return rendered("live.html", (*SCRIPTS, "live.js"), {}, title=title, columns=COLUMNS)


def live_values(found: Findings, states: Sequence[State]) -> dict[str, Any]:
    """Law so far, forecast of what is not finished, figures and a row each run.

    Parameters
    ----------
    found : Findings
        Its runs are the table of the sweep, finished or not.
    states : sequence of State
    """
    fit = found.headline
    law = f"None yet: {found.no_law}." if fit is None else fit.formula()
    if fit is not None:
        law += f"  ({fit.n_runs} runs; {fit.status})"
    ends, why = expected_ends(found)
    table = found.runs.drop_duplicates("run_id").set_index("run_id")
    sizes = {
        name: table[name].to_dict() if name in table.columns else {}
        for name in ("num_params", "num_tokens")
    }
    return {
        "law": law,
        "expected": why,
        "rows": [
            {"id": one.run_id, "cells": _cells(one, sizes, ends.get(one.run_id))}
            for one in sorted(states, key=lambda one: one.state != "running")
        ],
        "figures": numbers(_pictures(found)),
    }


def expected_ends(found: Findings) -> tuple[dict[str, tuple[float, float, float]], str]:
    """The loss to expect of each run that has not ended, with its interval; and by what."""
    runs, expected = found.runs, found.expected
    if expected is None:
        return {}, ""
    left = runs[runs["status"].isin(["planned", "running"])]
    left = left.dropna(subset=[name for name in expected.x_cols if name in left.columns])
    if not len(left) or not set(expected.x_cols) <= set(left.columns):
        return {}, ""
    at = {name: left[name].to_numpy(dtype=float) for name in expected.x_cols}
    middle = expected.predict(at)
    low, high = expected.predict_ci(at, found.level)
    ends = {
        str(run): (float(m), float(a), float(b))
        for run, m, a, b in zip(left["run_id"], middle, low, high, strict=True)
    }
    return ends, f"What has not ended is expected by {expected.name}."


def _cells(one: State, sizes: Mapping[str, Any], end: Any) -> list[tuple[str, Any, str]]:
    """Text, the number that it stands for, and the whole of what is cut."""

    def size(name: str) -> tuple[str, Any, str]:
        value = float(sizes[name].get(one.run_id, np.nan))
        return (count(value), value if np.isfinite(value) else None, "")

    def words(text: str) -> tuple[str, Any, str]:
        return (cut(text), None, text if cut(text) != text else "")

    has = one.loss is not None and np.isfinite(one.loss)
    loss = (f"{one.loss:.4f}", one.loss, "") if has else ("", None, "")
    told = ("", None, "")
    if end is not None and one.state != "done":
        told = (f"{end[0]:.4f} ({end[1]:.4f} to {end[2]:.4f})", end[0], "")
    done = (f"{100 * one.done:.0f} %", one.done, "")
    return [
        words(one.state), words(one.name), size("num_params"), size("num_tokens"), done, loss, told,
        words(one.left), words(one.reason),
    ]  # fmt: skip


def _pictures(found: Findings) -> dict[str, Picture]:
    """Curves of all runs, the finished ones over compute, and the law over them."""
    runs, fit = found.runs, found.headline
    drawn: dict[str, Picture] = {}
    curves = None if found.curves is None else trimmed(found.curves)
    if curves is not None and len(curves):
        with suppress(ValueError):  # no point of them is finite
            drawn["curves"] = plotting.curves(runs, curves)
    table = used(runs)
    if not len(table):
        return drawn
    if fit is not None:
        with suppress(ValueError, NoAnswerError):
            drawn["scaling"] = plotting.scaling(runs, fit)
    if {"num_params", "num_tokens", "flops"} <= set(table.columns) and fit is not None:
        with suppress(ValueError, NoAnswerError):
            drawn["frontier"] = plotting.frontier(runs, None, fit if fit.in_plane else None)
    elif "flops" in table.columns:
        drawn["frontier"] = side_by_side([found])
    return drawn
