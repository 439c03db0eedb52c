"""Somebody's table of runs to a plan with figures, in Python.

    python examples/python/table_to_plan.py [TABLE.csv [FOLDER]]

The table has a row a run: parameters N, training tokens D, loss, and FLOPs if they are known.
Left out, it is the runs of Hoffmann et al. 2022 without their outliers, from the checkout; figures
are saved in FOLDER (``figures``). In an editor each ``# %%`` is a notebook's cell.
"""

# %% Read: names are found or given, such as columns={"loss": "val_loss"}; rows may be left out
import sys
from pathlib import Path

from analysis import fit, forecast, load_runs, plan, plotting
from analysis.compute import next_budgets
from analysis.report import Findings, figures, write_report

given = sys.argv[1:] if "ipykernel" not in sys.modules else []
table, folder = [*given, *("tests/published/data/chinchilla.csv", "figures")[len(given) :]]
runs = load_runs(table, where=None if given else "not excluded")
print(f"{len(runs)} runs, {(runs['exclude_reason'] == '').sum()} to fit")

# %% Fit: L = E + A / N^alpha + B / D^beta, with intervals from 200 bootstrap draws
law = fit("chinchilla", runs, bootstrap=200)
print(law)

# %% Plan: the best size and data at 10, 100 and 1000 times the largest run's compute
budgets = next_budgets(runs)
best = plan(law, budgets)
print(best)

# %% A second opinion on the loss at the largest budget: several laws, weighed by backtests
largest = best[-1]
opinion = forecast(runs)
point = {"num_params": [largest.num_params], "num_tokens": [largest.num_tokens]}
print(opinion)
[low], [high] = opinion.predict_ci(point)
print(f"loss at {largest.flops:.2g} FLOPs: {largest.loss:.3f}, or {low:.3f} to {high:.3f}")

# %% Draw: each figure as a picture, and all of it as one page
found = Findings(runs, fits=[law])
drawn = figures(found)
for name, figure in drawn.items():
    print(plotting.save(figure, Path(folder) / f"{name}.png"))
print(write_report(Path(folder) / "report.html", found, drawn=drawn, title=Path(table).stem))
