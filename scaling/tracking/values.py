"""What the tracker writes of a run, as values: names, numbers, times, steps."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeGuard

from scaling.base import WATTS, kwh_of, peak_flops
from scaling.run import PROGRAM_METRIC, SYSTEM, points, trained_columns
from scaling.schema import EVAL_PREFIX

CURVE_METRICS = {
    "loss": "heldout/loss",
    "error": "heldout/error",
    "train_loss": "train/loss",
    "lr": "train/lr",
    "seconds": "train/seconds",
}
"""Column of the curve table -> metric."""
OWN_PREFIXES = (EVAL_PREFIX, PROGRAM_METRIC)  # of metrics that are called as their columns
LOGARITHMS = {"num_params": "N", "num_tokens": "D", "flops": "C"}  # short: titles of charts have it
KEY_LENGTH = 250
LAW_METRIC = "law/loss over MFLOPs"
"""A run's loss, and a law's line: step = training compute in 10^6 FLOPs, as a chart's x axis."""
LARGEST_STEP = 2**62

Value = tuple[str, float, float, int]  # metric, value, seconds since 1970, step
Known = tuple[list[Value], dict[str, str]]  # metrics and params


def curve_metrics(names: Iterable[str]) -> dict[str, str]:
    """Column -> metric, with those of ``names`` that are of further data or of a program.

    The seconds come last: who has them of a step has the rest of it, wherever a call ended.
    """
    return {name: name for name in names if name.startswith(OWN_PREFIXES)} | CURVE_METRICS


def of_curve(events: list[dict[str, Any]], seen: int) -> list[Value]:
    """The points of a journal after step ``seen``."""
    born = float(born_of(events))
    return [
        (metric, float(point[column]), born + float(point.get("seconds", 0)), point["step"])
        for point in points(events)
        if point["step"] > seen
        for column, metric in curve_metrics(point).items()
        if _is_number(point.get(column))
    ]


def of_system(events: Sequence[Mapping[str, Any]]) -> list[Value]:
    """The samples of the machine; step = whole seconds since the run's first start.

    Steps go up: the second of two samples in one second, or one of a node whose clock is behind,
    gets the step after the one before it.
    """
    values: list[Value] = []
    born, step = float(born_of(events)), -1
    for sample in (event for event in events if event["event"] == "system"):
        step = max(step + 1, int(sample["time"] - born))
        named = ((name, v) for name, v in sample.items() if name.startswith(SYSTEM))
        values += [(name, float(v), sample["time"], step) for name, v in named if _is_number(v)]
    return values


def of_end(
    row: Mapping[str, Any], events: Sequence[Mapping[str, Any]], last: Mapping[str, Any]
) -> list[Value]:
    """What is known at a run's end."""
    step, ended = int(last.get("tokens", 0)), ended_at(events, last)
    final = {f"final/{key}": v for key, v in last.items() if _is_number(v) and key != "time"}
    final |= _scale(trained_columns(row, last))
    final |= {f"final/{key}": v for key, v in _pace(row, events, last).items() if key not in last}
    if last["status"] == "diverged":
        final["diverged"] = 1.0
    values: list[Value] = [(key, float(value), ended, step) for key, value in final.items()]
    flops = {**row, **trained_columns(row, last)}.get("flops")
    at = compute_step(flops) if _is_number(flops) else 0
    if at and last["status"] != "diverged" and "final/loss" in final:
        values.append((LAW_METRIC, float(final["final/loss"]), ended, at))
    values += [
        (key, float(value), event["time"], event["step"])
        for event in events
        if event["event"] == "eval"
        for key, value in event.items()
        if key.startswith(EVAL_PREFIX) and _is_number(value)
    ]
    return values


def _pace(
    row: Mapping[str, Any], events: Sequence[Mapping[str, Any]], last: Mapping[str, Any]
) -> dict[str, float]:
    """Tokens (examples) a second, MFU and energy of a run, as far as they follow from its journal.

    Energy is time at the device's rated power in a data centre (:mod:`scaling.base.energy`): no run
    reads a meter. MFU is that of a card whose peak is known, evaluation and compiling included.
    """
    seconds, tokens = last.get("seconds"), last.get("tokens")
    if not _is_number(seconds) or not _is_number(tokens) or seconds <= 0 or tokens <= 0:
        return {}
    starts = [e for e in events if e["event"] == "start"]
    begun: Mapping[str, Any] = starts[-1] if starts else {}
    device, devices = str(begun.get("device") or "cpu"), int(begun.get("processes") or 1)
    watts = WATTS.get(device.partition(":")[0], WATTS["cpu"])
    found = {
        "tokens_per_second": tokens / seconds,
        "kwh_estimated": kwh_of(seconds * devices, watts),
    }
    peak = peak_flops(str(begun.get("card") or ""), str(begun.get("arithmetic") or ""))
    planned, flops = row.get("num_tokens"), row.get("flops_exact") or row.get("flops")
    if peak and planned and flops:
        found["mfu"] = flops * tokens / planned / (seconds * devices * peak)
    return found


def compute_step(flops: float) -> int:
    """Training compute as the step of a metric, in 10^6 FLOPs; 0 where it cannot be one."""
    step = round(flops / 1e6)
    return step if 0 < step < LARGEST_STEP else 0


def ended_at(events: Sequence[Mapping[str, Any]], last: Mapping[str, Any]) -> float:
    """When a run ended, in seconds since 1970."""
    return float(last.get("time") or born_of(events))


def metric_key(name: str) -> str:
    """The name of a metric or param in characters that MLflow takes, as a path that goes down."""
    parts = re.sub(r"[^\w\-./ :]", "_", name).split("/")
    whole = "/".join("__" if part == ".." else part for part in parts if part not in ("", "."))
    return whole[:KEY_LENGTH].rstrip("/") or "_"


def known_before(row: Mapping[str, Any], born: str) -> Known:
    """Metrics and params of a run that are known before it begins."""
    params = {"run_id": row["run_id"], **flat(row["spec"])}
    return [(k, v, float(born), 0) for k, v in _scale(row).items()], params


def data_of(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """Name and fingerprint of the data set of a run of ours; None where it has none."""
    data = row["spec"].get("data")
    if not isinstance(data, Mapping) or not data.get("fingerprint"):
        return None
    return str(data["data"])[:500], str(data["fingerprint"])[:36]  # MLflow's limits


def swept(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The params that differ among the runs of a sweep, in the order of the spec."""
    known = [{metric_key(key): value for key, value in flat(row["spec"]).items()} for row in rows]
    names = dict.fromkeys(key for params in known for key in params)
    return [name for name in names if len({params.get(name) for params in known}) > 1]


def _scale(columns: Mapping[str, Any]) -> dict[str, float]:
    """The metrics ``scale/*`` of the numeric columns."""
    numbers = {k: v for k, v in columns.items() if _is_number(v)}
    metrics = {f"scale/{key}": float(value) for key, value in numbers.items()}
    for column, letter in LOGARITHMS.items():
        if numbers.get(column, 0) > 0:
            metrics[f"scale/log10_{letter}"] = math.log10(numbers[column])
    return metrics


def start_of(born: str) -> int:
    """When a journal was begun, in MLflow's milliseconds since 1970."""
    return round(1000 * float(born))


def born_of(events: Sequence[Mapping[str, Any]]) -> str:
    """When the journal was begun; it tells a run from one that was thrown away and done anew."""
    return repr(float(next((e["time"] for e in events if e.get("time")), 0.0)))


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def spec_of(params: Mapping[str, str]) -> dict[str, Any]:
    """The nested values of a run's params, as far as text tells their kinds."""
    nested: dict[str, Any] = {}
    for key, text in params.items():
        *parts, name = key.split(".")
        place = nested
        for part in parts:
            place = place.setdefault(part, {})
        place[name] = _value(text) if text[:1] not in "[{" else _parsed(text)
    return nested


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


_value = lru_cache(maxsize=1 << 16)(_parsed)  # runs say the same few things; not what can change


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested values under dotted keys, as text: the params of a spec."""
    found: dict[str, str] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            found.update(flat(item, f"{prefix}{key}."))
        else:
            found[prefix + key] = item if isinstance(item, str) else json.dumps(item)
    return found
