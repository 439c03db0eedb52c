"""``Allocation`` and ``Plan``: the best use of one budget, and of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, overload

from analysis.wording import count, counts, scientific, span
from scaling.base import Display

if TYPE_CHECKING:
    from analysis.fits import Fit

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
        Percentile intervals over the fit's bootstrap draws, each optimised by itself, so that
        the three vary together; NaN without draws.
    num_params_range : (float, float)
        The sizes whose loss at this budget is within 0.1 % of the optimum's.
    training_flops : float
        What of the budget training takes.
    status : str
        ``ok``, ``data limited`` (all unique data used once), ``given N``, ``given D``.
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
    fit : Fit
        The law that expects these losses.
    level : float
        Coverage of the intervals.
    """

    allocations: tuple[Allocation, ...]
    fit: Fit = field(compare=False)
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
        """N*, D* and loss by budget, with intervals where the fit has draws."""
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
        notes = [] if self.fit.identified else [f"fit: {self.fit.status}"]
        return Display(f"Plan by {self.fit.formula()}", header, rows, notes)
