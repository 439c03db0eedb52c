"""The MLflow run that a program itself makes, in a store of its own in its folder."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator

from scaling.programs.readers.by_step import BySteps, Value
from scaling.programs.readers.reports import Reports
from scaling.programs.readers.source import Found, Places

LOOK_SECONDS = 3.0  # each look asks for every metric's history


class MLflow:
    """The metrics of all runs in the store that ``MLFLOW_TRACKING_URI`` names to the program.

    The step is MLflow's; with ``step: NAME`` the metric of that name at the same step.
    """

    name = "its MLflow run"

    def __init__(self, reports: Reports, places: Places) -> None:
        from scaling.tracking import connect

        places.run_dir.mkdir(parents=True, exist_ok=True)
        self._uri = f"sqlite:///{places.run_dir / 'mlflow.db'}"
        connect(self._uri)  # the tables are there before the program, which may be several
        self._seen: Counter[tuple[str, str]] = Counter()
        self._looked = 0.0
        self._steps = BySteps(reports.step)

    def environment(self) -> dict[str, str]:
        """The store's address."""
        return {"MLFLOW_TRACKING_URI": self._uri}

    def read(self, *, last: bool) -> Iterable[Found]:
        """New metrics; none where it was asked a moment ago."""
        if not last and time.monotonic() - self._looked < LOOK_SECONDS:
            return ()
        self._looked = time.monotonic()
        return self._steps.records(self._values(last), last=last)

    def _values(self, last: bool) -> Iterator[Value]:
        from scaling.tracking import TrackingError, metric_histories

        try:
            found = list(metric_histories(self._uri))
        except TrackingError:  # the program writes, and SQLite lets one at a time
            if last:
                raise
            return
        for run, name, history in found:
            new = history[self._seen[run, name] :]
            self._seen[run, name] += len(new)
            for step, value in new:
                yield step, name, value
