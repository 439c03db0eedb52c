"""What pre-training is worth in examples: the transfer law on Fashion-MNIST at 14 x 14.

    scaling data fetch fashion-mnist
    python -m benchmarks.transfer labels [--figure transfer.png]

Multilayer perceptrons are pre-trained as ordinary runs that keep their weights: on the first five
classes (``classes``; they then learn the last five, with a new last layer), or on 30,000 images of
which 40 % have a label at random (``labels``; they then learn others with the right ones). From
these weights and from scratch they learn D images. The effective data transferred are D_T = D' - D,
where training from scratch needs D' for the loss that fine-tuning has on D (Hernandez et al. 2021,
Scaling Laws for Transfer, arXiv 2102.01293, sec. 2); their law is D_T = k D^alpha N^beta (eq. 1.1).
Each loss is the least of ten points of training, for both.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from analysis.fits import Bootstrap, fit
from analysis.plotting import Axis, Layer, Panel, Picture, log_x, loss_y, save_all
from benchmarks.bias_variance import halved
from scaling import RunSpec
from scaling.base import Store
from scaling.cli import main as scaling
from scaling.data import open_data
from scaling.families import get_family
from scaling.run import Keep
from scaling.schedule import lr_factor
from scaling.training import train
from scaling.training.optim import make_optimizer, set_lr
from scaling.training.task import make_task
from scaling.weights import load_model

SHARES = (50, 150, 500, 1500, 5000, 15000)
WIDTHS, SEEDS = (16, 48, 144), (0, 1)
COMMON = {"family": "mlp", "depth": 2, "batch_size": 50, "schedule": "cosine", "lr": 0.002}
WRONG = 0.4
ENOUGH = 12


def prepare(
    name: str, train_rows: np.ndarray, test_rows: np.ndarray, wrong: float, first: int
) -> None:
    """A data set of these images, their classes numbered from ``first`` on, some labels wrong."""
    data, rng = open_data("fashion-mnist"), np.random.default_rng(0)
    labels = data.train_labels[train_rows] - first
    noise = rng.random(len(labels)) < wrong
    labels = np.where(noise, rng.integers(0, labels.max() + 1, len(labels)), labels)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.npz"
        np.savez(
            path, train_inputs=halved(data.train_inputs[train_rows])[:, 0], train_labels=labels,
            test_inputs=halved(data.heldout_inputs[test_rows])[:, 0],
            test_labels=data.heldout_labels[test_rows] - first,
        )  # fmt: skip
        scaling(["data", "prepare", name, "--from", str(path), "--json"])


def prepare_all(kind: str) -> None:
    """The data of pre-training, ``KIND-first``, and ``KIND-last-D``."""
    data = open_data("fashion-mnist")
    train, test = data.train_labels, data.heldout_labels
    if kind == "classes":
        first, last = np.flatnonzero(train < 5), np.flatnonzero(train >= 5)
        prepare("classes-first", first, np.flatnonzero(test < 5), 0.0, 0)
        held, start = np.flatnonzero(test >= 5), 5
    else:
        last, first = np.split(np.arange(60_000), 2)
        held, start = np.arange(5000), 0
        prepare("labels-first", first, held, WRONG, 0)
    for share in SHARES:
        prepare(f"{kind}-last-{share}", last[:share], held, 0.0, start)


def least_loss(spec: RunSpec, start: dict[str, torch.Tensor] | None, new_head: bool) -> float:
    """The least held-out loss of ten points of training from ``start``, or from scratch."""
    task = make_task(spec, None, torch.device("cpu"))
    torch.manual_seed(spec.seed)
    model = get_family(spec.family).build(spec.model)
    if start is not None:
        fresh = model.state_dict()
        last = list(fresh)[-2:] if new_head else []
        model.load_state_dict({**start, **{name: fresh[name] for name in last}})
    optimizer = make_optimizer(spec, model)
    points = set(np.linspace(0, spec.num_steps, 11)[1:] // 1)
    found = []
    for step in range(spec.num_steps):
        factor = lr_factor(spec.schedule, step, spec.num_steps, spec.units_per_step)
        set_lr(optimizer, spec.optim.lr * factor)
        task.loss(model, step).backward()
        optimizer.step()
        optimizer.zero_grad()
        if step + 1 in points:
            model.eval()
            with torch.no_grad():
                found.append(task.evaluate(model, 0)["loss"])
            model.train()
    task.close()
    return min(found)


def losses(kind: str, root: Path) -> pd.DataFrame:
    """A row for each width, share and seed: the loss from scratch, and fine-tuned."""
    rows = []
    for width in WIDTHS:
        for seed in SEEDS:
            before = RunSpec.resolve(
                **COMMON, width=width, seed=seed, data=f"{kind}-first", num_examples=60_000
            )
            folder = root / before.run_id
            train(before, folder, keep=Keep(("final",)))
            start = load_model(folder).model.state_dict()
            for share in SHARES:
                spec = RunSpec.resolve(
                    **COMMON, width=width, seed=seed, data=f"{kind}-last-{share}",
                    num_examples=min(max(4000, 20 * share), 40_000),
                )  # fmt: skip
                new_head = kind == "classes"
                scratch = least_loss(spec, None, new_head)
                tuned = least_loss(spec, start, new_head)
                rows.append((spec.num_params, width, share, seed, scratch, tuned))
                print(
                    f"width {width} seed {seed} D {share}: {scratch:.4f}, {tuned:.4f}", flush=True
                )
    return pd.DataFrame(
        rows, columns=["num_params", "width", "examples", "seed", "scratch", "tuned"]
    )


def effective(table: pd.DataFrame) -> pd.DataFrame:
    """``table`` with D_T; NaN where no amount of data from scratch reached the loss."""
    found = []
    for _, rows in table.groupby(["width", "seed"], sort=False):
        falling = np.minimum.accumulate(rows["scratch"].to_numpy())
        logs = np.interp(-rows["tuned"], -falling, np.log(rows["examples"]), right=np.nan)
        found.append(rows.assign(transferred=np.exp(logs) - rows["examples"]))
    return pd.concat(found)


def picture(table: pd.DataFrame) -> Picture:
    """The loss over data, from scratch and fine-tuned, and what was transferred."""
    means = table.groupby(["width", "examples"], as_index=False).mean()
    colours = dict(zip(WIDTHS, ("#0072b2", "#d55e00", "#009e73"), strict=True))
    left, right = [], []
    for width, rows in means.groupby("width"):
        look = {"colour": colours[width]}
        d = rows["examples"].to_numpy(float)
        left += [
            Layer(
                "line",
                d,
                rows["scratch"],
                label=f"width {width}, from scratch",
                dash=(4, 2),
                **look,
            ),
            Layer("line", d, rows["tuned"], label=f"width {width}, fine-tuned", **look),
        ]
        mine = table[(table["width"] == width) & (table["transferred"] > 0)]
        right.append(Layer("points", mine["examples"], mine["transferred"], **look))
    right.append(Layer("line", SHARES, SHARES, colour="#6e7781", dash=(2, 2), label="D_T = D"))
    x = log_x("examples of the new task, D")
    return Picture(
        [Panel(left, x, loss_y("held-out loss (nats/example)")),
         Panel(right, x, Axis("effective data transferred, D_T", log=True, numbers="counts"))],
        width=8.4, height=3.4, legend="above", columns=2,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("labels", "classes"))
    parser.add_argument("--figure", type=Path, default=Path("docs/images/transfer.png"))
    parser.add_argument("--table", type=Path, help="read, or written")
    asked = parser.parse_args()
    asked.table = asked.table or Path(f"transfer-{asked.kind}.csv")
    if not asked.table.exists():
        prepare_all(asked.kind)
        root = Store.at(None).root / "transfer"
        losses(asked.kind, root).to_csv(asked.table, index=False)
    table = effective(pd.read_csv(asked.table))
    save_all({"transfer": picture(table)}, asked.figure)
    print(table.groupby(["width", "examples"])[["scratch", "tuned", "transferred"]].mean().round(4))
    usable = table[table["transferred"] > 0]
    print(f"{len(usable)} of {len(table)} with D_T above 0 and within reach")
    if len(usable) < ENOUGH:
        print(f"a law of three parameters needs {ENOUGH}: nothing was transferred")
        return
    columns = {"examples": "sft_data_size", "transferred": "data_transferred"}
    found = fit("transfer", usable.rename(columns=columns), bootstrap=Bootstrap(500))
    print(found.summary())


if __name__ == "__main__":
    main()
