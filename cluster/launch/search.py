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
    before = written(store, sweep.name)
    refuse_another(before, sweep)
    if not sweep.search or not before.entries:
        return sweep
    with contextlib.nullcontext(before) if dry_run else rewriting(store, sweep.name) as before:
        now = replace(before, search=sweep.search)
        ended = ended_runs(store, now)
        if all(entry.run_id in ended for entry in now):
            answer = next_run(now, ended, root=store.root)
            if isinstance(answer, Sweep):
                now = answer
            else:
                note(f"search of sweep {sweep.name!r}: {answer.reason}")
        if now != before and not dry_run:
            now.write(sweep_path(store, sweep.name))
    return replace(sweep, entries=now.entries)
