"""The transfer law: what pre-training is worth, in data of fine-tuning."""

from __future__ import annotations

from analysis.laws.base import Parameter
from analysis.laws.named import named_law

TRANSFER = named_law(
    name="transfer",
    formula="T = k * D^alpha * N^beta",
    latex=r"D_T = k\,D_F^{\alpha} N^{\beta}",
    source="Hernandez et al. 2021 (arXiv 2102.01293), eq. 1.1 and table 1, for little data: what "
    "training from scratch needs beyond the D of fine-tuning to reach the same loss, in "
    "characters there; N without embeddings",
    inputs={"N": "num_params", "D": "sft_data_size"},
    parameters=(
        Parameter("k", "data transferred at N = D = 1", 1e-12, 1e15, unit="as D"),
        Parameter("alpha", "exponent of data: 1 if each is worth the same", -5.0, 5.0, (-0.5, 1.0),
                  scale="linear"),
        Parameter("beta", "exponent of parameters", -5.0, 5.0, (-1.0, 1.0), scale="linear"),
    ),
    units={"k": {"D": "alpha", "N": "beta"}},
    output="data_transferred",
    column_units=dict.fromkeys(("sft_data_size", "data_transferred"), "characters"),
    published={
        "text_to_python": {"k": 1.9e4, "alpha": 0.18, "beta": 0.38},
        "text_and_code_to_python": {"k": 2.1e5, "alpha": 0.096, "beta": 0.38},
    },
)  # fmt: skip
