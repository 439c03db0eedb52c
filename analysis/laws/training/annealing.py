"""Learning-rate annealing: the loss at any step of any schedule from sums over it."""

from __future__ import annotations

from analysis.laws.base import Parameter
from analysis.laws.named import named_law
from analysis.laws.training.schedules import with_schedule_sums

ANNEALING = named_law(
    name="annealing",
    formula="L = L_0 + A / S^alpha - C * Q",
    latex=r"L = L_0 + A\,S_1^{-\alpha} - C\,S_2",
    source="Tissue et al. 2024 (arXiv 2408.11029), eq. 1; S the sum of learning rates, Q the sum "
    "of their drops with momentum",
    inputs={"S": "lr_sum", "Q": "lr_anneal_sum"},
    parameters=(
        Parameter("L_0", "loss of endless training without annealing", 0.0, 1e6,
                  unit="nats/token", scale="linear", role="floor"),
        Parameter("A", "size of the forward term at S = 1", 1e-10, 1e8, unit="nats/token"),
        Parameter("alpha", "exponent of the sum of learning rates", 1e-3, 5.0, (0.05, 2.0)),
        Parameter("C", "what a unit of annealing takes off", -1e6, 1e6, scale="linear"),
    ),
    units={"A": {"S": "-alpha"}},
    derive=with_schedule_sums,
)  # fmt: skip
