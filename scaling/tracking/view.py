"""The chart page of a sweep's experiment: which charts MLflow's UI shows first.

MLflow's "share" button keeps a view in an experiment's tag, and a link names it; a view written
there by us opens the page with the charts that a scaling sweep needs, instead of one bar chart
per metric. Field names are those of MLflow 3.17's UI.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scaling.tracking.values import LAW_METRIC

VIEW_KEY = "scaling"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"
ALL_RUNS = 1000
COLOUR_TAG = "mlflow.runColor"
# viridis, whose lightness says the same as its hue, up to where it is seen on white.
SHADES = ["#440154", "#482475", "#414487", "#355f8d", "#2a788e", "#21918c", "#22a884", "#44bf70"]
COLUMNS = (
    "tags.`scaling.status`",
    "metrics.`final/loss`",
    *(f"metrics.`scale/log10_{letter}`" for letter in "NDC"),  # a cell has nine digits
)
REPORT = "report"
# By name: a filter on a tag would hide runs that do not have it too.
NO_REPORT = f"attributes.run_name != '{REPORT}'"
PREFIXES = ("eval", "final", "heldout", "law", "scale", "system", "train")


def chart_url(base: str, experiment_id: str, *, view: bool) -> str:
    """The address of an experiment's chart page, with our view if the experiment has it."""
    link = f"{base}/#/experiments/{experiment_id}/runs?compareRunsMode=CHART"
    link += "&workflowType=machine_learning"  # not the pages for language models' traces
    return f"{link}&viewStateShareKey={VIEW_KEY}" if view else link


def colours(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """By ``run_id`` the colour of a run in charts: the smallest model dark, the largest light.

    Empty where all sizes are one.
    """
    sizes = {row["run_id"]: math.log10(row["num_params"]) for row in rows if row.get("num_params")}
    low, high = min(sizes.values(), default=0.0), max(sizes.values(), default=0.0)
    if low == high:
        return {}
    last = len(SHADES) - 1
    return {run: SHADES[round(last * (s - low) / (high - low))] for run, s in sizes.items()}


def chart_view(options: Iterable[str] = ()) -> str:
    """The view as the tag's text: the law, final loss over N, D and C, and the learning curves.

    The table has status, loss, N, D, C and the params ``options``.
    """
    sections = [
        {"uuid": "scaling", "name": "Scaling", "display": True, "columns": 2},
        {"uuid": "curves", "name": "Learning curves", "display": True, "columns": 2},
        # The UI adds a section of bar charts for each prefix of metrics: closed, until asked for.
        *({"uuid": p, "name": p, "display": False, "columns": 3} for p in PREFIXES),
    ]
    charts = [
        {**_line(LAW_METRIC, "log", "log", "scaling"), "displayPoints": True},
        _scatter("scale/log10_C", "final/loss"),
        _scatter("scale/log10_N", "final/loss"),
        _scatter("scale/log10_D", "final/loss"),
        _line("heldout/loss", "log", "log"),
        _line("train/loss", "log", "log"),
        _line("train/lr", "linear", "linear"),
    ]
    state = {
        "compareRunCharts": charts,
        "compareRunSections": [{**s, "isReordered": True, "deleted": False} for s in sections],
        "isAccordionReordered": True,
        "runsHiddenMode": "SHOW_ALL",
        "selectedColumns": [*COLUMNS, *(f"params.`{name}`" for name in options)],
        "hideEmptyCharts": True,
        "searchFilter": NO_REPORT,
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
    }
    return json.dumps(state, separators=(",", ":"))


def _card(uuid: str, section: str, kind: str) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "metricSectionId": section,
        "type": kind,
        "deleted": False,
        "isGenerated": False,
        "runsCountToCompare": ALL_RUNS,
    }


def _scatter(x: str, y: str) -> dict[str, Any]:
    return {
        **_card(f"{y}-{x}", "scaling", "SCATTER"),
        "displayName": f"{y} over {x}",
        "xaxis": {"key": x, "type": "METRIC"},
        "yaxis": {"key": y, "type": "METRIC"},
    }


def _line(metric: str, x_scale: str, y_scale: str, section: str = "curves") -> dict[str, Any]:
    return {
        **_card(metric, section, "LINE"),
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "xAxisKey": "step",
        "selectedXAxisMetricKey": "",
        "xAxisScaleType": x_scale,
        "scaleType": y_scale,
        "lineSmoothness": 0,
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "range": {},
        "ignoreOutliers": False,
        "useGlobalXaxisKey": False,
        "useGlobalLineSmoothing": False,
    }
