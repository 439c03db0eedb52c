"""A worker as the policy of its sweep has it: after others, within caps, giving way to some."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from cluster.work.ledger import Account
from cluster.work.shift import Turn
from cluster.work.stage import staged
from cluster.work.submission import Queue
from cluster.work.turns import Precedence, wait_for_others
from cluster.work.worker import Stop, run_queue, stop_on_signals
from scaling.base import Store
from scaling.run import read_rows
from scaling.world import os, path_at, signal
from sweeps import Resources


def work(
    root: str,
    sweep: str,
    queue_path: str,
    resources: Resources,
    environment: Mapping[str, str | None],
) -> int:
    """Work on a submission as a process of its own; the number of runs done here.

    Parameters
    ----------
    root, sweep, queue_path : str
        The store, the sweep's name and the submission's file.
    resources : Resources
    environment : dict
        Variables to set, or to unset where None, before torch is loaded.
    """
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    store, queue = Store.at(root), Queue.read(path_at(queue_path))
    with (
        stop_on_signals(signal.SIGTERM, signal.SIGINT, signal.SIGUSR2) as stop,
    ):
        return take_turns(store, sweep, queue, resources, stop, capture=True).done


def take_turns(
    store: Store,
    sweep: str,
    queue: Queue,
    resources: Resources,
    stop: Stop,
    *,
    capture: bool = False,
) -> Turn:
    """:func:`run_queue` as the sweep's policy has it: after others, within caps, giving way."""
    wait_for_others(store, queue, stop)
    with Account.of(store, queue, resources) as account, staging(store, sweep, resources):
        return run_queue(
            store,
            sweep,
            queue,
            resources,
            lambda: stop() or account.over(),
            capture=capture,
            hold=Precedence(store, queue).waits,
        )


def staging(
    store: Store, sweep: str, resources: Resources
) -> contextlib.AbstractContextManager[object]:
    """The sweep's data on this node's own disk meanwhile, if that is asked for."""
    if not resources.stage:
        return contextlib.nullcontext()
    return staged(store, [row["spec"] for row in read_rows(store, sweep)])
