"""The command ``scaling diagnose``: bias and variance, and what would help most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.commands.forecasting import forecast_for
from analysis.commands.loading import table_of
from analysis.commands.options import FIGURE, TABLE, ForecastOptions, Form, Source, output_of, read
from analysis.diagnosis import (
    LONGER,
    REGULARISATION,
    TRAINING,
    Lever,
    Parts,
    irreducible_of,
    levers,
    means,
    most_helpful,
    plain,
    regularisers,
    training_column,
    with_parts,
)
from analysis.plotting import parts as draw
from analysis.plotting import save_all
from analysis.tables import metric_of, records, unusable, usable, write_table
from analysis.wording import count, span
from scaling.base import abridged, note, print_json, print_table

if TYPE_CHECKING:
    import argparse

    import pandas as pd

EITHER = Form(
    (*FIGURE.suffixes, *TABLE.suffixes),
    "-o {path}: the parts are drawn as .png, .pdf, .svg and written as .csv, .jsonl, .parquet",
)
NEAR = 1.05  # a run is at a point if its N and D are within this factor
ADVICE = {
    "bias": "a larger model, longer training or another architecture",
    "variance": "more data, regularisation or a smaller model",
}


@dataclass(frozen=True)
class Options:
    """The numbers that are known, and the point; without a source three numbers are all.

    Raises
    ------
    ValueError
        If there is neither a source nor all of the three, or a source and some of them.
    """

    name: str | None = None
    irreducible: float | None = None
    train: float | None = None
    dev: float | None = None
    examples: float | None = None
    metric: str | None = None
    num_params: float | None = None
    num_tokens: float | None = None
    factor: float = 2.0
    level: float = 0.9
    seed: int = 0
    json: bool = False

    def __post_init__(self) -> None:
        given = {"--human": self.irreducible, "--train": self.train, "--dev": self.dev}
        missing = [flag for flag, value in given.items() if value is None]
        if self.name is None and missing:
            raise ValueError(
                f"a diagnosis needs a SOURCE of runs, or three errors: {', '.join(missing)} "
                "missing, as in --human 1% --train 5% --dev 6%"
            )
        if self.name is not None and (self.train, self.dev, self.examples) != (None, None, None):
            raise ValueError(
                f"{self.name} has the errors of its runs, and --train, --dev and --examples are "
                "for numbers without runs: leave out the one or the other"
            )
        if self.factor <= 1:
            raise ValueError(f"--factor {self.factor:g} is no more of anything: give 2, say")
        if self.examples is not None:
            over = [flag for flag, value in given.items() if value is not None and value > 1]
            if over:
                raise ValueError(
                    f"--examples is for errors that are shares, and {over[0]} is above 1 (100 %)"
                )


def run(args: argparse.Namespace) -> int:
    """``scaling diagnose``."""
    asked, output = read(Options, args), output_of(args, EITHER)
    if asked.name is None:
        if output:
            raise ValueError("-o is of the parts of runs: give a SOURCE of runs")
        return _by_numbers(asked)
    found = diagnosis(read(Source, args), asked, read(ForecastOptions, args))
    if output:
        if found.rows is None or found.cells is None:
            raise ValueError(f"nothing to write: {_no_training(found.metric)}")
        if output.suffix.lower() in TABLE.suffixes:
            write_table(found.rows, output)
        else:
            save_all({"parts": draw(found.cells, found.metric)}, output)
        note(f"written to {output}")
    if asked.json:
        print_json(found.to_dict())
    else:
        _print(found, asked)
    return 0


def _by_numbers(asked: Options) -> int:
    """The diagnosis of three numbers."""
    assert asked.irreducible is not None and asked.train is not None and asked.dev is not None
    parts = Parts(asked.irreducible, asked.train, asked.dev)
    half = parts.spread(asked.examples, asked.level) if asked.examples else None
    if asked.json:
        print_json(_of_parts(parts, half))
        return 0
    rows = [
        ("irreducible", _percent(parts.irreducible), ""),
        ("avoidable bias", _percent(parts.bias), _half(half and half[0])),
        ("variance", _percent(parts.variance), _half(half and half[1])),
    ]
    interval = f"± ({100 * asked.level:g} %)" if half else ""
    print_table(f"held-out error {_percent(parts.heldout)}", ("part", "error", interval), rows)
    print(_verdict(parts))
    return 0


def _verdict(parts: Parts) -> str:
    helps = ADVICE.get(parts.verdict.removeprefix("mainly "), "")
    return f"the problem: {parts.verdict}" + (f"; what helps: {helps}" if helps else "")


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def _half(value: float | None) -> str:
    return "" if value is None else _percent(value)


def _of_parts(parts: Parts, half: tuple[float, float] | None = None) -> dict[str, Any]:
    """Plain values; intervals where they are known."""
    found: dict[str, Any] = {
        "irreducible": parts.irreducible, "train": parts.train, "heldout": parts.heldout,
        "bias": parts.bias, "variance": parts.variance, "verdict": parts.verdict,
    }  # fmt: skip
    for name, value, width in zip(
        ("bias", "variance"), (parts.bias, parts.variance), half or (), strict=False
    ):
        found[f"{name}_ci"] = [value - width, value + width]
    return found


@dataclass(frozen=True)
class Diagnosis:
    """What the runs say: the parts at a point, and the levers.

    ``rows`` are the runs with columns ``irreducible``, ``bias`` and ``variance``, ``cells`` their
    means over seeds; None where nothing is known of training data.
    """

    metric: str
    point: dict[str, float]
    irreducible: float | None
    irreducible_range: tuple[float, float] | None
    parts: Parts | None
    levers: Sequence[Lever]
    rows: pd.DataFrame | None
    cells: pd.DataFrame | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "metric": self.metric,
            "at": self.point,
            "irreducible": self.irreducible,
            "irreducible_range": self.irreducible_range,
            **({} if self.parts is None else _of_parts(self.parts)),
            "helps_most": most_helpful(self.levers).name,
            "levers": [lever.to_dict() for lever in self.levers],
            "runs": [] if self.cells is None else records(self.cells),
        }


def diagnosis(source: Source, asked: Options, law: ForecastOptions) -> Diagnosis:
    """The diagnosis of a source's runs.

    Raises
    ------
    ValueError
        If the metric is not there, or no law is found.
    """
    table = table_of(source)
    stated = asked.irreducible is not None
    usual = "error" if stated and "error" in table.columns else "loss"
    metric = asked.metric or (usual if usual in table.columns else metric_of(table))
    runs = usable(table, metric)
    for line in unusable(table, metric):
        note(line)
    if not len(runs):
        raise ValueError(f"no run has a finite {metric} above 0: wait for a finished run")
    base = runs[plain(runs)]
    if len(base) < len(runs):
        note(f"the law is of the {len(base)} runs with the least regularisation, of {len(runs)}")
    base = base.assign(loss=base[metric])
    base.attrs = dict(table.attrs)
    expected = forecast_for(base, law)
    best = base.iloc[int(base[metric].to_numpy(float).argmin())]
    point = _point(expected.x_cols, best, asked)
    irreducible, between = asked.irreducible, None
    if irreducible is None and (found := irreducible_of(expected)) is not None:
        irreducible, between = found[0], (found[1], found[2])
    rows = cells = parts = None
    if irreducible is not None and training_column(base, metric) is not None:
        rows = with_parts(runs, metric, irreducible)
        if lacking := len(runs) - len(rows):
            note(f"no parts of {lacking} of {len(runs)} runs: {_no_training(metric)}")
        cells = means(with_parts(base, metric, irreducible), metric)
        parts = _at(cells, metric, point)
    gains = regularisers(runs, metric, point)
    helps = levers(expected, point, gains, factor=asked.factor, level=asked.level, seed=asked.seed)
    return Diagnosis(metric, point, irreducible, between, parts, helps, rows, cells)


def _point(x_cols: Sequence[str], best: Any, asked: Options) -> dict[str, float]:
    """Where the diagnosis is: what was asked for, else the run of the least error."""
    given = {"num_params": asked.num_params, "num_tokens": asked.num_tokens}
    point = {name: float(given.get(name) or best[name]) for name in x_cols}
    if "num_unique_tokens" in point and "num_tokens" in point:
        point["num_unique_tokens"] = min(point["num_unique_tokens"], point["num_tokens"])
    return point


def _at(cells: pd.DataFrame, metric: str, point: dict[str, float]) -> Parts | None:
    """The parts of the runs at a point; None where there is none."""
    near = np.ones(len(cells), dtype=bool)
    for name in ("num_params", "num_tokens"):
        if name in cells.columns and name in point:
            near &= np.abs(np.log(cells[name].to_numpy(float) / point[name])) <= np.log(NEAR)
    if not near.any():
        return None
    row = cells[near].iloc[0]
    return Parts(float(row["irreducible"]), float(row["train"]), float(row[metric]))


def _no_training(metric: str) -> str:
    return (
        f"no {metric} on training data: of an earlier release, a program or with train_eval: "
        "false; train_eval: true in the sweep file trains them again with it, or --col "
        f"{TRAINING.get(metric, metric + '_train')}=COL names a column"
    )


def _print(found: Diagnosis, asked: Options) -> None:
    where = ", ".join(f"{name} {count(value)}" for name, value in found.point.items())
    if found.cells is not None:
        _print_cells(found.cells, found.metric)
    print(f"{found.metric} at {where}")
    if found.irreducible is not None:
        said = "stated"
        if found.irreducible_range is not None:
            said = f"E of the law; {span(found.irreducible_range)} by its members"
        print(f"irreducible {found.irreducible:.4g} ({said})")
    if found.parts is not None:
        parts = found.parts
        print(
            f"training {parts.train:.4g}, held out {parts.heldout:.4g}: avoidable bias "
            f"{parts.bias:.4g}, variance {parts.variance:.4g}"
        )
        print(_verdict(parts))
    elif found.cells is not None:
        print("no run is at this point: its bias and variance are not known")
    elif found.irreducible is not None:
        print(_no_training(found.metric))
    percent = f"{100 * asked.level:g} %"
    rows = [
        (lever.name, lever.change, f"{lever.gain:+.4g}", span(lever.gain_ci),
         f"{100 * lever.best:.0f} %", f"x {lever.flops_ratio:.3g}", lever.source)
        for lever in found.levers
    ]  # fmt: skip
    header = ("lever", "change", f"{found.metric} less by", percent, "best in", "FLOPs", "says")
    print_table("what would help", header, rows)
    best = most_helpful(found.levers)
    print(f"most: {best.name}, best in {100 * best.best:.0f} % of the draws")
    if any(lever.name == LONGER and "repeated_data" in lever.source for lever in found.levers):
        print(
            f"{LONGER}: on few data its interval is too narrow, as repeated_data lets no loss rise "
            "again; overfitting does (--law)"
        )
    if not any(lever.change == REGULARISATION for lever in found.levers):
        most = "" if found.parts is None else f"; the variance is {found.parts.variance:.4g}"
        print(f"regularisation: not tried, no two runs differ in it alone{most}")


def _print_cells(cells: pd.DataFrame, metric: str) -> None:
    def row(one: Any) -> tuple[Any, ...]:
        sizes = [count(one[name]) for name in sizes_of]
        parts = Parts(one["irreducible"], one["train"], one[metric])
        numbers = (one["train"], one[metric], parts.irreducible, parts.bias, parts.variance)
        return (*sizes, *(f"{x:.4g}" for x in numbers), parts.verdict)

    sizes_of = [name for name in ("num_params", "num_tokens") if name in cells.columns]
    letters = {"num_params": "N", "num_tokens": "D"}
    header = (*(letters[name] for name in sizes_of), "training", "held out", "irreducible",
              "bias", "variance", "the problem")  # fmt: skip
    rows = abridged(cells.to_dict("records"), row, "--json")
    print_table(f"{metric}, means over seeds", header, rows)
