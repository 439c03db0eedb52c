"""What pre-training is worth in examples: the transfer law on clothes of Fashion-MNIST.

    scaling data fetch fashion-mnist
    python -m benchmarks.transfer [--figure transfer.png]

Multilayer perceptrons learn the first five classes (30,000 images of 14 x 14) as ordinary runs that
keep their weights. From these, and from scratch, others learn D of the images of the last five. The
effective data transferred are D_T = D' - D, where training from scratch needs D' for the loss that
fine-tuning has on D (Hernandez et al. 2021, Scaling Laws for Transfer, arXiv 2102.01293, sec. 2);
their law is D_T = k D^alpha N^beta (eq. 1.1). Each loss is the least of ten points of training.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from analysis.fits import Bootstrap, fit
from analysis.laws import law_for
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


def prepare(name: str, classes: range, size: int | None) -> None:
    """A data set of the first ``size`` images of some classes, numbered from 0."""
    data, arrays = open_data("fashion-mnist"), {}
    for part, inputs, labels, most in (
        ("train", data.train_inputs, data.train_labels, size),
        ("test", data.heldout_inputs, data.heldout_labels, None),
    ):
        rows = np.flatnonzero(np.isin(labels, classes))[:most]
        arrays[f"{part}_inputs"] = halved(inputs[rows])[:, 0]
        arrays[f"{part}_labels"] = labels[rows] - classes.start
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.npz"
        np.savez(path, **arrays)
        scaling(["data", "prepare", name, "--from", str(path), "--json"])


def least_loss(spec: RunSpec, start: dict[str, torch.Tensor] | None) -> float:
    """The least held-out loss of ten points of training from ``start``, with a new last layer."""
    task = make_task(spec, None, torch.device("cpu"))
    torch.manual_seed(spec.seed)
    model = get_family(spec.family).build(spec.model)
    if start is not None:
        last = list(model.state_dict())[-2:]
        kept = {name: value for name, value in start.items() if name not in last}
        model.load_state_dict(kept, strict=False)
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


def losses(root: Path) -> pd.DataFrame:
    """A row for each width, share and seed: the loss from scratch, and fine-tuned."""
    rows = []
    for width in WIDTHS:
        for seed in SEEDS:
            before = RunSpec.resolve(
                **COMMON, width=width, seed=seed, data="clothes-first", num_examples=60_000
            )
            folder = root / before.run_id
            train(before, folder, keep=Keep(("final",)))
            start = load_model(folder).model.state_dict()
            for share in SHARES:
                spec = RunSpec.resolve(
                    **COMMON, width=width, seed=seed, data=f"clothes-last-{share}",
                    num_examples=min(max(4000, 20 * share), 40_000),
                )  # fmt: skip
                scratch, tuned = least_loss(spec, None), least_loss(spec, start)
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
    parser.add_argument("--figure", type=Path, default=Path("docs/images/transfer.png"))
    parser.add_argument("--table", type=Path, default=Path("transfer.csv"))
    asked = parser.parse_args()
    if not asked.table.exists():
        prepare("clothes-first", range(5), None)
        for share in SHARES:
            prepare(f"clothes-last-{share}", range(5, 10), share)
        losses(Store.at(None).root / "transfer").to_csv(asked.table, index=False)
    table = effective(pd.read_csv(asked.table))
    save_all({"transfer": picture(table)}, asked.figure)
    print(table.groupby(["width", "examples"])[["scratch", "tuned", "transferred"]].mean().round(4))
    usable = table[table["transferred"] > 0]
    print(f"{len(usable)} of {len(table)} with D_T above 0 and within reach")
    formula = "log(transferred) = logk + alpha*log(examples) + beta*log(num_params)"
    found = fit(law_for(formula, usable), usable, bootstrap=Bootstrap(500))
    print(found.summary())


if __name__ == "__main__":
    main()
