"""How a long row of tokens is cut into training windows, when not at one fixed stride.

Each pass skips a number of tokens of its own first, so that every token stands at every place of a
window in time. All are functions of the step alone: resuming needs no state.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from scaling.data.batches.order import epoch_order

SKIPS = 1  # beside (seed, epoch) of the order's own generator


@lru_cache(maxsize=1024)
def skipped(num_tokens: int, context: int, seed: int, epoch: int) -> int:
    """Tokens that pass number ``epoch`` leaves out at the start: uniform in [0, ``context``)."""
    most = min(context, num_tokens - context)
    return int(np.random.Generator(np.random.PCG64((seed, epoch, SKIPS))).integers(most))


def offset_starts(
    step: int, *, num_tokens: int, context: int, batch_size: int, seed: int
) -> NDArray[np.int64]:
    """First tokens ``(batch_size,)`` of the windows of a step, each pass at an offset of its own.

    A pass skips d tokens, uniform in [0, n), and shuffles the floor((T - 1 - d) / n) windows of n
    tokens that are left; the last needs one token more, its target.
    """
    first, parts, missing, epoch = step * batch_size, [], batch_size, 0
    while missing:
        skip = skipped(num_tokens, context, seed, epoch)
        size = (num_tokens - 1 - skip) // context
        if first < size:
            numbers = epoch_order(size, seed, epoch)[first : first + missing]
            parts.append(skip + context * numbers.astype(np.int64))
            missing -= len(numbers)
            first = size
        first -= size
        epoch += 1
    return np.concatenate(parts)


def lane_steps(num_tokens: int, context: int, batch_size: int) -> int:
    """Steps of a pass in which each row of a batch reads a lane of the data in order."""
    return (num_tokens - context) // context // batch_size


def lane_starts(
    step: int, *, num_tokens: int, context: int, batch_size: int, seed: int
) -> tuple[NDArray[np.int64], bool]:
    """First tokens ``(batch_size,)`` of the windows of a step, and whether lanes begin anew.

    A pass skips d tokens, uniform in [0, n), and cuts the rest into as many lanes as a batch has
    rows; each row goes along its lane, window after window.

    Raises
    ------
    ValueError
        If a lane has no window.
    """
    length = lane_steps(num_tokens, context, batch_size)
    if length < 1:
        raise ValueError(
            f"{batch_size} lanes of windows of {context} tokens need "
            f"{(batch_size + 1) * context}; there are {num_tokens}: lower batch_size or context"
        )
    epoch, at = divmod(step, length)
    skip = skipped(num_tokens, context, seed, epoch)
    lanes = np.arange(batch_size, dtype=np.int64) * length
    return skip + context * (lanes + at), at == 0
