"""Precision after training: what quantising adds to the loss."""

from __future__ import annotations

from analysis.laws.base import Parameter
from analysis.laws.named import named_law

PRECISION_AFTER = named_law(
    name="precision_after",
    formula="log(delta) = log(C_T) + gamma_D*log(D) - gamma_N*log(N) - W / gamma_w",
    latex=r"\delta = C_T \frac{D^{\gamma_D}}{N^{\gamma_N}}\,e^{-W/\gamma_w}",
    source="Kumar et al. 2024 (arXiv 2411.04330), eq. 2: what quantising to W bits after training "
    "adds to the loss; constants of table 2, for W less 0.67 bits (its offset b gamma)",
    inputs={"N": "num_params", "D": "num_tokens", "W": "weight_bits"},
    parameters=(
        Parameter("C_T", "size at N = D = 1", 1e-12, 1e12, unit="nats/token"),
        Parameter("gamma_D", "exponent of data", 1e-3, 5.0, (0.05, 2.0)),
        Parameter("gamma_N", "exponent of parameters", 1e-3, 5.0, (0.05, 2.0)),
        Parameter("gamma_w", "bits that take off 1 - 1/e", 1e-2, 1e2, (0.3, 8.0), "bits"),
    ),
    units={"C_T": {"D": "gamma_D", "N": "-gamma_N"}},
    output="loss_rise",
    column_units={"loss_rise": "nats/token", "weight_bits": "bits"},
    published={"kumar": {"C_T": 0.0598, "gamma_D": 0.5068, "gamma_N": 0.3439, "gamma_w": 0.5907}},
)
