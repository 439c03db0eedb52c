"""Options that some runs of a sweep give and do not read: what became equal, or is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scaling import Spec
from scaling.base import Unread

Given = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Collapse:
    """``count`` runs that equal others, for what tells them apart is read by neither."""

    count: int = 0
    since: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.count:
            return ""
        runs = "run equals another" if self.count == 1 else "runs equal others"
        return f"{self.count} {runs}, since nothing reads {'; nor '.join(self.since)}"


class Readers:
    """Collects, point by point, which options are given, and which of them are read."""

    def __init__(self) -> None:
        self.read: set[str] = set()
        self.first: dict[str, tuple[int, Unread]] = {}
        self.where: dict[tuple[str, str], dict[Any, None]] = {}

    def see(self, i: int, spec: Spec, options: Mapping[str, Any]) -> Given:
        """The options of point ``i`` that its run was given in vain."""
        found = spec.unread(options)
        self.read |= options.keys() - {option.name for option in found}
        vain = [option for option in found if option.value != option.default]
        for option in vain:
            self.first.setdefault(option.name, (i, option))
            self.where.setdefault((option.name, option.by.option), {})[option.found] = None
        return tuple((option.name, option.value) for option in vain)

    def never(self) -> tuple[int, Unread] | None:
        """An option that no point reads, and the first point that gives it; None if all are."""
        return next((at for name, at in self.first.items() if name not in self.read), None)

    def collapse(self, runs: Sequence[tuple[str, Given]]) -> Collapse:
        """What became equal among ``runs``: the ``run_id`` of each, and what it gave in vain."""
        count = len(set(runs)) - len({run_id for run_id, _ in runs})
        if not count:
            return Collapse()
        since = (
            f"{name} where {option} is {' or '.join(map(str, values))}"
            for (name, option), values in self.where.items()
        )
        return Collapse(count, tuple(since))
