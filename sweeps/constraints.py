"""Bounds on exact counts: runs outside are left out and counted, or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scaling import RunSpec, Spec
from scaling.base import OptionError, training_memory


def _memory(spec: Spec) -> float | None:
    if isinstance(spec, RunSpec):
        return training_memory(spec.cost, spec.units_per_step)
    return None


QUANTITIES: dict[str, Callable[[Spec], float | None]] = {
    "num_params": lambda spec: spec.cost.num_params,
    "num_params_active": lambda spec: getattr(spec.cost, "num_params_active", None),
    "num_params_non_embedding": lambda spec: spec.cost.num_params_non_embedding,
    "num_tokens": lambda spec: spec.num_tokens,
    "tokens_per_param": lambda spec: spec.num_tokens / spec.cost.num_params,
    "flops": lambda spec: spec.flops,
    "memory_bytes": _memory,
    "steps": lambda spec: spec.num_steps,
}
BOUNDS = ("min", "max")
ON_VIOLATION = ("drop", "error")


@dataclass(frozen=True)
class Constraint:
    """``quantity`` is at least (``min``) or at most (``max``) ``limit``, both included."""

    quantity: str
    bound: str
    limit: float

    def value(self, spec: Spec) -> float:
        """The quantity of one run.

        Raises
        ------
        ValueError
            If it is not known.
        """
        value = QUANTITIES[self.quantity](spec)
        if value is None:
            raise OptionError(f"{self.quantity} of this run is not known: do not bound it")
        return value

    def holds(self, value: float) -> bool:
        """Whether ``value`` is within the bound."""
        return value >= self.limit if self.bound == "min" else value <= self.limit

    def __str__(self) -> str:
        side = "below the min" if self.bound == "min" else "above the max"
        return f"{self.quantity} {side} {self.limit:g}"


@dataclass(frozen=True)
class LeftOut:
    """How many runs a bound left out, and the value of the one that came nearest to it."""

    reason: str
    count: int
    nearest: float

    def __str__(self) -> str:
        runs = "run" if self.count == 1 else "runs"
        return f"{self.count} {runs} left out: {self.reason} (nearest: {self.nearest:.4g})"


class Sieve:
    """Applies constraints in order and counts what each of them stops."""

    def __init__(self, constraints: tuple[Constraint, ...]) -> None:
        self.constraints = constraints
        self.stopped: dict[Constraint, list[float]] = {}

    def first_broken(self, spec: Spec, runs: int = 1) -> tuple[Constraint, float] | None:
        """The first constraint that ``spec`` breaks, with its value; None if it breaks none.

        ``runs`` is how many runs it stands for.
        """
        for constraint in self.constraints:
            value = constraint.value(spec)
            if not constraint.holds(value):
                self.stopped.setdefault(constraint, []).extend([value] * runs)
                return constraint, value
        return None

    def left_out(self) -> tuple[LeftOut, ...]:
        """One count for each constraint that stopped a run."""
        return tuple(
            LeftOut(str(c), len(found), (max if c.bound == "min" else min)(found))
            for c, found in self.stopped.items()
        )
