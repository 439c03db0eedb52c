"""``ladder``: every size at every ratio of tokens to parameters."""

from __future__ import annotations

from typing import Any

from sweeps.document import Document, Where
from sweeps.kinds.grid import Options, check_size
from sweeps.kinds.sizes import sizes
from sweeps.values import number, values

KEYS = ("sizes", "tokens_per_param")


def points(document: Document, block: Any, where: Where) -> list[Options]:
    """Sizes x ``tokens_per_param``, the ratio D / N with N all parameters.

    Source: Bhagia et al. 2024: small models at 1, 2, 5 and 10 times 20 tokens a
    parameter.

    Raises
    ------
    ValueError
        If ``sizes`` or ``tokens_per_param`` is missing, or a ratio is not above 0.
    """
    keys = document.mapping(block, where, KEYS)
    for key in KEYS:
        if key not in keys:
            document.refuse(where, f"ladder has no {key}: give sizes and tokens_per_param")
    ratios = values(document, keys["tokens_per_param"], (*where, "tokens_per_param"))
    for i, ratio in enumerate(ratios):
        if number(document, ratio, (*where, "tokens_per_param", i)) <= 0:
            document.refuse(
                (*where, "tokens_per_param", i), f"tokens_per_param {ratio} must be above 0"
            )
    models = sizes(document, keys["sizes"], (*where, "sizes"))
    check_size(document, where, [len(models), len(ratios)])
    return [{**model, "tokens_per_param": ratio} for model in models for ratio in ratios]
