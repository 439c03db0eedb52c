"""``sync``: what has not reached the tracking store."""

from __future__ import annotations

import argparse
import shlex

from cluster.commands.naming import add_sweep, sweep_name


def add_sync(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command; nothing heavy is imported."""
    sync = subparsers.add_parser("sync", help="ship to the tracking store what is not there")
    add_sweep(sync)
    sync.add_argument("--tracking-uri", metavar="URI")
    sync.add_argument(
        "--restore", action="store_true", help="bring back what somebody deleted there"
    )
    sync.add_argument("--json", action="store_true", help="one JSON document on stdout")
    sync.set_defaults(run=_sync)


def _sync(args: argparse.Namespace) -> int:
    from cluster.tracking import prepare_tracking, ship_sweep, told_address
    from scaling.base import Store, WorkError, print_json
    from scaling.run import sweep_path
    from sweeps import load_sweep

    name = sweep_name(args.sweep)
    store = Store.at(args.root)
    uri = told_address(store, name, args.tracking_uri)
    shipped = ship_sweep(name, root=args.root, tracking_uri=uri, compare=True, restore=args.restore)
    if shipped.problem:
        raise WorkError(f"{shipped.problem}; run `scaling sync` again later")
    if (sweep := load_sweep(sweep_path(store, name))).entries:
        prepare_tracking(sweep, uri)
    if args.json:
        print_json(shipped.to_dict())
        return 0
    print(f"{shipped.complete} runs are complete in the tracking store, {shipped.open} unfinished")
    if shipped.again:
        print(
            f"{shipped.again} of them had been shipped, were not there, or not whole, and are again"
        )
    if shipped.deleted:
        how = f"`scaling sync {shlex.quote(name)} --restore` brings them back"
        print(f"{shipped.deleted} were deleted there and stay so: {how}")
    return 0
