"""``inline``: the runs one after another in this process."""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace

from cluster.launch.place import Order, Started
from cluster.status import watching
from cluster.tracking import deliver, deliver_in_time
from cluster.work import ProcessId, Queue, stop_on_signals, take_turns
from scaling.base import Store


@dataclass(frozen=True)
class Inline:
    """This process, which is done with the work when it has begun it."""

    order: Order

    @staticmethod
    def taken(store: Store, name: str, *, release: bool) -> set[str]:
        """None: whoever else works on a run holds its lease."""
        return set()

    @classmethod
    def plan(cls, order: Order) -> Inline:
        """Any order can be done."""
        return cls(order)

    def start(self) -> Started:
        """Do the runs, and deliver what they wrote.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C; what ran is checkpointed.
        """
        order = self.order
        queue = replace(order.new_queue(), workers=1).with_processes([ProcessId.of()])
        queue.write()
        try:
            self._work(queue)
        except KeyboardInterrupt:
            deliver_in_time(order.store, order.sweep, order.uri)
            raise
        deliver(order.store, order.sweep, order.uri)
        return Started(queues=(queue,))

    def wait(self, started: Started) -> None:
        """Nothing is left to wait for."""

    def _work(self, queue: Queue) -> None:
        store, name = self.order.store, self.order.sweep.name
        with stop_on_signals(signal.SIGINT, signal.SIGTERM) as stop:
            try:
                with watching(store, name):
                    take_turns(store, name, queue, self.order.resources, stop)
            finally:
                queue.with_processes([]).write()
            if stop():
                self.order.say_how_to_go_on()
                raise KeyboardInterrupt
