"""What a worker has and takes: a GPU, and memory, which tells how many fit beside it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from scaling import ProgramSpec, train

STEPS = 20  # of a run of ours
PROGRAM_SECONDS = 20.0  # of a program that has not reported by then
TELL_SECONDS = 1.0  # at least between two signs of getting on
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20
SMI = ("nvidia-smi", "--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits")


@dataclass
class Meter:
    """Writes to ``report`` that this worker gets on, and once what it and its run have taken (MB).

    A run of ours is measured after some steps, each of which polls; a program at its first report,
    by what its processes took together at most.
    """

    report: TextIO
    polls: int = 0
    began: float | None = None  # a program
    peak: float = 0.0
    said: bool = False
    told: float = 0.0

    def poll(self) -> None:
        """Look, and say what there is to say: that it gets on, and once what it takes."""
        if time.monotonic() - self.told > TELL_SECONDS:
            self._tell({})
        if self.said:
            return
        if self.began is not None:
            self.peak = max(self.peak, tree_mb())
            if time.monotonic() - self.began > PROGRAM_SECONDS:
                self.say()
        elif "torch" in sys.modules:
            self.polls += 1
            if self.polls == STEPS:
                self.say()

    def train(self, spec: Any, run_dir: Path, **options: Any) -> Any:
        """:func:`scaling.train`, measured."""
        self._tell({"run": spec.run_id})
        self.told = 0.0  # its first step is news at once
        self.began = time.monotonic() if isinstance(spec, ProgramSpec) else None
        if self.began is None:
            require_device(options.get("device", ""))
        heard = {} if self.began is None else {"heard": self.say}
        return train(spec, run_dir, **heard, **options)

    def say(self) -> None:
        """Write what was taken so far."""
        if self.said:
            return
        self.said = True
        if self.began is None:
            memory = {"rss": _own_mb(), **_gpu_by_torch()}
        else:
            memory = {"rss": max(self.peak, tree_mb()), **_gpu_by_driver()}
        self._tell({"memory": memory})

    def _tell(self, what: dict[str, Any]) -> None:
        self.told = time.monotonic()
        with contextlib.suppress(BrokenPipeError):  # a foreman that is gone
            print(json.dumps(what), file=self.report, flush=True)


def require_device(device: str) -> None:
    """Refuse to go on without the GPU that was asked for.

    Raises
    ------
    OSError
        ``ENODEV``, where torch sees none.
    """
    if device.startswith("cuda"):
        import torch

        if not torch.cuda.is_available():
            raise OSError(errno.ENODEV, f"torch sees no GPU here, and device is {device!r}")


def _own_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def tree_mb(pid: int | None = None) -> float:
    """MB that this process (``pid``) and all that it started take now.

    Memory that they share counts for each.
    """
    total, left = 0.0, [os.getpid() if pid is None else pid]
    while left:
        folder = Path(f"/proc/{left.pop()}")
        with contextlib.suppress(OSError):  # it has ended
            total += int((folder / "statm").read_text().split()[1]) * PAGE_MB
            for path in (folder / "task").iterdir():
                left += map(int, (path / "children").read_text().split())
    return total


def _gpu_by_torch() -> dict[str, float]:
    import torch

    if not torch.cuda.is_available():
        return {}
    free, total = torch.cuda.mem_get_info()
    return {"gpu": (total - free) / 2**20, "gpu_total": total / 2**20}


def _gpu_by_driver() -> dict[str, float]:
    """What the worker's GPU has in use, without memory of this process on it."""
    device = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
    try:
        told = subprocess.run(
            [*SMI, f"--id={device}"], capture_output=True, text=True, check=True, timeout=30
        ).stdout
        used, total = map(float, told.splitlines()[0].split(","))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return {}  # no GPU, or none for it
    return {"gpu": used, "gpu_total": total}
