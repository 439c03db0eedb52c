"""What each column of a table is to a run: its name, its size, its data, its seed, a setting."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scaling import RUN_COLUMNS, find_column, normalise

if TYPE_CHECKING:
    import pandas as pd

RUN = {
    "run", "runid", "runname", "runuid", "runuuid", "runpath", "runkey", "curve", "curveid",
    "trajectory", "trial", "trialid", "trialname", "jobid", "wandbid", "id",
}  # fmt: skip
"""Columns whose value is that of one run, whatever its rows."""

LABEL = {"name", "model", "modelname", "label"}
"""Columns that name a run where every row has its own, and may name a size or a family else."""

CONFIGURATION = {"config", "configid", "configname", "configuration"}

SEED = {
    "seed", "dataseed", "randomseed", "initseed", "modelseed", "rngseed", "replicate", "repeat",
    "rep", "repetition",
}  # fmt: skip

STEP = {
    "step", "globalstep", "trainstep", "trainingstep", "iteration", "iter", "checkpoint", "ckpt",
    "checkpointstep", "ckptstep",
}  # fmt: skip
"""Columns that only a row within a run has."""

STEPS = {
    "steps", "numsteps", "trainsteps", "trainingsteps", "iterations", "numiterations", "iters",
    "updates", "numupdates",
}  # fmt: skip
"""Columns that a row within a run has, and a run's last row too."""

FINAL = {"isfinal", "final", "isfinalcheckpoint", "finalcheckpoint", "islast", "islastcheckpoint"}

TIME = STEP | STEPS | FINAL | {
    "epoch", "epochs", "seconds", "time", "walltime", "runtime", "hours", "timestamp", "date",
    "device", "inferenceseconds", "secondsperstep",
}  # fmt: skip

AMOUNTS = {
    form
    for column in RUN_COLUMNS
    if column.unit == "FLOPs" or column.name in ("num_tokens", "num_tokens_planned")
    for form in (normalise(column.name), *column.spellings)
}
"""Columns that grow with a run."""

MARKS = {
    "istraining", "split", "partition", "excluded", "exclude", "outlier", "isoutlier", "reason",
    "excludereason", "status", "note", "notes", "comment", "sweep",
}  # fmt: skip

MEASURED = re.compile(r"loss|ppl|perplex|acc|err|bpb|bitsper|score|^eval/", re.IGNORECASE)

SETTINGS = {"lr", "learningrate", "batchsize", "bs", "width", "depth", "weightdecay", "wd"}
"""Columns that are settings even where nearly every row has its own value."""


@dataclass(frozen=True)
class Roles:
    """The columns of a table by what they are.

    ``size`` and ``data`` are N and D (or what grows with D: C, steps). ``ids`` name a run,
    ``labels`` may, ``seeds`` count repeats; ``settings`` are all others but what was measured and
    what grows with D. ``step`` is a column that only a row within a run has, ``own`` an id or a
    label with a value of its own in each row.
    """

    size: str | None
    data: str | None
    step: str | None
    ids: tuple[str, ...]
    labels: tuple[str, ...]
    seeds: tuple[str, ...]
    settings: tuple[str, ...]
    own: tuple[str, ...]

    @classmethod
    def of(cls, table: pd.DataFrame) -> Roles:
        """The roles of the columns of ``table``; those with one value have none, but for ids."""
        names = [str(name) for name in table.columns if table[name].nunique() > 1]
        sizes = (find_column("num_params", names), *(c for c in names if "param" in c.lower()))
        size = next((c for c in sizes if c), None)
        step = next(iter(named(names, STEP | FINAL)), None)
        grows = (find_column("num_tokens", names), find_column("flops", names))
        data = next(
            (c for c in (*grows, *named(names, STEP | STEPS)) if c and _counts(table[c])), None
        )
        own = [
            name
            for name in named(names, RUN | LABEL)
            if table[name].is_unique and not _is_row_number(table[name])
        ]
        seeds, ids = named(names, SEED), list[str]()
        for name in named(map(str, table.columns), RUN):
            if name not in own and not _is_row_number(table[name]):
                repeats = step is None and _counts_repeats(table, name, size, data)
                (seeds if repeats else ids).append(name)
        labels = [name for name in named(names, LABEL) if name not in own]
        known = {size, data, *own, *seeds, *ids, *labels}
        settings = [
            name
            for name in names
            if name not in known
            and normalise(name) not in TIME | MARKS | AMOUNTS
            and not MEASURED.search(name)
            and not (data and _follows(table, name, data, size))
        ]
        return cls(
            size, data, step, tuple(ids), tuple(labels), tuple(seeds), tuple(settings), tuple(own)
        )


def named(names: Iterable[str], forms: set[str]) -> list[str]:
    """Those of ``names`` that are written as one of ``forms``."""
    return [name for name in names if normalise(name) in forms]


def numbers_of(values: pd.Series) -> NDArray[np.float64]:
    """The values as numbers, NaN for what is none."""
    import pandas as pd

    return np.asarray(pd.to_numeric(values, errors="coerce"), dtype=float)


def one_each(table: pd.DataFrame, by: str, name: str) -> bool:
    """Whether the rows that agree in the column ``by`` have one value of ``name``."""
    return bool((table.groupby(by)[name].nunique() <= 1).all())


def _counts(values: pd.Series) -> bool:
    """Whether most of a column is numbers."""
    return 2 * int(np.isfinite(numbers_of(values)).sum()) > len(values)


def _is_row_number(values: pd.Series) -> bool:
    """Whether the values only count the rows."""
    return values.dtype.kind in "iu" and bool((values.diff().iloc[1:] == 1).all())


def _counts_repeats(table: pd.DataFrame, name: str, size: str | None, data: str | None) -> bool:
    """Whether a column called ``run`` counts the repeats of each size and amount of data."""
    if size is None and data is None:
        return table[name].dtype.kind in "iu" and bool(table[name].isin((0, 1)).any())
    if size is None or one_each(table, name, size):
        return False
    at = [column for column in (size, data) if column]
    return bool(table.duplicated(at).any() and not table.duplicated([name, *at]).any())


def _follows(table: pd.DataFrame, name: str, data: str, size: str | None) -> bool:
    """Whether a column rises, or falls, whenever the data of one size do, and only then."""
    values, amounts = numbers_of(table[name]), numbers_of(table[data])
    sizes = table.groupby(size).ngroup().to_numpy() if size else np.zeros(len(table))
    known = np.isfinite(amounts) & (sizes >= 0)
    if not np.isfinite(values[known]).all():
        return False
    values, amounts, sizes = values[known], amounts[known], sizes[known]
    order = np.lexsort((amounts, sizes))
    same = np.diff(sizes[order]) == 0
    rises, steps = (np.sign(np.diff(x[order]))[same] for x in (amounts, values))
    return bool(rises.any() and (np.array_equal(rises, steps) or np.array_equal(rises, -steps)))
