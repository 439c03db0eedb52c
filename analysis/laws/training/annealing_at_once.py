"""Learning-rate annealing whose whole gain comes at once."""

from __future__ import annotations

from analysis.laws.base import Parameter
from analysis.laws.named import named_law
from analysis.laws.training.schedules import with_schedule_sums

ANNEALING_AT_ONCE = named_law(
    name="annealing_at_once",
    formula="L = L_0 + A / S^alpha + B * R",
    latex=r"L = L_0 + A\,S_1^{-\alpha} + B\,\eta",
    source="Luo et al. 2025 (arXiv 2503.12811) begin their fits of the multi-power law here: a "
    "fall of the rate R takes off all that it will at once; S the sum of learning rates. Its B is "
    "the one to hold in multi_power where few schedules were run",
    inputs={"S": "lr_sum", "R": "lr"},
    parameters=(
        Parameter("L_0", "loss of endless training, the rate at 0", 0.0, 1e6, unit="nats/token",
                  scale="linear", role="floor"),
        Parameter("A", "size of the forward term at S = 1", 1e-10, 1e8, unit="nats/token"),
        Parameter("alpha", "exponent of the sum of learning rates", 1e-3, 5.0, (0.05, 2.0)),
        Parameter("B", "what a unit of the rate's fall takes off", 1e-10, 1e10),
    ),
    units={"A": {"S": "-alpha"}, "B": {"R": 1.0}},
    derive=with_schedule_sums,
)  # fmt: skip
