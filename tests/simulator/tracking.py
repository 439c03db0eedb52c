"""A tracking store in memory, which is away, or does what it is asked and does not say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from mlflow.exceptions import MlflowException

from scaling.tracking import Tracker
from tests.simulator.kernel import Kernel


@dataclass
class Shelf:
    """One run in the store."""

    run_id: str
    tags: dict[str, str]
    status: str = "RUNNING"
    stage: str = "active"
    params: dict[str, str] = field(default_factory=dict)
    data: set[tuple[str, str]] = field(default_factory=set)
    metrics: dict[str, set[tuple[int, float, int]]] = field(default_factory=dict)

    @property
    def seen(self) -> Any:
        """As the client shows it."""
        return SimpleNamespace(
            info=SimpleNamespace(
                run_id=self.run_id, status=self.status, lifecycle_stage=self.stage
            ),
            data=SimpleNamespace(params=dict(self.params), metrics=dict.fromkeys(self.metrics, 0)),
        )


class StoreServer:
    """The store, and the client of it: as many methods of MLflow's as are called."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.runs: dict[str, Shelf] = {}
        self.away = 0.0
        self.losing = 0.0  # until then every other answer is lost

    def _ask(self) -> None:
        self.kernel.op()
        if self.away > self.kernel.now:
            self.kernel.struck["tracking store away"] += 1
            raise MlflowException("connection refused")

    def _answer(self) -> None:
        if self.losing > self.kernel.now and self.kernel.fraction() < 0.5:
            self.kernel.struck["tracking store's answer lost"] += 1
            raise MlflowException("read timed out")
        self.kernel.op()

    def get_experiment(self, number: str) -> Any:
        self._ask()
        return SimpleNamespace(experiment_id=number, lifecycle_stage="active")

    def search_runs(self, experiments: Sequence[str], filter_string: str, *_: Any) -> list[Any]:
        self._ask()
        wanted = dict(part.split(" = ") for part in filter_string.split(" and "))
        found = []
        for shelf in self.runs.values():
            if all(
                shelf.tags.get(key[len("tags.`") : -1]) == value.strip("'")
                for key, value in wanted.items()
            ):
                found.append(shelf.seen)
        self._answer()
        return found

    def create_run(self, experiment: str, *, tags: dict[str, str], **_: Any) -> Any:
        self._ask()
        run_id = f"r{len(self.runs)}"
        self.runs[run_id] = Shelf(run_id, dict(tags))
        self._answer()
        return self.runs[run_id].seen

    def log_batch(
        self,
        run_id: str,
        *,
        metrics: Sequence[Any],
        params: Sequence[Any],
        tags: Sequence[Any],
    ) -> None:
        self._ask()
        shelf = self.runs[run_id]
        for param in params:
            if shelf.params.setdefault(param.key, param.value) != param.value:
                raise MlflowException(f"param {param.key} has another value")
        for metric in metrics:
            rows = shelf.metrics.setdefault(metric.key, set())
            rows.add((metric.step, metric.value, metric.timestamp))
        shelf.tags.update({tag.key: tag.value for tag in tags})
        self._answer()

    def log_inputs(self, run_id: str, *, datasets: Sequence[Any]) -> None:
        self._ask()
        self.runs[run_id].data = {(used.dataset.name, used.dataset.digest) for used in datasets}
        self._answer()

    def get_metric_history(self, run_id: str, key: str) -> list[Any]:
        self._ask()
        rows = self.runs[run_id].metrics.get(key, set())
        return [SimpleNamespace(step=step, value=value) for step, value, _ in sorted(rows)]

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        self._ask()
        self.runs[run_id].tags[key] = value
        self._answer()

    def update_run(self, run_id: str, *, status: str) -> None:
        self._ask()
        self.runs[run_id].status = status
        self._answer()

    def set_terminated(self, run_id: str, *, status: str, **_: Any) -> None:
        self.update_run(run_id, status=status)

    def delete_run(self, run_id: str) -> None:
        self._ask()
        self.runs[run_id].stage = "deleted"
        self._answer()


class SimTracker(Tracker):
    """The tracker, with a client of the simulated store."""

    server: StoreServer

    @property
    def client(self) -> Any:
        self.experiment_id = "1"
        return self.server

    def lacks(self, run_dir: Any) -> bool:
        """Runs go one by one: threads have no place in simulated time."""
        return False

    def tell(self, sections: Any) -> None:
        """The note is no matter of delivery."""
