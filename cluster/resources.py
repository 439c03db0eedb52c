"""What a worker may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Resources:
    """What one worker may use.

    Attributes
    ----------
    threads : int
        CPU threads; a run's result is the same bits for the same number.
    device : str
        ``auto`` is CUDA where there is one, else the CPU.
    checkpoint_seconds : float
        Least time between checkpoints of a run.
    minutes : float or None
        Time after which a worker checkpoints and ends; None for no limit.
    """

    threads: int = 1
    device: str = "auto"
    checkpoint_seconds: float = 60.0
    minutes: float | None = None

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"threads {self.threads} is below 1")
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"minutes {self.minutes} is not above 0: leave it out for no limit")
