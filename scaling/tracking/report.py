"""A sweep's report in the tracking store: one run of kind ``report`` beside the training runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.tracking.ready import connect, prepare, reported, sent_once
from scaling.tracking.view import COLOUR_TAG, REPORT

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

GREY = "#8c8c8c"  # no size has it, and no law


def log_report(
    tracking_uri: str,
    experiment: str,
    html: Path,
    figures: Mapping[str, Figure],
    tables: Mapping[str, pd.DataFrame] | None = None,
) -> str:
    """Put a report, its plots and tables into the experiment's run of kind ``report``; its id.

    A repetition replaces what the run had.

    Parameters
    ----------
    tracking_uri, experiment : str
    html : Path
        The report; it becomes the artifact ``report.html``.
    figures : dict of matplotlib figures
        They become ``figures/<name>.png``.
    tables : dict of DataFrame, optional
        They become ``tables/<name>.csv``.

    Raises
    ------
    TrackingError
        If the store does not answer.
    """
    experiment_id = prepare(tracking_uri, experiment)
    client = connect(tracking_uri)
    with reported(tracking_uri):
        found = client.search_runs([experiment_id], "tags.`scaling.kind` = 'report'", max_results=1)
        if found:
            run = found[0]
        else:
            tags = {"scaling.kind": "report", "scaling.sweep": experiment, COLOUR_TAG: GREY}
            with sent_once():
                run = client.create_run(experiment_id, tags=tags, run_name=REPORT)
        run_id = str(run.info.run_id)
        client.log_text(run_id, html.read_text(encoding="utf-8"), "report.html")
        for name, figure in figures.items():
            client.log_figure(run_id, figure, f"figures/{name}.png")
        for name, table in (tables or {}).items():
            # Not log_table: it appends to the table of an earlier report.
            client.log_text(run_id, table.to_csv(index=False), f"tables/{name}.csv")
        client.set_terminated(run_id)
    return run_id
