"""What a program may use, and how it is asked to stop: the launcher's part, no identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Means:
    """What a program may use, and how it is asked to stop.

    Attributes
    ----------
    code : Path or None
        The folder with its code; see :func:`scaling.programs.code_folder`.
    threads, gpus : int
        CPU threads, and GPUs of a node.
    stop_signal, stop_seconds : str, float
        The signal that asks it to checkpoint and end, and the time that it has to do so.
    silent_minutes : float
        Without a report or a line of output for so long, it is stalled and killed.
    """

    code: Path | None = None
    threads: int = 1
    gpus: int = 0
    stop_signal: str = "SIGTERM"
    stop_seconds: float = 60.0
    silent_minutes: float = 30.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "code": str(self.code) if self.code else None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Means:
        """What :meth:`to_dict` gave."""
        code = values["code"]
        return cls(**{**values, "code": Path(code) if code else None})
