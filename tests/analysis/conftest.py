"""A sweep whose losses follow a planted law, and the published tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scaling.base import Store
from scaling.run.journal import Journal

PLANTED = {"E": 1.2, "A": 40.0, "B": 300.0, "alpha": 0.35, "beta": 0.4}


def planted_loss(n, d):
    return PLANTED["E"] + PLANTED["A"] / n ** PLANTED["alpha"] + PLANTED["B"] / d ** PLANTED["beta"]


@pytest.fixture(scope="session")
def planted_runs() -> pd.DataFrame:
    """30 runs, 6 sizes x 5 token counts, with 0.3 % noise; C = 6.6 N D."""
    rng = np.random.default_rng(3)
    n, d = (
        grid.ravel()
        for grid in np.meshgrid(np.geomspace(1e4, 1e6, 6), np.geomspace(5e5, 8e6, 5), indexing="ij")
    )
    loss = planted_loss(n, d) * np.exp(0.003 * rng.standard_normal(len(n)))
    frame = pd.DataFrame(
        {
            "run_id": [f"{i:016x}" for i in range(len(n))],
            "name": [f"N{a:.3g}-D{b:.3g}" for a, b in zip(n, d, strict=True)],
            "family": "transformer",
            "data_unit": "token",
            "num_params": n,
            "num_tokens": d,
            "flops": 6.6 * n * d,
            "loss": loss,
            "seed": 0.0,
            "status": "done",
            "exclude_reason": "",
        }
    )
    frame.attrs = {"notes": []}
    return frame


@pytest.fixture(scope="session")
def planted_home(tmp_path_factory, planted_runs) -> Path:
    """A store root with the sweep ``demo``; each of its journals is synced to the disk."""
    store = Store.at(tmp_path_factory.mktemp("planted"))
    lines = []
    last = len(planted_runs) - 1
    for i, row in enumerate(planted_runs.to_dict("records")):
        known = ("run_id", "name", "family", "data_unit", "num_params", "num_tokens", "flops")
        lines.append(json.dumps({**{k: row[k] for k in known}, "seed": 0, "spec": {"seed": 0}}))
        if i == last:
            continue
        journal = Journal(store.run_dir(row["run_id"]))
        journal.append("start", attempt=1, time=1.7e9 + i)
        for step in np.geomspace(row["num_tokens"] / 30, row["num_tokens"], 6):
            above = 1 + 0.2 * (1 - step / row["num_tokens"])
            loss = float(planted_loss(row["num_params"], step) * above)
            journal.append("point", step=round(step), loss=loss, lr=0.01, seconds=float(step))
        if i == last - 1:
            pass
        elif i == last - 2:
            journal.append("end", status="diverged", loss=float("nan"), reason="loss is not finite")
        else:
            journal.append("end", status="done", loss=row["loss"], loss_se=1e-3, seconds=2.0)
        journal.close()
    folder = store.sweep_dir("demo")
    folder.mkdir(parents=True)
    (folder / "sweep.jsonl").write_text("\n".join(lines) + "\n")
    return store.root


@pytest.fixture
def sweep(home: Path, planted_home) -> Path:
    """The planted runs as the sweep ``demo``: the last three planned, running and diverged."""
    shutil.copytree(planted_home, home, dirs_exist_ok=True)
    return Store.at(home).sweep_dir("demo")


@pytest.fixture(scope="session")
def published() -> Path:
    """The folder of published tables."""
    return Path(__file__).parents[1] / "published" / "data"
