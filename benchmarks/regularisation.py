"""When regularisation helps: what each kind changes at three sizes, in pairs of equal seeds.

scaling submit benchmarks/regularisation.yaml --on inline
python benchmarks/regularisation.py [docs/images/regularisation.png]
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from scipy import stats

from analysis import load_runs
from analysis.plotting import SERIES, Axis, Layer, Panel, Picture, save_all

KINDS = ("weight_decay", "dropout", "label_smoothing", "crop_padding", "flip")
QUANTITIES = {"error": "held-out error", "error_train": "training error", "loss": "held-out loss"}


def changes(runs: pd.DataFrame) -> pd.DataFrame:
    """A row for each kind, size and quantity: the mean change, half its 90 % interval, by t."""
    keys = ["width", "seed"]
    plain = runs[(runs[list(KINDS)].astype(float) == 0).all(axis=1)].set_index(keys)
    rows = []
    for kind in KINDS:
        for value, changed in runs[runs[kind].astype(float) > 0].groupby(kind):
            for width, some in changed.groupby("width"):
                pairs = some.set_index(keys)
                for name in QUANTITIES:
                    change = (pairs[name] - plain[name].loc[pairs.index]).to_numpy(float)
                    half = stats.t.ppf(0.95, len(change) - 1) * stats.sem(change)
                    size = float(some["num_params"].iloc[0])
                    label = f"{kind} {float(value):g}"
                    rows.append((label, width, size, name, change.mean(), half))
    return pd.DataFrame(rows, columns=["kind", "width", "num_params", "of", "change", "half"])


def panel(found: pd.DataFrame, title: str) -> Panel:
    """The change of the held-out loss over size, a colour a kind."""
    layers = [Layer("hrule", y=0.0, colour="#6e7781", width=1.0)]
    for i, (kind, rows) in enumerate(found[found["of"] == "loss"].groupby("kind", sort=False)):
        x, look = rows["num_params"] * 1.04 ** (i - 2.5), {"colour": SERIES[i % len(SERIES)]}
        y, half = rows["change"], rows["half"]
        layers += [
            Layer("vbars", x, y - half, y + half, **look),
            Layer("points", x, y, label=str(kind), order=3, **look),
        ]
    return Panel(layers, Axis("parameters N", log=True, numbers="counts"),
                 Axis("change of the held-out loss (nats)"), title)  # fmt: skip


def main() -> None:
    runs = load_runs("regularisation")
    runs = runs[runs["status"] == "done"]
    panels = []
    for data, mine in runs.groupby("data"):
        plain = mine[(mine[list(KINDS)].astype(float) == 0).all(axis=1)]
        print(f"{data}, none\n{plain.groupby('width')[list(QUANTITIES)].mean().round(4)}")
        found = changes(mine)
        pairs = zip(found["change"], found["half"], strict=True)
        told = found.assign(said=[f"{change:+.4f} ± {half:.4f}" for change, half in pairs])
        print(told.pivot(index=["kind", "width"], columns="of", values="said")[list(QUANTITIES)])
        images = int(data.split("-")[1])
        panels.append(panel(found, f"{images:,} images, {32_000 // images} passes"))
    note = "below 0 it helps; bars: 90 % by t over pairs of three seeds"
    picture = Picture(panels, width=8.4, height=3.3, legend="above", columns=2, note=note)
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/regularisation.png")
    save_all({"regularisation": picture}, path)


if __name__ == "__main__":
    main()
