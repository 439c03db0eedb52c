"""What looks wrong in a run table: units off by powers of 1000, a loss that rises, rows twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analysis.tables.reading.notes import Note, places, quoted
from analysis.tables.where import is_true
from scaling import COLUMN_FLAGS, normalise

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

_FLAGS = {
    "excluded", "exclude", "outlier", "isoutlier", "diverged", "isdiverged", "failed", "crashed",
    "unstable", "invalid", "skip", "ignore", "bad",
}  # fmt: skip
_TRUTHS = {"true", "false", "yes", "no", "1", "0", "1.0", "0.0", ""}
_UNDONE = (
    "failed",
    "diverged",
    "crashed",
    "killed",
    "running",
    "preempted",
    "preempting",
    "FAILED",
    "KILLED",
    "RUNNING",
)
SIZES = ("num_params", "num_tokens", "flops")
FAR = 2.5
"""Decades beyond which a size is taken to be in another unit."""
LARGEST = 1e14
"""Parameters of a median run beyond which N is taken to be in another unit."""
SURE, CLEAR = 4.0, 0.5
"""Standard errors, and a correlation, beyond either of which a loss is said to rise."""
USUAL = 20.0
"""Tokens per parameter."""
TIED = 0.98
"""Correlation of ln N and ln D beyond which they are not told apart."""


def flagged(frame: pd.DataFrame) -> list[str]:
    """A note for each column that seems to say which rows not to use, and is not heeded."""
    found = []
    for name in map(str, frame.columns):
        if normalise(name) in _FLAGS and (true := _true(frame[name])):
            found.append(
                f"column {name!r} is true in {true} rows, which are used; "
                f"--where 'not {quoted(name)}' leaves them out"
            )
    if "status" in frame.columns:
        rows = frame["exclude_reason"].eq("") & frame["status"].isin(_UNDONE)
        if rows.any():
            words = sorted(set(frame.loc[rows, "status"]))
            found.append(
                f"status is {' or '.join(words)} in {int(rows.sum())} of {len(frame)} rows, which "
                "are used; "
                f'--where "status not in {words}" leaves them out'
            )
    return found


def _true(values: pd.Series) -> int:
    """The number of true values; 0 in a column of anything but true, yes, 1 and their opposites."""
    words = values.astype(str).where(values.notna(), "").str.strip().str.lower()
    return int(values.map(is_true).sum()) if set(words) <= _TRUTHS else 0


def doubts(frame: pd.DataFrame, sources: Mapping[str, str]) -> list[str]:
    """Units that look wrong by powers of 1000, a loss that rises, and rows that are there twice.

    ``sources`` are the table's own names of the run table's columns.
    """
    import numpy as np

    found: list[str] = []
    known: set[int] = set()
    if set(SIZES) <= set(frame.columns):
        with np.errstate(all="ignore"):
            off = np.log10(frame["flops"] / (6 * frame["num_params"] * frame["num_tokens"]))
        off = off[np.isfinite(off)]
        middle = float(off.median()) if len(off) else 0.0
        if abs(middle) > FAR:
            said = (
                f"flops is {10**middle:.2g} times 6 x num_params x num_tokens in the median: "
                f"a unit is off by about 1e{3 * round(abs(middle) / 3):d} (thousands, millions, "
                "billions, PFLOPs?); all three are wanted as plain counts"
            )
            found.append(Note(said, "flops"))
        stray = off[(off - middle).abs() > FAR]
        if len(stray):
            known = {int(i) for i in stray.index}
            lines = places(frame, sorted(known))
            said = (
                f"flops is far from 6 x num_params x num_tokens in {len(stray)} of {len(off)} "
                f"rows, unlike the others ({lines}): a unit may differ there"
            )
            found.append(Note(said, "flops"))
    for name in ("num_params", "num_tokens"):
        if name in frame.columns:
            found += _apart(frame[name], known)
    if {"num_params", "num_tokens"} <= set(frame.columns):
        n, d = frame["num_params"].median(), frame["num_tokens"].median()
        if n < 1e3 and d < 1e5:
            own = [quoted(sources.get(name, name)) for name in ("num_params", "num_tokens")]
            ways = _multiplied(n, d, own) + (
                f", or logarithms: --params-col '10**{own[0]}' --tokens-col '10**{own[1]}'"
                * bool(n > 3 and d > 3 and max(n, d) < 20)
            )
            said = (
                f"num_params {n:.3g} and num_tokens {d:.3g} in the median look like millions or "
                f"billions; plain counts are wanted, as by {ways}"
            )
            found.append(Note(said, "num_params"))
        elif n == n and d == d and not 1e-4 < d / n < 1e6:
            (low, small), (high, large) = sorted(((n, "num_params"), (d, "num_tokens")))
            who, value, looks = (
                (small, low, "like millions or billions")
                if low < 1e6
                else (large, high, "1e6 or 1e9 times too large")
            )
            said = (
                f"{who} is {value:.3g} in the median, {d / n:.2g} tokens per parameter: it looks "
                f"{looks}; plain counts are wanted, as by {COLUMN_FLAGS[who]} "
                f"'{quoted(sources.get(who, who))} {'*' if low < 1e6 else '/'} {_step(n, d)}'"
            )
            found.append(Note(said, who))
        elif n > LARGEST:
            said = (
                f"num_params is {n:.3g} in the median: it looks 1e6 or 1e9 times too large; plain "
                "counts are wanted"
            )
            found.append(Note(said, "num_params"))
    found += _rising(frame)
    lists = {c: frame[c].astype(str) for c in frame.columns if frame[c].dtype == object}
    same = frame.assign(**lists).duplicated(keep=False).to_numpy()
    twice = same & frame["exclude_reason"].eq("").to_numpy()
    if twice.any():
        lines = places(frame, np.flatnonzero(twice).tolist())
        found.append(f"{int(twice.sum())} rows are equal in every column ({lines}); all kept")
    return found


def _multiplied(n: float, d: float, own: Sequence[str]) -> str:
    """Options for sizes in millions or billions, those with the most usual tokens a parameter."""
    import numpy as np

    pairs = [(1e9, 1e9), (1e6, 1e9), (1e6, 1e6)]
    by_n, by_d = min(pairs, key=lambda pair: abs(np.log(d * pair[1] / (n * pair[0]) / USUAL)))
    return f"--params-col '{own[0]} * {by_n:.0e}' --tokens-col '{own[1]} * {by_d:.0e}'".replace(
        "e+0", "e"
    )


def _step(n: float, d: float) -> str:
    """The factor, a million or a billion, by which one of two sizes is off."""
    off = max(d / n / USUAL, USUAL * n / d)
    return "1e6" if off < 10**7.5 else "1e9"


def _apart(values: pd.Series, known: set[int]) -> list[str]:
    """A note on few rows that lie ``FAR`` from all others, but for the ``known`` ones."""
    import numpy as np

    logs = np.log10(values[np.isfinite(values) & (values > 0)]).sort_values()
    gaps = np.diff(logs)
    if not len(gaps) or gaps.max() < FAR:
        return []
    cut = int(gaps.argmax()) + 1
    low, high = logs.iloc[:cut], logs.iloc[cut:]
    few, many = (low, high) if len(low) < len(high) else (high, low)
    rows = sorted({int(i) for i in few.index} - known)
    no_sizes = low.max() < 4 and high.min() > 5
    if (4 * len(few) > len(logs) and not no_sizes) or not rows:
        return []
    factor = 10 ** (few.median() - many.median())
    side, between = ">" if few is low else "<", 10 ** ((low.max() + high.min()) / 2)
    said = (
        f"{values.name} is {factor:.0e} times that of the others in {places(values, rows)}: "
        "a unit may differ there (thousands, millions, billions?); write one, or leave these out: "
        f"--where '{values.name} {side} {between:.0e}'"
    )
    return [Note(said, str(values.name))]


def _rising(frame: pd.DataFrame) -> list[str]:
    """A note where the loss rises with N or D, the other held."""
    import numpy as np

    known = [name for name in ("num_params", "num_tokens") if name in frame.columns]
    if "loss" not in frame.columns or not known:
        return []
    table = frame.loc[frame["exclude_reason"] == "", [*known, "loss"]].astype(float)
    finite = np.isfinite(table.to_numpy()).all(axis=1)
    table = table[finite & (table[known] > 0).all(axis=1).to_numpy()]
    varying = [name for name in known if table[name].nunique() > 2]
    if not varying or len(table) < len(varying) + 4 or table["loss"].nunique() < 3:
        return []
    logs = np.log(table[varying].to_numpy())
    if len(varying) == 2 and abs(np.corrcoef(logs.T)[0, 1]) > TIED:
        logs, varying = logs[:, :1], varying[:1]
    certain, shared = _partial(logs, table["loss"].rank().to_numpy(dtype=np.float64))
    rises = (certain > SURE) | (shared > CLEAR)
    wrong = [name for name, does in zip(varying, rises, strict=True) if does]
    if not wrong:
        return []
    advice = (
        f"if it is a score, {COLUMN_FLAGS['loss']} '1 - COL' makes it an error"
        if table["loss"].between(0, 1).all()
        else "laws have it falling; is it a score, or of runs that overfit?"
    )
    return [Note(f"loss rises with {' and '.join(wrong)}: {advice}", "loss")]


def _partial(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Student's t and the partial correlation of each column of ``x`` ``(n, k)`` with ``y``."""
    import numpy as np

    design = np.column_stack([np.ones(len(x)), (x - x.mean(axis=0)) / x.std(axis=0)])
    slopes, *_ = np.linalg.lstsq(design, y, rcond=None)
    free = len(y) - design.shape[1]
    spread = np.sqrt(((y - design @ slopes) ** 2).sum() / free)
    errors = spread * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
    t = slopes[1:] / np.maximum(errors[1:], 1e-9 * len(y))
    return t, t / np.sqrt(t**2 + free)
