"""Submission to SLURM through submitit: one array for each class of resources.

What a job does is in :mod:`cluster.work.foreman`. submitit writes the batch script and the pickles,
and calls our function; signals, time limits and requeueing are the foreman's own, because submitit
counts every end of a job of ten minutes or less as a timeout and gives up after some.
"""

from __future__ import annotations

import contextlib
import json
import math
import shlex
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cluster.launch.place import Order
from cluster.slurm import Site, number, output
from cluster.work import Queue, Task, try_out, work_in_slurm
from scaling.base import WorkError
from sweeps import ResourceRules, Resources

REQUEUE_PAUSE_SECONDS = 5  # between tries to put a job back into the queue
MANY = 10**6  # array tasks at a time where nobody set a limit
# An ignored signal stays ignored until our handler is there; else one that comes while Python
# starts would end the job.
CALM = 'sh -c \'trap "" USR2; exec "$@"\' sh'


@dataclass(frozen=True)
class JobClass:
    """Tasks that use the same resources."""

    resources: Resources
    tasks: tuple[Task, ...]

    @property
    def name(self) -> str:
        """The class in words, for messages."""
        return f"{sum(len(task.run_ids) for task in self.tasks)} runs"

    def jobs(self, workers: int, tasks: int) -> int:
        """Jobs for so many tasks: one each if they stay alone, else what the workers need."""
        if self.resources.is_alone:
            return tasks
        most = self.resources.workers or workers
        return min(most, math.ceil(tasks / max(1, self.resources.side_by_side)))


def classes(
    tasks: Iterable[Task], sizes: Mapping[str, float], rules: ResourceRules
) -> list[JobClass]:
    """The tasks by resources, the class with the longest task first.

    ``sizes`` is the number of parameters of each run; a task goes by its largest.
    """
    found: dict[str, tuple[Resources, list[Task]]] = {}
    for task in tasks:
        resources = rules.of(max(sizes[run_id] for run_id in task.run_ids))
        key = json.dumps(resources.to_dict(), sort_keys=True)
        found.setdefault(key, (resources, []))[1].append(task)
    return [JobClass(resources, tuple(of_class)) for resources, of_class in found.values()]


def check(site: Site, kinds: Sequence[JobClass]) -> None:
    """Refuse what the site cannot run, before anything is sent.

    Raises
    ------
    ValueError
        For what ``sinfo`` shows, and for whatever else the controller refuses (``sbatch
        --test-only``: account, qos, constraints).
    """
    for kind in kinds:
        try:
            site.check(kind.resources)
        except ValueError as error:
            raise ValueError(f"resources of {kind.name}: {error}") from None
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "job.sh"
            executor = _executor(Path(folder), "test", kind.resources, None)
            script.write_text(executor._make_submission_file_text("true", ""))
            try:
                output(("sbatch", "--test-only", str(script)))
            except WorkError as error:
                raise ValueError(f"resources of {kind.name}: SLURM says: {error}") from None


def within(site: Site, kind: JobClass) -> JobClass:
    """The class with its partition's time limit where it has none of its own."""
    if kind.resources.minutes is not None:
        return kind
    limit = site.limit(kind.resources.partition)
    return replace(kind, resources=replace(kind.resources, minutes=limit))


def send_canary(
    order: Order,
    queues: Sequence[tuple[Queue, JobClass]],
    specs: Mapping[str, Mapping[str, Any]],
    code: Path,
) -> tuple[str, ...]:
    """Submit the jobs that try some runs out; ``specs`` are those runs'."""
    jobs, name = [], order.sweep.name
    for run_id, spec in specs.items():
        queue, kind = next(
            (q, k) for q, k in queues if any(run_id in task.run_ids for task in k.tasks)
        )
        executor = _executor(_logs(order), f"{name}-canary", kind.resources, code)
        arguments = (str(order.store.root), name, queue.path.stem, spec, queue.resources)
        with _refusals():
            jobs.append(str(executor.submit(try_out, *arguments).job_id))
    return tuple(jobs)


def send(order: Order, site: Site, kind: JobClass, queue: Queue, code: Path) -> Queue:
    """Submit workers for what is open in a queue, in arrays as large as the site allows.

    Returns the queue with its jobs, written.

    Raises
    ------
    WorkError
        If SLURM refuses; what it took before stays in the queue's file.
    """
    store, name, resources = order.store, order.sweep.name, kind.resources
    left = [i for i, task in enumerate(queue.tasks) if any(queue.is_open(store, r) for r in task)]
    indices: list[int | None] = [None] * kind.jobs(order.workers, len(left))
    if resources.is_alone:
        indices = list(left)
    chunks = [indices[i : i + site.max_array] for i in range(0, len(indices), site.max_array)]
    parallel = resources.workers or (MANY if resources.is_alone else order.workers)
    parallel = max(1, parallel // max(1, len(chunks)))
    teardown = go_on(queue.stop_path, resources.margin)
    options: dict[str, Any] = {"array_parallelism": parallel, "teardown": teardown}
    if queue.canary:
        options["dependency"] = f"afterok:{':'.join(queue.canary)}"
    executor = _executor(_logs(order), name, resources, code, **options)
    for chunk in chunks:
        several = ([value] * len(chunk) for value in (str(store.root), name, str(queue.path)))
        with _refusals():
            jobs = executor.map_array(work_in_slurm, *several, chunk)
        own = {
            run_id: str(job.job_id)
            for task, job in zip(chunk, jobs, strict=True)
            if task is not None
            for run_id in queue.tasks[task]
        }
        queue = replace(
            queue,
            slurm_jobs=(*queue.slurm_jobs, number(str(jobs[0].job_id))),
            own_jobs={**queue.own_jobs, **own},
        )
        queue.write()
    return queue


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Let a submission that SLURM refuses be a line in its own words."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    try:
        yield
    except (FailedJobError, FailedSubmissionError) as error:
        raise WorkError(f"SLURM refuses the jobs: {' '.join(str(error).split())}") from None


def _logs(order: Order) -> Path:
    return order.store.sweep_dir(order.sweep.name) / "logs"


def _executor(
    folder: Path, name: str, resources: Resources, code: Path | None, **options: Any
) -> Any:
    """submitit's executor with everything that ``resources`` says."""
    import submitit

    python = resources.python or shlex.quote(sys.executable)
    executor = submitit.SlurmExecutor(folder, python=f"{CALM} {python}")
    srun = [f"--cpus-per-task={resources.cpus_per_task}"]  # since 22.05 srun does not ask sbatch
    if resources.processes > 1:
        srun.append("--kill-on-bad-exit=1")
    parameters = {
        "job_name": name,
        "time": int(resources.minutes or 0),
        "partition": resources.partition or None,
        "account": resources.account or None,
        "qos": resources.qos or None,
        "constraint": resources.constraint or None,
        "nodes": resources.nodes,
        "ntasks_per_node": resources.tasks_per_node,
        "cpus_per_task": resources.cpus_per_task,
        "gpus_per_node": resources.gpus or None,
        "mem": f"{resources.memory_mb:.0f}M" if resources.memory else None,
        "signal_delay_s": int(resources.margin),
        "setup": [*resources.setup, *_setup(resources, code)],
        "srun_args": srun,
        "wckey": None,
        "additional_parameters": {
            "requeue": True,
            "kill-on-invalid-dep": "yes",
            **resources.sbatch,
        },
        **options,
    }
    executor.update_parameters(**parameters)
    return executor


def go_on(stop_path: Path, margin: float) -> list[str]:
    """What the batch script does after a job's work has ended, however.

    A job that was killed (kill -9, out of memory) goes on later; the runs that kill their workers
    are found by their leases. One that failed by itself would fail again, and so would a container
    that does not start (255). A controller that is away is asked until the margin is over.
    """
    tries = max(1, int(margin / REQUEUE_PAUSE_SECONDS))
    stop = shlex.quote(str(stop_path))
    killed = f'[ "$status" -gt 128 ] && [ "$status" -le 192 ] && [ ! -e {stop} ]'
    requeue = f'scontrol requeue "$SLURM_JOB_ID" && break; sleep {REQUEUE_PAUSE_SECONDS}'
    again = f"for try in $(seq {tries}); do {requeue}; done"
    return ["status=$?", f"if {killed}; then {again}; fi", 'exit "$status"']


def _setup(resources: Resources, code: Path | None) -> list[str]:
    threads = f"export OMP_NUM_THREADS={resources.threads} MKL_NUM_THREADS={resources.threads}"
    if code is None:
        return [threads]
    return [
        threads,
        "export PYTHONSAFEPATH=1",  # the folder of the submission may hold other code
        f"export PYTHONPATH={shlex.quote(str(code))}${{PYTHONPATH:+:$PYTHONPATH}}",
    ]
