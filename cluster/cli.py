"""The commands of the package ``cluster``: submit, status, retry, sync, remove, ..."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cluster.commands.housekeeping import add_housekeeping
from cluster.commands.naming import RUN, add_sweep, sweep_name
from cluster.commands.serving import add_serving
from cluster.commands.sync import add_sync

if TYPE_CHECKING:
    from collections.abc import Collection

    from cluster.launch import On, Rerun, Submission
    from cluster.status import SweepStatus
    from scaling.base import Store
    from sweeps import Sweep


WORKERS = 2
EXPERIMENT = {
    "deleted": "its MLflow experiment is marked as deleted, under another name",
    "none": "it had no MLflow experiment",
    "stays": "its MLflow experiment stays as it is (--tracking marks it as deleted)",
}


@dataclass(frozen=True)
class Asked:
    """Where and how runs are to be done, and how that is told; None where the last time counts."""

    on: On | None
    workers: int | None
    device: str | None
    settings: tuple[str, ...]
    root: str | None
    tracking_uri: str | None
    dry_run: bool
    wait: bool
    json: bool

    @classmethod
    def of(cls, args: argparse.Namespace) -> Asked:
        """What the arguments of ``submit`` and ``retry`` ask for."""
        return cls(
            args.on,
            args.workers,
            args.device,
            tuple(args.set),
            args.root,
            args.tracking_uri,
            args.dry_run,
            args.wait,
            args.json,
        )


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the commands; nothing heavy is imported."""
    submit = subparsers.add_parser("submit", help="run what is not done yet of a sweep")
    submit.add_argument("source", metavar="SPEC.yaml|SWEEP.jsonl")
    submit.add_argument(
        "--rerun",
        choices=("missing", "failed", "all"),
        default="missing",
        help="missing: runs that never ended (default); failed: those that failed too; "
        "all: every run from its beginning",
    )
    submit.add_argument("--dry-run", action="store_true", help="say what would be done")
    submit.add_argument(
        "--canary",
        action="store_true",
        help="slurm: try the smallest and the largest run for a few steps first; the rest "
        "follows if they succeed",
    )
    _add_where(submit)
    submit.set_defaults(run=_submit)

    status = subparsers.add_parser("status", help="how far a sweep is")
    add_sweep(status)
    status.add_argument("--watch", action="store_true", help="refresh until all is done")
    status.add_argument("--json", action="store_true", help="one JSON document on stdout")
    status.set_defaults(run=_status)

    cancel = subparsers.add_parser(
        "cancel", help="stop a sweep, or one run of it; what runs is checkpointed"
    )
    add_sweep(cancel)
    cancel.add_argument(
        "run_id", metavar="RUN", nargs="?", help=f"{RUN}; its worker goes on with others"
    )
    cancel.add_argument("--json", action="store_true", help="one JSON document on stdout")
    cancel.set_defaults(run=_cancel)

    retry = subparsers.add_parser("retry", help="run a sweep's missing and failed runs")
    add_sweep(retry, root=False)
    retry.add_argument(
        "--cause",
        action="append",
        metavar="CAUSE",
        help="only what broke for this cause, as `scaling status` groups it: oom, disk, time, "
        "node, import, data, killed, non-finite, other; repeatable",
    )
    retry.add_argument(
        "--stopped-early",
        action="store_true",
        help="go on with the runs that stopped early, and judge none",
    )
    retry.add_argument("--dry-run", action="store_true", help="say what would be done")
    _add_where(retry)
    retry.set_defaults(run=_retry, on=None)  # where it was done the last time

    logs = subparsers.add_parser("logs", help="the log of one run")
    add_sweep(logs)
    logs.add_argument("run_id", metavar="RUN_ID", help=RUN)
    logs.add_argument("--tail", type=_lines, metavar="LINES", help="only the last lines")
    logs.set_defaults(run=_logs)

    add_sync(subparsers)

    remove = subparsers.add_parser(
        "remove", help="remove a sweep, and the runs that no other sweep has"
    )
    add_sweep(remove)
    remove.add_argument("--dry-run", action="store_true", help="say what would be removed")
    remove.add_argument("--keep-runs", action="store_true", help="remove only the sweep's folder")
    remove.add_argument(
        "--tracking", action="store_true", help="mark its MLflow experiment as deleted too"
    )
    remove.add_argument("--tracking-uri", metavar="URI", help="where the experiment is")
    remove.add_argument("--json", action="store_true", help="one JSON document on stdout")
    remove.set_defaults(run=_remove)

    add_housekeeping(subparsers)

    add_serving(subparsers)


def _lines(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number from 1: leave it out for all lines"
        )
    return int(text)


def _add_where(parser: argparse.ArgumentParser) -> None:
    """Where and with what a submission runs."""
    parser.add_argument(
        "--on",
        choices=("local", "slurm", "inline"),
        default="local",
        help="local: worker processes on this machine (default); slurm: job arrays; inline: in "
        "this process",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="worker processes, or jobs at a time (2; of a retry: as the last time)",
    )
    parser.add_argument("--device", help="auto, cpu, cuda (auto)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a resource setting that wins over the sweep's, such as memory=32GB; repeatable",
    )
    parser.add_argument("--root", metavar="DIR", help="root folder (default: SCALING_HOME)")
    parser.add_argument("--tracking-uri", metavar="URI", help="default: SQLite in the root")
    parser.add_argument("--wait", action="store_true", help="show the progress until all is done")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def _submit(args: argparse.Namespace) -> int:
    from scaling.base import note
    from sweeps import preview

    expansion, _ = preview(args.source)
    for warning in expansion.rounding():
        note(f"warning: {warning}")
    for line in expansion.notes():
        note(line)
    return _launch(Asked.of(args), expansion.sweep, args.rerun, canary=args.canary)


def _retry(args: argparse.Namespace) -> int:
    from cluster.status import broken_by, sweep_status
    from cluster.tracking import told_address
    from cluster.work import read_queues
    from scaling.base import Store
    from scaling.run import read_rows, sweep_path
    from sweeps import load_sweep

    asked, name, store = Asked.of(args), sweep_name(args.sweep), Store.at(args.root)
    read_rows(store, name)  # says which sweeps there are if this is none of them
    queues = read_queues(store.sweep_dir(name))
    last = next((q for q in reversed(queues) if q.slurm_jobs or q.processes), None)
    if asked.on is None:
        asked = replace(asked, on="slurm" if last and last.slurm_jobs else "local")
    if asked.workers is None and last:
        asked = replace(asked, workers=last.workers or None)
    asked = replace(asked, tracking_uri=told_address(store, name, asked.tracking_uri))
    if args.stopped_early:
        if args.cause:
            raise ValueError("--stopped-early and --cause ask for other runs: give one")
        asked = replace(asked, settings=(*asked.settings, "stop_early=''"))
        return _launch(asked, load_sweep(sweep_path(store, name)), "early")
    runs = sweep_status(name, asked.root).runs if args.cause else ()
    only = broken_by(name, runs, args.cause) if args.cause else None
    return _launch(asked, load_sweep(sweep_path(store, name)), "failed", only=only)


def _launch(
    asked: Asked,
    sweep: Sweep,
    rerun: Rerun,
    canary: bool = False,
    only: Collection[str] | None = None,
) -> int:
    from cluster.launch import submit
    from cluster.status import sweep_status
    from scaling.base import print_json
    from sweeps import parse_settings

    device = {"device": asked.device} if asked.device else {}
    submission = submit(
        sweep,
        on=asked.on or "local",
        workers=WORKERS if asked.workers is None else asked.workers,
        root=asked.root,
        tracking_uri=asked.tracking_uri,
        rerun=rerun,
        dry_run=asked.dry_run,
        wait=asked.wait,
        settings=parse_settings(asked.settings) | device,
        canary=canary,
        only=only,
    )
    if asked.json:
        print_json(submission.to_dict())
    elif asked.dry_run:
        _print_plan(sweep, submission)
    else:
        _print_submission(sweep, submission, asked.root)
    if asked.dry_run or not (asked.wait or asked.on == "inline"):
        return 0
    counts = sweep_status(sweep.name, asked.root).counts
    return 1 if counts.get("failed") else 0


def _print_plan(sweep: Sweep, submission: Submission) -> None:
    from scaling.base import abridged, print_table

    entries = {entry.run_id: entry for entry in sweep}
    columns = ("run_id", "name", "num_params", "num_tokens", "flops")
    if submission.submitted:
        rows = abridged(
            submission.submitted, lambda run: [entries[run].columns[c] for c in columns], "--json"
        )
        print_table(f"{sweep.name}: would run, in this order", columns, rows)
    print(f"{len(submission.submitted)} runs to do, {len(submission.skipped)} left out")
    for kind in submission.jobs:
        limit = "no limit" if kind.minutes is None else f"{kind.minutes:g} minutes"
        print(
            f"\n{kind.runs} runs in {kind.jobs} jobs of {limit}, {kind.at_a_time} at a time; at "
            f"most {kind.gpu_hours:g} GPU-hours until they have ended or come back"
        )
        for key, (now, before) in kind.changed.items():
            print(f"  {key}: {now!r} in place of {before!r}")
        print(kind.script)


def _print_submission(sweep: Sweep, submission: Submission, root: str | None) -> None:
    from cluster.status import summary, sweep_status

    status = sweep_status(sweep.name, root)
    print(f"{len(submission.submitted)} runs submitted, {len(submission.skipped)} left out")
    print(summary(status))
    failed = [run for run in status.in_state("failed") if run.run_id in submission.skipped]
    if failed:
        print(f"{len(failed)} failed before: `scaling retry {sweep.name}` runs them again")
    if submission.job_ids:
        print(f"workers: {', '.join(submission.job_ids)}; `scaling status {sweep.name} --watch`")


def _status(args: argparse.Namespace) -> int:
    from cluster.status import print_status, sweep_status
    from scaling.base import note, print_json

    name = sweep_name(args.sweep)
    if args.watch:
        try:
            status = _watch(name, args.root)
        except KeyboardInterrupt:
            note(f"the sweep goes on; `scaling cancel {shlex.quote(name)}` stops it")
            return 130
    else:
        status = sweep_status(name, args.root)
    if args.json:
        print_json(status.to_dict())
    else:
        print_status(status)
    return 0


def _watch(name: str, root: str | None) -> SweepStatus:
    import threading

    from cluster.status import watch
    from scaling.base import Store

    return watch(Store.at(root), name, threading.Event(), until_idle=True)


def _cancel(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from cluster.launch import cancel
    from scaling.base import Store, print_json

    name = sweep_name(args.sweep)
    run_id = _run_id(Store.at(args.root), name, args.run_id) if args.run_id else ""
    cancelled = cancel(name, args.root, run_id=run_id)
    if args.json:
        print_json({"sweep": name, "run_id": run_id or None, **asdict(cancelled)})
    else:
        print(cancelled.words)
    return 0


def _logs(args: argparse.Namespace) -> int:
    from scaling.base import Store
    from scaling.run import LOG, archived

    store = Store.at(args.root)
    run_id = _run_id(store, sweep_name(args.sweep), args.run_id)
    path = store.run_dir(run_id) / LOG
    text = path.read_bytes() if path.exists() else archived(path.parent, LOG)
    if text is None:
        raise ValueError(f"run {run_id} has no log here: it was never begun, or imported")
    lines = text.decode(errors="replace").splitlines()
    print("\n".join(lines[-args.tail :] if args.tail else lines))
    return 0


def _run_id(store: Store, name: str, word: str) -> str:
    """The one run of a sweep whose id begins with a word, or that has it as its name."""
    from scaling.run import read_rows

    rows = read_rows(store, name)
    found = [r for r in rows if r["run_id"].startswith(word) or r["name"] == word]
    if len(found) != 1:
        raise ValueError(
            f"{len(found)} runs of {name!r} match {word!r}: give one of the ids that "
            f"`scaling status {name}` lists"
        )
    return str(found[0]["run_id"])


def _remove(args: argparse.Namespace) -> int:
    from cluster.launch import plan_removal, remove
    from cluster.tracking import told_address
    from scaling.base import Store, print_json

    store, name = Store.at(args.root), sweep_name(args.sweep)
    removal = plan_removal(store, name, keep_runs=args.keep_runs)
    if not args.json:
        for line in removal.lines:
            print(line)
    deleted = False
    if not args.dry_run:
        uri = told_address(store, name, args.tracking_uri) if args.tracking else None
        deleted = remove(store, removal, uri)
    gone = args.tracking and not args.dry_run
    experiment = "deleted" if deleted else "none" if gone else "stays"
    if args.json:
        print_json({**removal.to_dict(), "experiment": experiment, "dry_run": args.dry_run})
    elif not args.dry_run:
        print(f"removed; {EXPERIMENT[experiment]}")
    return 0
