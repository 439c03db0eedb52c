"""Sends the jobs that a site does not let wait yet (``MaxSubmitJobs``) as places come free.

A process of its own, so that no terminal has to stay open. It ends with the last job that it
sends, with `scaling cancel`, or with its machine; `scaling retry` then sends what is left.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cluster.launch.arrays import JobClass, at_a_time, jobs_of, send
from cluster.launch.place import Order
from cluster.launch.snapshot import snapshot
from cluster.slurm import Site, ask_queue
from cluster.work import ProcessId, Queue, canary_failures, stop_on_signals
from scaling.base import Store, WorkError, note
from sweeps import ResourceRules, Resources, Sweep

FEED_SECONDS = 30.0
LOG = "feeder.log"


def feed(order: Order, sites: Mapping[str, Site], queues: Sequence[Queue]) -> list[Queue]:
    """Start what sends the jobs that wait for a place, if any do; the queues, which name it."""
    left = sum(len(queue.waiting) for queue in queues)
    if not left:
        return list(queues)
    folder = order.store.sweep_dir(order.sweep.name)
    arguments: dict[str, Any] = {
        "root": str(order.store.root),
        "sweep": order.sweep.name,
        "queues": [str(queue.path) for queue in queues if queue.waiting],
        "code": str(snapshot(folder, order.plugins)),
        "workers": order.workers,
        "max_array": {cluster: site.max_array for cluster, site in sites.items()},
        "seconds": FEED_SECONDS,
    }
    log = folder / "logs" / LOG
    command = [sys.executable, "-m", "cluster.launch.feeder", json.dumps(arguments)]
    # Through a shell, so that it is nobody's child.
    begin = ["sh", "-c", '"$@" >>"$0" 2>&1 </dev/null & echo $!', str(log), *command]
    told = subprocess.run(begin, stdout=subprocess.PIPE, check=True, start_new_session=True)
    feeder = ProcessId.of(int(told.stdout))
    note(
        f"the site lets no more jobs wait: {left} of them are sent as places come free (by process "
        f"{feeder.pid} here, log in {log})"
    )
    named = [replace(q, processes=(feeder,)) if q.waiting else q for q in queues]
    for queue in named:
        queue.write()
    return named


def give(order: Order, site: Site, queue: Queue, code: Path, most: int) -> tuple[Queue, int]:
    """Send what there is a place for of a queue: the queue, and how many of its jobs live now.

    As many as have lived at ``most`` are tried: each refusal leaves files of submitit's.
    """
    name = order.sweep.name
    if queue.is_stopped or canary_failures(order.store, name, queue.path.stem):
        return _now(queue, ()), 0
    kind = JobClass(Resources.from_dict(queue.resources), ())
    still = set(jobs_of(order, kind, queue))
    wanted = [job for job in queue.waiting if job in still]
    said = ask_queue((*queue.slurm_jobs, *queue.canary))
    if said.problem:
        return queue, most
    live = sum(not job.has_ended for number in queue.slurm_jobs for job in said.tasks(number))
    room = max(0, min(at_a_time(order, kind) - live, max(1, most - live)))
    if not wanted or not room:
        return _now(queue, wanted), live
    trial = queue.canary if any(said.may_run(job) for job in queue.canary) else ()
    sent = send(order, site, kind, replace(queue, canary=trial), code, wanted[:room])
    live += min(room, len(wanted)) - len(sent.waiting)
    left = (*sent.waiting, *wanted[room:])
    return _now(replace(sent, canary=queue.canary), left), live


def _now(queue: Queue, waiting: Sequence[int | None]) -> Queue:
    queue = replace(queue, waiting=tuple(waiting))
    queue.write()
    return queue


def main(argv: list[str]) -> int:
    """``python -m cluster.launch.feeder ARGUMENTS``."""
    told = json.loads(argv[0])
    rules = ResourceRules.parse({})
    order = Order(
        Store.at(told["root"]),
        Sweep(told["sweep"], ()),
        (),
        {},
        "",
        told["workers"],
        rules,
        rules.of(0),
    )
    sites = {cluster: Site((), size) for cluster, size in told["max_array"].items()}
    left = [Path(path) for path in told["queues"]]
    most = dict.fromkeys(left, 0)
    with stop_on_signals(signal.SIGTERM, signal.SIGINT) as stop:
        while left:
            until = time.monotonic() + told["seconds"]
            while time.monotonic() < until and not stop():
                time.sleep(0.2)
            if stop():
                break
            for path in tuple(left):
                try:
                    queue = Queue.read(path)
                    site = sites[queue.resources.get("cluster", "")]
                    queue, live = give(order, site, queue, Path(told["code"]), most[path])
                except FileNotFoundError:  # the sweep was removed
                    left.remove(path)
                    continue
                except (WorkError, ValueError) as error:  # of another sweep that goes before
                    note(f"{error}; trying again")
                    continue
                most[path] = max(most[path], live)
                if not queue.waiting:
                    left.remove(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
