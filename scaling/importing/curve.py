"""The learning curve of a run that was trained elsewhere, by the tokens that it had seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scaling.importing.found import FoundRun, step_name
from scaling.schema import find_column, normalise
from scaling.table_file import number_of

_TRAIN_LOSS = ("trainloss", "trainingloss")
_SECONDS = "_runtime"  # W&B's


def curve(
    run: FoundRun, columns: Mapping[str, str], tokens: int | None, *, ended: bool
) -> tuple[tuple[Mapping[str, Any], ...], int]:
    """Its points as a journal has them, and how many records could not be placed.

    A record stands at the number of tokens that it says. Where none does, that of a run which
    went to its end follows from its own step: the last one is at ``tokens``.
    """
    names = dict.fromkeys(name for record in run.history for name in record)
    wanted = _wanted(list(names), columns)
    if not wanted:
        return (), 0
    step, counted = step_name(names) or "", columns.get("num_tokens", "")
    merged: dict[Any, dict[str, Any]] = {}
    for number, record in enumerate(run.history):
        merged.setdefault(record.get(step, f"record {number}"), {}).update(record)
    last = max((_whole(record.get(step)) or 0 for record in merged.values()), default=0)
    points: dict[int, dict[str, Any]] = {}
    lost = 0
    for record in merged.values():
        values = _numbers(record, wanted)
        if not set(values) - {"seconds"}:
            continue
        if counted in names:
            at = _whole(record.get(counted))
        else:
            own = _whole(record.get(step)) if tokens and last and ended else None
            at = own if own is None or tokens is None else own * tokens // last
        if at is None:
            lost += 1
            continue
        points.setdefault(at, {"step": at}).update(values)
    return tuple(points[at] for at in sorted(points)), lost


def _wanted(names: list[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Column of the curve table -> the history's name for it."""
    found = {
        "loss": columns["loss"],
        "train_loss": next((name for name in names if normalise(name) in _TRAIN_LOSS), None),
        "error": columns.get("error"),
        "lr": find_column("lr", names),
    }
    wanted = {column: name for column, name in found.items() if name in names}
    return {**wanted, "seconds": _SECONDS} if wanted and _SECONDS in names else wanted


def _numbers(record: Mapping[str, Any], wanted: Mapping[str, str]) -> dict[str, float]:
    values = {}
    for column, name in wanted.items():
        if name in record:
            try:
                values[column] = number_of(record[name])
            except ValueError:
                continue
    return values


def _whole(value: Any) -> int | None:
    try:
        return None if value is None else round(number_of(value))
    except (ValueError, OverflowError):
        return None
