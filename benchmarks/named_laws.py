"""Named laws on published tables: held-out errors beside those of peers.

    python benchmarks/named_laws.py FOLDER [TABLE ...]

FOLDER has the tables of ``TASKS`` as ``.csv``, one row a run, ``is_training`` 1 for rows to fit and
0 for rows to predict; what it lacks is taken from ``tests/published/data``, or named and left out.
Each law is fitted twice, by Huber's penalty (delta 1e-3) as by default and by least squares as the
peers were, each group by itself. RMSE is of log loss, or of the response where the law's residuals
are linear, pooled over groups; R2 is of the response. Where a task names published constants, some
of them are also held (``--hold``): which, the rows to fit choose, each curve left out in turn.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import LAWS, Estimand, fit
from analysis.forecasts import chain
from analysis.laws import Law

DATA = Path(__file__).parents[1] / "tests" / "published" / "data"


@dataclass(frozen=True)
class Task:
    """A table, the law that its paper has, and what peers measured with it."""

    table: str
    law: str
    peer: float
    peer_r2: float
    y_col: str | None = None
    x_col: str | None = None
    groups: tuple[str, ...] = ()
    prepare: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table
    sldbench: float | None = None
    constants: str = ""
    first: str = ""
    may_hold: tuple[tuple[str, ...], ...] = ()


def frontier(table: pd.DataFrame) -> pd.DataFrame:
    """Of the rows to fit, in each group those that no row of less compute beats.

    Only those of the data that the rows to predict saw: other data have a frontier of their own.
    """
    held_out = table[table.is_training == 0]
    same = table.dataset_size.isin(held_out.dataset_size.unique())
    parts = []
    for _, part in table[(table.is_training == 1) & same].groupby("group"):
        ordered = part.sort_values(["num_compute", "error"])
        parts.append(ordered[ordered.error < ordered.error.cummin().shift(fill_value=np.inf)])
    return pd.concat([*parts, held_out])


def two_largest_out(table: pd.DataFrame) -> pd.DataFrame:
    """The two largest sizes, and amounts of distinct data, are predicted, as in SLDBench."""
    sizes = (table[name] for name in ("num_params", "num_unique_tokens"))
    large = [column >= np.unique(column)[-2] for column in sizes]
    return table.assign(is_training=1 - (large[0] | large[1]))


def largest_out(table: pd.DataFrame) -> pd.DataFrame:
    """The largest model is predicted; runs that end above 4 diverged, as in SLDBench."""
    table = table[table.loss <= 4]
    return table.assign(is_training=(table.num_params < table.num_params.max()).astype(int))


TASKS = (
    Task("parallel_stack", "parallel", 0.0033, 0.995, sldbench=1.0),
    Task("moe_sbase", "moe_routing", 0.0209, 0.737, sldbench=0.703),
    # chosen by leaving out each size of the rows to fit
    Task("moe_lr_spm", "log(loss) = a + b*log(dense_params) + c*log(num_experts) + d*log(lr)"
         " + e*log(lr)^2", 0.0575, -5.6),
    # the peer's form by its numbers: the bowl in the rate of step_law_loss
    Task("moe_lr_spm", "loss = E + A / (dense_params^alpha * num_experts^gamma)"
         " + k*log(lr * dense_params^s / c)^2", 0.0575, -5.6),
    Task("sft_flan", "fine_tuning", 0.0268, 0.910, groups=("group",), sldbench=0.957),
    Task("vocab_small", "vocabulary", 0.158, 0.965, sldbench=0.966),
    Task("mixture_pile5", "mixture", 0.0022, 0.987, "loss_internet", groups=("group",)),
    Task("lr_schedule_25m_100m", "annealing", 0.0022, np.nan, groups=("group",)),
    # B of the law that its authors begin with, other constants of a size that is not in the table
    Task("lr_schedule_25m_100m", "multi_power", 0.0019, np.nan, groups=("group",),
         constants="luo_400m", first="annealing_at_once",
         may_hold=((), ("beta",), ("gamma",), ("beta", "gamma"), ("C", "beta", "gamma"), ("B",),
                   ("B", "beta"), ("B", "gamma"), ("B", "C"), ("B", "beta", "gamma"),
                   ("B", "C", "beta", "gamma"))),
    Task("compute_optimal_chess", "power_floor", 0.0022, 0.953, x_col="num_compute"),
    Task("easy_questions", "polynomial3", 0.083, 0.81, "brier_score", groups=("group",),
         sldbench=-1.0),
    Task("downstream_ladder", "chinchilla", 0.082, 0.93, "task_loss", groups=("group",)),
    Task("clip_zeroshot", "power", 0.060, 0.976, "error", "num_compute", ("group",), frontier),
    Task("inference_time_llama2", "time_to_first_token = t * num_blocks/12 + m * num_params/1e9 + a"
         " * num_params/1e9 * batch_size * prefill_length/1e3 + q * num_blocks/12 *"
         " embedding_dim/1e3 * batch_size * (prefill_length/1e3)^2", 0.146, 0.985),
    Task("datablations_repeated_data", "repeated_data", np.nan, np.nan, prepare=two_largest_out,
         sldbench=0.911),
    Task("datablations_repeated_data", "overfitting", np.nan, np.nan, prepare=two_largest_out,
         sldbench=0.911),
    Task("steplaw_lr_batch", "step_law_loss", np.nan, np.nan, prepare=largest_out, sldbench=-0.076),
)  # fmt: skip


def groups_of(task: Task, table: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Rows to fit and rows to predict, group by group."""
    parts = [p for _, p in table.groupby(list(task.groups))] if task.groups else [table]
    for part in parts:
        fitted, held_out = part[part.is_training == 1], part[part.is_training == 0]
        if len(held_out):
            yield fitted, held_out


def held_out_error(
    task: Task,
    table: pd.DataFrame,
    loss_fn: str,
    held: tuple[str, ...] = (),
    starts: int = 6,
) -> dict[str, float]:
    """RMSE and R2 on the rows that were not fitted, with some constants held."""
    predicted, observed, space = [], [], ""
    for fitted, held_out in groups_of(task, task.prepare(table)):
        estimand = Estimand(loss_fn, x_col=task.x_col, y_col=task.y_col)
        law = holding(task, fitted, held)
        f = fit(law, fitted, estimand, starts=starts)
        predicted.append(f.predict(held_out))
        observed.append(held_out[f.y_col].to_numpy(dtype=float))
        space = f.space
    return scores(np.concatenate(predicted), np.concatenate(observed), space)


def holding(task: Task, fitted: pd.DataFrame, held: tuple[str, ...]) -> str | Law:
    """The task's law with some constants held: B of its first law, by Huber's penalty as its
    authors have it, and others as published."""
    if not held:
        return task.law
    values = dict(LAWS[task.law].published[task.constants])
    if "B" in held:
        values["B"] = fit(task.first, fitted, starts=0).params["B"]
    return LAWS[task.law].hold({name: values[name] for name in held})


def left_out_error(task: Task, table: pd.DataFrame, held: tuple[str, ...]) -> float:
    """RMSE by least squares of the rows to fit, each curve left out in turn."""
    fitted = table[table.is_training == 1]
    squares = count = 0.0
    for curve in fitted.curve.unique():
        part = fitted.assign(is_training=(fitted.curve != curve).astype(int))
        found = held_out_error(task, part, "mse", held, starts=1)
        squares += found["n"] * found["rmse"] ** 2
        count += found["n"]
    return float(np.sqrt(squares / count))


def by_held(task: Task, table: pd.DataFrame) -> dict[str, Any]:
    """What each choice of held constants misses curves by that are left out, and the best one's
    errors on the rows to predict."""
    missed = {held: left_out_error(task, table, held) for held in task.may_hold}
    best = min(missed, key=missed.__getitem__)
    return {
        "of": task.constants,
        "left_out": {", ".join(held) or "none": error for held, error in missed.items()},
        "chosen": best,
        "huber": held_out_error(task, table, "huber", best),
        "mse": held_out_error(task, table, "mse", best),
    }


def scores(p: np.ndarray, y: np.ndarray, space: str) -> dict[str, float]:
    """RMSE in ``space``, and R2."""
    r = np.log(p / y) if space == "log" else p - y
    r2 = 1 - np.sum((p - y) ** 2) / np.sum((y - y.mean()) ** 2)
    return {"rmse": float(np.sqrt(np.mean(r**2))), "r2": float(r2), "n": len(y)}


def two_steps(table: pd.DataFrame) -> dict[str, float]:
    """Accuracy by way of the task's loss, and how many lie in the 90 % interval."""
    task = Task("downstream_ladder", "sigmoid", 0.179, 0.41, groups=("group",))
    predicted, observed, inside = [], [], []
    for fitted, held_out in groups_of(task, table):
        steps = chain(fitted, "task_loss", "accuracy", bootstrap=200)
        low, high = steps.predict_ci(held_out)
        y = held_out.accuracy.to_numpy()
        predicted.append(steps.predict(held_out))
        observed.append(y)
        inside.append((low <= y) & (y <= high))
    found = scores(np.concatenate(predicted), np.concatenate(observed), "linear")
    return {**found, "coverage_90": float(np.mean(np.concatenate(inside)))}


def main(folder: Path, only: list[str]) -> None:
    """Print one line of JSON a law and table."""
    for task in TASKS:
        places = [at / f"{task.table}.csv" for at in (folder, DATA)]
        path = next((place for place in places if place.is_file()), places[0])
        if only and task.table not in only:
            continue
        if not path.is_file():
            print(f"{path} is not there: left out", file=sys.stderr)
            continue
        table = pd.read_csv(path)
        row = {k: v for k, v in asdict(task).items() if k in ("table", "law", "peer", "peer_r2",
                                                              "sldbench")}  # fmt: skip
        for loss_fn in ("huber", "mse"):
            row[loss_fn] = held_out_error(task, table, loss_fn)
        if task.may_hold:
            row["held"] = by_held(task, table)
        print(json.dumps(row), flush=True)
        if task.table == "downstream_ladder":
            print(json.dumps({"table": task.table, "law": "chain", "peer": 0.179,
                              "peer_r2": 0.41, "mse": two_steps(table)}), flush=True)  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
