"""The command ``scaling predict``: by a law with given constants, or as runs let one expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from analysis.commands.forecasting import forecast_for
from analysis.commands.loading import table_of
from analysis.commands.options import ForecastOptions, Source, read
from analysis.intervals import excluded
from analysis.laws import SYMBOLS, Law, find_law
from analysis.tables import load_runs
from scaling import number_of
from scaling.base import parse_settings, print_json, print_table, refuse_unknown

if TYPE_CHECKING:
    import argparse

    import pandas as pd


ROWS = 201
"""Rows of a predicted curve, beside those of its schedule."""


@dataclass(frozen=True)
class Options:
    """The law, where its constants come from, and the point.

    Raises
    ------
    ValueError
        If constants are given for a forecast from runs.
    """

    name: str | None = None
    law: str | None = None
    settings: tuple[str, ...] = ()
    constants: str | None = None
    num_params: float | None = None
    num_tokens: float | None = None
    at: tuple[str, ...] = ()
    schedule: str | None = None
    json: bool = False

    def __post_init__(self) -> None:
        if self.name is not None and (self.settings or self.constants or self.schedule):
            raise ValueError(
                f"{self.name} has runs to fit, and --set, --constants and --schedule are for a law "
                "without any: leave out the one or the other"
            )

    def point(self) -> dict[str, float]:
        """The columns and values that ``-N``, ``-D`` and ``--at`` give."""
        sizes = {"num_params": self.num_params, "num_tokens": self.num_tokens}
        words = [one.strip() for text in self.at for one in text.split(",")]
        named = parse_settings(words, refused="--at {!r} is not COLUMN=VALUE")
        return {k: v for k, v in sizes.items() if v is not None} | {
            SYMBOLS.get(k, k): _number(f"--at {k}", v) for k, v in named.items()
        }


def run(args: argparse.Namespace) -> int:
    """``scaling predict``."""
    asked = read(Options, args)
    given = asked.point()
    if asked.name is not None:
        return _from_runs(read(Source, args), read(ForecastOptions, args), given, asked.json)
    law = find_law(asked.law or "chinchilla", tuple(given))
    params = constants_of(law, asked.constants, asked.settings)
    if asked.schedule is not None:
        return _print_curve(law, params, asked)
    point = point_of(law, given)
    with np.errstate(all="ignore"):
        at = [np.array([point[name]]) for name in law.inputs]
        value = float(law.predict(law.vector(params), *at)[0])
    if not np.isfinite(value):
        raise ValueError(f"{law.formula} has no finite value there: look at --set and --at")
    if asked.json:
        found = {"law": law.name, "formula": law.formula, "params": params, "at": point}
        units = {name: law.unit(name) for name in (law.output, *law.inputs)}
        print_json({**found, law.output: value, "units": units})
        return 0
    where = ", ".join(_with_unit(name, f"{v:g}", law) for name, v in point.items())
    print(f"{_with_unit(law.output, f'{value:.6g}', law)} at {where}")
    print(f"{law.formula} with " + ", ".join(f"{k} {v:g}" for k, v in params.items()))
    return 0


def _with_unit(name: str, value: str, law: Law) -> str:
    return f"{name} {value} {law.unit(name)}".rstrip()


def _from_runs(
    source: Source, asked: ForecastOptions, point: dict[str, float], as_json: bool
) -> int:
    """The forecast of one new run."""
    if not point:
        raise ValueError("a prediction needs a point: give -N and -D, or --at 'COL=VALUE,...'")
    if asked.is_auto and asked.x_col is None and not {"num_params", "num_tokens"} <= {*point}:
        asked = replace(asked, x_col=",".join(point))
    found = forecast_for(table_of(source), asked)
    at = {name: np.array([value]) for name, value in point.items()}
    for name in point:
        if name not in found.x_cols:
            refuse_unknown(name, found.x_cols, f"input of {found.name}")
    value = float(found.predict(at)[0])
    low, high = (float(end[0]) for end in found.predict_ci(at, asked.level))
    beyond = float(found.beyond(at)[0])
    out = bool(excluded(np.array([value]), np.array([low]), np.array([high]))[0])
    said = [found.doubt, "the interval excludes its own prediction" * out]
    status = "; ".join(filter(None, said)) or "ok"
    if as_json:
        print_json(
            {found.y_col: value, f"{found.y_col}_ci": [low, high], "level": asked.level,
             "at": point, "beyond": beyond, "status": status, "forecast": found.to_dict()}
        )  # fmt: skip
        return 0
    where = ", ".join(f"{name} {v:g}" for name, v in point.items())
    print(f"{found.y_col} {value:.6g}, {100 * asked.level:g} % {low:.6g} to {high:.6g}, at {where}")
    print(f"{beyond:.3g} times the largest size that was fitted. {found.says}")
    if out:
        print(f"status: {status}")
    return 0


def _print_curve(law: Law, params: dict[str, float], asked: Options) -> int:
    """The loss at each row of a schedule, and at its end."""
    curve = curve_of(law, params, load_runs(str(asked.schedule)))
    if asked.json:
        print_json({"law": law.name, "params": params, "loss": curve["loss"].iloc[-1],
                    "curve": curve.to_dict("records")})  # fmt: skip
        return 0
    rows = curve.iloc[:: max(1, len(curve) // 12)]
    print_table(f"loss by {law.formula}", tuple(curve.columns), rows.itertuples(index=False))
    end = f"{curve['loss'].iloc[-1]:.6g}"
    print(f"at the end: {_with_unit(law.output, end, law)}")
    return 0


def curve_of(law: Law, params: Mapping[str, float], schedule: pd.DataFrame) -> pd.DataFrame:
    """``step``, ``lr`` and the ``loss`` that ``law`` gives along a ``schedule``.

    Rows of the schedule are where the rate bends; it goes in straight lines between them.

    Raises
    ------
    ValueError
        If the law is not one of schedules, or the table has no ``step`` or ``lr``.
    """
    import pandas as pd

    if law.derive is None:
        raise ValueError(
            f"{law.name} takes no schedule: annealing, annealing_at_once and multi_power do"
        )
    missing = [name for name in ("step", "lr") if name not in schedule]
    if missing:
        raise ValueError(
            f"a schedule has a row for each step at which the rate bends, in columns step and lr; "
            f"this one has no {missing[0]!r}"
        )
    corners = schedule.sort_values("step")[["step", "lr"]].astype(float)
    first, last = corners["step"].iloc[[0, -1]]
    between = np.setdiff1d(np.round(np.linspace(first, last, ROWS)), corners["step"])
    every = np.sort(np.concatenate([corners["step"], between]))
    table = pd.DataFrame({"step": every, "lr": np.interp(every, corners["step"], corners["lr"])})
    derived = law.derive(table)
    derived = derived[derived["lr_sum"] > 0]  # before the first step there is nothing to say
    inputs = [derived[name].to_numpy(dtype=float) for name in law.inputs]
    return derived[["step", "lr"]].assign(loss=law.predict(law.vector(dict(params)), *inputs))


def constants_of(law: Law, name: str | None, settings: Sequence[str]) -> dict[str, float]:
    """A value for each parameter: published ones by their ``name``, those set instead.

    Raises
    ------
    ValueError
        If the name, or a parameter set, is not the law's, a value is no number or one is missing.
    """
    if name is not None and name not in law.published:
        if not law.published:
            raise ValueError(f"{law.name} has no published constants here; give --set NAME=VALUE")
        refuse_unknown(name, law.published, f"constants of {law.name}")
    params = dict(law.published[name]) if name is not None else {}
    for key, value in parse_settings(settings).items():
        if key not in law.names:
            refuse_unknown(key, law.names, f"parameter of {law.name}")
        params[key] = _number(f"--set {key}", value)
    missing = [one for one in law.names if one not in params]
    if missing:
        known = f", or --constants {'|'.join(law.published)}" if law.published else ""
        raise ValueError(
            f"{law.formula} needs a value for {', '.join(missing)}: give --set "
            f"{missing[0]}=VALUE{known}"
        )
    return {one: params[one] for one in law.names}


def point_of(law: Law, point: Mapping[str, float]) -> dict[str, float]:
    """``point`` in the order of the law's inputs.

    Raises
    ------
    ValueError
        If an input is missing or is none of the law's.
    """
    if "curve" in law.inputs:
        raise ValueError(f"{law.name} predicts along a whole schedule: give --schedule FILE")
    for name in point:
        if name not in law.inputs:
            refuse_unknown(name, law.inputs, f"input of {law.name}")
    missing = [one for one in law.inputs if one not in point]
    if missing:
        raise ValueError(
            f"{law.name} predicts from {', '.join(law.inputs)}: give --at '{missing[0]}=VALUE'"
        )
    return {one: point[one] for one in law.inputs}


def _number(what: str, value: object) -> float:
    try:
        return float(number_of(value))
    except ValueError:
        raise ValueError(f"{what}={value} is not a number") from None
