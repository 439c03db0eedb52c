"""Numbers that come one by one with their step, as records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from scaling.programs.readers.source import Found

Value = tuple[int, str, float]  # step, name, number


class BySteps:
    """Puts numbers together where one of them, ``step``, tells what the step means in tokens.

    Where the source's own step does, each number is a record by itself. Else those of the newest
    step wait until a later one begins, or the end.
    """

    def __init__(self, step: str) -> None:
        self._wait = step != "step"
        self._step: int | None = None
        self._values: dict[str, float] = {}

    def records(self, values: Iterable[Value], *, last: bool) -> Iterator[Found]:
        """The records that are whole."""
        for step, name, value in values:
            if not self._wait:
                yield _found(step, {name: value})
                continue
            if step != self._step and self._values:
                yield self._flush()
            self._step = step
            self._values[name] = value
        if last and self._values:
            yield self._flush()

    def _flush(self) -> Found:
        assert self._step is not None
        found = _found(self._step, self._values)
        self._values = {}
        return found


def _found(step: int, values: dict[str, float]) -> Found:
    text = ", ".join(f"{name}={value:g}" for name, value in values.items())
    return Found(f"step {step}", text, {"step": step, **values})
