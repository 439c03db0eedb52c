"""``slurm``: a submission from end to end: check, snapshot, canary, arrays; and waiting for it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cluster.launch.arrays import JobClass, classes, possible, send, send_canary
from cluster.launch.defaults import default_cluster
from cluster.launch.feeder import feed
from cluster.launch.place import Order, Started
from cluster.launch.preview import Preview, preview
from cluster.launch.snapshot import snapshot
from cluster.slurm import Site, ask_queue, by_cluster, on_cluster, output, plain
from cluster.status import watching
from cluster.tracking import start_shipper, take_over
from cluster.work import (
    Queue,
    canary_failures,
    cap_reached,
    choose,
    jobs_before,
    outlook,
    read_queues,
)
from scaling.base import Store, WorkError, note
from sweeps import Policy, Resources

LOOK_SECONDS = 5.0  # between questions to the controller
ATTEMPTS = 5  # to send jobs again, or to let SLURM launch what it could not
PAUSE_LOOKS = 6  # questions between two attempts: a node may come back
SETTLE_SECONDS = 5.0  # what the last jobs wrote may reach this machine so much later


@dataclass(frozen=True)
class Slurm:
    """Job arrays, one for each class of an order's resources, checked against the site.

    Attributes
    ----------
    order : Order
    sites : dict
        By the name of a cluster; empty for the one that SLURM's commands ask by themselves.
    kinds : tuple of JobClass
        The order's tasks by what they may use.
    """

    order: Order
    sites: Mapping[str, Site]
    kinds: tuple[JobClass, ...]

    @staticmethod
    def taken(store: Store, name: str, *, release: bool) -> set[str]:
        """The runs of a sweep that a job of their own does or will do.

        With ``release``, SLURM tries again what it holds because it could not launch it.
        """
        queues = [queue for queue in read_queues(store.sweep_dir(name)) if not queue.is_stopped]
        said = ask_queue(job for queue in queues for job in (*queue.slurm_jobs, *queue.canary))
        if release:
            _release(said.held)
        return {
            run_id
            for queue in queues
            for run_id, job in queue.own_jobs.items()
            if job in said.jobs and said.may_run(job) and not queue.is_run_stopped(run_id)
        }

    @classmethod
    def plan(cls, order: Order) -> Slurm:
        """An order by classes of resources.

        Raises
        ------
        ValueError
            If the site cannot run one of them.
        WorkError
            If there is no SLURM, or it does not answer.
        """
        if order.policy.priority > 0:
            note(
                f"priority {order.policy.priority} has no effect on SLURM, which raises nobody's "
                "jobs: give the less urgent sweeps one below 0"
            )
        before = jobs_before(order.store, order.policy.after)  # refuses some of them
        sites: dict[str, Site] = {}

        def site(cluster: str) -> Site:
            if cluster not in sites:
                sites[cluster] = Site.ask(cluster)
            return sites[cluster]

        sizes = {entry.run_id: float(entry.spec.cost.num_params) for entry in order.sweep}
        kinds = [
            replace(kind, resources=_on_a_cluster(kind.resources))
            for kind in classes(order.tasks, sizes, order.rules)
        ]
        if order.sweep.search and any(kind.resources.is_alone for kind in kinds):
            raise ValueError(
                "alone and processes give each run a job of its own, and the runs of a search are "
                "not known before: leave them out, its jobs take run after run"
            )
        kinds = [possible(site, kind) for kind in kinds]
        _check_conditions(order, before, kinds, site)
        return cls(order, sites, tuple(kinds))

    def previews(self) -> tuple[Preview, ...]:
        """What would be sent, by class."""
        return tuple(preview(self.order, self._site(kind), kind) for kind in self.kinds)

    def _site(self, kind: JobClass) -> Site:
        return self.sites[kind.resources.cluster]

    def start(self) -> Started:
        """Send the jobs, and start what ships their journals.

        Raises
        ------
        WorkError
            If SLURM refuses some; what it took before is shipped all the same.
        """
        store, name, uri = self.order.store, self.order.sweep.name, self.order.uri
        try:
            queues = self.send_all()
        except WorkError:
            if any(queue.slurm_jobs for queue in read_queues(store.sweep_dir(name))):
                start_shipper(store, name, uri)
            raise
        queues = feed(self.order, self.sites, queues)
        job_ids = tuple(job for queue in queues for job in queue.slurm_jobs)
        return Started(job_ids, tuple(queues), shipper=start_shipper(store, name, uri))

    def wait(self, started: Started) -> None:
        """Show the progress until the jobs have ended; deliver what they wrote.

        Raises
        ------
        WorkError, KeyboardInterrupt
            As :meth:`see_through` does.
        """
        assert started.shipper is not None
        try:
            self.see_through(started.queues)
        finally:
            take_over(self.order.store, self.order.sweep, self.order.uri, started.shipper)

    def send_all(self) -> list[Queue]:
        """Send the jobs; the queues, one a class, with their jobs."""
        order = self.order
        folder = order.store.sweep_dir(order.sweep.name)
        code = snapshot(folder, order.plugins)
        queues = []
        for kind in self.kinds:
            tasks = [task.run_ids for task in kind.tasks]
            ends = {run_id: order.ends[run_id] for task in tasks for run_id in task}
            queue = replace(
                Queue.new(folder, tasks, ends),
                resources=kind.resources.to_dict(),
                workers=order.workers,
                keep=order.sweep.keep,
                policy=order.policy.to_dict(),
                search=bool(order.sweep.search),
            )
            queue.write()
            queues.append(queue)
        if order.canary:
            jobs = self._send_canary(queues, code)
            queues = [replace(queue, canary=jobs) for queue in queues]
            for queue in queues:
                queue.write()
        return [
            send(order, self._site(kind), kind, queue, code)
            for queue, kind in zip(queues, self.kinds, strict=True)
        ]

    def see_through(self, queues: Sequence[Queue]) -> list[Queue]:
        """Wait until the jobs have ended; send new ones as long as that gets on.

        Workers that were killed together leave runs that nobody does; new jobs take them up from
        their checkpoints.

        Raises
        ------
        WorkError
            If the canary failed, somebody cancelled the sweep, the last jobs ended without
            finishing a run, or SLURM cannot launch one.
        KeyboardInterrupt
            After Ctrl-C; the jobs go on.
        """
        store, name = self.order.store, self.order.sweep.name
        before = _standing(store, name, queues)
        with watching(store, name):
            while True:
                try:
                    queues = _wait_for_jobs(queues)
                except KeyboardInterrupt:
                    note(
                        "the jobs go on; `scaling status` shows them, "
                        f"`scaling cancel {shlex.quote(name)}` stops them"
                    )
                    raise
                now = _standing(store, name, queues)
                left = now[0]
                if not left:
                    return list(queues)
                _check(store, name, queues, left)
                if now == before:
                    raise WorkError(
                        f"the jobs ended with {left} runs left and none finished by the last ones: "
                        f"see `scaling status {shlex.quote(name)}`; `scaling retry` goes on"
                    )
                before = now
                note(f"{left} runs are left without a worker: new jobs go on")
                code = snapshot(store.sweep_dir(name), self.order.plugins)
                queues = [
                    self._send_again(queue, kind, code)
                    for queue, kind in zip(queues, self.kinds, strict=True)
                ]

    def _send_canary(self, queues: Sequence[Queue], code: Path) -> tuple[str, ...]:
        order = self.order
        rows = {entry.run_id: entry.columns for entry in order.sweep if entry.run_id in order.ends}
        chosen = choose(rows)
        specs = {e.run_id: e.spec.to_dict() for e in order.sweep if e.run_id in chosen}
        tried = {run_id: specs[run_id] for run_id in chosen}
        jobs = send_canary(order, list(zip(queues, self.kinds, strict=True)), tried, code)
        note(f"canary: {', '.join(tried)} in jobs {', '.join(jobs)}; the rest waits for them")
        return jobs

    def _send_again(self, queue: Queue, kind: JobClass, code: Path) -> Queue:
        """Send a queue anew; a controller that has just started refuses as it knows no node."""
        attempt = 1
        while True:
            again = replace(Queue.read(queue.path), canary=())
            try:
                return send(self.order, self._site(kind), kind, again, code)
            except WorkError as error:
                if attempt == ATTEMPTS:
                    raise
                note(f"{error}; trying again")
            time.sleep(PAUSE_LOOKS * LOOK_SECONDS)
            attempt += 1


def _on_a_cluster(resources: Resources) -> Resources:
    """On the user's own default where the sweep names none, so that jobs keep that name."""
    return resources if resources.cluster else replace(resources, cluster=default_cluster())


def _standing(store: Store, name: str, queues: Sequence[Queue]) -> tuple[int, int]:
    """How many runs are open, at least one in a search that is not over, and how many are not."""
    queues = [Queue.read(queue.path) for queue in queues]  # a search may have added some
    runs = [(queue, run_id) for queue in queues for run_id in queue.run_ids]
    left = sum(queue.is_open(store, run_id) for queue, run_id in runs)
    if not left and any(queue.search for queue in queues):
        seen = outlook(store, name)
        left = int(seen is not None and not seen.end)
    return left, len(runs) - left


def _check(store: Store, name: str, queues: Sequence[Queue], left: int) -> None:
    """Say why nobody should go on."""
    for queue in queues:
        if why := cap_reached(store, name, Policy.parse(queue.policy)):
            raise WorkError(why)
        failed = canary_failures(store, name, queue.path.stem)
        if failed:
            why = "; ".join(f"{run_id}: {reason}" for run_id, reason in failed.items())
            raise WorkError(f"the canary failed, nothing else ran: {why}")
        if queue.is_stopped:
            raise WorkError(
                f"the sweep was cancelled with {left} runs left: `scaling retry "
                f"{shlex.quote(name)}` goes on"
            )


def _wait_for_jobs(queues: Sequence[Queue]) -> list[Queue]:
    """Wait until SLURM has none of the jobs any more, and none is to be sent; the queues by then.

    A controller that is away may come back.
    """
    told, looks = False, 0
    while True:
        queues = [Queue.read(queue.path) for queue in queues]  # more jobs may have been sent
        jobs = {job for queue in queues for job in (*queue.canary, *queue.slurm_jobs)}
        said = ask_queue(jobs)
        if said.problem and not told:
            note(f"{said.problem}; waiting for it")
        told = bool(said.problem)
        feeding = any(queue.waiting and queue.live_processes for queue in queues)
        if not feeding and not any(said.may_run(job) for job in jobs):
            time.sleep(SETTLE_SECONDS)
            return queues
        if held := said.held:
            others_go_on = any(not (job.has_ended or job.is_held) for job in said.jobs.values())
            if looks >= ATTEMPTS * PAUSE_LOOKS and not others_go_on:
                job, cluster = plain(held[0])
                shown = shlex.join(on_cluster(("scontrol", "show", "job", job), cluster))
                raise WorkError(
                    f"SLURM could not launch job {held[0]}, {ATTEMPTS} times: see the nodes it was "
                    f"given (`{shown}`); `scaling retry` goes on"
                )
            if looks % PAUSE_LOOKS == 0:
                _release(held)
            looks += 1
        time.sleep(LOOK_SECONDS)


def _release(held: Sequence[str]) -> None:
    """Let SLURM try again what it holds because it could not launch it."""
    for cluster, jobs in by_cluster(held).items():
        try:
            output(("scontrol", "release", ",".join(jobs)), cluster)
            note(f"SLURM could not launch {', '.join(jobs)} and held it: released")
        except WorkError as error:
            note(f"SLURM holds {', '.join(jobs)}, which it could not launch: {error}")


def _check_conditions(
    order: Order, before: Sequence[str], kinds: Sequence[JobClass], site: Callable[[str], Site]
) -> None:
    """Refuse jobs that would have to wait for those of another cluster: SLURM's cannot.

    Raises
    ------
    ValueError
        Naming both clusters.
    """
    names = {kind.resources.cluster: site(kind.resources.cluster).name for kind in kinds}
    if order.canary and len(set(names.values())) > 1:
        raise ValueError(
            f"canary: jobs would go to the clusters {', '.join(sorted(names.values()))}, and those "
            "of one cannot wait for those of another: give all classes one cluster"
        )
    for theirs in by_cluster(before):
        there = site(theirs).name
        other = next((name for name in names.values() if name != there), "")
        if other:
            raise ValueError(
                f"after: jobs go to cluster {other!r}, those that they come after are on "
                f"{there!r}, and SLURM waits within one cluster only: submit when they have ended"
            )
