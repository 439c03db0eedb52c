"""Step Law: the best batch size as a power of D."""

from __future__ import annotations

from analysis.laws.base import Law, Parameter
from analysis.laws.training.powers import gradient, power, predict, rescale

STEP_LAW_BATCH = Law(
    name="step_law_batch",
    formula="B = c * D^b",
    latex=r"B^{*} = c\,D^{b}",
    source="Li et al. 2025 (arXiv 2503.04715), eq. 1: c 0.58, b 0.571, B in tokens",
    parameters=(
        Parameter("c", "batch size at D = 1", 1e-12, 1e12, unit="tokens"),
        power("b", "exponent of data"),
    ),
    inputs=("num_tokens",),
    predict=predict,
    gradient=gradient,
    rescale=rescale,
    linear=("c",),
    output="batch_size",
    published={"li": {"c": 0.58, "b": 0.571}},
)
