"""N, D and C of a run table: the third from the other two, and rows that cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from analysis.tables.reading.doubts import SIZES, doubts
from analysis.tables.reading.likely import flags, lookalikes, one_variable
from analysis.tables.reading.notes import Note, counted, places, quoted

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

_RULES = {"num_tokens": "flops / (6 * {0})", "flops": "6 * {0} * num_tokens"}
"""With the parameters that compute: the active ones where they are told."""


def complete(
    frame: pd.DataFrame,
    notes: list[str],
    untrained: Mapping[int, str] | None = None,
    sources: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """``frame`` with D or C from the other two sizes, ``exclude_reason``, and notes on doubts.

    A row without a size stays, and is not used where that is needed. D and C are not made up
    where a column of the table's own looks like them: that is said. A loss that is zero or below
    stays, for laws that take no logarithm of it. ``untrained`` are the rows that have a word in the
    loss's place, with the word.
    """
    import pandas as pd

    _spread(frame, notes)
    have = set(frame.columns)
    told = "num_params_active" in have and pd.api.types.is_numeric_dtype(frame["num_params_active"])
    size = "num_params_active" if told else "num_params"
    if {"num_params", "flops"} <= have:
        computing = frame[size].fillna(frame["num_params"])
        _fill(frame, "num_tokens", frame["flops"] / (6 * computing), size, notes)
    if {"num_params", "num_tokens"} <= have:
        product = 6 * frame[size].fillna(frame["num_params"]) * frame["num_tokens"]
        _fill(frame, "flops", product, size, notes)
        if "flops_6nd" not in have:
            frame["flops_6nd"] = product
    _mark(frame, notes, untrained or {})
    notes.extend(doubts(frame, sources or {}))
    return frame


def _spread(frame: pd.DataFrame, notes: list[str]) -> None:
    """Put a size that only a row without a loss has, as a log's first line, into all rows."""
    for name in [name for name in SIZES if {name, "loss"} <= {*frame.columns}]:
        known = frame.loc[frame[name].notna(), [name, "loss"]]
        if len(known) == 1 < len(frame) and known["loss"].isna().all():
            value = float(known[name].iloc[0])
            frame[name] = value
            notes.append(Note(f"{name} is {value:g} in all rows, as one line alone says", name))


def _fill(frame: pd.DataFrame, name: str, values: pd.Series, size: str, notes: list[str]) -> None:
    """Put ``values`` where ``frame`` has no ``name``, and say so."""
    formula = _RULES[name].format(size)
    rule = formula.replace(" * ", " ")
    if name not in frame.columns:
        if alike := lookalikes(frame, name):
            ways = " or ".join(flags(name, [*alike[:1], formula]))
            said = f"{name} is not made up, as {alike[0]!r} may be it: say {ways}"
            notes.append(Note(said, name))
            return
        frame[name] = values
        notes.append(Note(f"{name} is {rule}: the table has none", name, taken=True))
        return
    filled = (frame[name].isna() & values.notna()).to_numpy()
    if filled.any():
        empty = frame[name].isna().all()
        frame[name] = frame[name].fillna(values)
        where = f"none in {places(frame, filled.nonzero()[0].tolist())}"
        said = f"{name} is {rule}: {'the table has none' if empty else where}"
        notes.append(Note(said, name))


def _mark(frame: pd.DataFrame, notes: list[str], untrained: Mapping[int, str]) -> None:
    """Give each row its ``exclude_reason``, and say each reason once with its rows."""
    import numpy as np

    reasons = (
        frame["exclude_reason"].astype(object).fillna("").astype(str).tolist()
        if "exclude_reason" in frame.columns
        else [""] * len(frame)
    )
    faults: dict[str, list[int]] = {}
    for row, word in untrained.items():
        reason = f"loss is {word!r}"
        faults.setdefault(reason, []).append(row)
        reasons[row] = reasons[row] or reason
    for name in ("loss", *SIZES):
        if name not in frame.columns:
            continue
        values = frame[name].to_numpy(dtype=float)
        missing = np.isnan(values)
        wrong = {f"{name} infinite": np.isinf(values)}
        if name == "loss":
            wrong["loss missing"] = missing
            _low(frame, values, notes)
        else:
            wrong[f"{name} not positive"] = values <= 0
            if missing.all():
                notes.append(Note(f"{name} is empty in every row", name))
            elif missing.any():
                rows = missing.nonzero()[0].tolist()
                missed = f"{name} missing: {places(frame, rows)}, not used where it is needed"
                notes.append(Note(missed, name))
        for reason, bad in wrong.items():
            for i in np.flatnonzero(bad).tolist():
                if not reasons[i]:
                    faults.setdefault(reason, []).append(i)
                    shown = f"{name} is {values[i]:.6g}"
                    reasons[i] = {
                        f"{name} not positive": f"{shown}, not positive",
                        f"{name} infinite": shown,
                    }.get(reason, reason)
    for reason, rows in faults.items():
        notes.append(f"left out, {reason}: {counted(frame, rows)}")
    frame["exclude_reason"] = reasons


def _low(frame: pd.DataFrame, values: NDArray[np.float64], notes: list[str]) -> None:
    import numpy as np

    rows = np.flatnonzero(values <= 0).tolist()
    if rows:
        way = (
            "--space linear fits them"
            if 2 * len(rows) <= len(values)
            else "a level of any sign fits them, as --law "
            f"'loss = E + A / {quoted(one_variable(frame) or 'x')}**a' --signed E"
        )
        said = (
            f"loss is zero or below in {counted(frame, rows)}: laws on its logarithm leave these "
            f"out, {way}"
        )
        notes.append(Note(said, "loss"))
