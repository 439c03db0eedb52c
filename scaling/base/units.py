"""Amounts of compute in the units that people use for them."""

from __future__ import annotations

PFS_DAY = 1e15 * 86400
"""FLOPs of a petaflop/s-day: 10^15 FLOP/s for a day (Amodei & Hernandez 2018, AI and Compute)."""


def pfs_days(flops: float) -> float:
    """``flops`` in petaflop/s-days.

    >>> pfs_days(3.14e23)  # GPT-3: 3,640 (Brown et al. 2020, table D.1)
    3634.259259259259
    """
    return flops / PFS_DAY


def flops_text(flops: float, form: str = ".4g") -> str:
    """An amount of compute, as a person reads it.

    >>> flops_text(2.5e19)
    '2.5e+19 FLOPs (0.289 petaflop/s-days)'
    """
    return f"{flops:{form}} FLOPs ({pfs_days(flops):.3g} petaflop/s-days)"
