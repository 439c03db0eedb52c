"""When regularisation helps: what each kind changes at three sizes, in pairs of equal seeds.

scaling submit benchmarks/regularisation.yaml --on inline
python benchmarks/regularisation.py [docs/images/regularisation.png]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy import stats

from analysis import load_runs
from analysis.plotting import SERIES, Axis, Layer, Panel, Picture, save_all
from analysis.wording import count

KINDS = ("weight_decay", "dropout", "label_smoothing", "crop_padding", "flip")
QUANTITIES = {"error": "held-out error", "error_train": "training error", "loss": "held-out loss"}


def main() -> None:
    runs = load_runs("regularisation")
    runs = runs[runs["status"] == "done"]
    plain = runs[(runs[list(KINDS)].astype(float) == 0).all(axis=1)].set_index(["width", "seed"])
    panels = {name: [] for name in ("error", "loss")}
    print(f"{'':20}" + "".join(f"{x:>24}" for x in QUANTITIES.values()))
    for width, rows in plain.groupby("width"):
        means = [f"{rows[name].mean():24.4f}" for name in QUANTITIES]
        print(f"{f'none, width {width:.0f}':20}" + "".join(means))
    place = 0
    for kind in KINDS:
        for value, changed in runs[runs[kind].astype(float) > 0].groupby(kind):
            colour, label = SERIES[place % len(SERIES)], f"{kind} {float(value):g}"
            shift, place = 1.04 ** (place - 2.5), place + 1
            for width, some in changed.groupby("width"):
                pairs = some.set_index(["width", "seed"])
                said = []
                for name in QUANTITIES:
                    change = (pairs[name] - plain[name].loc[pairs.index]).to_numpy(float)
                    half = stats.t.ppf(0.95, len(change) - 1) * stats.sem(change)
                    said.append(f"{change.mean():+14.4f} ± {half:.4f}")
                    if name in panels:
                        scale = 100 if name == "error" else 1
                        x = some["num_params"].mean() * shift
                        middle, ends = scale * change.mean(), scale * half
                        panels[name] += [
                            Layer("vbars", x, middle - ends, middle + ends, colour=colour),
                            Layer("points", x, middle, colour=colour, label=label, order=3),
                        ]
                print(f"{f'{label}, {width:.0f}':20}" + "".join(f"{x:>24}" for x in said))
    sizes = np.unique(runs["num_params"])
    drawn = [
        Panel(
            [*layers, Layer("hrule", y=0.0, colour="#6e7781", width=1.0)],
            Axis(
                f"parameters N ({', '.join(count(n) for n in sizes)})", log=True, numbers="counts"
            ),
            Axis(f"change of the held-out {name}" + (" (points)" if name == "error" else "")),
        )
        for name, layers in panels.items()
    ]
    note = "below 0 it helps; bars: 90 % by t over pairs of three seeds"
    picture = Picture(drawn, width=8.4, height=3.3, legend="above", columns=2, note=note)
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/regularisation.png")
    save_all({"regularisation": picture}, path)


if __name__ == "__main__":
    main()
