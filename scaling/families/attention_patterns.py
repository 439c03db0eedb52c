"""Which keys a query sees, layer by layer, and how many products that costs.

``local`` sees the last ``window`` positions. ``column`` sees every ``window``-th position before
it, ``block`` its own block of ``window`` positions, ``summary`` the last ``summary`` positions of
each block: together with ``local`` and with ``block`` they are the strided and the fixed pattern of
Child et al. 2019 (arXiv 1904.10509, sec. 4.2), one kind a layer, interleaved (their sec. 4.3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from scaling.base import OptionError, refuse_unknown

KINDS = ("global", "local", "column", "block", "summary")
SQUARE_ROOT = KINDS[2:]  # their window is by default near the root of the context
MOST_REPEATS = 10_000


@dataclass(frozen=True)
class Pattern:
    """What the queries of one layer see.

    Attributes
    ----------
    kind : str
        One of ``KINDS``.
    window, summary : int
        Positions; see the module.
    """

    kind: str = "global"
    window: int = 0
    summary: int = 1

    def is_dense(self, time: int) -> bool:
        """Whether all pairs are computed: two windows are as long as ``time`` positions."""
        return self.kind == "global" or (self.kind == "local" and 2 * self.window >= time)

    def pairs(self, time: int) -> int:
        """Pairs of queries and keys that are computed for ``time`` positions.

        What a kernel computes and masks is counted: the whole square where attention is global, two
        windows for each query where it is local, and positions that fill the last window.
        """
        if self.is_dense(time):
            return time * time
        blocks = -(-time // self.window)
        if self.kind == "local":
            return blocks * self.window * 2 * self.window
        if self.kind == "column":
            return self.window * blocks**2
        if self.kind == "block":
            return blocks * self.window**2
        return time * self.summaries(time)

    def summaries(self, time: int) -> int:
        """Positions that are seen from all later blocks."""
        whole, rest = divmod(time, self.window)
        return whole * self.summary + max(0, rest - self.window + self.summary)

    def kept(self, time: int) -> int:
        """Positions of which a cache keeps keys and values for what follows ``time`` positions."""
        if self.kind in ("local", "block"):
            return min(time, self.window)
        return time if self.kind != "summary" else self.summaries(time)


@lru_cache(maxsize=4096)
def kinds_of(attention: str, depth: int) -> tuple[str, ...]:
    """The kind of each layer: the list ``attention``, from its beginning again at its end.

    Parameters
    ----------
    attention : str
        Kinds with commas between them; ``local*5, global`` is five local layers, then a global one.
    depth : int
        Layers.

    Raises
    ------
    ValueError
        For a kind that is not known, or no number of repeats.
    """
    cycle: list[str] = []
    for part in attention.split(","):
        kind, _, times = (word.strip() for word in part.partition("*"))
        if kind not in KINDS:
            refuse_unknown(kind, KINDS, "attention")
        repeats = int(times) if times.isdecimal() else 0 if times else 1
        if not 1 <= repeats <= MOST_REPEATS:
            raise OptionError(
                f"attention {part.strip()!r}: {times!r} is no number in [1, {MOST_REPEATS}]; "
                f"write {kind}*5",
                "attention",
            )
        cycle += repeats * [kind]
    return tuple(cycle[i % len(cycle)] for i in range(depth))


@lru_cache(maxsize=4096)
def patterns_of(attention: str, depth: int, window: int, summary: int) -> tuple[Pattern, ...]:
    """The pattern of each layer."""
    each = {kind: Pattern(kind, window, summary) for kind in KINDS}
    return tuple(each[kind] for kind in kinds_of(attention, depth))


def default_window(context: int) -> int:
    """The divisor of ``context`` that is nearest to its root, in ratio."""
    root = math.sqrt(context)
    small = (i for i in range(1, math.isqrt(context) + 1) if context % i == 0)
    divisors = (d for i in small for d in (i, context // i))
    return min(divisors, key=lambda d: (max(d / root, root / d), d))
