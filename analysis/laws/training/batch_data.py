"""What a batch size costs in data: beyond the critical one they count as fewer."""

from __future__ import annotations

from analysis.laws.base import Parameter
from analysis.laws.named import named_law
from analysis.laws.terms import ALPHA, BETA, A, B, E

BATCH_DATA = named_law(
    name="batch_data",
    formula="L = E + A / N^alpha + B * (1 + S / B_crit)^beta / D^beta",
    latex=r"L = E + \frac{A}{N^{\alpha}} + B \left(\frac{1 + S / B_{\mathrm{crit}}}{D}"
    r"\right)^{\beta}",
    source="Hoffmann et al. 2022 (arXiv 2203.15556), eq. 2, at D / (1 + S / B_crit): the data that "
    "a batch of S is worth, McCandlish et al. 2018 (arXiv 1812.06162), eq. 2.11",
    inputs={"N": "num_params", "D": "num_tokens", "S": "batch_size"},
    parameters=(
        E,
        A,
        B,
        ALPHA,
        BETA,
        Parameter("B_crit", "batch size at which data are worth half", 1e-12, 1e15, (1e-2, 1e2),
                  unit="as batch_size"),
    ),
    units={"A": {"N": "-alpha"}, "B": {"D": "-beta"}, "B_crit": {"S": -1.0}},
)  # fmt: skip
