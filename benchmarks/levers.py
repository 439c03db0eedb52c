"""Do the levers of `scaling diagnose` gain what the law expects? Held-out ends of a sweep say.

    scaling submit benchmarks/bias_variance.yaml --on inline
    python benchmarks/levers.py

The forecast sees the runs below the largest amount of training (or size). What it expects of three
times the training (2.27 times the parameters) at the last points that it has seen stands beside
what the runs left out have there, means over seeds.
"""

from __future__ import annotations

import numpy as np

from analysis import forecast, load_runs
from analysis.diagnosis import levers

METRICS = ("loss", "error")


def main() -> None:
    runs = load_runs("bias-variance")
    runs = runs[runs["status"] == "done"]
    keys = ["num_params", "num_tokens", "data"]
    for metric in METRICS:
        table = runs[runs[metric] > 0]
        means = table.groupby(keys)[metric].mean()
        for column, name in (("num_tokens", "longer training"), ("num_params", "more parameters")):
            ends = np.unique(table[column])
            seen = table[table[column] < ends[-1]]
            expected = forecast(seen.assign(loss=seen[metric]))
            held, errors, gains = [], [], []
            for (n, d, data), before in means.items():
                at = {"num_params": n, "num_tokens": d}
                if at[column] != ends[-2]:
                    continue
                after = means[(*{**at, column: ends[-1]}.values(), data)]
                unique = min(d, float(data.split("-")[1]))
                point = {**at, "num_unique_tokens": unique}
                found = levers(expected, {k: point[k] for k in expected.x_cols},
                               factor=ends[-1] / ends[-2])  # fmt: skip
                lever = next(x for x in found if x.name == name)
                low, high = lever.gain_ci
                held.append(low < before - after < high)
                gains.append(before - after)
                errors.append(lever.gain - gains[-1])
            print(
                f"{metric}, {name} x {ends[-1] / ends[-2]:.3g} by {expected.name}: {sum(held)} of "
                f"{len(held)} within 90 %; the gains are {min(gains):+.3f} to {max(gains):+.3f}, "
                f"mean {np.mean(gains):.3f}, expected on average {np.mean(errors):+.3f} off, "
                f"rms {np.sqrt(np.mean(np.square(errors))):.3f}"
            )


if __name__ == "__main__":
    main()
