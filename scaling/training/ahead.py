"""Batches made by threads while the step before them runs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, NoReturn, TypeVar

import torch

T = TypeVar("T")


class Ahead(Generic[T]):
    """``make(step, rows)``, made before it is asked for.

    As ``make`` is a function of its arguments alone, what comes out does not depend on the
    threads, on their number or on what was asked before; an error in ``make`` is raised where
    its batch is asked for.

    Parameters
    ----------
    make : callable
    steps : int
        How many steps there are.
    threads : int
        How many batches are made at once; one more is kept ready. 0: each is made when it is
        asked for, by whoever asks.
    """

    def __init__(self, make: Callable[[int, slice], T], steps: int, threads: int) -> None:
        self.make, self.steps, self.threads = make, steps, threads
        # One core each: teams of OpenMP threads beside the model's own halve its speed.
        self._pool = (
            ThreadPoolExecutor(threads, "batches", torch.set_num_threads, (1,)) if threads else None
        )
        self._begun: dict[tuple[int, int | None, int | None], Future[T]] = {}

    def get(self, step: int, rows: slice) -> T:
        """The rows of the batch of ``step``; begins those of the steps that follow."""
        if self._pool is None:
            return self.make(step, rows)
        for later in range(step, max(step, min(step + self.threads + 1, self.steps - 1)) + 1):
            key = (later, rows.start, rows.stop)
            if key not in self._begun:
                self._begun[key] = self._pool.submit(self.make, later, rows)
        return self._begun.pop((step, rows.start, rows.stop)).result()

    def close(self) -> None:
        """End the threads; batches that nobody asked for are dropped, and what makes them."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._begun.clear()
        self.make = _after_the_end  # whose method it was holds this, and the data


def _after_the_end(step: int, rows: slice) -> NoReturn:
    raise RuntimeError(f"the batch of step {step} was asked for after the shutdown")
