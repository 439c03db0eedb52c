"""The best learning rate over 16 times in width, under muP and the standard parametrisation.

    OMP_NUM_THREADS=1 python benchmarks/mup_transfer.py [--figure docs/images/mup-transfer.png]

80 transformers of two blocks on ``python-source`` (AdamW, 256 steps of 256 tokens, cosine) in this
process: nine minutes of a core. They are a sweep like any other, so a second call finds done what
is done. The best rate is the lowest point of the parabola in ln lr through the lowest loss and its
neighbours; the last column is the loss of the widest at the narrowest's best rate, and what that is
above its own best.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from analysis import load_runs
from cluster import submit
from sweeps import load_sweep

WIDTHS = (16, 32, 64, 128, 256)
RATES = [2.0**-k for k in range(11, 3, -1)]
PARAMETRISATIONS = ("standard", "mup")
SWEEP = {
    "name": "mup-transfer",
    "data": "python-source",
    "family": "transformer",
    "fixed": {
        "depth": 2,
        "head_dim": 16,
        "base_width": 64,
        "context": 32,
        "batch_size": 8,
        "num_tokens": 1 << 16,
        "schedule": "cosine",
        "warmup_fraction": 0.1,
        "curve_tokens": 1024,
        "final_tokens": 1 << 16,
    },
    "grid": {
        "product": {
            "parametrisation": list(PARAMETRISATIONS),
            "width": list(WIDTHS),
            "lr": RATES,
        }
    },
}


def losses() -> dict[tuple[str, int], np.ndarray]:
    """Final held-out losses by parametrisation and width, a number for each rate."""
    sweep = load_sweep(SWEEP)
    submit(sweep, on="inline")
    found = load_runs(sweep.name).set_index("run_id")["loss"]
    table = {(p, w): np.full(len(RATES), np.nan) for p in PARAMETRISATIONS for w in WIDTHS}
    for entry in sweep:
        model, lr = entry.spec.model, entry.spec.optim.lr
        table[model.parametrisation, model.width][RATES.index(lr)] = found[entry.run_id]
    return table


def best(loss: np.ndarray) -> tuple[float, float]:
    """The rate of the lowest loss, between the grid's, and that loss."""
    middle = int(np.clip(np.nanargmin(loss), 1, len(RATES) - 2))
    near = slice(middle - 1, middle + 2)
    curve = np.polynomial.Polynomial.fit(np.log(RATES[near]), loss[near], 2)
    at = float(curve.deriv().roots()[0])
    return float(np.exp(at)), float(curve(at))


def draw(table: dict[tuple[str, int], np.ndarray]) -> Figure:
    """Loss against rate, a curve for each width, side by side for the two parametrisations."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, len(PARAMETRISATIONS), sharex=True, sharey=True)
    for ax, parametrisation in zip(axes, PARAMETRISATIONS, strict=True):
        for i, width in enumerate(WIDTHS):
            colour = f"C{i}"
            ax.plot(RATES, table[parametrisation, width], ".-", color=colour, label=str(width))
            ax.plot(*best(table[parametrisation, width]), "*", color=colour, markersize=11)
        ax.set(xscale="log", xlabel="learning rate", title=parametrisation)
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("held-out loss (nats/byte)")
    axes[1].legend(title="width")
    return figure


def main() -> None:
    """Train what is missing, print the table, draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", type=Path, default=Path("docs/images/mup-transfer.png"))
    figure = parser.parse_args().figure
    table = losses()
    print("| | " + " | ".join(f"width {w}" for w in WIDTHS) + " | at the narrowest's |")
    print("| --- " * (len(WIDTHS) + 2) + "|")
    for parametrisation in PARAMETRISATIONS:
        found = {width: best(table[parametrisation, width]) for width in WIDTHS}
        narrow, widest = found[WIDTHS[0]][0], table[parametrisation, WIDTHS[-1]]
        kept = float(np.interp(np.log(narrow), np.log(RATES), widest))
        cells = [f"{lr:.4f}: {loss:.3f}" for lr, loss in found.values()]
        cells.append(f"{kept:.3f} (+{kept - found[WIDTHS[-1]][1]:.3f})")
        print(f"| {parametrisation} | " + " | ".join(cells) + " |")
    draw(table).savefig(figure, dpi=110)


if __name__ == "__main__":
    main()
