"""Readable, unique names of runs, built from what varies among them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from scaling import Spec

_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def short(number: float, digits: int = 3) -> str:
    """``number`` to so many digits with k, M, B, T: ``1.23M``."""
    for unit, letter in _UNITS:
        if abs(number) >= unit * (1 - 0.5 * 10**-digits):
            return f"{number / unit:.{digits}g}{letter}"
    return f"{number:.{digits}g}"


def run_names(specs: Sequence[Spec], run_ids: Sequence[str]) -> list[str]:
    """A name for each of ``specs``: ``N=1.23M D=26.2M lr=0.01 seed=0``.

    N and D to as many digits as tell them apart, then the settings that differ between runs of
    the same N and D. A rate that follows from N by a rule is not among these.
    """
    sizes = [(spec.num_params, spec.num_tokens) for spec in specs]
    n, d = _labels({size[0] for size in sizes}), _labels({size[1] for size in sizes})
    rows = [spec.settings() for spec in specs]
    groups: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for size, row in zip(sizes, rows, strict=True):
        groups[size].append(row)
    varying = {key for group in groups.values() for key in _varying(group)}
    order = dict.fromkeys(key for row in dict.fromkeys(map(tuple, rows)) for key in row)
    keys = [key for key in order if key in varying]
    names = [
        " ".join([f"N={n[size[0]]}", f"D={d[size[1]]}", *_said(row, keys)])
        for size, row in zip(sizes, rows, strict=True)
    ]
    counts = Counter(names)
    return [
        f"{name} {run_id[:8]}" if counts[name] > 1 else name
        for name, run_id in zip(names, run_ids, strict=True)
    ]


def _said(row: dict[str, Any], keys: Sequence[str]) -> list[str]:
    return [f"{key}={_text(row[key])}" for key in keys if key in row]


def _labels(distinct: set[int]) -> dict[int, str]:
    """Short labels, with more digits where three give two numbers the same."""
    for digits in range(3, 13):
        labels = {number: short(number, digits) for number in distinct}
        if len(set(labels.values())) == len(distinct):
            break
    return labels


def _varying(rows: list[dict[str, Any]]) -> set[str]:
    """Keys with more than one value among ``rows``."""
    first: dict[str, Any] = {}
    return {k for row in rows for k, value in row.items() if first.setdefault(k, value) != value}


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
