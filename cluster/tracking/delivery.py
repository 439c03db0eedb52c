"""Tracking around a submission: the store made ready before, the shipper beside, the rest after.

Nothing here stops a sweep: a tracking store that does not answer is a warning, and the journals
keep what it should have got.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import TYPE_CHECKING

from cluster.status import sweep_status
from cluster.tracking.notices import tell
from cluster.tracking.shipper import LONGEST_SECONDS, Shipped, ship_sweep, start_shipper
from cluster.work import read_queues
from scaling.base import Store, flops_text, note
from scaling.tracking import DeletedError, Tracker, TrackingError, masked, prepare, swept

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sweeps import Sweep

PATIENCE_SECONDS = 20.0
OPTIONS = 12  # columns of MLflow's table


def prepare_tracking(sweep: Sweep, uri: str) -> None:
    """Make the tracking store ready, once, before anybody writes to it."""
    note(f"tracking store: {masked(uri)}")
    try:
        rows = [json.loads(line) for line in sweep.to_jsonl().splitlines()]
        prepare(uri, sweep.name, describe_sweep(sweep), options=swept(rows)[:OPTIONS])
    except DeletedError as error:
        note(f"warning: {error}; until then its runs are not shipped")
    except TrackingError as error:
        _warn(sweep.name, str(error))


def describe_sweep(sweep: Sweep) -> str:
    """What a sweep is, as the markdown note of its experiment."""
    columns = [entry.columns for entry in sweep]

    def span(name: str) -> str:
        values = sorted({float(row[name]) for row in columns})
        low, high = values[0], values[-1]
        several = f"{low:.3g} … {high:.3g} ({len(values)} values, × {high / low:.3g})"
        return several if len(values) > 1 else f"{low:.3g}"

    families = ", ".join(sorted({str(row["family"]) for row in columns}))
    unit = columns[0]["data_unit"]
    name = shlex.quote(sweep.name)
    total = sum(float(row["flops"]) for row in columns)
    return f"""### {sweep.name}: {len(sweep)} runs of {families}

| | |
| --- | --- |
| parameters N | {span("num_params")} |
| {unit}s D | {span("num_tokens")} |
| training FLOPs C | {span("flops")} |
| all runs together | {flops_text(total)} |

`heldout/*` and `train/*` are learning curves over {unit}s seen, `final/*` the results, `scale/*`
N, D, C and their log10. A run's truth is its journal; this is the index.

To find runs, in the line above the table:

    tags.`scaling.status` = 'diverged'
    metrics.`final/loss` < 3.5 and metrics.`scale/log10_C` > 18
    params.`optim.lr` = '0.001'

`scaling status {name}`, `scaling runs {name}`, `scaling report {name} -o report.html`. To do
it again: `scaling submit` with the sweep's file.
"""


def take_over(store: Store, sweep: Sweep, uri: str, shipper: subprocess.Popen[bytes]) -> None:
    """End the shipper and deliver the rest here, where nothing is left to be polite to.

    While somebody works on the sweep (jobs after Ctrl-C, another submission), it goes on.
    """
    if sweep_status(sweep.name, store.root).is_live:
        return
    shipper.terminate()
    shipper.wait()
    deliver(store, sweep, uri)


def deliver_in_time(store: Store, sweep: Sweep, uri: str) -> None:
    """Deliver after Ctrl-C: for some seconds while the user waits, then in the background."""
    shipper = start_shipper(store, sweep.name, uri)
    try:
        shipper.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        note("the tracking store gets the rest in the background")


def deliver(store: Store, sweep: Sweep, uri: str) -> Shipped | None:
    """Ship in this process whatever is not shipped yet, and tell who is to be told.

    None if there was nothing, or the experiment was deleted.
    """
    queues = read_queues(store.sweep_dir(sweep.name))
    if queues and queues[-1].policy.get("notify"):
        tell(store, sweep_status(sweep.name, store.root))
    tracker = Tracker(uri, sweep.name)
    if all(tracker.is_delivered(store.run_dir(entry.run_id)) for entry in sweep):
        return None
    # An earlier submission's shipper sees within its longest nap that nobody is left.
    try:
        shipped = ship_sweep(
            sweep.name, root=str(store.root), tracking_uri=uri, patience=LONGEST_SECONDS
        )
    except DeletedError as error:
        note(f"warning: {error}")
        return None
    if shipped.problem:
        _warn(sweep.name, shipped.problem)
    return shipped


def delete_experiment(store: Store, name: str, uri: str, kept: Iterable[str] = ()) -> bool:
    """Mark a sweep's experiment as deleted; whether there was one. The name is free again.

    The runs in ``kept`` are to be shipped anew if they are asked for under this name again.

    Raises
    ------
    TrackingError
        If the store does not answer.
    """
    tracker = Tracker(uri, name)
    there = tracker.delete_experiment()
    for run_id in kept:
        tracker.forget(store.run_dir(run_id))
    return there


def _warn(name: str, problem: str) -> None:
    note(
        f"warning: {problem}; the runs' journals keep everything: "
        f"`scaling sync {shlex.quote(name)}` ships them later"
    )
