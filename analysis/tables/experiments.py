"""The runs of an MLflow experiment as a run table: ours, and anybody's.

This is the only reader of MLflow in ``analysis``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analysis.tables.kept import kept, read_values, write_values
from analysis.tables.options import differing, settings
from analysis.tables.reading import TableReading, understood
from analysis.tables.rows import NUMBERS, TEXTS, extra_columns, is_extra, run_table, why_not
from scaling import CURVE_COLUMNS, EVAL_PREFIX
from scaling.run import trained_columns
from scaling.table_file import Lines
from scaling.tracking import (
    OURS,
    curve_metrics,
    histories,
    prints,
    spec_of,
    store_state,
    stored_runs,
    without_binders,
)

if TYPE_CHECKING:
    import pandas as pd

    from scaling.tracking import StoredRun

_OPTIONS = "options."  # before the names of a program's options among the params of a run
MOST_CHANGED = 0.5  # of the runs: beyond it all are read
STATUS = {"FINISHED": "done", "RUNNING": "running", "SCHEDULED": "planned", "KILLED": "stopped"}


def experiment_runs(
    uri: str, name: str, columns: Mapping[str, str], how: TableReading
) -> tuple[pd.DataFrame, bool]:
    """The run table of an experiment, and whether its runs are ours.

    Anybody's are read as a file is: each parameter, metric and numeric tag is a column under its
    own name, ``columns`` and usual spellings say what it is. What is no number is the reason why
    a run is left out. While the store does not change the table is kept (:mod:`.kept`); after a
    change only those of our runs are read of which something differs.
    """

    def make() -> pd.DataFrame:
        said = _known_runs(uri, name)
        if said is None:
            before = store_state(uri)
            runs = stored_runs(uri, name)
            if runs and not any(OURS in run.tags for run in runs):
                return _anybodys_runs(name, runs, columns, how)
            said = [_said(name, run) for run in runs]
            _keep(uri, name, runs, said, before)
        return _own_runs(said)

    frame = kept(uri, (name, sorted(columns.items()), how), make)
    return frame, "source" not in frame.attrs


def _anybodys_runs(
    name: str, stored: Sequence[StoredRun], columns: Mapping[str, str], how: TableReading
) -> pd.DataFrame:
    import pandas as pd

    runs, notes = without_binders(stored)
    rows = [_plain(run) for run in runs]
    both = sorted({name for run in runs for name in run.metrics.keys() & run.params.keys()})
    if both:
        notes.append(f"{', '.join(both)}: parameters and metrics have these names; metrics count")
    frame = pd.DataFrame(rows)
    frame.attrs["lines"] = Lines(f"run {row['name']!r}" for row in rows)
    frame.attrs["source"] = name
    _say_twins(frame, notes)
    frame = understood(frame, columns, how, f"experiment {name}", notes)
    reasons = frame["exclude_reason"].tolist()
    for row, message in frame.attrs.pop("faults"):
        said = message.removeprefix(f"experiment {name}: ")
        reasons[row] = reasons[row] or said.partition("; write")[0]
        notes.append(f"left out, {said}")
    frame["exclude_reason"] = reasons
    return frame


def _plain(run: StoredRun) -> dict[str, Any]:
    """What a run says, by name: metrics before parameters before tags that are numbers."""
    status = STATUS.get(run.status, "failed")
    own = {"run_id": run.run_id, "name": run.name, "status": status}
    known = {**dict(_numeric(run.tags)), **run.params, **run.metrics}
    return {**known, **own, "exclude_reason": why_not(status)}


def _numeric(tags: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    for name, text in tags.items():
        try:
            number = float(text)
        except ValueError:
            continue
        if not name.startswith("mlflow.") and math.isfinite(number):
            yield name, number


def _say_twins(frame: pd.DataFrame, notes: list[str]) -> None:
    """A note on runs that are equal but for their ids and names."""
    said = frame.drop(columns=["run_id", "name"]).astype(str)
    for _, group in frame[said.duplicated(keep=False)].groupby(list(said.columns), dropna=False):
        names = ", ".join(map(repr, group["name"]))
        notes.append(f"{len(group)} runs are equal in all but their ids ({names}); all kept")


_Said = tuple[bool, dict[str, Any], dict[str, Any], dict[str, Any]]
"""Of a run that our tracker shipped: whether it has our tag, its options, columns, what follows."""


def _known_runs(uri: str, name: str) -> list[_Said] | None:
    """What the runs of an experiment of ours say; None where most of that is to be read.

    What a run said is kept with a print of all that the store has of it.
    """
    known = read_values(uri, name)
    marks = prints(uri, name) if known else None
    if not known or not marks:
        return None
    changed = [run for run, mark in marks.items() if known.get(run, [""])[0] != mark]
    if len(changed) > len(marks) * MOST_CHANGED:
        return None
    new = {run.run_id: run for run in stored_runs(uri, name, changed)} if changed else {}
    for run in changed:
        known[run] = [marks[run], _said(name, new[run]) if run in new else None]
    said = [known[run][1] for run in marks if known[run][1]]
    return said if any(run[0] for run in said) else None


def _keep(
    uri: str, name: str, runs: Sequence[StoredRun], said: Sequence[_Said], before: object
) -> None:
    marks = prints(uri, name) if before else None
    if marks and store_state(uri) == before:  # so they are of what was read
        told = {run.run_id: one for run, one in zip(runs, said, strict=True)}
        write_values(uri, name, {run: [mark, told.get(run)] for run, mark in marks.items()})


def _said(name: str, run: StoredRun) -> _Said:
    """What one run says for the run table."""
    tags, params, metrics = run.tags, run.params, run.metrics
    spec = spec_of(params)
    row: dict[str, Any] = {"run_id": run.run_id, "name": run.name, "sweep": name}
    row["status"] = STATUS.get(run.status, "failed")
    if tags.get("scaling.status") == "diverged":
        row["status"] = "diverged"
    for column in TEXTS:
        value = tags.get(f"scaling.{column}", params.get(column))
        if value is not None:
            row[column] = value
    for column in NUMBERS:
        keys = (f"final/{column}", f"scale/{column}", column)
        number = next((metrics[key] for key in keys if key in metrics), params.get(column))
        if number is not None:
            row[column] = number
    row.update({k: v for k, v in metrics.items() if k.startswith(EVAL_PREFIX)})
    final = {k.removeprefix("final/"): v for k, v in metrics.items() if k.startswith("final/")}
    row.update({k: v for k, v in final.items() if k not in row and is_extra(k, v)})
    rest = _options(params)
    tokens = metrics.get("final/tokens")
    if tokens is not None and "scale/num_tokens_planned" not in metrics:
        # It went to its end, or was shipped by a tracker of before.
        rest.update(trained_columns({**row, **rest, "spec": spec}, {"tokens": tokens}))
    reason = why_not(row["status"], tags.get("scaling.reason"))
    rest["exclude_reason"] = {**row, **rest}.get("exclude_reason") or reason
    return OURS in tags, settings(spec), row, rest


def _own_runs(said: Sequence[_Said]) -> pd.DataFrame:
    """The run table of runs that our tracker has shipped."""
    told = differing([options for _, options, _, _ in said])
    return run_table([one | row | rest for one, (_, _, row, rest) in zip(told, said, strict=True)])


def _options(params: Mapping[str, str]) -> dict[str, Any]:
    """The options of a program's run, as far as a table holds them."""
    texts = {k.removeprefix(_OPTIONS): v for k, v in params.items() if k.startswith(_OPTIONS)}
    values = {name: spec_of({"value": text})["value"] for name, text in texts.items()}
    return {name: v for name, v in values.items() if isinstance(v, str | int | float)}


def experiment_curves(uri: str, name: str) -> pd.DataFrame:
    """The learning curves of an experiment's runs."""
    import pandas as pd

    names = [column.name for column in CURVE_COLUMNS]
    runs = stored_runs(uri, name)
    wanted = {run.run_id: _of_curve(run) for run in runs}
    found = histories(uri, runs, {metric for of in wanted.values() for metric in of.values()})
    rows: list[dict[str, Any]] = []
    for run in runs:
        by_step: dict[int, dict[str, Any]] = {}
        for column, metric in wanted[run.run_id].items():
            for step, value in found[run.run_id].get(metric, ()):
                by_step.setdefault(step, {})[column] = value
        run_id = run.tags.get(OURS, run.run_id)
        rows.extend({"run_id": run_id, "step": s, **by_step[s]} for s in sorted(by_step))
    return pd.DataFrame(rows, columns=[*names, *extra_columns(rows)])


def _of_curve(run: StoredRun) -> dict[str, str]:
    """Column -> metric of a run's learning curve.

    What kept weights were evaluated on is no part of it, and has no final value.
    """
    ended = "final/tokens" in run.metrics
    return {
        column: metric
        for column, metric in curve_metrics(run.metrics).items()
        if metric in run.metrics
        and not (ended and metric == column and f"final/{metric}" not in run.metrics)
    }
