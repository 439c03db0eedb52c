"""``ui`` and ``server``: the MLflow UI of this user, and a server for a team."""

from __future__ import annotations

import argparse

from cluster.commands.naming import sweep_name


def add_serving(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the commands; nothing heavy is imported."""
    ui = subparsers.add_parser("ui", help="the MLflow UI on the right store")
    ui.add_argument("sweep", metavar="SWEEP", nargs="?", help="open at this one (default: last)")
    ui.add_argument("--port", type=int, default=5000, metavar="P", help="port on 127.0.0.1 (5000)")
    ui.add_argument("--root", metavar="DIR", help="root folder (default: SCALING_HOME)")
    ui.add_argument("--tracking-uri", metavar="URI")
    ui.set_defaults(run=_ui)

    server = subparsers.add_parser("server", help="MLflow for a team: PostgreSQL, passwords")
    server.add_argument(
        "--database", metavar="URI", required=True, help="postgresql://USER@HOST:PORT/NAME"
    )
    server.add_argument(
        "--artifacts", metavar="DIR", required=True, help="folder for the runs' files"
    )
    server.add_argument(
        "--credentials",
        metavar="FILE",
        help="lines NAME=VALUE, mode 600: PGPASSWORD, MLFLOW_AUTH_ADMIN_USERNAME, "
        "MLFLOW_AUTH_ADMIN_PASSWORD, MLFLOW_FLASK_SERVER_SECRET_KEY (default: the environment's)",
    )
    server.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="(127.0.0.1)")
    server.add_argument("--port", type=int, default=5000, metavar="P", help="(5000)")
    server.add_argument(
        "--allowed-host",
        metavar="NAME",
        action="append",
        default=[],
        help="a name by which clients ask for it, as the proxy's; may be repeated",
    )
    server.add_argument("--workers", type=int, default=1, metavar="N", help="processes (1)")
    server.add_argument(
        "--permission",
        choices=("READ", "EDIT", "MANAGE", "NO_PERMISSIONS"),
        default="READ",
        help="of users on experiments of others (READ)",
    )
    server.add_argument(
        "--upgrade", action="store_true", help="bring older tables up to date; back up first"
    )
    server.add_argument("--check", action="store_true", help="check all, and start nothing")
    server.add_argument("--json", action="store_true", help="with --check: one JSON document")
    server.set_defaults(run=_server)


def _ui(args: argparse.Namespace) -> int:
    from cluster.tracking import serve

    return serve(args.port, args.root, args.tracking_uri, args.sweep and sweep_name(args.sweep))


def _server(args: argparse.Namespace) -> int:
    from pathlib import Path

    from cluster.tracking import TeamServer, check_team, serve_team
    from scaling.base import print_json

    if args.json and not args.check:
        raise ValueError("--json is for --check: a server runs until it is interrupted")
    server = TeamServer(
        args.database,
        Path(args.artifacts).expanduser(),
        args.host,
        args.port,
        tuple(args.allowed_host),
        args.workers,
        args.permission,
    )
    file = Path(args.credentials).expanduser() if args.credentials else None
    if not args.check:
        return serve_team(server, file, upgrade=args.upgrade)
    ready = check_team(server, file, upgrade=args.upgrade)
    if args.json:
        print_json(ready)
    else:
        print(f"ready: {ready['database']}, {ready['artifacts']}, {ready['url']}")
    return 0
