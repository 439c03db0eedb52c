"""A search that is submitted: for the first time, or to go on."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from cluster.work import ended_runs, rewriting, written
from scaling.base import Store, note
from scaling.run import sweep_path
from sweeps import Sweep, next_run, refuse_another


def search_goes_on(store: Store, sweep: Sweep, *, dry_run: bool) -> Sweep:
    """A search as the store has it, with one run more if none is open; another sweep as it is.

    Raises
    ------
    ValueError
        If the sweep of that name in the store is another search, or none.
    """
    if not sweep.search:
        return sweep
    before = written(store, sweep.name)
    refuse_another(before, sweep)
    if not before.entries:
        return _with_a_run(store, sweep)
    with contextlib.nullcontext(before) if dry_run else rewriting(store, sweep.name) as before:
        now = _with_a_run(store, replace(before, search=sweep.search))
        if now != before and not dry_run:
            now.write(sweep_path(store, sweep.name))
    return replace(sweep, entries=now.entries)


def _with_a_run(store: Store, sweep: Sweep) -> Sweep:
    """A search with a run that is open, where it has one; other sweeps may have done some."""
    while len(ended := ended_runs(store, sweep)) == len(sweep):
        answer = next_run(sweep, ended, root=store.root)
        if not isinstance(answer, Sweep):
            note(f"search of sweep {sweep.name!r}: {answer.reason}")
            break
        sweep = answer
    return sweep
