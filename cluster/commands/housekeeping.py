"""``usage``, ``stop``, ``attach``, ``archive``: what a sweep costs, holds and leaves."""

from __future__ import annotations

import argparse

from cluster.commands.naming import RUN, add_sweep, sweep_name


def add_housekeeping(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the commands; nothing heavy is imported."""
    usage = subparsers.add_parser("usage", help="hours by sweep and user, and what was in vain")
    usage.add_argument("sweeps", metavar="SWEEP", nargs="*", help="by default all of the root")
    usage.add_argument("--root", metavar="DIR", help="root folder (default: SCALING_HOME)")
    usage.add_argument("--json", action="store_true", help="one JSON document on stdout")
    usage.set_defaults(run=_usage)

    stop = subparsers.add_parser("stop", help="end runs early that a rule calls hopeless")
    add_sweep(stop)
    stop.add_argument(
        "file",
        metavar="FILE",
        help="what `scaling hopeless SWEEP --json` says, or your rule: a JSON list of objects with "
        "run_id and reason; - is the standard input",
    )
    stop.add_argument("--json", action="store_true", help="one JSON document on stdout")
    stop.set_defaults(run=_stop)

    attach = subparsers.add_parser("attach", help="a shell beside a run, in its job")
    attach.add_argument("run_id", metavar="RUN", help=RUN)
    attach.add_argument(
        "command", metavar="COMMAND", nargs="*", help="in place of a shell (after --)"
    )
    attach.add_argument("--root", metavar="DIR", help="root folder (default: SCALING_HOME)")
    attach.set_defaults(run=_attach)

    archive = subparsers.add_parser(
        "archive", help="put the runs of a sweep that are over into one file, or take them out"
    )
    add_sweep(archive)
    archive.add_argument("--restore", action="store_true", help="make the runs' folders again")
    archive.add_argument("--dry-run", action="store_true", help="say what would be done")
    archive.add_argument("--json", action="store_true", help="one JSON document on stdout")
    archive.set_defaults(run=_archive)


def _usage(args: argparse.Namespace) -> int:
    from cluster.status import by_user, usage, usage_lines
    from scaling.base import Store, print_json, print_table
    from scaling.run import known_sweeps

    store = Store.at(args.root)
    names = [sweep_name(sweep) for sweep in args.sweeps] or known_sweeps(store)
    if not names:
        raise ValueError(f"no sweep under {store.root}: submit one first, or give its --root")
    found = [usage(store, name) for name in names]
    if args.json:
        print_json({"sweeps": [one.to_dict() for one in found], "users": by_user(found)})
        return 0
    header = ("sweep", "user", "GPU-hours", "core-hours", "cost", "results", "in vain")
    print_table(f"usage in {store.root}", header, usage_lines(found))
    return 0


def _stop(args: argparse.Namespace) -> int:
    import sys
    from pathlib import Path

    from cluster.work import read_reasons, stop_early
    from scaling.base import Store, print_json

    name = sweep_name(args.sweep)
    try:
        text = sys.stdin.read() if args.file == "-" else Path(args.file).read_text("utf-8")
        reasons = read_reasons(text)
    except ValueError as error:
        raise ValueError(f"{args.file}: {error}") from None
    ended = stop_early(Store.at(args.root), name, reasons)
    if args.json:
        print_json({"sweep": name, "stopped": ended})
    else:
        print(f"{len(ended)} of {len(reasons)} runs stop early; the others had ended")
    return 0


def _attach(args: argparse.Namespace) -> int:
    from cluster.launch import attach, beside
    from scaling.base import Store

    return attach(beside(Store.at(args.root), args.run_id, args.command))


def _archive(args: argparse.Namespace) -> int:
    from cluster.launch import archive, restore
    from scaling.base import Store, print_json

    store, name = Store.at(args.root), sweep_name(args.sweep)
    done = (restore if args.restore else archive)(store, name, dry_run=args.dry_run)
    if args.json:
        print_json({**done.to_dict(), "dry_run": args.dry_run})
    else:
        for line in done.lines:
            print(line)
    return 0
