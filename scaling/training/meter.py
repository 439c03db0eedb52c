"""What is watched while a run trains, without making the device wait: its loss and its pace."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from scaling.base import peak_flops
from scaling.spec import RunSpec
from scaling.training.precision import arithmetic

EXPLOSION = 3.0  # a training loss this many times the first one has diverged
EVERY = 16  # steps between looks at a loss that lies on a device


class Watch:
    """Whether the training loss exploded.

    On the CPU each step's loss is judged as it comes. From a device every sixteenth is copied while
    the next steps are computed, and judged when the next copy begins.

    Attributes
    ----------
    first : float
        The first loss; NaN until there is one.
    """

    def __init__(self, device: torch.device, first: float = math.nan) -> None:
        self.first, self._device = first, device
        self._reason: str | None = None
        self._coming: tuple[int, Tensor, Any] | None = None

    def see(self, step: int, loss: Any) -> str | None:
        """Why the run has diverged, as far as is known after ``step``; None if it has not."""
        if self._device.type == "cpu":
            self._judge(step, float(loss))
        elif step == 1 or step % EVERY == 0:
            self.settle()
            on_cuda = self._device.type == "cuda"
            copy = torch.empty(loss.shape, dtype=loss.dtype, pin_memory=on_cuda)
            copy.copy_(loss, non_blocking=on_cuda)
            event = torch.cuda.current_stream(self._device).record_event() if on_cuda else None
            self._coming = step, copy, event
        return self._reason

    def settle(self) -> str | None:
        """The same with the copy that was begun last."""
        if self._coming is not None:
            step, copy, event = self._coming
            if event is not None:
                event.synchronize()
            self._coming = None
            self._judge(step, float(copy))
        return self._reason

    def _judge(self, step: int, value: float) -> None:
        if math.isnan(self.first):
            self.first = value
        if self._reason is None and not value <= EXPLOSION * max(self.first, 1.0):
            self._reason = f"training loss {value:.4g} at step {step}"


class Meter:
    """Model FLOPs utilisation: exact FLOPs of the training steps over what the cards could do.

    MFU of Chowdhery et al. 2022 (arXiv 2204.02311, appendix B), with ``flops_exact`` for their
    estimate. Evaluation does not count, what is computed twice to save memory neither; compiling
    does. Only for cards whose peak is known (``scaling.base.PEAKS``).
    """

    def __init__(self, spec: RunSpec, device: torch.device, processes: int) -> None:
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
        peak = peak_flops(name, arithmetic(spec, device))
        self._peak = None if peak is None else peak * processes
        self._flops, self._device = spec.cost.flops_exact * spec.units_per_step, device
        self._since: tuple[int, float] | None = None
        self._steady: tuple[int, float] | None = None
        self._paused = 0.0

    def began(self, step: int) -> None:
        """Training goes on from ``step``."""
        self._since = step, self._now() - self._paused

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """What is done meanwhile is no training; begins when the device is done with its steps."""
        began = self._now()
        try:
            yield
        finally:
            self._paused += self._now() - began

    def since(self, step: int) -> dict[str, float]:
        """``mfu`` since this was asked last; nothing if the peak is not known."""
        found, now = self._between(self._since, step)
        self._since = step, now
        self._steady = self._steady or self._since
        return found

    def overall(self, step: int) -> dict[str, float]:
        """``mfu`` since the first point of this attempt, or since its beginning."""
        return self._between(self._steady, step)[0] or self._between(self._since, step)[0]

    def _between(
        self, since: tuple[int, float] | None, step: int
    ) -> tuple[dict[str, float], float]:
        now = self._now() - self._paused
        if self._peak is None or since is None or step <= since[0] or now <= since[1]:
            return {}, now
        rate = self._flops * (step - since[0]) / (now - since[1])
        return {"mfu": float(f"{rate / self._peak:.4g}")}, now

    def _now(self) -> float:
        if self._peak is not None and self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.monotonic()
