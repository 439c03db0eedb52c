"""Parallel scaling: P streams of one model count as more parameters."""

from __future__ import annotations

from analysis.laws.base import Parameter
from analysis.laws.named import named_law
from analysis.laws.terms import FLOOR

PARALLEL = named_law(
    name="parallel",
    formula="L = E + (A / (N * (1 + k * log(P))))^alpha",
    latex=r"L = E + \left(\frac{A}{N\,(1 + k \log P)}\right)^{\alpha}",
    source="Chen et al. 2025 (arXiv 2505.10475), eq. 5; N without embeddings, P parallel streams",
    inputs={"N": "num_params", "P": "parallel_size"},
    parameters=(
        FLOOR,
        Parameter("A", "scale of parameters", 1e-30, 1e12, (1e-6, 10), unit="parameters"),
        Parameter("k", "worth of a stream in parameters", 1e-4, 1e3, (0.03, 2.0)),
        Parameter("alpha", "exponent of parameters", 1e-3, 5.0, (0.05, 1.0)),
    ),
    units={"A": {"N": -1.0}},
    column_units={"parallel_size": "streams"},
    published={
        "stack_v2_python": {"E": 0.691237, "A": 1.130616e7, "k": 0.393463, "alpha": 0.189371},
        "pile": {"E": 1.288766, "A": 1.973521e8, "k": 0.334456, "alpha": 0.196333},
    },
)
