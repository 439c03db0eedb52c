"""Where each row of a table stands in its file."""

from __future__ import annotations

from typing import Any


class Lines(tuple[int | str, ...]):
    """Line numbers or other places of rows, kept in a frame's ``attrs``.

    pandas copies ``attrs`` deeply with every operation, which for many rows costs more than the
    operation; this is shared instead, as it cannot change.
    """

    __slots__ = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Lines:
        return self
