"""What a batch size costs in steps to one loss."""

from __future__ import annotations

from analysis.laws.base import Parameter
from analysis.laws.named import named_law

BATCH_STEPS = named_law(
    name="batch_steps",
    formula="S = S_min * (1 + B_crit / B)",
    latex=r"S = S_{\mathrm{min}}\left(1 + \frac{B_{\mathrm{crit}}}{B}\right)",
    source="McCandlish et al. 2018 (arXiv 1812.06162), eq. 2.11: steps to one loss by batch size; "
    "with E = B S it is (S / S_min - 1) (E / E_min - 1) = 1, E_min = B_crit S_min",
    inputs={"B": "batch_size"},
    parameters=(
        Parameter("S_min", "steps with endless batches", 1e-6, 1e15, unit="steps"),
        Parameter("B_crit", "critical batch size: twice the least steps and data", 1e-12, 1e15,
                  (1e-2, 1e2), unit="as batch_size"),
    ),
    units={"B_crit": {"B": -1.0}},
    output="num_steps",
    column_units={"num_steps": "steps"},
)  # fmt: skip
