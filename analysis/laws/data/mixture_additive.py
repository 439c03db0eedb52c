"""Data mixtures beside N and D, with one best mixture at every size."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.laws.base import Law, Parameter
from analysis.laws.data.shares import SHARES, letters, options
from analysis.laws.named import named_law
from analysis.laws.terms import ALPHA, BETA, FLOOR, A, B


def _additive(shares: Sequence[str]) -> Law:
    each = letters(shares)
    worth = " + ".join(f"C_{j} * r{j}^gamma_{j}" for j in range(1, len(each) + 1))
    return named_law(
        name="mixture_additive",
        formula=f"L = E + A / N^alpha + B / D^beta + 1 / ({worth})",
        latex=r"L = E + \frac{A}{N^{\alpha}} + \frac{B}{D^{\beta}}"
        r" + \frac{1}{"
        + " + ".join(rf"C_{j} r_{j}^{{\gamma_{j}}}" for j in range(1, len(each) + 1))
        + "}",
        source="Shukor et al. 2025 (arXiv 2507.09404), the additive law: the best mixture is the "
        "same at every N and D",
        inputs={"N": "num_params", "D": "num_tokens", **each},
        parameters=(
            FLOOR,
            A,
            B,
            ALPHA,
            BETA,
            *(
                p
                for j, share in enumerate(shares, 1)
                for p in (
                    Parameter(f"C_{j}", f"worth of {share}", 1e-8, 1e8, (0.1, 10.0)),
                    Parameter(f"gamma_{j}", f"exponent of {share}", 1e-3, 5.0, (0.1, 1.5)),
                )
            ),
        ),
        units={"A": {"N": "-alpha"}, "B": {"D": "-beta"}},
        over=_additive,
        options=options,
    )


MIXTURE_ADDITIVE = _additive(SHARES)
