"""``scaling sweep``: expand a sweep file and preview it. Runs nothing."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeps.estimate import Estimate, KeptWeights, Needs, Prices
    from sweeps.expansion import Expansion
    from sweeps.search import Expected
    from sweeps.sweep import Entry, Sweep


def add_commands(subparsers: Any) -> None:
    """Add ``sweep`` to the command line."""
    parser = subparsers.add_parser(
        "sweep",
        help="expand a sweep file and preview its runs, hours, cost and energy",
        description="Expand a sweep file and preview it: runs, parameters, tokens, FLOPs, hours "
        "on this machine, cost, energy and CO2e. Runs nothing.",
    )
    parser.add_argument("spec", metavar="SPEC", help="a .yaml sweep file, or a .jsonl sweep")
    parser.add_argument("-o", "--out", metavar="SWEEP.jsonl", help="write the runs as JSON Lines")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--root", metavar="DIR", help="where runs are kept ($SCALING_HOME or ~/.scaling)"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="runs at a time (default 1)")
    parser.add_argument("--all", action="store_true", help="show every row of a long table")
    parser.set_defaults(run=run_sweep)


def run_sweep(args: argparse.Namespace) -> int:
    """Preview the sweep in ``args.spec``."""
    from pathlib import Path

    from scaling.base import note, print_json
    from sweeps.estimate import estimate, kept_weights, memory_needed
    from sweeps.load import preview
    from sweeps.programs import changed_code
    from sweeps.sweep import unfinished
    from sweeps.warnings import design_warnings

    out = Path(args.out) if args.out else None
    if out is not None and out.suffix != ".jsonl":
        raise ValueError(f"--out {out} does not end in .jsonl: a sweep is written as JSON Lines")
    if args.workers is not None and args.workers < 1:
        raise ValueError(f"--workers {args.workers} is below 1")
    expansion, prices = preview(args.spec, args.root)
    sweep = expansion.sweep
    if not sweep.entries and sweep.imported:
        raise ValueError(
            f"the {len(sweep.imported)} runs of sweep {sweep.name!r} were imported, there is "
            f"nothing to preview: `scaling runs {sweep.name}` shows them"
        )
    if out is not None:
        sweep.write(out)
        note(f"{len(sweep)} runs written to {out}")
    taken = estimate(sweep, prices, root=args.root, workers=args.workers)
    left = unfinished(sweep, args.root)
    rest = taken
    if len(left) < len(sweep):
        rest = estimate(left, prices, root=args.root, workers=args.workers)
    warnings = design_warnings(sweep, expansion.budgets, info=expansion.info)
    warnings += expansion.rounding()
    if changed := changed_code(sweep, args.root):
        warnings.append(changed)
    left_out = [str(left) for left in expansion.left_out]
    kept = kept_weights(sweep, args.root) if sweep.keep else None
    if expansion.search:
        return _search(expansion.search, expansion, prices, args)
    needs = None
    if taken.device == "cpu":
        needs = memory_needed(sweep, args.root, workers=taken.workers)
        warnings += needs.warnings if needs else ()
    if args.json:
        print_json(
            {
                "name": sweep.name,
                "runs": [
                    {
                        key: entry.columns[key]
                        for key in ("run_id", "name", "num_params", "num_tokens", "flops")
                    }
                    for entry in sweep
                ],
                "total_flops": sweep.flops,
                "estimate": taken.to_dict(),
                "done": len(sweep) - len(left),
                "left": rest.to_dict(),
                "repeated": expansion.repeated,
                "collapsed": expansion.collapsed.count,
                "unread": expansion.collapsed.since,
                "notes": expansion.notes(),
                "left_out": left_out,
                "warnings": warnings,
                **({"memory": needs.to_dict()} if needs else {}),
                **({"keep": kept.to_dict()} if kept else {}),
            }
        )
        return 0
    _print_runs(sweep, args.all)
    print(f"\n{_counts(len(sweep), expansion.asked, expansion.repeated)}")
    for line in [*expansion.notes(), *left_out]:
        print(f"  {line}")
    _print_estimate(taken)
    if needs and needs.most is not None:
        _print_needs(needs, needs.most)
    if kept:
        _print_kept(kept)
    if len(left) < len(sweep):
        print(_done(len(sweep), len(left), rest))
    for warning in warnings:
        print(f"warning: {warning}")
    return 0


def _search(
    expected: Expected, expansion: Expansion, prices: Prices, args: argparse.Namespace
) -> int:
    """Preview a search: its first run, and how many its budget will allow."""
    from scaling.base import print_json
    from sweeps.estimate import estimate

    sweep = expansion.sweep
    sample = estimate(expected.sample, prices, root=args.root, workers=args.workers)
    hours = None
    if sample.worker_hours is not None:
        hours = sample.worker_hours * expected.budget / sample.flops_spent / sample.workers
    if args.json:
        runs = [entry.columns for entry in sweep]
        found = {"name": sweep.name, "runs": runs, "search": {**expected.to_dict(), "hours": hours}}
        print_json(found)
        return 0
    _print_runs(sweep, args.all)
    print(f"\n{expected}")
    for line in expansion.notes():
        print(f"  {line}")
    workers = f"{sample.workers} worker{'' if sample.workers == 1 else 's'}"
    told = f"{duration(hours)} with {workers}" if hours is not None else "unknown: "
    print(f"time      {told}{'' if hours is not None else sample.measured}")
    return 0


def _print_runs(sweep: Sweep, all_rows: bool) -> None:
    from scaling.base import abridged, print_table

    settings = {"lr": "lr", "batch_size": "batch"}
    settings = {k: v for k, v in settings.items() if any(k in e.columns for e in sweep)}

    def row(entry: Entry) -> list[Any]:
        c = entry.columns
        ratio = c["num_tokens"] / c["num_params"]
        sizes = [c["name"], c["num_params"], c["num_tokens"], ratio, c["flops"]]
        return [*sizes, *map(c.get, settings), c["run_id"]]

    header = ["run", "N", "D", "D/N", "C (FLOPs)", *settings.values(), "run_id"]
    rows = map(row, sweep.entries) if all_rows else abridged(sweep.entries, row, "--all")
    print_table(f"sweep {sweep.name}", header, rows)


def _counts(kept: int, asked: int, repeated: int) -> str:
    """How many runs there are, and what became of the others."""
    text = f"{kept} run{'' if kept == 1 else 's'}"
    if asked > kept:
        text += f" of {asked}" + (f", {repeated} of them repeated" if repeated else "")
    return text


def _done(runs: int, left: int, rest: Estimate) -> str:
    """What is done already, and what that leaves."""
    from scaling.base import flops_text

    if not left:
        return f"done      all {runs} runs are done already: submitting starts nothing"
    time = ""
    if rest.hours is not None:
        time = duration(rest.hours) + (f", {rest.cost:.4g}" if rest.price_per_hour else "")
    return (
        f"done      {runs - left} of {runs} runs are done already; the rest takes "
        f"{f'{time} and ' if time else ''}{flops_text(rest.flops_spent)}"
    )


def _print_estimate(e: Estimate) -> None:
    from scaling.base import of_a_flight, pfs_days

    saved = 1 - e.flops_spent / e.flops
    shared = f"; {e.flops_spent:.4g} really spent, {saved:.0%} saved by shared trunks"
    evaluation = ""
    if e.flops_evaluation is not None:
        evaluation = f"; {e.flops_evaluation:.3g} more for evaluation"
    in_days = f" ({pfs_days(e.flops):.3g} petaflop/s-days)"
    print(
        f"FLOPs     {e.flops:.4g}{in_days}{shared if e.flops_spent < e.flops else ''}{evaluation}"
    )
    if e.hours is None or e.longest_hours is None:
        print(f"time      unknown: {e.measured}")
        return
    workers = "1 worker" if e.workers == 1 else f"{e.workers} workers"
    print(
        f"time      {duration(e.hours)} with {workers} ({e.device}, {e.flops_per_second:.3g} "
        f"FLOP/s each by {e.measured}); the longest run {duration(e.longest_hours)}"
    )
    devices = "1 device" if e.devices == 1 else f"{e.devices} devices"
    if e.price_per_hour:
        print(f"cost      {e.cost:.4g} at {e.price_per_hour:g} an hour, {devices}")
    print(
        f"energy    {e.kwh:.3g} kWh, {e.kg_co2e:.3g} kg CO2e ({devices} at {e.watts:g} W, "
        f"PUE {e.pue:g}, {e.kg_co2e_per_kwh:.3f} kg/kWh)"
    )
    if e.kg_co2e:
        print(f"          the CO2e of {of_a_flight(e.kg_co2e)}")


def _print_needs(needs: Needs, most: float) -> None:
    least = min(one for one in needs.bytes if one is not None)
    each = size(most) if most < 1.05 * least else f"{size(least)} to {size(most)}"
    print(f"memory    {each} a run, by {needs.measured}; mapped data are not counted")


def _print_kept(kept: KeptWeights) -> None:
    files = "1 file of weights is" if kept.files == 1 else f"{kept.files} files of weights are"
    print(
        f"disk      {files} kept, {size(kept.bytes)} when all runs are done; "
        f"{size(kept.free_bytes)} is free"
    )
    if kept.too_late:
        print(
            f"warning: {kept.too_late} runs are done already and kept no such weights: only runs "
            "that are begun anew can (scaling submit --rerun all)"
        )


def duration(hours: float) -> str:
    """Hours in the unit that reads best."""
    seconds = 3600 * hours
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"


def size(count: float) -> str:
    """Bytes in the unit that reads best."""
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= length:
            return f"{count / length:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"
