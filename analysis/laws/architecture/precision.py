"""Precision in training: parameters in few bits count as fewer."""

from __future__ import annotations

from analysis.laws.base import Parameter
from analysis.laws.named import named_law
from analysis.laws.terms import ALPHA, BETA, A, B, E


def _bits(name: str, of: str) -> Parameter:
    return Parameter(name, f"bits of {of} that count for 1 - 1/e", 1e-2, 1e2, (0.3, 8.0), "bits")


PRECISION = named_law(
    name="precision",
    formula="L = E + A / n^alpha + B / D^beta, n = N * (1 - exp(-W / gamma_w)) * "
    "(1 - exp(-X / gamma_a)) * (1 - exp(-K / gamma_kv))",
    latex=r"L = E + \frac{A}{N_e^{\alpha}} + \frac{B}{D^{\beta}},\quad N_e = N"
    r"\,(1 - e^{-W/\gamma_w})(1 - e^{-X/\gamma_a})(1 - e^{-K/\gamma_{\mathrm{kv}}})",
    source="Kumar et al. 2024 (arXiv 2411.04330), eq. 3 and 4; bits of weights W, of activations "
    "X and of the key-value cache K in training; constants of table 2, which with their offsets n "
    "are for W less 0.81, X less 3.11 and K less 2.32 bits (n gamma)",
    inputs={
        "N": "num_params",
        "D": "num_tokens",
        "W": "weight_bits",
        "X": "activation_bits",
        "K": "kv_bits",
    },
    parameters=(
        E,
        A,
        B,
        ALPHA,
        BETA,
        _bits("gamma_w", "weights"),
        _bits("gamma_a", "activations"),
        _bits("gamma_kv", "the key-value cache"),
    ),
    units={"A": {"N": "-alpha"}, "B": {"D": "-beta"}},
    column_units=dict.fromkeys(("weight_bits", "activation_bits", "kv_bits"), "bits"),
    published={
        "kumar": {
            "E": 2.7648, "A": 4299.0, "B": 18060.0, "alpha": 0.4965, "beta": 0.4965,
            "gamma_w": 2.6745, "gamma_a": 2.2102, "gamma_kv": 0.9578,
        }
    },
)  # fmt: skip
