"""Proposed runs as a sweep file: their sizes, and the settings that the fitted runs had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.compute.next_runs import NextRuns
from scaling import RunSpec

PARTS = ("optim", "schedule", "train")
SAME = 0.05
"""Largest relative deviation at which a setting is called a power of N and D."""


@dataclass(frozen=True)
class Settings:
    """What runs share (``fixed``), what follows from N and D (``powers``), and what is neither.

    A power is (k, p, q) of k N^p D^q.
    """

    fixed: dict[str, Any]
    powers: dict[str, tuple[float, float, float]]
    loose: tuple[str, ...]


def settings(specs: Sequence[Mapping[str, Any]]) -> Settings:
    """The settings of runs from their resolved ``specs``."""
    known = [RunSpec.from_dict(spec).as_read() for spec in specs]
    n, d = np.array(
        [(spec.cost.num_params, spec.train.num_tokens) for spec in known], dtype=float
    ).T
    flat = [
        {k: v for part in PARTS for k, v in vars(getattr(spec, part)).items()} for spec in known
    ]
    fixed: dict[str, Any] = {"data": specs[0]["data"]["data"]}
    powers: dict[str, tuple[float, float, float]] = {}
    loose = []
    design = np.stack([np.ones(len(n)), np.log(n), np.log(d)], axis=1)
    for name in flat[0]:
        values = [options.get(name) for options in flat]
        if name == "num_tokens":
            continue
        if all(value == values[0] for value in values):
            fixed[name] = values[0]
            continue
        positive = all(isinstance(value, int | float) and value > 0 for value in values)
        if positive and len(flat) > design.shape[1]:
            logs = np.log(np.array(values, dtype=float))
            power, *_ = np.linalg.lstsq(design, logs, rcond=None)
            if np.abs(design @ power - logs).max() < SAME:
                of_n, of_d = np.round(power[1:], 6).tolist()
                powers[name] = (float(np.exp(power[0])), of_n, of_d)
                continue
        loose.append(name)
    return Settings(fixed, powers, tuple(loose))


def sweep_text(
    found: NextRuns,
    name: str,
    family: str | None = None,
    model: Mapping[str, Any] | None = None,
    known: Settings | None = None,
    first_seed: int = 0,
) -> str:
    """The sweep file of the runs ``found``, as text; ``scaling sweep`` previews it.

    Parameters
    ----------
    found : NextRuns
    name : str
        The sweep's name.
    family, model : str, mapping, optional
        The family and the options that its models share.
    known : Settings, optional
        Of the runs that the law was fitted to.
    first_seed : int
        Seeds count from here, so that a repeat of an old run is a new one.
    """
    import yaml

    rows = [
        {"num_params": round(run.num_params), "num_tokens": round(run.num_tokens),
         **_at(known, run.num_params, run.num_tokens), "seed": first_seed + i}
        for run in found.runs
        for i in range(run.seeds)
    ]  # fmt: skip
    before, after = found.errors
    head = [
        f"# Runs that bring the standard error of {found.what} from {before} to {after},",
        f"# {found.supposed} and with independent noise.",
    ]
    if known is None:
        head.append("# Say under data, family and fixed what is to be trained, with its lr.")
    else:
        head += [
            f"# {option} is {k:.3g}" + (f" N^{p:.3g}" if p else "") + (f" D^{q:.3g}" if q else "")
            + ", as in the fitted runs."
            for option, (k, p, q) in known.powers.items()
        ]  # fmt: skip
        head += [f"# {option} varied among the fitted runs: set it." for option in known.loose]
    content: dict[str, Any] = {"name": name}
    if known is not None:
        fixed = dict(known.fixed)
        content |= {
            "data": fixed.pop("data"),
            "family": family,
            "fixed": {**fixed, **(model or {})},
        }
    body = yaml.safe_dump(content, sort_keys=False)
    runs = "".join(f"  - {yaml.safe_dump(row, default_flow_style=True, sort_keys=False, width=200)}"
                   for row in rows)  # fmt: skip
    return "\n".join(head) + "\n" + body + "runs:\n" + runs


def _at(known: Settings | None, n: float, d: float) -> dict[str, Any]:
    """The settings that follow from N and D; whole numbers where they count something."""
    if known is None:
        return {}
    out: dict[str, Any] = {}
    for name, (k, p, q) in known.powers.items():
        value = k * n**p * d**q
        whole = name.endswith(("tokens", "size"))
        out[name] = max(1, round(value)) if whole else float(f"{value:.4g}")
    return out
