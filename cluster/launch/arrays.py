"""Submission to SLURM through submitit: one array for each class of resources.

What a job does is in :mod:`cluster.work.foreman`. submitit writes the batch script and the pickles,
and calls our function; signals, time limits and requeueing are the foreman's own, because submitit
counts every end of a job of ten minutes or less as a timeout and gives up after some.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cluster.launch.defaults import as_the_sweep_says
from cluster.launch.place import Order
from cluster.slurm import GO_ON, NO_SETUP, Site, named, number, output, plain, run
from cluster.work import BEGAN, Queue, Task, jobs_before, logs_dir, try_out, work_in_slurm
from scaling.base import WorkError, note
from scaling.run import CLUSTER
from sweeps import Policy, ResourceRules, Resources

REQUEUE_PAUSE_SECONDS = 2  # between tries to put a job back into the queue
MOST_TRIES = 1800  # where the controller is away: SLURM itself ends the job before
FULL_QUEUE = re.compile(r"Submit\w*Limit")  # SLURM's words where no more jobs may wait
MANY = 10**6  # array tasks at a time where nobody set a limit
CLEAN_UP = "from cluster.work import clean_up; clean_up()"
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


def possible(sites: Callable[[str], Site], kind: JobClass) -> JobClass:
    """The class as a site can run it: as asked for, else by the first of its fallbacks that fits.

    ``sites`` gives the site of a cluster.

    Raises
    ------
    ValueError
        Before anything is sent, for what ``sinfo`` shows, and for whatever else the controller
        refuses (``sbatch --test-only``: account, qos, constraints).
    WorkError
        If SLURM does not answer.
    """
    refused: ValueError | WorkError | None = None
    for resources in (kind.resources, *kind.resources.fall_back()):
        now = replace(kind, resources=resources)
        try:
            _check_setup(resources.setup)
            site = sites(resources.cluster)
            now = within(site, now)
            site.check(now.resources)
            _ask_slurm(now.resources)
        except ValueError as error:
            refused = refused or ValueError(f"resources of {kind.name}: {error}")
            continue
        except WorkError as error:  # this cluster is away; another may be there
            refused = refused or error
            continue
        if refused:
            note(f"{refused}; falling back to what fits")
        return now
    assert refused is not None
    raise refused


def _ask_slurm(resources: Resources) -> None:
    """Refuse what the controller does."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "job.sh"
        executor = _executor(Path(folder), "test", resources, None)
        script.write_text(executor._make_submission_file_text("true", ""))
        try:
            with as_the_sweep_says(resources):
                output(("sbatch", "--test-only", str(script)))  # which names the cluster
        except WorkError as error:
            raise ValueError(f"SLURM says: {error}") from None


def within(site: Site, kind: JobClass) -> JobClass:
    """The class with its partition's time limit where it has none, and on GPUs if it has some."""
    resources = kind.resources
    if resources.minutes is None:
        resources = replace(resources, minutes=site.limit(resources.partition))
    if resources.gpus and resources.device == "auto":
        resources = replace(resources, device="cuda")  # never the CPU instead, unasked
    return replace(kind, resources=resources)


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
        cluster = kind.resources.cluster
        executor = _executor(_logs(order, cluster), f"{name}-canary", kind.resources, code)
        arguments = (str(order.store.root), name, queue.path.stem, spec, queue.resources)
        with _refusals(), as_the_sweep_says(kind.resources):
            jobs.append(named(str(executor.submit(try_out, *arguments).job_id), cluster))
    return tuple(jobs)


def send(
    order: Order,
    site: Site,
    kind: JobClass,
    queue: Queue,
    code: Path,
    indices: Sequence[int | None] | None = None,
) -> Queue:
    """Submit workers for what is open in a queue, in arrays as large as the site allows.

    With ``indices``, those of its jobs only. Returns the queue with its jobs, written; those that
    the site does not let wait now are ``waiting`` in it.

    Raises
    ------
    WorkError
        If SLURM refuses; what it took before stays in the queue's file.
    """
    if indices is None:
        indices = jobs_of(order, kind, queue)
    executor = class_executor(order, site, kind, queue, code, len(indices))
    fixed = (str(order.store.root), order.sweep.name, str(queue.path))
    size = site.max_array
    while indices:
        chunk = indices[:size]
        try:
            with _refusals(), as_the_sweep_says(kind.resources):
                jobs = executor.map_array(
                    work_in_slurm, *([value] * len(chunk) for value in fixed), chunk
                )
        except WorkError as error:
            if not FULL_QUEUE.search(str(error)):
                raise
            if len(chunk) == 1:
                break
            size = len(chunk) // 2
            continue
        indices = indices[len(chunk) :]
        own = {
            run_id: named(str(job.job_id), kind.resources.cluster)
            for task, job in zip(chunk, jobs, strict=True)
            if task is not None
            for run_id in queue.tasks[task]
        }
        queue = replace(
            queue,
            slurm_jobs=(
                *queue.slurm_jobs,
                number(named(str(jobs[0].job_id), kind.resources.cluster)),
            ),
            own_jobs={**queue.own_jobs, **own},
        )
        queue.write()
    queue = replace(queue, waiting=tuple(indices))
    queue.write()
    return queue


def class_executor(
    order: Order,
    site: Site,
    kind: JobClass,
    queue: Queue,
    code: Path,
    jobs: int,
    folder: Path | None = None,
) -> Any:
    """submitit's executor for so many jobs of a class; its files go to the logs' ``folder``."""
    count = math.ceil(jobs / site.max_array)
    parallel = max(1, at_a_time(order, kind) // max(1, count))
    teardown = go_on(queue.stop_path, kind.resources.margin)
    if kind.resources.stage:  # what was killed could not
        python = kind.resources.python or shlex.quote(sys.executable)
        teardown.insert(1, f"{python} -c {shlex.quote(CLEAN_UP)} || :")
    options: dict[str, Any] = {"array_parallelism": parallel, "teardown": teardown}
    policy, conditions = Policy.parse(queue.policy), []
    if queue.canary:
        conditions.append(f"afterok:{_numbers(queue.canary)}")
    if before := jobs_before(order.store, policy.after):
        conditions.append(f"afterany:{_numbers(before)}")
    if conditions:
        options["dependency"] = ",".join(conditions)
    where = _logs(order, kind.resources.cluster) if folder is None else folder
    resources = replace(kind.resources, sbatch={**_asked_by(policy), **kind.resources.sbatch})
    return _executor(where, order.sweep.name, resources, code, **options)


def _asked_by(policy: Policy) -> dict[str, Any]:
    """Options of sbatch that a sweep's policy asks for."""
    options: dict[str, Any] = {"nice": -policy.priority} if policy.priority < 0 else {}
    if policy.mail:
        options |= {"mail-user": policy.mail, "mail-type": "END,FAIL"}
    return options


def jobs_of(order: Order, kind: JobClass, queue: Queue) -> list[int | None]:
    """The jobs for what is open in a queue: the task that each is for, None for any."""
    store = order.store
    left = [i for i, task in enumerate(queue.tasks) if any(queue.is_open(store, r) for r in task)]
    if kind.resources.is_alone:
        return list(left)
    tasks = len(left)
    if queue.search:  # which has more to do than it has now
        tasks = max(tasks, order.workers * max(1, kind.resources.side_by_side))
    return [None] * kind.jobs(order.workers, tasks)


def at_a_time(order: Order, kind: JobClass) -> int:
    """How many jobs of a class may run at a time."""
    return kind.resources.workers or (MANY if kind.resources.is_alone else order.workers)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Let a submission that SLURM refuses be a line in its own words."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    try:
        yield
    except (FailedJobError, FailedSubmissionError) as error:
        raise WorkError(f"SLURM refuses the jobs: {' '.join(str(error).split())}") from None


def _logs(order: Order, cluster: str) -> Path:
    return logs_dir(order.store.sweep_dir(order.sweep.name), cluster)


def _numbers(jobs: Iterable[str]) -> str:
    """Jobs as a condition of others of their cluster names them."""
    return ":".join(plain(job)[0] for job in jobs)


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
    gpus = f"{resources.gpu_type}:{resources.gpus}" if resources.gpu_type else resources.gpus
    began, more = f"export {BEGAN}=$(date +%s)", dict(resources.sbatch)
    if "dependency" in options and "dependency" in more:  # both have to be met
        more["dependency"] = f"{options.pop('dependency')},{more['dependency']}"
    if resources.cluster:
        more["clusters"] = resources.cluster
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
        "gpus_per_node": gpus or None,
        "mem": f"{resources.memory_mb:.0f}M" if resources.memory else None,
        "signal_delay_s": int(resources.margin),
        "setup": [*_here(resources), began, *guarded(resources.setup), *_setup(resources, code)],
        "srun_args": srun,
        "wckey": None,
        "additional_parameters": {"requeue": True, "kill-on-invalid-dep": "yes", **more},
        **options,
    }
    executor.update_parameters(**parameters)
    return executor


def go_on(stop_path: Path, margin: float) -> list[str]:
    """What the batch script does after a job's work has ended, however.

    A job that asks for it (``GO_ON``) or was killed (kill -9, out of memory) goes on later; the
    runs that kill their workers are found by their leases. One that failed by itself would fail
    again, and so would a container that does not start (255). A refusal is asked again until the
    margin is over, and a controller that is away, or has only just come back (of an array's task
    it says no more than that a message was unexpected), for as long as SLURM lets the job live.
    """
    tries = max(1, int(margin / REQUEUE_PAUSE_SECONDS))
    away = "|".join(
        f"*{words}*"
        for words in ("[Cc]ontact", "[Tt]imed", "[Cc]onnection", "[Tt]ransport", "[Zz]ero")
    )
    return [
        "status=$?",
        "back=",
        f'[ "$status" -eq {GO_ON} ] && back=1',
        '[ "$status" -gt 128 ] && [ "$status" -le 192 ] && back=1',
        f'if [ "$back" ] && [ ! -e {shlex.quote(str(stop_path))} ]; then',
        '  trap "" TERM',
        "  tried=0",
        '  until said=$(scontrol requeue "$SLURM_JOB_ID" 2>&1); do',
        '    echo "scontrol requeue $SLURM_JOB_ID: $said" >&2',
        f"    most={tries}",
        f'    case "$said" in {away}|*[Uu]nexpected*|*[Ss]tandby*) most={MOST_TRIES};; esac',
        '    tried=$((tried + 1)); [ "$tried" -ge "$most" ] && break',
        f"    sleep {REQUEUE_PAUSE_SECONDS}",
        "  done",
        "fi",
        'exit "$status"',
    ]


def guarded(lines: Sequence[str]) -> list[str]:
    """Shell lines of which the first that fails ends the job, and says which it was."""
    if not lines:
        return []
    stop = f'scaling_stop() {{ echo "setup failed: $1" >&2; exit {NO_SETUP}; }}'
    return [stop, *(f"{{ :\n{line}\n}} || scaling_stop {shlex.quote(line)}" for line in lines)]


def _check_setup(lines: Sequence[str]) -> None:
    """Refuse what is no whole command: each line has to stand for itself."""
    for line in lines:
        reply = run(["bash", "-n", "-c", f"{{ :\n{line}\n}}"])
        if reply.failure == "refused":
            raise ValueError(
                f"setup line {line!r} is no whole shell command ({reply.last_line}): each line "
                "must stand for itself; write what belongs together as one"
            )


def _here(resources: Resources) -> list[str]:
    """A job's own cluster is the one that it asks (to be put back), whatever its user's default."""
    return [f"export {CLUSTER}={resources.cluster}", "unset SLURM_CLUSTERS"]


def _setup(resources: Resources, code: Path | None) -> list[str]:
    threads = f"export OMP_NUM_THREADS={resources.threads} MKL_NUM_THREADS={resources.threads}"
    if code is None:
        return [threads]
    return [
        threads,
        "export PYTHONSAFEPATH=1",  # the folder of the submission may hold other code
        f"export PYTHONPATH={shlex.quote(str(code))}${{PYTHONPATH:+:$PYTHONPATH}}",
    ]
