"""The chart page of a sweep's experiment: which charts MLflow's UI shows first.

MLflow's "share" button keeps a view in an experiment's tag, and a link names it; a view written
there by us opens the page with the charts that a scaling sweep needs, instead of one bar chart
per metric. Field names are those of MLflow 3.17's UI.
"""

from __future__ import annotations

import json
from typing import Any

VIEW_KEY = "scaling"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"
ALL_RUNS = 1000
PREFIXES = ("eval", "final", "heldout", "scale", "train")


def chart_url(base: str, experiment_id: str, *, view: bool) -> str:
    """The address of an experiment's chart page, with our view if the experiment has it."""
    link = f"{base}/#/experiments/{experiment_id}/runs?compareRunsMode=CHART"
    return f"{link}&viewStateShareKey={VIEW_KEY}" if view else link


def chart_view() -> str:
    """The view as the tag's text: final loss over N, D and C, and the learning curves."""
    sections = [
        {"uuid": "scaling", "name": "Scaling", "display": True, "columns": 3},
        {"uuid": "curves", "name": "Learning curves", "display": True, "columns": 3},
        # The UI adds a section of bar charts for each prefix of metrics: closed, until asked for.
        *({"uuid": p, "name": p, "display": False, "columns": 3} for p in PREFIXES),
    ]
    charts = [
        _scatter("scale/log10_flops", "final/loss"),
        _scatter("scale/log10_num_params", "final/loss"),
        _scatter("scale/log10_num_tokens", "final/loss"),
        _line("heldout/loss", "log", "log"),
        _line("train/loss", "log", "log"),
        _line("train/lr", "linear", "linear"),
    ]
    state = {
        "compareRunCharts": charts,
        "compareRunSections": [{**s, "isReordered": True, "deleted": False} for s in sections],
        "isAccordionReordered": True,
        "runsHiddenMode": "SHOWALL",
        "hideEmptyCharts": True,
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


def _line(metric: str, x_scale: str, y_scale: str) -> dict[str, Any]:
    return {
        **_card(metric, "curves", "LINE"),
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
