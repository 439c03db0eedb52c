"""Which rows hang together: tables that were made one way or the other, and published ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.tables import load_runs, structure

DATA = Path(__file__).parents[2] / "published" / "data"
SIZES = np.array([1e7, 3e7, 1e8, 3e8, 1e9, 3e9])


def grid(data, sizes=SIZES, **columns) -> pd.DataFrame:
    """A row for each size and amount of data; other columns from both."""
    n, d = (x.ravel() for x in np.meshgrid(sizes, np.asarray(data, float), indexing="ij"))
    loss = 1.7 + 400 / n**0.34 + 400 / d**0.28
    table = pd.DataFrame({"num_params": n, "num_tokens": d, "loss": loss})
    return table.assign(**{name: make(n, d) for name, make in columns.items()})


def by_size(table: pd.DataFrame) -> list[int]:
    return pd.factorize(table["num_params"])[0].tolist()


EVEN = np.arange(1, 11) * 2e9
POWERS = np.geomspace(1e9, 64e9, 6)

TOGETHER = {
    "run names": grid(POWERS, run_name=lambda n, d: [f"model-{x:.0f}" for x in n]),
    "run numbers": grid(POWERS, Run=lambda n, d: pd.factorize(n)[0]),
    "a step": grid(POWERS, step=lambda n, d: d / 1e6),
    "a last checkpoint": grid(POWERS, is_final=lambda n, d: d == d.max()),
    "checkpoints with names": grid(
        POWERS,
        step=lambda n, d: d / 1e6,
        model=lambda n, d: [f"{a}-{b}" for a, b in zip(n, d, strict=True)],
    ),
    "a learning rate that falls": grid(
        EVEN, step=lambda n, d: d / 1e6, lr=lambda n, d: 1e-3 * (1 - d / 3e10)
    ),
    "equal steps": grid(EVEN),
    "equal steps in each run's own batch": grid(EVEN).assign(
        num_tokens=lambda t: t["num_tokens"] * (1 + t["num_params"].rank(method="dense") / 7)
    ),
    "powers of two, then equal steps": grid([1e6, 2e6, 4e6, 8e6, *(np.arange(1, 12) * 1e9)]),
    "many amounts": grid(np.geomspace(1e9, 3e11, 12)),
    "steps": grid(POWERS, steps=lambda n, d: d / 1e6),
}


@pytest.mark.parametrize("name", TOGETHER)
@pytest.mark.parametrize("shuffled", [False, True])
def test_checkpoints_are_those_of_their_run(name, shuffled):
    table = TOGETHER[name]
    if shuffled:
        table = table.sample(frac=1, random_state=1)
    found = structure(table)
    assert (found.kind, found.groups) == ("checkpoints", len(SIZES))
    assert found.labels.tolist() == by_size(table)
    assert f"{len(table)} rows are" in found.says
    assert f"of {len(SIZES)} runs" in found.says


def test_a_column_that_tells_is_named_and_a_guess_says_so():
    assert structure(TOGETHER["run names"]).column == "run_name"
    assert structure(TOGETHER["run names"]).sure
    guess = structure(TOGETHER["many amounts"])
    assert (guess.column, guess.sure) == (None, False)
    assert "taken as checkpoints" in guess.says
    assert "--cluster none" in guess.says


ALONE = {
    "branches of a trunk": grid(
        POWERS,
        flops=lambda n, d: 6 * n * d,
        flops_spent=lambda n, d: np.where(d == d.max(), 6, 2) * n * d,
        run_id=lambda n, d: [f"{i:016x}" for i in range(len(n))],
    ),
    "a grid": grid(POWERS[:2]),
    "budgets": grid([1e18, 3e18, 1e19, 3e19, 1e20, 3e20, 1e21, 3e21, 1e22]).assign(
        flops=lambda t: t["num_tokens"], num_tokens=lambda t: t["flops"] / 6 / t["num_params"]
    ),
    "ratios": grid([5, 10, 20, 40, 80, 160, 320, 640, 1280]).assign(
        num_tokens=lambda t: t["num_tokens"] * t["num_params"]
    ),
    "names of its own": grid(
        EVEN, name=lambda n, d: [f"{a}-{b}" for a, b in zip(n, d, strict=True)]
    ),
    "no size twice": pd.DataFrame(
        {"N": np.geomspace(1e6, 1e9, 20), "D": np.geomspace(1e8, 1e10, 20), "loss": 3.0}
    ),
    "a curve of points": pd.DataFrame({"x": np.arange(20.0), "loss": 3.0}),
}


@pytest.mark.parametrize("name", ALONE)
def test_runs_are_left_alone(name):
    found = structure(ALONE[name])
    assert found.kind == "runs"
    assert found.sure
    assert found.labels.tolist() == list(range(len(ALONE[name])))


def test_a_doubt_is_said_with_the_option_that_ends_it():
    found = structure(grid(POWERS))
    assert (found.kind, found.sure) == ("runs", False)
    assert "if they are checkpoints: --cluster num_params" in found.says


def repeated(times: int, **columns) -> pd.DataFrame:
    table = grid(POWERS)
    seeds = np.arange(times)
    table = table.loc[table.index.repeat(times)].reset_index(drop=True)
    at = np.tile(seeds, len(table) // times)
    table["loss"] *= 1 + 0.001 * np.sin(np.arange(len(table)))
    return table.assign(**{name: make(table, at) for name, make in columns.items()})


SEEDS = {
    "seeds": repeated(3, seed=lambda t, at: at),
    "seeds of runs with ids and times": repeated(
        3,
        seed=lambda t, at: at,
        run_id=lambda t, at: [f"{i:016x}" for i in range(len(t))],
        seconds=lambda t, at: np.arange(len(t)) * 1.5,
        grad_norm=lambda t, at: np.sin(np.arange(len(t))),
    ),
    "runs that count repeats": repeated(3, run=lambda t, at: at),
    "configurations": repeated(
        3,
        config=lambda t, at: [
            f"{a}-{b}" for a, b in zip(t["num_params"], t["num_tokens"], strict=True)
        ],
    ),
    "nothing but the loss": repeated(3),
}


@pytest.mark.parametrize("name", SEEDS)
def test_seeds_are_those_of_their_configuration(name):
    found = structure(SEEDS[name])
    assert (found.kind, found.groups) == ("seeds", len(grid(POWERS)))
    assert found.labels.tolist() == np.repeat(np.arange(found.groups), 3).tolist()


def test_seeds_with_learning_rates_of_their_own_are_no_seeds():
    table = repeated(3, seed=lambda t, at: at, lr=lambda t, at: np.linspace(1e-4, 1e-2, len(t)))
    assert structure(table).kind == "runs"


def test_a_row_without_a_name_is_by_itself():
    table = pd.DataFrame({"run": ["a", "a", None, None, "b", "b"], "step": [1, 2, 3, 4, 1, 2]})
    assert structure(table).labels.tolist() == [0, 0, 1, 2, 3, 3]


ODD = {
    "no rows": pd.DataFrame({"run": [], "num_params": [], "loss": []}),
    "no columns": pd.DataFrame(index=range(3)),
    "one row": grid([1e9], sizes=SIZES[:1], run=lambda n, d: ["a"]),
    "no values": pd.DataFrame({"run": [None] * 4, "num_params": [np.nan] * 4, "loss": 3.0}),
    "columns that are numbers": pd.DataFrame(np.arange(12.0).reshape(4, 3)),
    "a column twice": pd.DataFrame([[1, 2, 3.0], [1, 2, 4.0]], columns=["run", "run", "loss"]),
    "lists": pd.DataFrame({"shape": [[1, 2], [1, 2], [3]], "loss": [3.0, 3.1, 2.9]}),
    "text in sizes": pd.DataFrame({"N": ["1B", "1B", "7B"], "D": ["1T", "2T", "1T"], "loss": 3.0}),
    "sizes of 0": pd.DataFrame({"N": [0, 0, -1.0, 5], "D": [1, 2, 0, np.inf], "loss": 3.0}),
}


@pytest.mark.parametrize("name", ODD)
def test_any_table_has_a_label_for_each_row(name):
    found = structure(ODD[name])
    assert found.labels.shape == (len(ODD[name]),)
    assert set(found.labels) == set(range(found.groups))


PUBLISHED = {
    "gemstones_cool_end.csv": ("checkpoints", 20),  # 20 models, each cooled down at up to 10 steps
    "learning_curves_vision.csv": ("checkpoints", None),
    "chinchilla.csv": ("runs", None),
    "isoflop_chinchilla.csv": ("runs", None),
    "datablations_repeated_data.csv": ("runs", None),
    "gadre_overtraining.csv": ("runs", None),
    "gemstones_slim_chinchilla.csv": ("runs", None),
    "steplaw_lr_batch.csv": ("runs", None),
    **{path.name: ("runs", None) for path in DATA.glob("porian*.csv")},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_tables_are_what_their_papers_say(name):
    kind, groups = PUBLISHED[name]
    found = structure(load_runs(str(DATA / name)))
    assert found.kind == kind
    assert groups is None or found.groups == groups


def test_runs_of_stated_budgets_are_by_themselves_whatever_their_last_steps():
    """C is not 6 N D where embeddings are left out of it; the table says what was asked for."""
    budgets, n = (x.ravel() for x in np.meshgrid([1e18, 2e18, 5e18, 1e19], SIZES, indexing="ij"))
    table = pd.DataFrame(
        {"flops_budget": budgets, "params_total": n + 2e8, "tokens_trained": budgets / 6 / n,
         "num_iterations": budgets / n / 1e6, "val_bpb": 0.7 + 1 / np.log(n)}
    )  # fmt: skip
    found = structure(table)
    assert found.kind == "runs"
    assert found.sure
