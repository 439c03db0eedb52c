"""A small sweep to a law, in Python: describe it, train it here, fit it, plan with it.

    python examples/python/sweep_to_law.py

Seconds on one core, no download: the data are labelled by a random network. Runs are kept in
``$SCALING_HOME``; a second call finds them done. In an editor each ``# %%`` is a notebook's cell.
"""

# %% Runs: two-layer MLPs of four sizes, on four amounts of data (load_sweep reads a YAML file)
from analysis import fit, load_runs, plan
from analysis.compute import next_budgets
from cluster import submit
from scaling import RunSpec
from sweeps import Sweep

FIXED = {
    "data": "teacher:features=8,classes=4",
    "family": "mlp",
    "depth": 2,
    "batch_size": 32,
    "lr": 0.01,
}
sweep = Sweep.of(
    "sweep-to-law",
    [
        RunSpec.resolve(**FIXED, width=width, num_examples=examples)
        for width in (4, 8, 16, 32)
        for examples in (2048, 4096, 8192, 16384)
    ],
)
print(sweep)

# %% Train what is not done yet, in this process; on="local" and on="slurm" go elsewhere
submission = submit(sweep, on="inline")
print(f"{len(submission.submitted)} runs trained, {len(submission.skipped)} were there")

# %% The run table: one row a run, its loss on held-out data in nats
runs = load_runs(sweep.name)
print(runs[["name", "num_params", "num_tokens", "flops", "loss"]].to_string(index=False))

# %% A law of loss in N and D, with intervals from 200 bootstrap draws
law = fit("chinchilla", runs, bootstrap=200)
print(law)

# %% What ten, a hundred and a thousand times the compute would buy
print(plan(law, next_budgets(runs)))
