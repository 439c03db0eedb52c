"""``submit``: from a sweep to the runs that are still to do, and the processes that do them."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from cluster.launch.inline import Inline
from cluster.launch.local import Local
from cluster.launch.place import Order, Place
from cluster.launch.preview import Preview
from cluster.launch.search import search_goes_on
from cluster.launch.slurm import Slurm
from cluster.tracking import check_notify, check_rule, deliver, prepare_tracking, remember
from cluster.work import (
    EARLY,
    ask_about,
    cap_reached,
    caps_of,
    check_after,
    claim,
    count_ends,
    lease_dir,
    make_tasks,
    read_queues,
    rewriting,
    starting,
    tidy_up_after,
)
from scaling import ProgramSpec, RunSpec, Spec
from scaling.base import Store, WorkError, note, uncollected
from scaling.data import make_ready
from scaling.programs import forget, is_copied, snapshot
from scaling.run import (
    STATE,
    archived_runs,
    begin_anew,
    end,
    lacks_monitor,
    lacks_weights,
    last_epoch,
    read_turns,
    remove_weights,
    sweep_path,
    unfold,
)
from sweeps import (
    POLICY_KEYS,
    Policy,
    ResourceRules,
    Resources,
    Sweep,
    changed_code,
    refuse_another,
)

On = Literal["local", "slurm", "inline"]
Rerun = Literal["missing", "failed", "early", "all"]
PLACES: Mapping[str, type[Place]] = {"local": Local, "slurm": Slurm, "inline": Inline}
RERUNS = ("missing", "failed", "early", "all")
ENDED_AS: Mapping[str, str] = {"failed": "failed", "early": EARLY}


@dataclass(frozen=True)
class Submission:
    """What :func:`submit` did.

    Attributes
    ----------
    submitted : tuple of str
        ``run_id`` of the runs that were to do, longest task first.
    skipped : tuple of str
        Those of the sweep that were not: they have a result, or failed before.
    job_ids : tuple of str
        The worker processes, on SLURM the arrays; none for ``inline``.
    jobs : tuple of Preview
        What would be sent to SLURM, by class; of a dry run.
    """

    sweep: str
    submitted: tuple[str, ...]
    skipped: tuple[str, ...]
    job_ids: tuple[str, ...] = ()
    jobs: tuple[Preview, ...] = ()
    workers: tuple[Any, ...] = field(default=(), repr=False, compare=False)
    shipper: subprocess.Popen[bytes] | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """What ``scaling submit --json`` prints."""
        return {
            "sweep": self.sweep,
            "submitted": list(self.submitted),
            "skipped": list(self.skipped),
            "job_ids": list(self.job_ids),
            **({"jobs": [asdict(kind) for kind in self.jobs]} if self.jobs else {}),
        }


def submit(
    sweep: Sweep,
    *,
    on: On = "local",
    workers: int = 2,
    root: str | Path | None = None,
    tracking_uri: str | None = None,
    rerun: Rerun = "missing",
    dry_run: bool = False,
    wait: bool = False,
    resources: Resources | None = None,
    settings: Mapping[str, Any] | None = None,
    only: Collection[str] | None = None,
    canary: bool = False,
) -> Submission:
    """Run what is not done yet of a sweep.

    Parameters
    ----------
    sweep : Sweep
        Runs that an earlier sweep of the same name had stay in it.
    on : {"local", "slurm", "inline"}
        ``local``: worker processes through submitit's local executor, which outlive this one;
        ``slurm``: job arrays, one for each class of the sweep's ``resources``;
        ``inline``: in this process, which then waits.
    workers : int
        Worker processes (``local``), or jobs at a time of a class that does not say (``slurm``).
    root, tracking_uri : optional
        Where runs are kept and tracked; see :class:`scaling.base.store.Store`.
    rerun : {"missing", "failed", "early", "all"}
        ``missing``: runs that never ended; ``failed``: those that failed too; ``early``: just
        those that stopped early; ``all``: every run from its beginning, what it had is thrown
        away.
    dry_run : bool
        Only say what would be done; nothing is written.
    wait : bool
        Show the progress and return when the workers have ended.
    resources : Resources, optional
        What a worker may use (``local``, ``inline``); by default what the sweep says, without
        its ``minutes``.
    settings : dict, optional
        Fields of :class:`sweeps.resources.Resources` and :class:`sweeps.policy.Policy` that win
        over those of the sweep.
    only : collection of str, optional
        The runs to look at; all for None.
    canary : bool
        On SLURM: try the smallest and the largest run for a few steps first; the rest follows
        only if they succeed.

    Returns
    -------
    Submission

    Raises
    ------
    ValueError
        For an option that is not known, or resources that the SLURM site does not have.
    WorkError
        When waiting, if the workers ended with runs left undone; without a SLURM that answers.
    KeyboardInterrupt
        When waiting, after Ctrl-C; what ran is checkpointed.
    """
    _one_of("on", on, PLACES)
    _one_of("rerun", rerun, RERUNS)
    if workers < 1:
        raise ValueError(f"workers {workers} is below 1")
    if canary and on != "slurm":
        raise ValueError(f"canary has no effect on {on!r}: it is for jobs that wait in a queue")
    given = dict(settings or {})
    asked = {key: given.pop(key) for key in POLICY_KEYS if key in given}
    policy = Policy.parse({**sweep.policy.to_dict(), **asked})
    rules = ResourceRules.parse(sweep.resources, given)
    if not sweep.entries and sweep.imported:
        raise ValueError(
            f"the {len(sweep.imported)} runs of sweep {sweep.name!r} were imported: they were "
            "trained elsewhere and cannot be trained here"
        )
    store = Store.at(root)
    check_after(store, sweep.name, policy.after)
    check_notify(policy.notify)
    check_rule(policy.stop_early)
    _check_monitor(rules)
    sweep = search_goes_on(store, sweep, dry_run=dry_run)
    place = PLACES[on]
    ends = _runs_to_do(store, sweep, rerun, only)
    taken = place.taken(store, sweep.name, release=not dry_run).intersection(ends)
    if rerun == "all":
        taken = set()
    if taken:
        note(f"{len(taken)} runs have a job of their own in SLURM already: it does them")
    ends = {run_id: count for run_id, count in ends.items() if run_id not in taken}
    tasks = make_tasks((entry.run_id, entry.spec) for entry in sweep if entry.run_id in ends)
    order = Order(
        store,
        sweep,
        tasks,
        ends,
        uri=tracking_uri or store.tracking_uri,
        workers=workers,
        rules=rules,
        resources=resources or replace(rules.of(0), minutes=None),
        canary=canary,
        policy=policy,
    )
    submission = Submission(
        sweep.name,
        submitted=tuple(run_id for task in tasks for run_id in task.run_ids),
        skipped=tuple(entry.run_id for entry in sweep if entry.run_id not in ends),
    )
    _check_writable(store, sweep.name, ends)
    _check_caps(store, sweep.name, policy, ends)
    _say_who_works_already(store, sweep.name, ends)
    _say_what_is_not_kept(store, sweep, submission.skipped)
    planned = place.plan(order)
    if changed := changed_code(sweep, store.root):
        note(changed)
    if dry_run:
        jobs = planned.previews() if isinstance(planned, Slurm) else ()
        return replace(submission, jobs=jobs)
    to_do = [entry.spec for entry in sweep if entry.run_id in ends]
    _copy_code(store, to_do, rules.of(0).code)
    make_ready(sorted({spec.data.data for spec in to_do if isinstance(spec, RunSpec)}))
    with starting(store.sweep_dir(sweep.name)):
        _write_sweep(store, sweep)
        if rerun == "all":
            for entry in (entry for entry in sweep if entry.run_id in ends):
                _begin_anew(store, entry.run_id, lease_dir(store, entry.spec, entry.run_id))
        tidy_up_after(store, (entry.spec for entry in sweep if entry.run_id not in ends))
        remember(store, sweep.name, order.uri, begun=bool(ends))
        if not ends:
            deliver(store, sweep, order.uri)
            return submission
        prepare_tracking(sweep, order.uri)
        started = planned.start()
    if wait:
        planned.wait(started)
    return replace(
        submission,
        job_ids=started.job_ids,
        workers=started.workers,
        shipper=started.shipper,
    )


def _copy_code(store: Store, specs: Iterable[Spec], path: str) -> None:
    """Keep the code of programs as it is now: later edits do not reach their runs.

    Raises
    ------
    ValueError
        If it is another by now than when the sweep was expanded, or no longer there.
    """
    for code in sorted({spec.program.code for spec in specs if isinstance(spec, ProgramSpec)}):
        if is_copied(code):
            snapshot(store, Path(path), code)


def _one_of(option: str, value: str, allowed: Iterable[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{option} {value!r} is not known: choose one of {', '.join(allowed)}")


@uncollected()
def _runs_to_do(
    store: Store, sweep: Sweep, rerun: Rerun, only: Collection[str] | None
) -> dict[str, int]:
    """The runs to do, with how often each has ended so far; those begun anew never have."""
    only = None if only is None else set(only)
    packed = archived_runs(store) if rerun == "all" else frozenset()
    if taken := [entry.run_id for entry in sweep if entry.run_id in packed]:
        raise ValueError(
            f"{len(taken)} runs to begin anew are in an archive, such as {taken[0]}: `scaling "
            f"archive {shlex.quote(sweep.name)} --restore` takes them out"
        )
    chosen = {}
    for entry in sweep:
        if only is not None and entry.run_id not in only:
            continue
        events = read_turns(store.run_dir(entry.run_id))
        last = end(events)
        again = last is not None and ENDED_AS.get(rerun) == last["status"]
        if rerun == "all" or again or (last is None and rerun != "early"):
            chosen[entry.run_id] = 0 if rerun == "all" else count_ends(events)
    return chosen


def _check_monitor(rules: ResourceRules) -> None:
    """Refuse to measure machines without the package for it.

    Raises
    ------
    ValueError
        With the remedy.
    """
    classes = [rules.of(size) for size in (0.0, *(size for size, _ in rules.rules))]
    asked = next((one.monitor_seconds for one in classes if one.monitor_seconds), 0.0)
    if asked and (problem := lacks_monitor()):
        raise ValueError(f"monitor_seconds {asked:g}: {problem}")


def _check_writable(store: Store, name: str, run_ids: Iterable[str]) -> None:
    """Refuse what somebody else has begun and nobody else may go on with.

    Raises
    ------
    ValueError
        If one of the folders cannot be written.
    """
    runs = (store.run_dir(run_id) for run_id in run_ids)
    for folder in (store.root, store.sweep_dir(name), *runs):
        if not os.access(folder, os.W_OK) and folder.exists():
            raise ValueError(
                f"{folder} is {folder.owner()}'s and you may not write there: let its owner call "
                f"`chmod -R g+w {shlex.quote(str(store.root))}` (folders of a group that both are "
                "in) and work under `umask 002`"
            )


def _check_caps(store: Store, name: str, policy: Policy, run_ids: Collection[str]) -> None:
    """Refuse to begin anything where a cap is reached.

    Raises
    ------
    ValueError
        If the root's caps cannot be read.
    WorkError
        If one is reached; the message says which, and how to go on.
    """
    caps_of(store)
    if run_ids and (why := cap_reached(store, name, policy)):
        raise WorkError(why)


def _say_who_works_already(store: Store, name: str, run_ids: Collection[str]) -> None:
    """Say it where living workers do the same runs already: more of them come now."""
    queues = read_queues(store.sweep_dir(name)) if run_ids else []
    if not queues:
        return
    said = ask_about(queues)
    for queue in (queue for queue in queues if not queue.is_stopped and queue.is_live(said)):
        shared = sum(run_id in run_ids for run_id in queue.run_ids)
        if shared:
            note(
                f"{shared} of these runs have workers already ({queue.workers or 'some'}, of "
                f"submission {queue.path.stem}): these come on top. `scaling status "
                f"{shlex.quote(name)}` shows them, `scaling cancel {shlex.quote(name)}` stops all"
            )


def _say_what_is_not_kept(store: Store, sweep: Sweep, skipped: Collection[str]) -> None:
    """Say how many runs are done and did not keep the weights that the sweep asks for."""
    skipped = set(skipped)
    without = sum(
        lacks_weights(store.run_dir(entry.run_id), entry.spec, sweep.keep)
        for entry in sweep
        if entry.run_id in skipped and isinstance(entry.spec, RunSpec)
    )
    if without:
        note(
            f"{without} runs are done and kept no such weights as {sweep.keep} asks for: only "
            "runs that are begun anew can keep them (submit with --rerun all)"
        )


def _write_sweep(store: Store, sweep: Sweep) -> None:
    """Write the sweep's file; runs of an earlier sweep of the same name stay in it."""
    with rewriting(store, sweep.name) as before:
        refuse_another(before, sweep)
        resources = sweep.resources or before.resources
        ours = {entry.run_id for entry in sweep}
        others = [entry for entry in before if entry.run_id not in ours]
        if others:
            note(
                f"sweep {sweep.name!r} had {len(others)} runs that are not in this file; "
                "they stay part of it"
            )
        known = {entry.run_id: entry for entry in before}
        taken = {entry.name for entry in (*before, *before.imported)}
        merged = list(before)
        for entry in sweep:
            if entry.run_id not in known:
                # Names are made from what varies within one file, so two files may clash.
                clash = entry.name in taken
                name = f"{entry.name}-{entry.run_id[:6]}" if clash else entry.name
                merged.append(replace(entry, name=name))
                taken.add(name)
        there = {run.run_id for run in before.imported}
        imported = *before.imported, *(i for i in sweep.imported if i.run_id not in there)
        now = Sweep(
            sweep.name, tuple(merged), resources, sweep.keep, imported, sweep.policy, sweep.search
        )
        if now != before:
            now.write(sweep_path(store, sweep.name))


def _begin_anew(store: Store, run_id: str, held: Path) -> None:
    """Throw away what a run and its trunk have; the log and the leases stay."""
    lease = claim(held, after=last_epoch(store.run_dir(run_id)))
    if lease is None:
        note(f"run {run_id} is being done right now: it is not begun anew")
        return
    with lease:
        run_dir = store.run_dir(run_id)
        unfold(run_dir)
        for folder in (run_dir, held):
            for path in folder.glob("*.pt"):
                path.unlink()
            remove_weights(folder)
        forget(run_dir)
        (run_dir / STATE).unlink(missing_ok=True)
        begin_anew(run_dir, lease.epoch)
