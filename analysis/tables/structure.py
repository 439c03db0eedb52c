"""Which rows of a table hang together: checkpoints of one run, seeds of one configuration.

Rows of one run share what befell it, and seeds of one configuration what a law does not say of
it: drawn one by one they make intervals too narrow, and a backtest that holds out some of a run's
rows has seen the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from analysis.tables.roles import (
    CONFIGURATION,
    RUN,
    SETTINGS,
    STEPS,
    Roles,
    named,
    numbers_of,
    one_each,
)
from scaling import find_column, normalise

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["runs", "checkpoints", "seeds"]

MANY = 9
"""Amounts of data for one size beyond which they are taken as checkpoints: who trains a size anew
for each seldom does so nine times."""

SAME_STEP = 0.05
"""Relative difference up to which two steps between amounts of data are equal."""

FEW = 3
"""Amounts of data for one size from which it is a question whether they are one run's."""


@dataclass(frozen=True)
class Structure:
    """Which rows of a table hang together.

    Attributes
    ----------
    labels : int array ``(n_rows,)``
        The run that each row belongs to, or the configuration whose seeds the rows are,
        numbered from 0 in the order of the table.
    column : str or None
        The column (columns, with commas) that tells it; None where a size that repeats with
        rising data does.
    kind : "runs", "checkpoints" or "seeds"
        ``runs``: each row by itself.
    says : str
        The same in one line.
    sure : bool
        Whether the table leaves no doubt; ``says`` names the other reading where it does.
    """

    labels: NDArray[np.intp]
    column: str | None
    kind: Kind
    says: str
    sure: bool = True

    @property
    def groups(self) -> int:
        """Number of runs, or of configurations."""
        return int(self.labels.max(initial=-1)) + 1


def structure(runs: pd.DataFrame) -> Structure:
    """Which rows of ``runs`` are of one run or one configuration, by its columns alone.

    Rows are **checkpoints** of a run if

    1. a column such as ``run``, ``run_id``, ``run_name`` or ``curve`` repeats, and each of its
       values has one size; or
    2. rows agree in size and in every other setting and differ in their amount of data, and
       there is a ``step``, ``iteration`` or ``checkpoint`` column, or a flag such as ``is_final``;
       or
    3. (a guess, and said to be one) they so agree, no column gives each row a name of its own,
       and more than half of the steps from one amount of data to the next are equal, as when a
       run is evaluated every so many steps; or
    4. (a guess too) the same, but with nine or more amounts a size or a column ``steps`` in place
       of equal steps, unless the sizes share a few budgets C or ratios D/N and have more amounts D,
       as grids of separate runs do.

    They are **seeds** of a configuration if they agree in all settings, the data included, and
    there is a ``seed`` or a ``config`` column, or a quarter of the rows differ from another in
    nothing but what was measured. All other rows are **runs** by themselves; where most sizes have
    three or more amounts of data and nothing tells, that is said.

    Parameters
    ----------
    runs : DataFrame
        A run table (``scaling/schema.py``), or any table with columns by their usual spellings.

    Returns
    -------
    Structure

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"run": ["a", "a", "b", "b"], "step": [1, 2, 1, 2]})
    >>> structure(rows).says
    '4 rows are checkpoints of 2 runs (column run): they are drawn together'
    """
    if not len(runs):
        return Structure(np.arange(0), None, "runs", "0 rows")
    table = _plain(runs)
    columns = Roles.of(table)
    return (
        _by_run_column(table, columns)
        or _by_repeated_size(table, columns)
        or _by_repeated_settings(table, columns)
        or _alone(table, columns)
    )


def _plain(runs: pd.DataFrame) -> pd.DataFrame:
    """A table with rows numbered, columns named once each, and lists and the like as text."""
    table = runs.set_axis(runs.columns.map(str), axis=1).reset_index(drop=True)
    table = table.loc[:, ~table.columns.duplicated()]
    nested = [
        name
        for name in table.columns
        if table[name].dtype == object
        and table[name].map(lambda value: isinstance(value, list | dict | set | np.ndarray)).any()
    ]
    return table.assign(**{name: table[name].map(str) for name in nested})


def _by_run_column(table: pd.DataFrame, columns: Roles) -> Structure | None:
    """Rule 1: a column that names the run of each row, with the size where runs share names."""
    for name in columns.ids:
        key = [name]
        if columns.size and not one_each(table, name, columns.size):
            if columns.step is None:
                continue
            key = [name, columns.size]
        labels = _numbered(table, key)
        if labels.max() + 1 == len(table):
            continue
        rises = columns.data and _amounts(table, labels, columns.data).max() > 1
        told = f"column{'s' * (len(key) > 1)} {', '.join(key)}"
        return _together(
            labels, ", ".join(key), "checkpoints", "checkpoints" if rises else "rows", told
        )
    return None


def _by_repeated_size(table: pd.DataFrame, columns: Roles) -> Structure | None:
    """Rules 2 to 4: all but the amount of data repeats."""
    labels = _repeats(table, columns)
    if labels is None or columns.data is None:
        return None
    told = f"{columns.size or 'all but the data'} repeats with rising {columns.data}"
    if _has_budgets(table, columns):  # a step is then the last one of a run
        return None
    if columns.step is not None and not named(columns.own, RUN):
        told = f"{told}, column {columns.step}"
        return _together(labels, None, "checkpoints", "checkpoints", told)
    if columns.own:
        return None
    many = int(np.median(_amounts(table, labels, columns.data)[labels]))
    steps = named(map(str, table.columns), STEPS)
    if _is_regular(table, labels, columns.data):
        guess = "in equal steps"
    elif _is_grid(table, columns):
        return None
    elif steps:
        guess = f"column {steps[0]}"
    elif many >= MANY and (columns.size or columns.labels):
        guess = f"{many} values each"
    else:
        return None
    told = f"{told}, {guess}"
    return _together(labels, None, "checkpoints", "taken as checkpoints", told, sure=False)


def _by_repeated_settings(table: pd.DataFrame, columns: Roles) -> Structure | None:
    """Seeds: all settings repeat, the amount of data included."""
    at = [name for name in (columns.size, columns.data) if name]
    for name in named(map(str, table.columns), CONFIGURATION):
        if at and all(one_each(table, name, other) for other in at):
            labels = _numbered(table, [name])
            if labels.max() + 1 < len(table):
                return _together(labels, name, "seeds", "seeds", f"column {name}")
    settings = [*at, *columns.labels, *columns.settings]
    if columns.seeds:
        settings = [name for name in settings if name in at or not _is_loose(table, name)]
    else:
        settings += [*columns.ids, *columns.own]
    if not settings:
        return None
    labels = _numbered(table, settings)
    repeated = (np.bincount(labels)[labels] > 1).mean()
    if columns.seeds and repeated:
        seeds = ", ".join(columns.seeds)
        return _together(labels, seeds, "seeds", "seeds", f"column {seeds}")
    if repeated > 0.25:
        return _together(labels, None, "seeds", "repeats", "equal in all but what was measured")
    return None


def _alone(table: pd.DataFrame, columns: Roles) -> Structure:
    """Each row by itself; with a doubt where a size has several amounts of data and none tells."""
    rows, labels = np.arange(len(table)), _repeats(table, columns)
    own = columns.own[0] if columns.own else None
    says = f"{len(table)} rows are runs by themselves" + (f" (column {own})" if own else "")
    told = own or not (columns.size or columns.labels) or _is_grid(table, columns)
    if labels is None or columns.data is None or told:
        return Structure(rows, own, "runs", says)
    amounts = _amounts(table, labels, columns.data)
    if (amounts[labels] >= FEW).mean() < 0.5:
        return Structure(rows, own, "runs", says)
    by = columns.size or columns.labels[0]
    says = (
        f"{len(table)} rows are taken as runs by themselves, though {by} "
        f"repeats with up to {amounts.max()} values of {columns.data}; if they are checkpoints: "
        f"--cluster {by}"
    )
    return Structure(rows, None, "runs", says, sure=False)


def _together(
    labels: NDArray[np.intp],
    column: str | None,
    kind: Kind,
    what: str,
    told: str,
    sure: bool = True,
) -> Structure:
    """The structure that ``labels`` are, with its line."""
    groups = int(labels.max()) + 1
    whole = "configuration" if kind == "seeds" else "run"
    says = (
        f"{len(labels)} rows are {what} of {groups} {whole}{'s' * (groups > 1)} ({told}): they are "
        "drawn together" + ("" if sure else "; --cluster none if each was trained by itself")
    )
    return Structure(labels, column, kind, says, sure)


def _numbered(table: pd.DataFrame, by: list[str]) -> NDArray[np.intp]:
    """Number ``(n_rows,)`` of the group of each row, in the table's order.

    A row without a value of the first column is a group of its own.
    """
    import pandas as pd

    group = np.asarray(table.groupby(by, sort=False, dropna=False).ngroup())
    group = np.where(table[by[0]].notna(), group, -1 - np.arange(len(table)))
    return np.asarray(pd.factorize(group)[0])


def _repeats(table: pd.DataFrame, columns: Roles) -> NDArray[np.intp] | None:
    """The group of rows equal in all but data, if most rows are in one with several amounts."""
    if columns.data is None:
        return None
    settings = [name for name in columns.settings if table[name].nunique() <= len(table) / 2]
    size = [columns.size] if columns.size else []
    key = [*size, *columns.ids, *columns.labels, *columns.seeds, *settings]
    labels = _numbered(table, key) if key else np.zeros(len(table), dtype=np.intp)
    amounts = _amounts(table, labels, columns.data)
    return labels if (amounts > 1)[labels].mean() >= 0.5 else None


def _is_loose(table: pd.DataFrame, name: str) -> bool:
    """Whether nearly each row has a value of its own, as of what was measured."""
    return table[name].nunique() > len(table) / 2 and normalise(name) not in SETTINGS


def _amounts(table: pd.DataFrame, labels: NDArray[np.intp], data: str) -> NDArray[np.intp]:
    """Number of distinct amounts of data in each group."""
    return np.asarray(table[data].groupby(labels).nunique())


def _is_regular(table: pd.DataFrame, labels: NDArray[np.intp], data: str) -> bool:
    """Whether more than half of the steps between a group's amounts of data are equal."""
    equal = count = 0
    amounts = numbers_of(table[data])
    for group in range(labels.max() + 1):
        steps = np.diff(np.unique(amounts[(labels == group) & np.isfinite(amounts)]))
        if len(steps) > 2:
            equal += int((np.abs(steps / np.median(steps) - 1) < SAME_STEP).sum())
            count += len(steps)
    return 2 * equal > count


def _is_grid(table: pd.DataFrame, columns: Roles) -> bool:
    """Whether sizes share budgets C or ratios D/N, of which there are clearly fewer than D.

    Grids of separate runs do; checkpoints are taken at the same D in each run, or at any.
    """
    if columns.size is None or columns.data is None:
        return False
    if _has_budgets(table, columns):
        return True
    with np.errstate(all="ignore"):
        size, data = (np.log(numbers_of(table[c])) for c in (columns.size, columns.data))
    if columns.data == find_column("flops", list(map(str, table.columns))):
        data = data - size
    known = np.isfinite(size + data)
    size, data = size[known], data[known]
    if not len(data):
        return False
    _, amounts = _shared(data, size)
    found = (_shared(x, size) for x in (data + size, data - size))
    return any(share > 0.5 and values < 0.7 * amounts for share, values in found)


def _has_budgets(table: pd.DataFrame, columns: Roles) -> bool:
    """Whether nearly all rows have a budget C, as the table says it, that rows of other sizes have,
    and budgets are far fewer than amounts of data."""
    stated = find_column("flops", list(map(str, table.columns)))
    if stated is None or columns.size is None or columns.data in (None, stated):
        return False
    with np.errstate(all="ignore"):
        budget, size, data = (
            np.log(numbers_of(table[name])) for name in (stated, columns.size, columns.data)
        )
    known = np.isfinite(budget + size + data)
    if not known.any():
        return False
    share, budgets = _shared(budget[known], size[known])
    return share > 0.9 and 2 * budgets < _shared(data[known], size[known])[1]


def _shared(logs: NDArray[np.float64], size: NDArray[np.float64]) -> tuple[float, int]:
    """Share of the rows whose value, to 1 %, a row of another size has; number of values."""
    values, codes = np.unique(np.round(logs, 2), return_inverse=True)
    sizes = np.unique(size, return_inverse=True)[1]
    pairs = np.unique(np.stack([codes, sizes]), axis=1)
    return float((np.bincount(pairs[0])[codes] > 1).mean()), len(values)
