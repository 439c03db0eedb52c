"""The processes that start a program together, as much as a program needs of them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


class Place(Protocol):
    """One process among them."""

    @property
    def rank(self) -> int:
        """Its number."""

    @property
    def local_rank(self) -> int:
        """Its number on its node."""

    @property
    def nodes(self) -> int:
        """How many nodes they are on."""


class Ranks(Protocol):
    """What :class:`scaling.training.Team` is, and :class:`Alone`."""

    broken: bool

    @property
    def place(self) -> Place:
        """Which process this is."""

    @property
    def size(self) -> int:
        """How many there are."""

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes."""

    def agree(self, *wishes: bool) -> tuple[bool, ...]:
        """Which wishes some process has."""

    def say(self, value: Any) -> Any:
        """What the leader says."""

    def share(self, chunk: Callable[[int], Any], starts: Sequence[int]) -> list[Any]:
        """``chunk`` of each of ``starts``, each by its own process."""

    def rendezvous(self) -> tuple[str, int]:
        """An address of this process's node that the others reach, and a port free on it."""

    def explain(self, error: BaseException) -> BaseException:
        """The cause of an error, wherever it was."""


@dataclass(frozen=True)
class _Here:
    rank: int = 0
    local_rank: int = 0
    nodes: int = 1


@dataclass
class Alone:
    """One process."""

    place: _Here = field(default_factory=_Here)
    broken: bool = False
    size: int = 1
    leads: bool = True

    def agree(self, *wishes: bool) -> tuple[bool, ...]:
        """Its own wishes."""
        return wishes

    def say(self, value: Any) -> Any:
        """What it says itself."""
        return value

    def share(self, chunk: Callable[[int], Any], starts: Sequence[int]) -> list[Any]:
        """All by itself."""
        return [chunk(start) for start in starts]

    def rendezvous(self) -> tuple[str, int]:
        """This machine."""
        return "127.0.0.1", free_port()

    def explain(self, error: BaseException) -> BaseException:
        """The error."""
        return error


def free_port(host: str = "127.0.0.1") -> int:
    """A port of ``host`` that nobody listens on now."""
    with socket.create_server((host, 0)) as server:
        return int(server.getsockname()[1])
