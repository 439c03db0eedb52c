"""The loss off the best learning rate and batch size: bowls in their logarithms around Step Law."""

from __future__ import annotations

from analysis.laws.base import Parameter
from analysis.laws.named import named_law
from analysis.laws.terms import ALPHA, BETA, A, B, E


def _power(name: str, means: str) -> Parameter:
    return Parameter(name, means, -5.0, 5.0, (-1.0, 1.0), scale="linear")


def _width(name: str, of: str) -> Parameter:
    return Parameter(name, f"rise of the loss per squared e-fold of {of}", 1e-8, 1e2, (1e-3, 1.0))


STEP_LAW_LOSS = named_law(
    name="step_law_loss",
    formula="L = E + A / N^alpha + B / D^beta + k_r * log(R / (c * N^a * D^b))^2"
    " + k_s * log(S / (f * D^g))^2",
    latex=r"L = E + \frac{A}{N^{\alpha}} + \frac{B}{D^{\beta}}"
    r" + k_r \ln^2 \frac{\eta}{c N^a D^b} + k_s \ln^2 \frac{S}{f D^g}",
    source="Li et al. 2025 (arXiv 2503.04715), eq. 1, is where the bowls of learning rate R and "
    "batch size S are least; their squares in logarithms, and the sum with Hoffmann et al. 2022, "
    "eq. 2, are ours",
    inputs={"N": "num_params", "D": "num_tokens", "R": "lr", "S": "batch_size"},
    parameters=(
        E,
        A,
        B,
        ALPHA,
        BETA,
        _width("k_r", "the learning rate"),
        Parameter("c", "best learning rate at N = D = 1", 1e-12, 1e12, (0.1, 10.0)),
        _power("a", "exponent of N in the best learning rate"),
        _power("b", "exponent of D in the best learning rate"),
        _width("k_s", "the batch size"),
        Parameter("f", "best batch size at D = 1", 1e-12, 1e12, (0.1, 10.0), unit="as batch_size"),
        _power("g", "exponent of D in the best batch size"),
    ),
    units={
        "A": {"N": "-alpha"},
        "B": {"D": "-beta"},
        "c": {"N": "a", "D": "b", "R": -1.0},
        "f": {"D": "g", "S": -1.0},
    },
)
