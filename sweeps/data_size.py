"""D from whichever option of a sweep file sets it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scaling.base import OptionError, Sized, convert, tokens_for_flops

DATA_SIZES = ("num_tokens", "num_examples", "tokens_per_param", "flops")


def data_size(options: Mapping[str, Any], cost: Sized) -> tuple[float, float | None]:
    """D from whichever option sets it, and the budget C if that is the one."""
    given = [key for key in DATA_SIZES if key in options]
    if len(given) != 1:
        raise OptionError(f"one of {', '.join(DATA_SIZES)} sets the data size, not {given}", "data")
    value = convert("float", given[0], options[given[0]])
    if given[0] == "flops":
        return tokens_for_flops(cost, value), value
    if given[0] == "tokens_per_param":
        return value * cost.num_params, None
    return value, None
