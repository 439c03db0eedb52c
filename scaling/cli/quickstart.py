"""``scaling quickstart``: the whole loop on this machine, sweep to report, on real data.

Part of the front door: it names the other packages, and imports them when it is run.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.base import Store, WorkError, format_value, note, print_json, print_table

if TYPE_CHECKING:
    from analysis.compute import Allocation
    from analysis.fits import Fit
    from analysis.report import Findings
    from sweeps import Sweep

SWEEP_FILE = "quickstart.yaml"
HELD_OUT = 2  # runs of largest compute that the first fit does not see
LEVEL = 0.9
DRAWS = 1000
# Runs scatter about the law by about 1 %, so residuals of that size are least squares; Huber's
# default for tables read off a figure, 1e-3, would make this a median fit.
DELTA = 1e-2
HORIZONS = (10, 100, 1000)


def quickstart_sweep(seed: int = 0) -> Sweep:
    """The sweep that ``scaling/quickstart.yaml`` describes, with another seed if asked."""
    from sweeps import expand, read_design

    with as_file(files("scaling") / SWEEP_FILE) as path:
        design = read_design(path)
    if seed:
        design = replace(design, name=f"{design.name}-seed{seed}", seeds=(seed,))
    return expand(design).sweep


def run(out: str | None, *, workers: int = 2, seed: int = 0, as_json: bool = False) -> int:
    """Run what is missing, fit, predict the held-out runs, plan, report; the exit code.

    Parameters
    ----------
    out : str or None
        The store's root.
    workers : int
        Processes of one thread.
    seed : int
        Seed of every run.
    as_json : bool
        Print one JSON document instead of tables.

    Raises
    ------
    WorkError
        If runs failed; what was done is kept.
    """
    began = time.monotonic()
    store = Store.at(out)
    store.root.mkdir(parents=True, exist_ok=True)
    note(f"everything is kept in {store.root}")
    sweep = quickstart_sweep(seed)

    from cluster import submit

    submit(sweep, on="local", workers=workers, root=store.root, rerun="failed", wait=True)

    from analysis import Estimand, fit, forecast, load_runs, plan
    from analysis.commands import FitOptions, Kept, Source, keep
    from analysis.compute import cost_of
    from analysis.forecasts import predict_held_out
    from analysis.report import Findings
    from analysis.tables import load_curves
    from scaling.tracking import masked

    runs = load_runs(sweep.name, root=store.root)
    runs = runs[runs["run_id"].isin([entry.run_id for entry in sweep])]
    usable = runs[runs["exclude_reason"] == ""].sort_values("flops")
    if len(usable) < len(runs) / 2:
        raise WorkError(
            f"only {len(usable)} of {len(runs)} runs have a loss: see scaling status {sweep.name}"
        )
    held, known = usable.tail(HELD_OUT), usable.iloc[:-HELD_OUT]
    estimand = Estimand(delta=DELTA)
    blind = forecast(known)
    predicted = predict_held_out(blind, held.drop(columns="loss"), level=LEVEL)
    if not as_json:
        _print_predictions(predicted, len(known))
    held_out = predict_held_out(blind, held, level=LEVEL)
    law = fit("chinchilla", runs, estimand, bootstrap=DRAWS)
    largest = float(usable["flops"].max())
    cost = cost_of(usable)
    expected = forecast(runs)
    allocations = plan(expected, [h * largest for h in HORIZONS], cost=cost, level=LEVEL)

    how = Kept(FitOptions(delta=DELTA, bootstrap=DRAWS, level=LEVEL), HELD_OUT)
    keep(Source(sweep.name, root=str(store.root)), how)
    report = store.sweep_dir(sweep.name) / "report.html"
    curves = load_curves(sweep.name, root=store.root)
    found = Findings(
        runs,
        fits=[law],
        curves=curves,
        expected=expected,
        holdout=held_out,
        plan=allocations,
        level=LEVEL,
    )
    _report(report, store, sweep.name, found)
    result = {
        "sweep": sweep.name,
        "n_runs": len(usable),
        "r2": law.r2,
        "params": law.params,
        "ci": {k: list(v) for k, v in law.ci(LEVEL).items()},
        "status": law.status,
        "holdout": held_out,
        "plan": [a.to_dict() for a in allocations],
        "flops_total": sweep.flops,
        "flops_spent": float(runs["flops_spent"].sum()),
        "seconds": round(time.monotonic() - began, 1),
        "report": str(report),
        "tracking_uri": masked(store.tracking_uri),
    }
    if as_json:
        print_json(result)
    else:
        _print_result(result, law, allocations, largest)
    return 0


def _report(
    path: Path,
    store: Store,
    name: str,
    found: Findings,
) -> None:
    """Write the report; its figures go to the tracking store too."""
    from analysis import plotting
    from analysis.commands.fit import fit_values, frontier_values
    from analysis.report import figures, predictions, write_report
    from cluster.tracking import law_text
    from scaling.tracking import Tracker, TrackingError, log_law, log_report

    # The law in the report is fitted to all runs, so its figures mark none as held out.
    drawn = {"predictions": predictions(found), **figures(replace(found, holdout=()))}
    write_report(
        path,
        found,
        drawn=drawn,
        title="A first scaling law",
        how_to_run="scaling quickstart",
    )
    try:
        pictures = {name: plotting.draw(picture) for name, picture in drawn.items()}
        log_report(store.tracking_uri, name, path, pictures, {"runs": found.runs})
        fitted = found.fits[0]
        law = law_text(fit_values(fitted, found.level), f"`scaling fit {name}`")
        Tracker(store.tracking_uri, name).tell({"Law": law})
        line = frontier_values(fitted, found.runs)
        log_law(store.tracking_uri, name, fitted.formula(), line)
    except TrackingError as error:
        note(f"warning: the report is not in the tracking store: {error}")


def _ci(interval: Any) -> str:
    low, high = interval
    return f"{format_value(float(low))} to {format_value(float(high))}"


def _print_predictions(predicted: list[dict[str, Any]], n_known: int) -> None:
    rows = [(r["num_params"], r["num_tokens"], r["predicted"], _ci(r["ci"])) for r in predicted]
    print_table(
        f"Predicted from {n_known} smaller runs, before their loss is looked at",
        ("N", "D", "predicted loss", "90 % interval"),
        rows,
    )


def _print_result(
    result: dict[str, Any], law: Fit, allocations: Sequence[Allocation], largest: float
) -> None:
    print_table(
        "The same runs, measured",
        ("N", "D", "predicted loss", "90 % interval", "measured loss", "error"),
        [
            (
                row["num_params"],
                row["num_tokens"],
                row["predicted"],
                _ci(row["ci"]),
                row["actual"],
                f"{100 * row['relative_error']:+.2f} %",
            )
            for row in result["holdout"]
        ],
    )
    print_table(
        f"{law.formula()}   (R2 of log loss {law.r2:.4f}, {result['n_runs']} runs)",
        ("parameter", "value", "90 % interval"),
        [(name, value, _ci(result["ci"][name])) for name, value in law.params.items()],
    )
    print_table(
        "Compute-optimal allocation, as forecast",
        ("C", "FLOPs", "N*", "90 %", "D*", "90 %", "loss", "90 %"),
        [
            (
                f"{a.flops / largest:.0f} x",
                a.flops,
                a.num_params,
                _ci(a.num_params_ci),
                a.num_tokens,
                _ci(a.num_tokens_ci),
                a.loss,
                _ci(a.loss_ci),
            )
            for a in allocations
        ],
    )
    saved = 1 - result["flops_spent"] / result["flops_total"]
    print(
        f"{result['n_runs']} runs in {result['seconds']:.0f} s; each by itself costs "
        f"{result['flops_total']:.3g} FLOPs together, shared trunks saved {100 * saved:.0f} %"
    )
    print(f"report    {result['report']}")
    print(f"tracking  {result['tracking_uri']}   (scaling ui)")
