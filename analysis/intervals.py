"""Central intervals of draws: the one place where a level becomes two percentiles."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def tails(level: float) -> tuple[float, float]:
    """The shares of draws below the ends of the central interval that holds ``level`` of them.

    ``ValueError`` if ``level`` is not between 0 and 1.

    >>> tails(0.5)
    (0.25, 0.75)
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level} is not between 0 and 1; 0.9 is usual")
    return 0.5 - level / 2, 0.5 + level / 2


def interval(draws: NDArray[Any], level: float, axis: int = 0) -> tuple[Any, Any]:
    """Both ends of the central interval of ``draws`` along ``axis``; NaN where there are none.

    >>> import numpy as np
    >>> [float(end) for end in interval(np.arange(101), 0.5)]
    [25.0, 75.0]
    """
    shares = tails(level)
    if not draws.shape[axis]:
        none = np.full(np.delete(draws.shape, axis), np.nan)
        return none, none
    low, high = np.quantile(draws, shares, axis=axis)
    return low, high


def excluded(
    estimate: NDArray[Any], low: NDArray[Any], high: NDArray[Any], slack: Any = 1e-9
) -> NDArray[np.bool_]:
    """Whether each ``estimate (n,)`` lies outside its own interval, by more than ``slack`` of it.

    >>> excluded(np.array([1.0, 3.0]), np.zeros(2), np.array([1.0, 2.0])).tolist()
    [False, True]
    """
    most = slack * np.abs(estimate)
    return np.asarray((estimate < low - most) | (estimate > high + most))
