"""What a place that does runs is asked, and what it says: the few methods of all of them."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

from cluster.work import Queue, Task
from scaling.base import Store, note
from sweeps import Policy, ResourceRules, Resources

if TYPE_CHECKING:
    from sweeps import Sweep


@dataclass(frozen=True)
class Order:
    """The runs of a sweep that are to do, and what for.

    Attributes
    ----------
    tasks : sequence of Task
        The longest first.
    ends : dict
        How often each of their runs has ended so far.
    uri : str
        The tracking store.
    workers : int
        Worker processes, or jobs at a time of a class that does not say.
    rules : ResourceRules
        What the runs may use, by size.
    resources : Resources
        What a worker may use where all are alike.
    canary : bool
        Whether the smallest and the largest run are tried first.
    policy : Policy
        What holds of the sweep as a whole.
    """

    store: Store
    sweep: Sweep
    tasks: Sequence[Task]
    ends: Mapping[str, int]
    uri: str
    workers: int
    rules: ResourceRules
    resources: Resources
    canary: bool = False
    policy: Policy = field(default_factory=Policy)

    @property
    def plugins(self) -> set[str]:
        """Import paths of what the runs have plugged in."""
        return {path for entry in self.sweep for path in entry.spec.plugins}

    def new_queue(self) -> Queue:
        """The queue for workers that are all alike; not written yet."""
        folder = self.store.sweep_dir(self.sweep.name)
        queue = Queue.new(folder, [task.run_ids for task in self.tasks], self.ends)
        return replace(
            queue,
            workers=self.workers,
            keep=self.sweep.keep,
            policy=self.policy.to_dict(),
            search=bool(self.sweep.search),
        )

    def say_how_to_go_on(self) -> None:
        """Say after Ctrl-C that nothing is lost."""
        note(
            f"stopped; what ran is checkpointed. `scaling retry {shlex.quote(self.sweep.name)}` "
            "or the same command again goes on"
        )


@dataclass(frozen=True)
class Started:
    """What a place has begun.

    Attributes
    ----------
    job_ids : tuple of str
        The worker processes, on SLURM the arrays; none for ``inline``.
    queues : tuple of Queue
        What was written for the workers: one, on SLURM one a class of resources.
    workers : tuple
        submitit's handles of local workers.
    shipper : Popen, optional
        The process that carries the journals to the tracking store.
    """

    job_ids: tuple[str, ...] = ()
    queues: tuple[Queue, ...] = ()
    workers: tuple[Any, ...] = field(default=(), repr=False, compare=False)
    shipper: subprocess.Popen[bytes] | None = field(default=None, repr=False, compare=False)


class Place(Protocol):
    """Somewhere that runs are done: planned, started, waited for."""

    @staticmethod
    def taken(store: Store, name: str, *, release: bool) -> set[str]:
        """The runs of a sweep that it does already, whatever is submitted; some it may release."""

    @classmethod
    def plan(cls, order: Order) -> Self:
        """The place with an order that it can do; it refuses others before anything is written."""

    def start(self) -> Started:
        """Begin the work."""

    def wait(self, started: Started) -> None:
        """Show the progress and return when the work has ended."""
