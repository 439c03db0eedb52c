"""``isoflop``: every size at every budget C, on D = C / (exact training FLOPs per token)."""

from __future__ import annotations

from typing import Any

from sweeps.document import Document, Where
from sweeps.kinds.grid import Options, check_size
from sweeps.kinds.sizes import sizes
from sweeps.values import number, values

KEYS = ("budgets", "sizes")


def points(document: Document, block: Any, where: Where) -> list[Options]:
    """Budgets x sizes; ``flops`` of a point becomes its ``num_tokens`` when its model is known.

    Source: Hoffmann et al. 2022, sec. 3.2 (approach 2).

    Raises
    ------
    ValueError
        If ``budgets`` or ``sizes`` is missing, or a budget is not above 0.
    """
    keys = document.mapping(block, where, KEYS)
    for key in KEYS:
        if key not in keys:
            document.refuse(where, f"isoflop has no {key}: give budgets and sizes")
    budgets = values(document, keys["budgets"], (*where, "budgets"))
    for i, budget in enumerate(budgets):
        number(document, budget, (*where, "budgets", i), low=1)
    models = sizes(document, keys["sizes"], (*where, "sizes"))
    check_size(document, where, [len(budgets), len(models)])
    return [{**model, "flops": budget} for budget in budgets for model in models]
