"""The order of the training data: a function of step and seed, so that resuming needs no state."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=4)
def epoch_order(size: int, seed: int, epoch: int) -> NDArray[np.integer]:
    """The permutation of ``range(size)`` in which pass number ``epoch`` visits it, read-only.

    Drawn by ``PCG64((seed, epoch))``; the type is the smallest that holds ``size``.
    """
    order: NDArray[np.integer] = np.arange(size, dtype=np.uint32 if size <= 2**32 else np.uint64)
    np.random.Generator(np.random.PCG64((seed, epoch))).shuffle(order)
    order.flags.writeable = False
    return order


def batch_indices(step: int, batch_size: int, size: int, seed: int) -> NDArray[np.integer]:
    """Indices ``(batch_size,)`` of batch ``step``: item i is number step x batch_size + i.

    Every index comes exactly once per epoch; a batch may reach into the next epoch.
    """
    if size < 1:
        raise ValueError("no training data to draw from: the set has 0 windows or examples")
    start = step * batch_size
    epoch, offset = divmod(start, size)
    order = epoch_order(size, seed, epoch)
    if offset + batch_size <= size:
        return order[offset : offset + batch_size]
    parts = [order[offset:]]
    missing = batch_size - len(parts[0])
    while missing > 0:
        epoch += 1
        parts.append(epoch_order(size, seed, epoch)[:missing])
        missing -= len(parts[-1])
    return np.concatenate(parts)
