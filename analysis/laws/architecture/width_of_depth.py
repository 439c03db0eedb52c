"""The width that a depth asks for."""

from __future__ import annotations

from analysis.laws.base import Parameter
from analysis.laws.named import named_law

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
    column_units={"depth": "layers"},
    published={"levine": {"a": 5.039, "b": 0.0555}},
)
