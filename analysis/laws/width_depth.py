"""Width and depth: their own terms in the loss, and the width that a depth asks for."""

from __future__ import annotations

from analysis.laws.base import Parameter
from analysis.laws.named import named_law
from analysis.laws.power import FLOOR


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
)

WIDTH_OF_DEPTH = named_law(
    name="width_of_depth",
    formula="W = exp(a + b * Z)",
    latex=r"W = e^{a + b Z}",
    source="Levine et al. 2020 (arXiv 2006.12467), eq. 10: the width from which Z layers are worth "
    "having",
    inputs={"Z": "depth"},
    parameters=(
        Parameter("a", "ln of the width at depth 0", -1e2, 1e2, (0.0, 8.0), scale="linear"),
        Parameter("b", "growth of ln of the width with a layer", 1e-6, 1e2, (1e-3, 1.0)),
    ),
    units={"b": {"Z": 1.0}},
    output="width",
    published={"levine": {"a": 5.039, "b": 0.0555}},
)
