"""Routed models by how finely the experts are cut."""

from __future__ import annotations

from analysis.laws.base import Parameter
from analysis.laws.experts.moe_terms import ALPHA, BETA, A, B
from analysis.laws.named import named_law

MOE_GRANULARITY = named_law(
    name="moe_granularity",
    formula="L = c + (g / G^gamma + a) / N^alpha + b / D^beta",
    latex=r"L = c + \frac{g / G^{\gamma} + a}{N^{\alpha}} + \frac{b}{D^{\beta}}",
    source="Krajewski et al. 2024 (arXiv 2402.07871), eq. 9 and table 1; N all parameters, those "
    "of idle experts too, without embeddings, G how many times finer the experts are cut",
    inputs={"N": "num_params", "D": "num_tokens", "G": "granularity"},
    parameters=(
        Parameter("c", "irreducible loss", 0.0, 1e6, unit="as loss", scale="linear", role="floor"),
        Parameter("g", "size of what granularity removes at N = 1", 1e-10, 1e8, unit="as loss"),
        Parameter("gamma", "exponent of granularity", 1e-3, 5.0, (0.1, 2.0)),
        A,
        ALPHA,
        B,
        BETA,
    ),
    units={"g": {"N": "-alpha"}, "a": {"N": "-alpha"}, "b": {"D": "-beta"}},
    published={
        "expansion_64": {
            "c": 0.47, "g": 2.1, "gamma": 0.58, "a": 18.1, "alpha": 0.115, "b": 30.8, "beta": 0.147
        }
    },
)  # fmt: skip
