"""The model sizes of an iso-FLOP or ladder sweep."""

from __future__ import annotations

from typing import Any

from sweeps.document import Document, Where
from sweeps.kinds.grid import Options, in_step
from sweeps.values import is_spacing, values


def sizes(document: Document, block: Any, where: Where) -> list[Options]:
    """Model options, one mapping a size.

    ``[1e5, 1e6]`` or ``{log: [1e5, 1e7, 5]}`` are targets for ``num_params``;
    ``{width: [64, 128], depth: [2, 4]}`` takes its lists in step;
    ``[{width: 64, depth: 2}, ...]`` says each size by itself.

    Raises
    ------
    ValueError
        If there are none, or lists in step differ in length.
    """
    if isinstance(block, dict) and not is_spacing(block):
        found = in_step(document, block, where)
        if not found:
            document.refuse(where, "sizes is empty: give num_params, or model options")
        return found
    if isinstance(block, list) and any(isinstance(item, dict) for item in block):
        return [document.mapping(item, (*where, i)) for i, item in enumerate(block)]
    return [{"num_params": value} for value in values(document, block, where)]
