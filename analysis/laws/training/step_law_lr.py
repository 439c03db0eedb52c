"""Step Law: the best peak learning rate as powers of N and D."""

from __future__ import annotations

from analysis.laws.base import Law, Parameter
from analysis.laws.training.powers import gradient, power, predict, rescale

STEP_LAW_LR = Law(
    name="step_law_lr",
    formula="lr = c * N^a * D^b",
    latex=r"\eta^{*} = c\,N^{a} D^{b}",
    source="Li et al. 2025 (arXiv 2503.04715), eq. 1: c 1.79, a -0.713, b 0.307",
    parameters=(
        Parameter("c", "learning rate at N = D = 1", 1e-12, 1e12),
        power("a", "exponent of parameters"),
        power("b", "exponent of data"),
    ),
    inputs=("num_params", "num_tokens"),
    predict=predict,
    gradient=gradient,
    rescale=rescale,
    linear=("c",),
    output="lr",
    published={"li": {"c": 1.79, "a": -0.713, "b": 0.307}},
)
