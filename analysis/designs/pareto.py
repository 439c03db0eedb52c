"""How good each model is for what it costs: the table and the frontier.

In the manner of Tan & Le 2019 (fig. 1) and Radosavovic et al. 2020 (table 4). Time per example is
measured twice on the machine of the run: a forward pass of the trained model in batches of 64,
and all of training (forward, backward, step and held-out evaluation). kWh are estimated from the
latter (see :mod:`analysis.tables.costs`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.compute import lower_envelope
from analysis.tables import metric_of, usable, with_complexity
from scaling.base import PUE, format_value

if TYPE_CHECKING:
    import pandas as pd

COSTS = (
    "flops_forward",
    "num_params",
    "activations",
    "inference_seconds",
    "seconds_per_example",
    "kwh_estimated",
)
_MODEL = ("family", "num_params", "macs_forward", "activations", "axis", "space")
_RUN = ("num_tokens", "lr", "batch_size")


@dataclass(frozen=True)
class Pareto:
    """Models, their costs and how good they are.

    Attributes
    ----------
    metric : str
        ``error`` or ``loss``: the column of means over seeds; ``sd`` beside it.
    costs : tuple of str
        The columns of costs that the runs have.
    models : DataFrame
        One row a model, by FLOPs.
    frontier : dict
        Cost -> the models (row numbers) that no other beats in both cost and metric.
    notes : tuple of str
        Costs that some or all of the models lack: those trained before it was measured, say.
    """

    metric: str
    costs: tuple[str, ...]
    models: pd.DataFrame
    frontier: dict[str, tuple[int, ...]]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values: ``models`` with ``frontier``, the costs on whose frontier each is."""
        rows = self.models.astype(object).where(self.models.notna(), None).to_dict("records")
        for i, row in enumerate(rows):
            row["frontier"] = [cost for cost in self.costs if i in self.frontier[cost]]
        return {
            "metric": self.metric,
            "costs": list(self.costs),
            "models": rows,
            "notes": list(self.notes),
        }


def pareto(
    runs: pd.DataFrame,
    *,
    metric: str | None = None,
    watts: float | None = None,
    pue: float = PUE,
) -> Pareto:
    """The frontier of the models in ``runs`` for every cost that the runs know.

    Runs that differ in their seed alone are one model: its costs and its metric are means.

    Parameters
    ----------
    runs : DataFrame
    metric : str, optional
        ``error`` where there is one, else ``loss``.
    watts, pue : float, optional
        For ``kwh_estimated``; rated power of the device's kind, and Strubell et al.'s average.

    Raises
    ------
    ValueError
        If no run has the metric above 0, or none of the costs is known.
    """
    metric = metric_of(runs, metric)
    table = usable(with_complexity(runs, watts=watts, pue=pue), metric)
    if not len(table):
        raise ValueError(
            f"{metric} is above 0 in no row, as its axis by logarithms needs; name another "
            "(--metric, --loss-col)"
        )
    costs = tuple(name for name in COSTS if name in table.columns and bool((table[name] > 0).any()))
    if not costs:
        raise ValueError(
            f"no cost is known: a table needs one of {', '.join(COSTS)}, macs_forward, or flops "
            "and num_tokens"
        )
    keys = [name for name in (*_MODEL, *_RUN) if name in table.columns]
    groups = table.groupby(keys, dropna=False, sort=False) if keys else table.groupby(table.index)
    rows = []
    for _, group in groups:
        first = group.iloc[0]
        row: dict[str, Any] = {"name": _name(first)}
        row |= {
            key: first[key] for key in ("family", "axis", "space") if key in keys and first[key]
        }
        row |= {name: float(group[name].mean()) for name in costs}
        row[metric] = float(group[metric].mean())
        row["sd"] = float(group[metric].std(ddof=1)) if len(group) > 1 else math.nan
        row["seeds"] = len(group)
        rows.append(row)
    import pandas as pd

    models = pd.DataFrame(rows).sort_values([costs[0], metric], ignore_index=True)
    frontier = {
        cost: tuple(int(i) for i in lower_envelope(models[cost], models[metric])) for cost in costs
    }
    notes = tuple(
        f"{missing} of {len(models)} models have no {cost} and are on no frontier in it"
        for cost in costs
        if (missing := int(models[cost].isna().sum()))
    )
    if unknown := [cost for cost in COSTS if cost not in costs]:
        notes += (f"not known of these runs: {', '.join(unknown)}",)
    return Pareto(metric, costs, models, frontier, notes)


def _name(row: Any) -> str:
    """A run's name without its seed."""
    words = str(row["name"]).split() if "name" in row.index else []
    return " ".join(word for word in words if not word.startswith("seed="))


def table_rows(found: Pareto) -> list[tuple[Any, ...]]:
    """The rows of the printed table: costs in their usual units, error in percent.

    A cost is followed by a star where the model is on its frontier.
    """
    rows = []
    percent = found.metric == "error"
    for i, row in enumerate(found.models.to_dict("records")):
        value, sd = row[found.metric], row["sd"]
        good = f"{100 * value:.2f}" if percent else f"{value:.4f}"
        if np.isfinite(sd):
            good += f" ± {100 * sd:.2f}" if percent else f" ± {sd:.4f}"
        costs = [
            f"{format_value(_scaled(row, cost))} {'*' if i in found.frontier[cost] else ' '}"
            for cost in found.costs
        ]
        rows.append((row.get("family") or "", row["name"], *costs, good))
    return rows


HEADERS = {
    "flops_forward": "FLOPs (M)",
    "num_params": "params (M)",
    "activations": "acts (M)",
    "inference_seconds": "inference (ms)",
    "seconds_per_example": "training (ms)",
    "kwh_estimated": "kWh (est.)",
}
_UNIT = {
    "flops_forward": 1e6,
    "num_params": 1e6,
    "activations": 1e6,
    "inference_seconds": 1e-3,
    "seconds_per_example": 1e-3,
}


def _scaled(row: Any, cost: str) -> float:
    return float(row[cost]) / _UNIT.get(cost, 1.0)
