"""``Allocation`` and ``Plan``: the best use of one budget, and of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, overload

from analysis.wording import count, counts, scientific, span
from scaling.base import Display

Interval = tuple[float, float]


@dataclass(frozen=True)
class Allocation:
    """The best use of one budget.

    Attributes
    ----------
    flops : float
        C: the budget, training and (if any) inference.
    num_params, num_tokens, loss : float
        N*, D*, L*.
    num_params_ci, num_tokens_ci, loss_ci : (float, float)
        Percentile intervals over the forecast's draws, each optimised by itself, so that the
        three vary together: of the best run's expected loss, without its own noise.
    num_params_range : (float, float)
        The sizes whose loss at this budget is within 0.1 % of the optimum's.
    training_flops : float
        What of the budget training takes.
    status : str
        ``ok``, ``data limited`` (all unique data used once), ``given N``, ``given D``, or why the
        numbers are to be read with care.
    """

    flops: float
    num_params: float
    num_tokens: float
    loss: float
    num_params_ci: Interval
    num_tokens_ci: Interval
    loss_ci: Interval
    num_params_range: Interval
    training_flops: float
    status: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name."""
        return asdict(self)


@dataclass(frozen=True, repr=False)
class Plan(Sequence[Allocation]):
    """The allocation of each budget, in the order of the budgets; a sequence of them.

    Attributes
    ----------
    allocations : tuple of Allocation
    by : str
        What expects these losses.
    level : float
        Coverage of the intervals.
    """

    allocations: tuple[Allocation, ...]
    by: str
    level: float = 0.9

    def __len__(self) -> int:
        return len(self.allocations)

    @overload
    def __getitem__(self, index: int) -> Allocation: ...
    @overload
    def __getitem__(self, index: slice) -> Plan: ...
    def __getitem__(self, index: int | slice) -> Allocation | Plan:
        if isinstance(index, slice):
            return replace(self, allocations=self.allocations[index])
        return self.allocations[index]

    def __repr__(self) -> str:
        return self._display().text

    def _repr_html_(self) -> str:
        return self._display().html

    def _display(self) -> Display:
        """N*, D* and loss by budget, with intervals."""
        percent = f"{100 * self.level:g} %"
        header = ("C", "N*", percent, "D*", percent, "loss", percent, "status")
        rows = [
            (
                scientific(a.flops),
                count(a.num_params),
                counts(a.num_params_ci),
                count(a.num_tokens),
                counts(a.num_tokens_ci),
                f"{a.loss:.4f}",
                span(a.loss_ci, ".4f"),
                a.status,
            )
            for a in self
        ]
        return Display(f"Plan by {self.by}", header, rows, [])
