"""What laws of mixtures share: columns of shares, and their letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analysis.laws.base import Law

SHARES = ("proportion_1", "proportion_2", "proportion_3")


def options(law: Law) -> dict[str, Any]:
    """The columns of shares, as ``over`` takes them."""
    return {"shares": list(law.shares)}


def letters(shares: Sequence[str]) -> dict[str, str]:
    """A formula's letter for each column of shares."""
    return {f"r{j}": share for j, share in enumerate(shares, 1)}
