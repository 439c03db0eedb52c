"""Routed models by the share of experts that are idle."""

from __future__ import annotations

from analysis.laws.base import Parameter
from analysis.laws.experts.moe_terms import ALPHA, BETA, A, B
from analysis.laws.named import named_law
from analysis.laws.terms import FLOOR


def _exponent(name: str, means: str) -> Parameter:
    return Parameter(name, means, -5.0, 5.0, (-0.5, 0.5), scale="linear")


MOE_SPARSITY = named_law(
    name="moe_sparsity",
    formula="L = E + a / N^alpha + b / D^beta + c / (1 - S)^kappa + d / ((1 - S)^delta * "
    "N^gamma)",
    latex=r"L = E + \frac{a}{N^{\alpha}} + \frac{b}{D^{\beta}} + \frac{c}{(1 - S)^{\kappa}}"
    r" + \frac{d}{(1 - S)^{\delta} N^{\gamma}}",
    source="Abnar et al. 2025 (arXiv 2501.12370), eq. 6 and table 3; N all parameters, S the share "
    "of experts that are idle",
    inputs={"N": "num_params", "D": "num_tokens", "S": "sparsity"},
    parameters=(
        FLOOR,
        A,
        ALPHA,
        B,
        BETA,
        Parameter("c", "size of the term of the active share", 1e-10, 1e8, unit="as loss"),
        _exponent("kappa", "exponent of the active share"),
        Parameter("d", "size of the interaction at N = 1", 1e-10, 1e8, unit="as loss"),
        _exponent("delta", "exponent of the active share beside N"),
        Parameter("gamma", "exponent of N beside the active share", 1e-3, 5.0, (0.03, 2.0)),
    ),
    units={"a": {"N": "-alpha"}, "b": {"D": "-beta"}, "d": {"N": "-gamma"}},
    linear=("E", "a", "b", "c", "d"),  # (1 - S) is no base of a power everywhere
    published={
        "abnar": {
            "E": 0.94, "a": 16612.5, "alpha": 0.5962, "b": 5455.67, "beta": 0.3954, "c": 0.4598,
            "kappa": -0.1666, "d": 17.26, "delta": 0.1603, "gamma": 0.1595,
        }
    },
)  # fmt: skip
