"""Which weights of a run are to last: the ``keep`` of a sweep file; no part of any run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scaling.schedule import curve_steps
from scaling.spec import RunSpec

WORDS = ("final", "all")


@dataclass(frozen=True)
class Keep:
    """The weights of a run that are kept; false where none are.

    Attributes
    ----------
    marks : tuple of str or int
        ``final``: at the end. ``all``: at each point of the learning curve, and at the end. A
        number: after so many optimiser steps, and at the end. Empty for nothing.
    """

    marks: tuple[str | int, ...] = ()

    @classmethod
    def parse(cls, value: Any) -> Keep:
        """What a sweep file says: a word, a number of steps, a list of them, or nothing.

        Raises
        ------
        ValueError
            For anything else.
        """
        listed = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        marks = () if value is None else tuple(listed)
        for mark in marks:
            if mark in WORDS or (type(mark) is int and mark >= 1):
                continue
            raise ValueError(
                f"keep {mark!r} is none of final, all, and a number of optimiser steps from 1: "
                "leave keep out to keep nothing"
            )
        return cls(marks)

    def __bool__(self) -> bool:
        return bool(self.marks)

    def __str__(self) -> str:
        return f"keep: {self.marks[0] if len(self.marks) == 1 else list(self.marks)}"

    @property
    def last_step(self) -> int:
        """The last step that is asked for by its number; 0 if none is."""
        return max((mark for mark in self.marks if isinstance(mark, int)), default=0)

    def steps(self, spec: RunSpec) -> frozenset[int]:
        """The optimiser steps before a run's planned end after which its weights are kept."""
        asked = {mark for mark in self.marks if isinstance(mark, int) and mark < spec.num_steps}
        points = curve_steps(spec.num_steps) if "all" in self.marks else ()
        return frozenset({*asked, *points})


NOTHING = Keep()
