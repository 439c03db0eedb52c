"""What SLURM says of a sweep's jobs: one ``squeue`` and one ``sacct`` for all of a cluster's.

``squeue`` is up to date and forgets jobs some minutes after their end; ``sacct`` lags by seconds
and remembers how they ended, all attempts of a requeued job too. The formats are those of SLURM
22.05 and later. A word that is not known here stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from cluster.slurm.command import Call, Reply
from cluster.slurm.ids import by_cluster, named, number, plain
from scaling.world import time
from sweeps import megabytes

PATIENCE_SECONDS = 10.0
GONE = "Invalid job id specified"  # SLURM's words for a job that it has forgotten
FULL = 28  # exit code of our own jobs when a disk or quota is full: ENOSPC
STARVED = 12  # and when the kernel kills every worker for want of memory: ENOMEM
NO_DEVICE = 19  # and when the GPU that was asked for is not there: ENODEV
GO_ON = 85  # asks the batch script, which SLURM's commands are there for, for the job's return
NO_SETUP = 86  # of the batch script itself: a line of ``setup`` failed
LAUNCH_HOLD = "launch failed requeued held"  # SLURM's reason
LATE = 0.75  # share of its time after which a job that requeues itself does so for lack of time

WAITING = {
    *("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED"),
    *("SPECIAL_EXIT", "RESV_DEL_HOLD"),
}
WORKING = {
    *("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT"),
    *("RESIZING", "EXPEDITING"),
}
FAILING = {
    "OUT_OF_MEMORY": "ran out of memory",
    "TIMEOUT": "reached its time limit",
    "DEADLINE": "reached its deadline",
    "NODE_FAIL": "lost its node",
    "BOOT_FAIL": "had a node that did not boot",
    "LAUNCH_FAILED": "could not be launched",
    "FAILED": "failed",
}
"""Words for a job that ended badly by itself -> what happened."""
EXITS = {
    f"{FULL}:0": "No space left, or a quota is full",
    f"{STARVED}:0": "out of memory, so that no worker gets a run going",
    f"{NO_DEVICE}:0": "torch sees no GPU there, and one was asked for",
    f"{GO_ON}:0": "it could not put itself back into the queue in time",
    f"{NO_SETUP}:0": "a line of setup failed",
}
"""Exit codes of our own jobs -> what happened."""
ENDED = {"COMPLETED", "CANCELLED", "PREEMPTED", "REVOKED", *FAILING}

_SQUEUE = ("squeue", "--noheader", "--array", "--states=all", "--format=%F|%K|%T|%N|%M|%b|%r")
_SACCT = (
    *("sacct", "--noheader", "--parsable2", "--duplicates"),
    "--format=JobID,State,ElapsedRaw,TimelimitRaw,AllocTRES,NodeList,ExitCode",
)
_GPUS = re.compile(r"gres/gpu=(\d+)")
_MEMORY = re.compile(r"\bmem=([\d.]+[KMGT])")
_NODES = re.compile(r"\bnode=(\d+)")
_GPUS_ASKED = re.compile(r"gpu(?::[^:,|()]+)?:(\d+)")


@dataclass(frozen=True, slots=True)
class Job:
    """A job or a task of an array.

    Attributes
    ----------
    job_id : str
        ``12`` or, for a task of an array, ``12_3``; ``12_3@west`` on another cluster.
    state : str
        SLURM's word, without what follows it (``CANCELLED by 0``).
    reason : str
        Why it waits, in SLURM's word.
    nodes : str
    seconds : float
        How long this attempt ran so far.
    gpus : int
        GPUs that it has.
    exit_code : str
        ``code:signal``; empty as long as it is not known.
    before : str
        The word at the end of the attempt before, for a job that was requeued; ``TIMEOUT`` where
        it put itself back into the queue shortly before its limit.
    limit : float or None
        Seconds that an attempt may take.
    memory_mb : float
        What it has on a node, in 2^20 bytes; 0 where it is not known.
    """

    job_id: str
    state: str
    reason: str = ""
    nodes: str = ""
    seconds: float = 0.0
    gpus: int = 0
    exit_code: str = ""
    before: str = ""
    limit: float | None = None
    memory_mb: float = 0.0

    @property
    def has_ended(self) -> bool:
        """Whether it is over for good; a word that is not known may mean that it runs."""
        return self.state in ENDED

    @property
    def is_known(self) -> bool:
        """Whether the meaning of its state is known here."""
        return self.state in ENDED or self.state in WAITING or self.state in WORKING

    @property
    def is_held(self) -> bool:
        """Whether SLURM holds it after a launch that failed: nothing happens until a release."""
        return self.state in WAITING and self.reason == LAUNCH_HOLD

    def __str__(self) -> str:
        """The job, how it is, and where."""
        code = f" with exit code {self.exit_code}" if self.state == "FAILED" else ""
        if code and self.exit_code in EXITS:
            code = f": {EXITS[self.exit_code]}"
        where = f" on {self.nodes}" if self.nodes else ""
        return f"job {self.job_id} {FAILING.get(self.state, self.state)}{code}{where}"


@dataclass(frozen=True)
class Answer:
    """What SLURM says.

    Attributes
    ----------
    jobs : dict
        By ``job_id``, tasks of an array one by one.
    gpu_seconds : float or None
        GPU time of all attempts of all jobs; None where SLURM's accounting does not say.
    problem : str
        What could not be asked, and why; empty if all went well.
    silent : frozenset of str
        Clusters whose ``squeue`` did not answer; of others a job that is not there is over.
    """

    jobs: Mapping[str, Job] = field(default_factory=dict)
    gpu_seconds: float | None = None
    problem: str = ""
    silent: frozenset[str] = frozenset()

    @cached_property
    def _by_number(self) -> Mapping[str, list[Job]]:
        found: dict[str, list[Job]] = {}
        for job in self.jobs.values():
            found.setdefault(number(job.job_id), []).append(job)
        return found

    @property
    def held(self) -> list[str]:
        """The jobs that SLURM holds because it could not launch them."""
        return [job.job_id for job in self.jobs.values() if job.is_held]

    def tasks(self, job_id: str) -> list[Job]:
        """The tasks of an array, or the one job of that number."""
        return self._by_number.get(number(job_id), [])

    def may_run(self, job_id: str) -> bool:
        """Whether a job, or a task of the array, waits, runs, or is not known to be over."""
        task = self.jobs.get(job_id)
        own, cluster = plain(job_id)
        tasks = [task] if task else [] if "_" in own else self.tasks(job_id)
        if not tasks:
            return cluster in self.silent
        return any(not job.has_ended for job in tasks)


def ask_queue(job_ids: Iterable[str], *, patience: float = PATIENCE_SECONDS) -> Answer:
    """What ``squeue`` alone says of some jobs, enough for :meth:`Answer.may_run`; never raises."""
    until = time.monotonic() + patience
    calls = {
        cluster: Call([*_SQUEUE, f"--jobs={numbers}"], cluster)
        for cluster, numbers in _numbers(job_ids).items()
    }
    found = []
    for cluster, call in calls.items():
        queue = _queue(call, until)
        problem = f"SLURM does not answer ({queue.problem})" if queue.problem else ""
        found.append(_of_cluster(cluster, read_squeue(queue.text), None, problem, queue))
    return _together(found)


def ask(job_ids: Iterable[str], *, since: str = "", patience: float = PATIENCE_SECONDS) -> Answer:
    """What SLURM says of some jobs; never raises, see ``Answer.problem``.

    Parameters
    ----------
    job_ids : iterable of str
        Jobs and arrays; without any, SLURM is not asked, and each cluster for its own alone.
    since : str
        Not before (``YYYY-MM-DD``): a site's job numbers begin again some day.
    patience : float
        Seconds that all calls together may take.
    """
    until = time.monotonic() + patience
    start = [f"--starttime={since}"] if since else []
    calls = {
        cluster: (
            Call([*_SQUEUE, f"--jobs={numbers}"], cluster),
            Call([*_SACCT, f"--jobs={numbers}", *start], cluster),
        )
        for cluster, numbers in _numbers(job_ids).items()
    }
    found = []
    for cluster, (asked, recorded) in calls.items():
        queue, accounting = _queue(asked, until), recorded.reply(until)
        past, gpu_seconds = read_sacct(accounting.text)
        found.append(
            _of_cluster(
                cluster,
                _joined(read_squeue(queue.text), past, knows_queue=not queue.problem),
                None if accounting.problem else gpu_seconds,
                _describe(queue.problem, accounting.problem),
                queue,
            )
        )
    return _together(found)


def _joined(live: dict[str, Job], past: dict[str, Job], *, knows_queue: bool) -> dict[str, Job]:
    """What the queue and the accounting say of each job."""
    # What the queue does not have is over, even where the accounting never heard of its end.
    kept = {k: job for k, job in past.items() if job.has_ended or not knows_queue}
    jobs = {**kept, **live}
    for job_id, job in live.items():
        known = past.get(job_id)
        if known:
            before = known.before if known.state == job.state else _how(known)
            jobs[job_id] = replace(
                job, before=before, exit_code=known.exit_code, memory_mb=known.memory_mb
            )
    return jobs


def _of_cluster(
    cluster: str, jobs: dict[str, Job], gpu_seconds: float | None, problem: str, queue: Reply
) -> Answer:
    """The answer of one cluster, its jobs by the names that they have here."""
    return Answer(
        {
            named(job_id, cluster): replace(job, job_id=named(job_id, cluster))
            for job_id, job in jobs.items()
        },
        gpu_seconds,
        f"cluster {cluster}: {problem}" if cluster and problem else problem,
        frozenset([cluster] if queue.problem else ()),
    )


def _together(answers: Sequence[Answer]) -> Answer:
    if len(answers) == 1:
        return answers[0]
    seconds = [answer.gpu_seconds for answer in answers]
    known = [amount for amount in seconds if amount is not None]
    return Answer(
        {job_id: job for answer in answers for job_id, job in answer.jobs.items()},
        sum(known) if answers and len(known) == len(seconds) else None,
        "; ".join(answer.problem for answer in answers if answer.problem),
        frozenset().union(*(answer.silent for answer in answers)),
    )


def _numbers(job_ids: Iterable[str]) -> dict[str, str]:
    """What each cluster is asked for."""
    found = by_cluster(sorted({number(job_id) for job_id in job_ids}))
    return {cluster: ",".join(numbers) for cluster, numbers in found.items()}


def _queue(call: Call, until: float) -> Reply:
    """What ``squeue`` answers; nothing where it has forgotten all of the jobs, in SLURM's words."""
    reply = call.reply(until)
    return Reply(call.name) if GONE in reply.words else reply


def _describe(queue: str, accounting: str) -> str:
    if queue and accounting:
        return f"SLURM does not answer ({queue}; {accounting}): this is what the run folders say"
    if queue:
        return f"squeue does not answer ({queue}): what waits and runs may be out of date"
    if accounting:
        return f"sacct does not answer ({accounting}): how older jobs ended is not known"
    return ""


def read_squeue(text: str) -> dict[str, Job]:
    """Jobs by id from lines of ``array|task|STATE|nodes|time|gres|reason``."""
    jobs = {}
    for line in text.splitlines():
        fields = line.split("|", 6)
        if len(fields) == 7:
            array, task, state, nodes, elapsed, gres, reason = fields
            job_id = array if task in ("N/A", "") else f"{array}_{task}"
            gpus = sum(int(count) for count in _GPUS_ASKED.findall(gres))
            why = "" if reason == "None" else reason
            jobs[job_id] = Job(job_id, _word(state), why, nodes, _seconds(elapsed), gpus)
    return jobs


def read_sacct(text: str) -> tuple[dict[str, Job], float]:
    """Jobs by id, their last attempts, and GPU-seconds of all attempts.

    The lines are ``JobID|State|ElapsedRaw|TimelimitRaw|AllocTRES|NodeList|ExitCode``. A step
    that ran out of memory is told by its own line only; its job just failed.
    """
    jobs: dict[str, Job] = {}
    gpu_seconds = 0.0
    for line in text.splitlines():
        fields = line.split("|")
        if len(fields) != 7:
            continue
        job_id, state, elapsed, limit, tres, nodes, exit_code = fields
        if "[" in job_id:  # tasks that never began; those that wait squeue has one by one
            if _word(state) in ENDED:
                jobs |= {task: Job(task, _word(state)) for task in _tasks(job_id)}
            continue
        owner, _, step = job_id.partition(".")
        if step:
            if _word(state) == "OUT_OF_MEMORY" and owner in jobs:
                jobs[owner] = replace(jobs[owner], state="OUT_OF_MEMORY")
            continue
        found = _GPUS.search(tres)
        gpus, seconds = int(found[1]) if found else 0, float(elapsed or 0)
        gpu_seconds += gpus * seconds
        before = _how(jobs[owner]) if owner in jobs else ""
        where = "" if nodes == "None assigned" else nodes
        most = 60.0 * int(limit) if limit.isdigit() else None
        jobs[owner] = Job(
            owner,
            _word(state),
            nodes=where,
            seconds=seconds,
            gpus=gpus,
            exit_code=exit_code,
            before=before,
            limit=most,
            memory_mb=_memory_mb(tres),
        )
    return jobs, gpu_seconds


def _tasks(job_id: str) -> list[str]:
    """The tasks in ``12_[0-2,7%4]``."""
    array, _, listed = job_id.partition("_[")
    tasks = []
    for part in re.split(r"[]%]", listed)[0].split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit():
            tasks += [f"{array}_{i}" for i in range(int(first), int(last or first) + 1)]
    return tasks


def _memory_mb(tres: str) -> float:
    """Memory of a node by what was allocated on all of them: ``cpu=2,mem=4G,node=2``."""
    memory, nodes = _MEMORY.search(tres), _NODES.search(tres)
    if not memory:
        return 0.0
    return megabytes(memory[1]) / (int(nodes[1]) if nodes else 1)


def _how(job: Job) -> str:
    """How an attempt ended: workers put their job back into the queue before its time is over."""
    late = job.limit is not None and job.seconds >= LATE * job.limit
    return "TIMEOUT" if job.state == "REQUEUED" and late else job.state


def _word(state: str) -> str:
    return state.split()[0] if state.split() else "UNKNOWN"


def _seconds(elapsed: str) -> float:
    """``D-HH:MM:SS``, ``HH:MM:SS`` or ``MM:SS`` in seconds; 0 for what is none of them."""
    days, _, clock = elapsed.rpartition("-")
    try:
        total = 86400.0 * int(days or 0)
        for power, part in enumerate(reversed(clock.split(":"))):
            total += 60**power * int(part)
    except ValueError:
        return 0.0
    return total
