"""What a submission to SLURM would send: classes, jobs, GPU-hours, scripts. Nothing is written."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cluster.launch.arrays import JobClass, at_a_time, class_executor
from cluster.launch.place import Order
from cluster.slurm import Site
from cluster.work import Queue, logs_dir
from sweeps import Resources


@dataclass(frozen=True)
class Preview:
    """One class of jobs as it would be sent.

    Attributes
    ----------
    runs, jobs, at_a_time : int
        Runs of the class, jobs for them, and those that may run at the same time.
    minutes : float or None
        Limit of a job; it comes back if that is not enough.
    gpu_hours : float
        GPU time of all jobs until each has ended or come back once, at most.
    changed : dict
        Setting -> what jobs get, and what the sweep's file says (or the default is), where these
        differ: by ``--set``, by a rule, or as the site is.
    script : str
        The batch script of the first array.
    """

    runs: int
    jobs: int
    at_a_time: int
    minutes: float | None
    gpu_hours: float
    changed: Mapping[str, tuple[Any, Any]]
    script: str


def preview(order: Order, site: Site, kind: JobClass) -> Preview:
    """What would be sent for a class."""
    resources, tasks = kind.resources, len(kind.tasks)
    jobs = kind.jobs(order.workers, tasks)
    gpus = resources.gpus * resources.nodes
    said = Resources.from_dict({k: v for k, v in order.sweep.resources.items() if k != "rules"})
    now, before = asdict(resources), asdict(said)
    return Preview(
        runs=sum(len(task.run_ids) for task in kind.tasks),
        jobs=jobs,
        at_a_time=min(jobs, at_a_time(order, kind)),
        minutes=resources.minutes,
        gpu_hours=jobs * gpus * (resources.minutes or 0.0) / 60,
        changed={key: (now[key], before[key]) for key in now if now[key] != before[key]},
        script=_script(order, site, kind, jobs),
    )


def _script(order: Order, site: Site, kind: JobClass, jobs: int) -> str:
    folder = order.store.sweep_dir(order.sweep.name)
    canary = ("CANARY",) if order.canary else ()
    path = folder / "submissions" / "SUBMISSION.json"
    queue = Queue(path, (), {}, canary=canary, policy=order.policy.to_dict())
    with tempfile.TemporaryDirectory() as empty:
        executor = class_executor(
            order, site, kind, queue, folder / "code" / "CODE", jobs, folder=Path(empty)
        )
        if jobs > 1:
            executor.parameters["map_count"] = min(jobs, site.max_array)
        text: str = executor._make_submission_file_text(executor._submitit_command_str, "")
        return text.replace(empty, str(logs_dir(folder, kind.resources.cluster)))
