"""The front door ``scaling``: it names the other packages' doors and opens them lazily.

Each package's ``cli`` module has ``add_commands(subparsers)``, which only describes arguments
and sets ``run=`` to a function of the parsed arguments that returns the exit code; heavy
imports are inside those functions, so that ``scaling --help`` stays fast.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from scaling.base import WorkError, describe, is_full

DOORS = ("scaling.cli.commands", "sweeps.cli", "cluster.cli", "analysis.cli")


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="scaling",
        description="Scaling-law experiments: sweep, launch, track, fit, plan and report.",
    )
    subparsers = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for door in DOORS:
        importlib.import_module(door).add_commands(subparsers)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 the work failed, 2 wrong usage or input."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    args = parser().parse_args(argv)
    try:
        code = args.run(args)
        sys.stdout.flush()
        return int(code or 0)
    except KeyboardInterrupt:
        print("scaling: interrupted; what was done is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (WorkError, ValueError, OSError) as error:
        if os.environ.get("SCALING_TRACEBACK"):
            raise
        print(f"scaling {args.command}: {describe(error)}", file=sys.stderr)
        return 1 if isinstance(error, WorkError) or is_full(error) else 2


if __name__ == "__main__":
    sys.exit(main())
