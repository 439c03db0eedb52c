"""``backtest``: fit the small runs, predict the held-out large ones, and compare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.fits import Estimand, TooFewRowsError
from analysis.forecasts.blend import forecast
from analysis.forecasts.candidates import candidates, columns_of
from analysis.forecasts.cutoffs import cutoffs, folds
from analysis.forecasts.rows import Rows
from analysis.forecasts.scores import crps, interval_score
from analysis.intervals import excluded
from analysis.laws import Law, law_for
from analysis.tables import place, structure
from scaling.base import NoAnswerError, progress

if TYPE_CHECKING:
    import pandas as pd

STEP, DEPTH = 1.0, 3
"""Without ``train_col``: runs are held out beyond 1/2, 1/4 and 1/8 of the largest of each input."""

LEVEL = 0.9

_TRUE = frozenset(("1", "1.0", "true", "yes", "train"))
_FALSE = frozenset(("0", "0.0", "false", "no", "test"))


@dataclass(frozen=True)
class Split:
    """One fit and its held-out runs.

    ``size`` is the largest x (N D for laws of both) that was fitted; ``rmse`` is the root mean
    square of predicted - measured, ``rmse_log`` that of ln(predicted / measured) and ``bias_log``
    the mean of it (NaN where a value is not positive); ``coverage_90`` is the share of held-out
    runs inside the 90 % interval, ``interval_score`` and ``crps`` are the means of ``scores``, in
    logarithms where the forecast is. ``weights`` are those of the laws, ``rows`` the positions of
    the held-out rows in the table, ``names`` their names, ``beyond`` how many times ``size`` each
    of them is, and ``predicted``, ``low``, ``high`` the prediction and its interval.
    """

    size: float
    n_train: int
    n_test: int
    rmse: float
    rmse_log: float
    bias_log: float
    coverage_90: float
    interval_score: float
    crps: float
    weights: dict[str, float]
    rows: NDArray[np.intp] = field(repr=False)
    names: tuple[str, ...] = field(repr=False)
    beyond: NDArray[np.float64] = field(repr=False)
    actual: NDArray[np.float64] = field(repr=False)
    predicted: NDArray[np.float64] = field(repr=False)
    low: NDArray[np.float64] = field(repr=False)
    high: NDArray[np.float64] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The numbers of the split; ``predictions`` has one dict for each row held out."""
        each = ("beyond", "actual", "predicted", "low", "high")
        found = {k: v for k, v in asdict(self).items() if k not in ("rows", "names", *each)}
        columns = {"row": self.rows.tolist(), "name": list(self.names)}
        columns |= {name: getattr(self, name).tolist() for name in each}
        found["predictions"] = [
            dict(zip(columns, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        ]
        return found


@dataclass(frozen=True)
class Group:
    """The splits of one group of runs; ``status`` is ``"ok"``, why there are none or what is odd.

    ``rmse_log`` and the like are means over the splits. ``together`` says which rows were kept on
    one side of each cut-off.
    """

    key: str
    law: str
    status: str
    splits: tuple[Split, ...]
    n_excluded: int = 0
    together: str = ""

    def mean(self, name: str) -> float:
        """Mean of an attribute over the splits; NaN without one."""
        values = [getattr(split, name) for split in self.splits]
        return float(np.mean(values)) if values else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """``n_train`` is that of the largest fit, ``n_test`` the number of predictions.

        A row that several fits predict counts once in ``n_held_out``.
        """
        rows = [split.rows for split in self.splits]
        return {
            "key": self.key,
            "law": self.law,
            "status": self.status,
            "n_train": max((split.n_train for split in self.splits), default=0),
            "n_test": sum(split.n_test for split in self.splits),
            "n_held_out": len(np.unique(np.concatenate(rows))) if rows else 0,
            "n_excluded": self.n_excluded,
            "rows_together": self.together,
            "rmse": self.mean("rmse"),
            "rmse_log": self.mean("rmse_log"),
            "bias_log": self.mean("bias_log"),
            "coverage_90": self.mean("coverage_90"),
            "interval_score": self.mean("interval_score"),
            "crps": self.mean("crps"),
            "splits": [split.to_dict() for split in self.splits],
        }


@dataclass(frozen=True)
class Backtest:
    """How well a law predicted what it had not seen."""

    law: str
    groups: tuple[Group, ...]

    @property
    def mean_rmse_log(self) -> float:
        """Mean over groups of the root mean square of ln(predicted / measured)."""
        return self._mean("rmse_log")

    @property
    def bias_log(self) -> float:
        """Mean over groups of the mean of ln(predicted / measured)."""
        return self._mean("bias_log")

    @property
    def coverage_90(self) -> float:
        """Share of all held-out runs, of all groups and splits, inside their 90 % interval."""
        splits = [split for group in self.groups for split in group.splits]
        return float(
            np.average([s.coverage_90 for s in splits], weights=[s.n_test for s in splits])
        )

    @property
    def interval_score(self) -> float:
        """Mean over groups of the interval score (``scores``)."""
        return self._mean("interval_score")

    @property
    def crps(self) -> float:
        """Mean over groups of the continuous ranked probability score (``scores``)."""
        return self._mean("crps")

    def to_dict(self) -> dict[str, Any]:
        """What ``scaling backtest --json`` prints."""
        return {
            "law": self.law,
            "groups": [group.to_dict() for group in self.groups],
            "mean_rmse_log": self.mean_rmse_log,
            "bias_log": self.bias_log,
            "coverage_90": self.coverage_90,
            "interval_score": self.interval_score,
            "crps": self.crps,
        }

    def _mean(self, name: str) -> float:
        return float(np.mean([group.mean(name) for group in self.groups if group.splits]))


def backtest(
    runs: pd.DataFrame,
    *,
    law: str | Law = "auto",
    by: Sequence[str] = (),
    x_col: str | None = None,
    y_col: str | None = None,
    train_col: str | None = None,
    estimand: Estimand | None = None,
    within_runs: bool = False,
    seed: int = 0,
) -> Backtest:
    """Fit ``law`` to the small runs of each group and predict the others.

    Parameters
    ----------
    runs : DataFrame
        One row per run, or per point of a learning curve.
    law : str or Law
        ``"auto"`` averages laws, see ``analysis.forecast``.
    by : sequence of str
        Columns; each combination of their values is fitted by itself.
    x_col, y_col : str
        The variable of a one-variable law, and what is predicted (what the law says, or loss).
    train_col : str, optional
        Rows where it is true (1, true, yes, train) are fitted and the others predicted. Without
        it the runs are cut at 1/2, 1/4 and 1/8 of the largest x, or N and D (1/4, 1/16 and 1/64
        of the largest N D), and everything beyond is predicted from what lies below.
    estimand : Estimand, optional
        How a given law is fitted.
    within_runs : bool
        Whether rows of one run (``analysis.tables.structure``) may be fitted and others of it
        predicted. Where ``train_col`` says what is fitted it always may.
    seed : int
        Of the random starts of ``fit``.

    Returns
    -------
    Backtest

    Raises
    ------
    ValueError
        If a column is missing or a value of ``train_col`` is neither true nor false.
    NoAnswerError
        If no group can be both fitted and predicted.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> x = np.geomspace(1e6, 1e9, 30)
    >>> curve = pd.DataFrame({"x": x, "loss": 0.5 + 40 * x**-0.3})
    >>> backtest(curve, law="power_floor", x_col="x").mean_rmse_log < 1e-3
    True
    """
    name = law if isinstance(law, str) else law.name
    y_col = y_col or ("loss" if law == "auto" else law_for(law, runs).output)
    for column in (*by, *([train_col] if train_col else [])):
        if column not in runs.columns:
            have = ", ".join(map(str, runs.columns))
            raise ValueError(f"the run table has no column {column!r}; it has {have}")
    asked = replace(estimand or Estimand(), x_col=x_col, y_col=y_col)
    how = _How(law, asked, within_runs or train_col is not None, seed)
    train = None if train_col is None else _flags(runs, train_col)
    tables = list(_tables(runs, by))
    groups = []
    with progress("backtest", total=len(tables)) as advance:
        for key, rows in tables:
            flags = None if train is None else train[rows]
            groups.append(_group(key, runs, rows, flags, how))
            advance(1)
    if not any(group.splits for group in groups):
        raise NoAnswerError(f"nothing could be predicted: {groups[0].status}")
    return Backtest(name, tuple(groups))


@dataclass(frozen=True)
class _How:
    """What all groups of a backtest have in common."""

    law: str | Law
    estimand: Estimand
    within_runs: bool
    seed: int

    @property
    def is_auto(self) -> bool:
        return isinstance(self.law, str) and self.law == "auto"

    @property
    def name(self) -> str:
        return self.law if isinstance(self.law, str) else self.law.name


def _tables(runs: pd.DataFrame, by: Sequence[str]) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """The name and the row positions of each group, in the order of the table."""
    if not by:
        yield "all", np.arange(len(runs))
        return
    for key, rows in runs.groupby(list(by), sort=False, dropna=False).indices.items():
        values = key if isinstance(key, tuple) else (key,)
        yield ", ".join(str(value) for value in values), np.sort(rows)


def _group(
    key: str,
    runs: pd.DataFrame,
    rows: NDArray[np.intp],
    train: NDArray[np.bool_] | None,
    how: _How,
) -> Group:
    """All splits of one group; a group that is too small says so in its status."""
    part = runs.iloc[rows]
    x_col = how.estimand.x_col
    laws = (
        candidates(part, columns_of(x_col), how.estimand.y_col or "loss")
        if how.is_auto
        else (law_for(how.law, part),)
    )
    shape = min(laws, key=lambda each: len(each.parameters))
    one = x_col if len(columns_of(x_col)) == 1 else None
    estimand = replace(how.estimand, x_col=one)
    estimand = replace(estimand, space=shape.space) if how.is_auto else estimand
    try:
        whole = Rows.of(shape, part, estimand, how.within_runs, how.seed)
    except TooFewRowsError as error:
        return Group(key, how.name, str(error), ())
    together = ""
    if train is None:
        kept = structure(part)
        together = kept.says if kept.kind != "runs" and whole.labels is not None else ""
        size, labels = whole.size, whole.labels
        cuts = cutoffs(size, len(whole.by), step=STEP, depth=DEPTH, window=None, labels=labels)
        if not cuts and (labels is not None or not whole.by):
            cuts = folds(size, np.arange(len(size)) if labels is None else labels, how.seed)
        pairs = [(whole.at[cut.seen], whole.at[cut.ahead]) for cut in cuts]
        status = f"{len(size)} runs leave too few below half of the largest size; widen the range"
    else:
        flags = train[whole.at]
        pairs = [(whole.at[flags], whole.at[~flags])]
        status = f"{int(flags.sum())} runs to fit and {int((~flags).sum())} to predict"
    splits = []
    for below, beyond in pairs:
        if len(below) <= len(shape.parameters) or not len(beyond):
            continue
        try:
            splits.append(_split(runs, rows[below], rows[beyond], how))
        except NoAnswerError as error:
            status = str(error)
    return Group(
        key, how.name, _odd(splits) if splits else status, tuple(splits), len(whole.excluded),
        together,
    )  # fmt: skip


def _odd(splits: list[Split]) -> str:
    """``"ok"``, or how many intervals exclude what they are about."""
    out = np.concatenate([excluded(s.predicted, s.low, s.high) for s in splits])
    if not out.any():
        return "ok"
    return f"{int(out.sum())} of {len(out)} intervals exclude their own prediction"


def _split(
    runs: pd.DataFrame, below: NDArray[np.intp], beyond: NDArray[np.intp], how: _How
) -> Split:
    x_col, y_col = how.estimand.x_col, how.estimand.y_col or "loss"
    found = forecast(
        runs.iloc[below], how.law, x_col=x_col, y_col=y_col, estimand=how.estimand,
        within_runs=how.within_runs, seed=how.seed,
    )  # fmt: skip
    held_out = runs.iloc[beyond]
    actual = held_out[y_col].to_numpy(dtype=float)
    predicted = found.predict(held_out)
    if not np.isfinite(predicted).all():
        kind = "positive " * (found.space == "log")
        raise NoAnswerError(
            f"law {found.law} has no {kind}value at {int((~np.isfinite(predicted)).sum())} of "
            f"{len(actual)} held-out runs; choose another law"
        )
    low, high = found.predict_ci(held_out, LEVEL)
    scale = _logs if found.space == "log" else np.asarray
    ratio = _logs(predicted) - _logs(actual)
    return Split(
        size=float(np.exp(found.average.end)),
        n_train=found.n_runs,
        n_test=len(actual),
        rmse=float(np.sqrt(np.mean((predicted - actual) ** 2))),
        rmse_log=float(np.sqrt(np.mean(ratio**2))),
        bias_log=float(np.mean(ratio)),
        coverage_90=float(np.mean((low <= actual) & (actual <= high))),
        interval_score=float(
            np.mean(interval_score(scale(low), scale(high), scale(actual), LEVEL))
        ),
        crps=float(np.mean(crps(scale(found.sample(held_out)), scale(actual)))),
        weights=dict(zip((e.name for e in found.laws), found.weights.tolist(), strict=True)),
        rows=beyond,
        names=tuple(_name(runs, int(row)) for row in beyond),
        beyond=found.beyond(held_out),
        actual=actual,
        predicted=predicted,
        low=low,
        high=high,
    )


def _name(runs: pd.DataFrame, row: int) -> str:
    """The name of a run, where it has one, else where its row stands."""
    for column in ("name", "run_id"):
        if column in runs.columns and isinstance(name := runs[column].iloc[row], str) and name:
            return name
    return place(runs, row)


def _logs(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithms; NaN where there is none."""
    with np.errstate(all="ignore"):
        return np.where(values > 0, np.log(values), np.nan)


def _flags(runs: pd.DataFrame, train_col: str) -> NDArray[np.bool_]:
    """``train_col`` as booleans; ``ValueError`` names the first row that is neither."""
    out = np.zeros(len(runs), dtype=bool)
    for row, value in enumerate(runs[train_col]):
        text = str(value).strip().lower()
        if text not in _TRUE | _FALSE:
            raise ValueError(
                f"{place(runs, row)}, column {train_col!r}: {value!r} is neither true nor false; "
                "write 1 to fit the row and 0 to predict it"
            )
        out[row] = text in _TRUE
    return out
