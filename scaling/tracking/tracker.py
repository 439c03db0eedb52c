"""Journals to MLflow: the only writer there. The trainer never calls it, so it costs no training.

One experiment per sweep, its training runs flat beside each other:

=====================  ===========================================================
tag ``scaling.*``      ``kind`` (``run``, ``report`` or ``law``), ``run_id``, ``status``,
                       ``reason``, ``host``, ``device``, ``card`` and ``job`` (SLURM's) of its last
                       attempt, the text columns of the run table, ``budget`` where the sweep has
                       budgets, ``git_commit`` of the tree from which it was submitted
param                  ``run_id`` and every field of the spec (``model.width``, ...)
metric ``scale/*``     numeric columns known before the run, and log10 of N, D, C; of a run that
                       stopped early the last values are those of what was trained
metric ``heldout/*``,  the learning curve; step = tokens (examples) seen
``train/*``
metric ``eval/*``      the same on further sets of held-out data, under their columns' names; and
                       what kept weights were evaluated on
metric ``program/*``   what else the program of a run reported, under its own name
metric ``final/*``     numeric values of the journal's ``end`` event; tokens a second, energy and,
                       where the card's peak is known, MFU
data set               name and fingerprint of what a run of ours was trained on
metric ``law/*``       the final loss once more; step = training compute in 10^6 FLOPs, for a chart
metric ``diverged``    1 for a run that diverged
metric ``system/*``    what the machine did meanwhile, where the worker measures it
                       (``monitor_seconds``); step = seconds since the run's first start
=====================  ===========================================================

A metric's time is that of the run's first start plus the seconds it trained, so that shipping a
point twice writes the same row, which SQL stores keep once.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.base import write_atomic
from scaling.run import CPU, JOURNAL, end, note_of, points, read_journal, unfold
from scaling.tracking.address import masked, without_password
from scaling.tracking.content import OURS, Content, content_of, new_tags
from scaling.tracking.errors import DeletedError, TrackingError
from scaling.tracking.notes import NOTE_TAG, with_sections
from scaling.tracking.ready import SUPERSEDED, connect, prepare, reported, sent_once, sqlite_path
from scaling.tracking.values import (
    CURVE_METRICS,
    Known,
    born_of,
    known_before,
    metric_key,
    of_system,
    start_of,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

BATCH_METRICS, BATCH_PARAMS = 1000, 100  # MLflow's limits for one log_batch
PAGE = 1000  # runs in one answer of the store
ENDED = ("FINISHED", "FAILED")  # MLflow's words for a run whose end was shipped


class Tracker:
    """Ships the runs of one experiment; it connects when there is something to ship.

    What was deleted in the store stays so, unless it is to ``restore``.

    Attributes
    ----------
    deleted : set of str
        ``run_id`` of runs that were found deleted in the store.
    colours : dict of str to str
        ``run_id`` -> colour in charts, for runs that are to be made.
    marks : dict of str to str
        Further tags of runs that are to be made.
    experiment_id : str
        The store's, once it was asked.
    again : int
        Runs that were shipped again, because :meth:`compare` did not find them, or not whole.
    """

    def __init__(self, tracking_uri: str, experiment: str, *, restore: bool = False) -> None:
        self.uri, self.experiment, self.restore = tracking_uri, experiment, restore
        self.deleted: set[str] = set()
        self.again = 0
        self.colours: Mapping[str, str] = {}
        self.marks: Mapping[str, str] = {}
        place = f"{without_password(tracking_uri)}\n{experiment}"
        key = hashlib.sha256(place.encode()).hexdigest()[:12]
        self.key = key  # of this store and experiment, in names of files
        self._position = f"shipped-{key}.json"
        self._client: MlflowClient | None = None
        self.experiment_id = ""
        self._trusted: set[str] = set()
        self._there: dict[str, str] | None = None

    def compare(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        """Ask the store which runs it has: from now on its word counts, not the notes beside runs.

        Of the runs in ``rows`` those that lack a metric which is known before they begin, under
        the name that it has today, are not whole.

        Raises
        ------
        TrackingError
            If the store does not answer.
        DeletedError
            If the experiment was deleted and is not to be restored.
        """
        with reported(self.uri):
            found = self.search("tags.`scaling.kind` = 'run'", deleted=False)
        known = {row["run_id"]: known_before(row, "0")[0] for row in rows}
        self._there = {}
        for run in found:
            needed = {metric_key(key) for key, *_ in known.get(run.data.tags.get(OURS, ""), ())}
            is_whole = needed <= run.data.metrics.keys()
            self._there[str(run.info.run_id)] = str(run.info.status) if is_whole else ""

    def search(self, words: str, *, deleted: bool) -> list[Run]:
        """The experiment's runs for which a filter of MLflow's holds, page by page."""
        from mlflow.entities import ViewType

        client, found, token = self.client, list[Any](), None
        view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
        while token is None or token:
            page = client.search_runs(
                [self.experiment_id], words, view, max_results=PAGE, page_token=token
            )
            found.extend(page)
            token = page.token or ""
        return found

    def ship(self, run_dir: Path, row: Mapping[str, Any], *, alive: bool) -> bool | None:
        """Bring MLflow up to date with one run's journal.

        Parameters
        ----------
        run_dir : Path
        row : mapping
            The run's line in the sweep file: ``run_id``, ``name``, ``spec`` and columns.
        alive : bool
            Whether some process still works on it; if none does, its status becomes KILLED.

        Returns
        -------
        bool or None
            True when the run is delivered to its end, False when its end is still to come,
            None when it has not begun.

        Raises
        ------
        TrackingError
            If the store does not answer; nothing is lost and the call can be repeated.
        DeletedError
            If the run was deleted in the store and is not to be restored.
        """
        try:
            size = (run_dir / JOURNAL).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        position = self._trusted_note(run_dir)
        if position.get("size") == size and (position["ended"] or position["alive"] == alive):
            return bool(position["ended"])
        events = read_journal(run_dir)
        if not events:
            return None
        sure = position.get("mlflow_run_id") in self._trusted and "system" in position
        try:
            with reported(self.uri):
                run_id, seen, known = self._find_or_create(row, events, position)
                if sure and run_id == position["mlflow_run_id"]:
                    sampled = int(position["system"])
                else:
                    sampled = self._last_step(run_id, CPU) if of_system(events) else -1
                self.send(run_id, content_of(row, events, seen, known, alive, sampled))
        except TrackingError:
            self._trusted.discard(str(position.get("mlflow_run_id")))  # it may have been deleted
            raise
        self.note(run_dir, run_id, events, size, alive=alive)
        return end(events) is not None

    def lacks(self, run_dir: Path) -> bool:
        """Whether the store has nothing of a run, as far as its note and the store's word tell."""
        return not self._trusted_note(run_dir)

    def noted_id(self, run_dir: Path) -> str:
        """MLflow's id of a run, by its note; empty without one."""
        return str(note_of(run_dir, self._position).get("mlflow_run_id", ""))

    def note(
        self,
        run_dir: Path,
        run_id: str,
        events: list[dict[str, Any]],
        size: int,
        *,
        alive: bool = False,
    ) -> None:
        """Note beside a run what its MLflow run ``run_id`` has: a journal of ``size`` bytes."""
        ended = end(events) is not None
        self.again += bool(note_of(run_dir, self._position)) and self.lacks(run_dir)
        if self._there is not None:
            self._there[run_id] = ENDED[0] if ended else "RUNNING"
        position = {
            "mlflow_run_id": run_id,
            "born": born_of(events),
            "step": max((point["step"] for point in points(events)), default=-1),
            "system": max((step for *_, step in of_system(events)), default=-1),
            "size": size,
            "ended": ended,
            "alive": alive,
        }
        write_atomic(run_dir / self._position, json.dumps(position))

    def _trusted_note(self, run_dir: Path) -> Mapping[str, Any]:
        """What was noted of a run, unless the store was asked and has not got it."""
        position = note_of(run_dir, self._position)
        if self._there is None or not position:
            return position
        status = self._there.get(position["mlflow_run_id"])
        there = status in ENDED if position["ended"] else bool(status)
        return position if there else {}

    def answers(self) -> bool:
        """Whether the store answers; if so, what it refused is a run's own matter."""
        try:
            with reported(self.uri):
                self.client.get_experiment(self.experiment_id)
        except TrackingError:
            return False
        return True

    def is_delivered(self, run_dir: Path) -> bool:
        """Whether all that a run's journal holds is in the store, by this side's own notes."""
        try:
            size = (run_dir / JOURNAL).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return True
        position = note_of(run_dir, self._position)
        return position.get("size") == size and bool(position["ended"])

    def forget(self, run_dir: Path) -> None:
        """Drop the note of what a run's journal has shipped; the next time all of it goes."""
        unfold(run_dir)
        (run_dir / self._position).unlink(missing_ok=True)

    def tell(self, sections: Mapping[str, str]) -> None:
        """Put sections, by heading, into the experiment's note; others of it stay.

        Raises
        ------
        TrackingError
            If the store does not answer.
        """
        client = self.client
        with reported(self.uri):
            before = client.get_experiment(self.experiment_id).tags.get(NOTE_TAG, "")
            after = with_sections(before, sections)
            if after != before:
                client.set_experiment_tag(self.experiment_id, NOTE_TAG, after)

    def delete_experiment(self) -> bool:
        """Mark the experiment as deleted, under another name; False where there is none."""
        path = sqlite_path(self.uri)
        if path and not path.exists():
            return False
        client = connect(self.uri)
        with reported(self.uri):
            found = client.get_experiment_by_name(self.experiment)
            if found is None or found.lifecycle_stage == "deleted":
                return False
            # MLflow keeps the name of what is deleted, and a sweep of that name may come again.
            now = time.strftime("%Y%m%d-%H%M%S")
            client.rename_experiment(found.experiment_id, f"{self.experiment} removed {now}")
            client.delete_experiment(found.experiment_id)
        return True

    @property
    def client(self) -> MlflowClient:
        """The client, connected on first use."""
        if self._client is None:
            self.experiment_id = prepare(self.uri, self.experiment, restore=self.restore)
            self._client = connect(self.uri)
        return self._client

    def _find_or_create(
        self,
        row: Mapping[str, Any],
        events: Sequence[Mapping[str, Any]],
        position: Mapping[str, Any],
    ) -> tuple[str, int, Known]:
        """The MLflow run of a journal, the last step that it has, what it lacks from before."""
        from mlflow.entities import ViewType

        client, born = self.client, born_of(events)
        run_id = position.get("mlflow_run_id")
        if run_id and position["born"] != born:  # its journal was thrown away and begun anew
            client.set_tag(run_id, "scaling.status", SUPERSEDED)
            client.delete_run(run_id)
        elif run_id and run_id in self._trusted:
            return run_id, int(position["step"]), ([], {})
        # This process may follow one that died after writing to MLflow and before noting it.
        mine = f"tags.`scaling.run_id` = '{row['run_id']}' and tags.`scaling.born` = '{born}'"
        found = client.search_runs([self.experiment_id], mine, ViewType.ALL)
        found.sort(key=lambda run: run.info.lifecycle_stage == "deleted")
        if found:
            run_id = str(found[0].info.run_id)
            if found[0].info.lifecycle_stage == "deleted":
                self._restore(row["run_id"], run_id)
            metrics, params = known = known_before(row, born)
            there = {*found[0].data.params, *found[0].data.metrics}
            if not {*map(metric_key, params), *(key for key, *_ in metrics)} - there:
                known = [], {}
            seen = self._last_step(run_id, CURVE_METRICS["seconds"])
        else:
            run_id, seen, known = self.create(row, born), -1, known_before(row, born)
        self._trusted.add(run_id)
        return run_id, seen, known

    def _last_step(self, run_id: str, metric: str) -> int:
        """The last step of a metric that the store has; -1 where it has none."""
        history = self.client.get_metric_history(run_id, metric)
        return max((point.step for point in history), default=-1)

    def _restore(self, name: str, run_id: str) -> None:
        if not self.restore:
            self.deleted.add(name)
            raise DeletedError(
                f"run {name} was deleted in {masked(self.uri)}: `scaling sync "
                f"{shlex.quote(self.experiment)} --restore` brings it back"
            )
        self.client.restore_run(run_id)

    def create(self, row: Mapping[str, Any], born: str) -> str:
        """Make an MLflow run of a journal; its id."""
        client = self.client
        with sent_once():
            run = client.create_run(
                self.experiment_id,
                start_time=start_of(born),
                tags=new_tags(row, born, self.colours, self.marks),
                run_name=row["name"],
            )
        return str(run.info.run_id)

    def send(self, run_id: str, content: Content) -> None:
        """What is new, in as few calls as MLflow allows, then the status."""
        if content.data:  # before the params: they tell that it was said
            self._say_data(run_id, *content.data)
        self._log(run_id, content)
        if content.status == "RUNNING":
            self.client.update_run(run_id, status="RUNNING")
        elif content.ended is None:
            self.client.set_terminated(run_id, status=content.status)
        else:
            self.client.set_terminated(run_id, status=content.status, end_time=content.ended)

    def _say_data(self, run_id: str, name: str, fingerprint: str) -> None:
        """The data set of a run, as MLflow's own kind of thing."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = json.dumps({"data": name})
        data = Dataset(name, fingerprint, "scaling", source)
        used = DatasetInput(data, [InputTag("mlflow.data.context", "training")])
        self.client.log_inputs(run_id, datasets=[used])

    def _log(self, run_id: str, content: Content) -> None:
        from mlflow.entities import Metric, Param, RunTag

        metrics = [
            Metric(key, value, round(1000 * s), step) for key, value, s, step in content.values
        ]
        pairs = [Param(key, value) for key, value in content.params.items()]
        marks = [RunTag(key, value) for key, value in content.tags.items()]
        while metrics or pairs or marks:
            now, pairs = pairs[:BATCH_PARAMS], pairs[BATCH_PARAMS:]
            room = BATCH_METRICS - len(now) - len(content.tags)
            said, metrics = metrics[:room], metrics[room:]
            done = [] if metrics or pairs else marks  # with the last of it
            self.client.log_batch(run_id, metrics=said, params=now, tags=done)
            marks = marks if metrics or pairs else []
