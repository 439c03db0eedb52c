"""Width and depth have their own terms in the loss."""

from __future__ import annotations

from analysis.laws.base import Parameter
from analysis.laws.named import named_law
from analysis.laws.terms import FLOOR


def _size(name: str, of: str) -> Parameter:
    return Parameter(name, f"size of the term of {of}", 1e-10, 1e10, unit="nats/token")


def _exponent(name: str, of: str) -> Parameter:
    return Parameter(name, f"exponent of {of}", 1e-3, 5.0, (0.05, 2.0))


WIDTH_DEPTH = named_law(
    name="width_depth",
    formula="L = E + A / W^alpha + B / Z^beta + C / N^gamma + F / D^zeta",
    latex=r"L = E + \frac{A}{W^{\alpha}} + \frac{B}{Z^{\beta}} + \frac{C}{N^{\gamma}}"
    r" + \frac{F}{D^{\zeta}}",
    source="McLeish et al. 2025, Gemstones (arXiv 2502.06857): width W, depth Z, N, D",
    inputs={"W": "width", "Z": "depth", "N": "num_params", "D": "num_tokens"},
    parameters=(
        FLOOR,
        _size("A", "width"),
        _size("B", "depth"),
        _size("C", "parameters"),
        _size("F", "data"),
        _exponent("alpha", "width"),
        _exponent("beta", "depth"),
        _exponent("gamma", "parameters"),
        _exponent("zeta", "data"),
    ),
    units={
        "A": {"W": "-alpha"},
        "B": {"Z": "-beta"},
        "C": {"N": "-gamma"},
        "F": {"D": "-zeta"},
    },
    column_units={"depth": "layers"},
)
