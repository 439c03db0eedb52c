"""How much of AdamW's data (and FLOPs) Muon needs for AdamW's loss, at three sizes.

    scaling submit benchmarks/muon_adamw.yaml --on inline
    python benchmarks/muon_adamw.py

Each optimiser has the rate that is best for it at a size, over the seeds, on the most data. Muon's
loss is interpolated in ln D to AdamW's on the most data; the interval is Student's over sizes and
seeds of the logarithm of the ratio.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from analysis import load_runs


def main() -> None:
    runs = load_runs("muon-adamw")
    runs = runs[runs["status"] == "done"]
    most = runs["num_tokens"].max()
    ratios = []
    for width, sized in runs.groupby("width"):
        best = {}
        for name, mine in sized.groupby("optimizer"):
            means = mine[mine["num_tokens"] == most].groupby("lr")["loss"].mean()
            best[name] = mine[mine["lr"] == means.idxmin()]
            print(f"width {width:.0f} {name}: lr {means.idxmin():g} of {means.round(4).to_dict()}")
        for seed, adamw in best["adamw"].groupby("seed"):
            target = adamw.loc[adamw["num_tokens"] == most, "loss"].item()
            muon = best["muon"][best["muon"]["seed"] == seed].sort_values("loss")
            d = np.exp(np.interp(target, muon["loss"], np.log(muon["num_tokens"])))
            ratios.append(np.log(d / most))
            print(f"  seed {seed}: AdamW {target:.4f}, Muon as good at {d / most:.3f} of its data")
    mean, error = np.mean(ratios), stats.sem(ratios)
    half = stats.t.ppf(0.95, len(ratios) - 1) * error
    low, middle, high = np.exp([mean - half, mean, mean + half])
    print(f"ratio {middle:.3f}, 90 % {low:.3f} to {high:.3f} ({len(ratios)} pairs)")


if __name__ == "__main__":
    main()
