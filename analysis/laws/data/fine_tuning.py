"""Fine-tuning: what pre-training already knew is worth examples."""

from __future__ import annotations

from analysis.laws.base import Parameter
from analysis.laws.named import named_law
from analysis.laws.terms import FLOOR

FINE_TUNING = named_law(
    name="fine_tuning",
    formula="L = E + B / (D_l + D^beta)",
    latex=r"L = E + \frac{B}{D_l + D^{\beta}}",
    source="Lin et al. 2024 (arXiv 2402.02314), the rectified law; D examples of fine-tuning",
    inputs={"D": "sft_data_size"},
    parameters=(
        FLOOR,
        Parameter("B", "size of the data term", 1e-12, 1e12, unit="as loss"),
        Parameter("D_l", "D^beta that pre-training was worth", 1e-12, 1e12, (1e-3, 1e2)),
        Parameter("beta", "exponent of data", 1e-3, 5.0, (0.05, 2.0)),
    ),
    units={"B": {"D": "-beta"}, "D_l": {"D": "-beta"}},
    column_units={"sft_data_size": "examples"},
)
