"""What a sweep as a whole may use, and who is told of it: the ``policy`` of a sweep file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from scaling.base import convert, refuse_unknown, typed

CAPS = ("max_gpu_hours", "max_cpu_hours", "max_cost")
PRICES = ("price_per_gpu_hour", "price_per_cpu_hour")
LOWEST, HIGHEST = -1000, 1000  # priorities
_MAIL = re.compile(r"[^@\s,]+@[^@\s,]+")


@dataclass(frozen=True)
class Cap:
    """How much may be used at most; None for no limit.

    Attributes
    ----------
    max_gpu_hours, max_cpu_hours : float or None
        Hours that GPUs and cores are held, by all attempts, waste included.
    max_cost : float or None
        At the prices.
    price_per_gpu_hour, price_per_cpu_hour : float
        Of one GPU and of one core.
    """

    max_gpu_hours: float | None = None
    max_cpu_hours: float | None = None
    max_cost: float | None = None
    price_per_gpu_hour: float = 0.0
    price_per_cpu_hour: float = 0.0

    def __post_init__(self) -> None:
        for name in CAPS:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} {value:g} is not above 0: leave it out for no cap")
        for name in PRICES:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} {getattr(self, name):g} is below 0")
        if self.max_cost is not None and not any(getattr(self, name) for name in PRICES):
            raise ValueError(
                f"max_cost {self.max_cost:g} without a price: give price_per_gpu_hour, "
                "price_per_cpu_hour or both"
            )

    def used(self, gpu_hours: float, cpu_hours: float) -> dict[str, tuple[float, float]]:
        """By cap, what was used of it and what may be."""
        cost = self.price_per_gpu_hour * gpu_hours + self.price_per_cpu_hour * cpu_hours
        amounts = zip(CAPS, (gpu_hours, cpu_hours, cost), strict=True)
        return {name: (used, limit) for name, used in amounts if (limit := getattr(self, name))}

    def __bool__(self) -> bool:
        return any(getattr(self, name) is not None for name in CAPS)

    @classmethod
    def parse(cls, value: Any) -> Cap:
        """The cap that a mapping describes.

        Raises
        ------
        ValueError
            For an unknown name or a value out of range.
        """
        return typed(cls, _given(value, cls, "cap"))


@dataclass(frozen=True)
class Policy(Cap):
    """What holds of a sweep as a whole; no part of any run's identity.

    Attributes
    ----------
    priority : int
        A sweep of a lower one begins no run while one of a higher waits for a worker of the same
        machine; on SLURM one below 0 is its jobs' ``--nice``.
    after : tuple of str
        Sweeps of the same root that have to end first, however their runs end.
    notify : str
        A web address that gets a JSON summary, or a shell command that gets it as its input, once
        each when the sweep is done, stalls, reaches a cap, or has runs that fail for a new cause.
        ``$NAME`` in an address is the environment's.
    mail : str
        Whom SLURM mails when an array ends or fails.
    stop_early : str
        Which runs are hopeless, asked every ``look_minutes``: ``median``, ``forecast``
        (``scaling hopeless``), or a shell command that prints a JSON list of ``run_id`` and
        ``reason``.
    look_minutes : float
    """

    priority: int = 0
    after: tuple[str, ...] = ()
    notify: str = field(default="", repr=False)  # which may hold a secret
    mail: str = ""
    stop_early: str = ""
    look_minutes: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not LOWEST <= self.priority <= HIGHEST:
            raise ValueError(f"priority {self.priority} is not in [{LOWEST}, {HIGHEST}]")
        if self.mail and not _MAIL.fullmatch(self.mail):
            raise ValueError(f"mail {self.mail!r} is no address: write it as ann@lab.org")
        if not self.look_minutes > 0:
            raise ValueError(f"look_minutes {self.look_minutes:g} is not above 0")

    @classmethod
    def parse(cls, value: Any) -> Policy:
        """The policy that a sweep file or a command line describes.

        Raises
        ------
        ValueError
            For an unknown name or a value out of range.
        """
        given = _given(value, cls, "policy")
        after = given.get("after", ())
        after = [after] if isinstance(after, str) else after
        if not isinstance(after, list | tuple) or not all(isinstance(one, str) for one in after):
            raise ValueError(f"after {after!r} is no list of sweeps' names: write [first, second]")
        return typed(cls, {**given, "after": tuple(after)})

    def to_dict(self) -> dict[str, Any]:
        """The settings that are not the default's, as plain values."""
        default = asdict(Policy())
        found = {name: v for name, v in asdict(self).items() if v != default[name]}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in found.items()}


NONE = Policy()
POLICY_KEYS = tuple(f.name for f in fields(Policy))


def _given(value: Any, kind: type[Cap], what: str) -> dict[str, Any]:
    """What is given of a mapping; its names and numbers checked."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} must be a mapping (key: value), not {value!r}")
    names = tuple(f.name for f in fields(kind))
    for name in value:
        if name not in names:
            refuse_unknown(str(name), names, "key")
    given = {name: v for name, v in value.items() if v is not None}
    return given | {name: convert("float", name, given[name]) for name in CAPS if name in given}
