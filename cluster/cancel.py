"""``cancel``: what is queued is not begun, and what runs is checkpointed."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from cluster.queue import live_queues
from cluster.status import read_rows
from scaling.errors import WorkError
from scaling.store import Store
from scaling.terminal import note

PATIENCE_SECONDS = 120.0


def cancel(name: str, root: str | None = None, patience: float = PATIENCE_SECONDS) -> int:
    """Ask all processes that work on a sweep to stop, and wait until they have.

    Raises
    ------
    ValueError
        If no sweep of that name was submitted.
    WorkError
        If some do not stop within ``patience`` seconds, or work on another machine.
    """
    store = Store.at(root)
    read_rows(store, name)
    jobs = {job for queue in live_queues(store.sweep_dir(name)) for job in queue.live_jobs}
    if not jobs:
        note(f"nobody works on sweep {name!r}: nothing to cancel")
        return 0
    note(f"asking {len(jobs)} workers to write their checkpoints and stop ...")
    until = time.monotonic() + patience
    while alive := [job for job in jobs if job.is_local and job.is_alive]:
        if time.monotonic() > until:
            raise WorkError(
                f"{len(alive)} workers did not stop within {patience:.0f} s: "
                f"processes {', '.join(str(job.pid) for job in alive)}"
            )
        # Again and again: a worker that is only starting does not listen yet.
        for job in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(job.pid, signal.SIGTERM)
        time.sleep(0.5)
    elsewhere = sorted({job.host for job in jobs if not job.is_local})
    if elsewhere:
        raise WorkError(f"there are workers on {', '.join(elsewhere)}: cancel the sweep there too")
    print(f"stopped; `scaling retry {name}` or submitting again goes on")
    return 0
