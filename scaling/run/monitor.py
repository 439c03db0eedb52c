"""What a run uses of its machine: CPU, memory and GPUs, under the names that MLflow has for them.

MLflow's own monitors would load MLflow in every worker, and say nothing of the one run.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from itertools import takewhile
from typing import Any

from scaling.world import os, time

SYSTEM = "system/"  # begins the names, as MLflow's do
CPU = "system/cpu_utilization_percentage"
INSTALL = "pip install 'scaling-lab[monitor]'"
_VISIBLE = "CUDA_VISIBLE_DEVICES"


def lacks_monitor() -> str:
    """Why this Python cannot measure its machine; empty if it can."""
    return "" if find_spec("psutil") else f"measuring a machine needs psutil: {INSTALL}"


class Monitor:
    """Measures this machine, this process with all that it started, and the GPUs it may use.

    ===================================  =====================================================
    ``cpu_utilization_percentage``       of all the machine's cores, since the sample before
    ``system_memory_usage_megabytes``,   of the machine; 10^6 bytes
    ``..._percentage``
    ``process_cpu_percentage``           of one core: 400 for four that are busy
    ``process_memory_megabytes``         resident, of all its processes; 10^6 bytes
    ``gpu_I_utilization_percentage``     time with a kernel at work; mean of the looks since the
                                         sample before, as all that follow
    ``gpu_I_memory_usage_megabytes``,    of the card, whoever holds it
    ``..._percentage``
    ``gpu_I_power_usage_watts``,         of the card, and of its limit
    ``..._percentage``
    ===================================  =====================================================

    Parameters
    ----------
    gpus : bool
        Whether GPUs are looked at.

    Attributes
    ----------
    missing : str
        What cannot be measured here, and why; empty if all can.

    Raises
    ------
    ValueError
        Without psutil.
    """

    def __init__(self, *, gpus: bool = True) -> None:
        self.missing, self._gpus = "", dict[int, Any]()
        self._nvml: Any = None
        self._seen: dict[str, list[float]] = defaultdict(list)
        if problem := lacks_monitor():
            raise ValueError(problem)
        self._psutil = import_module("psutil")
        self._process = self._psutil.Process()
        self._psutil.cpu_percent()  # the first says nothing: it begins the count
        self._busy, self._since = self._used()[0], time.monotonic()
        if gpus:
            self.missing = self._find_gpus()

    def look(self) -> None:
        """Look at the GPUs, whose utilisation is that of the last moment alone."""
        nvml = self._nvml
        if nvml is None:
            return
        for i, card in self._gpus.items():
            said, name = self._seen, f"{SYSTEM}gpu_{i}_"
            with contextlib.suppress(nvml.NVMLError):
                memory = nvml.nvmlDeviceGetMemoryInfo(card)
                said[f"{name}memory_usage_percentage"].append(100 * memory.used / memory.total)
                said[f"{name}memory_usage_megabytes"].append(memory.used / 1e6)
            with contextlib.suppress(nvml.NVMLError):  # a part of a card (MIG) has none
                rates = nvml.nvmlDeviceGetUtilizationRates(card)
                said[f"{name}utilization_percentage"].append(rates.gpu)
            with contextlib.suppress(nvml.NVMLError):
                milliwatts = nvml.nvmlDeviceGetPowerUsage(card)
                said[f"{name}power_usage_watts"].append(milliwatts / 1000)
                limit = nvml.nvmlDeviceGetEnforcedPowerLimit(card)
                said[f"{name}power_usage_percentage"].append(100 * milliwatts / limit)

    def sample(self) -> dict[str, float]:
        """What was used since the last sample, by name; the machine's CPU comes last."""
        self.look()
        found = {name: sum(values) / len(values) for name, values in self._seen.items()}
        self._seen.clear()
        busy, memory = self._used()
        now, all_memory = time.monotonic(), self._psutil.virtual_memory()
        if now > self._since:
            share = max(0.0, busy - self._busy) / (now - self._since)
            found[f"{SYSTEM}process_cpu_percentage"] = 100 * share
        self._busy, self._since = busy, now
        found |= {
            f"{SYSTEM}process_memory_megabytes": memory / 1e6,
            f"{SYSTEM}system_memory_usage_megabytes": all_memory.used / 1e6,
            f"{SYSTEM}system_memory_usage_percentage": 100 * all_memory.used / all_memory.total,
            CPU: self._psutil.cpu_percent(),
        }
        return {name: round(value, 1) for name, value in found.items()}

    def _used(self) -> tuple[float, int]:
        """Seconds of CPU of this process and all below it, the ended ones too; bytes they hold."""
        seconds, memory = 0.0, 0
        for process in [self._process, *self._process.children(recursive=True)]:
            with contextlib.suppress(self._psutil.Error):
                times = process.cpu_times()
                seconds += times.user + times.system
                seconds += getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
                memory += process.memory_info().rss
        return seconds, memory

    def _find_gpus(self) -> str:
        """Open the GPUs that this process may use; why there are none."""
        if find_spec("pynvml") is None:
            return f"GPUs are not measured: no nvidia-ml-py ({INSTALL})"
        nvml = import_module("pynvml")
        visible = os.environ.get(_VISIBLE)
        try:
            nvml.nvmlInit()
            if visible is None:
                wanted = [str(i) for i in range(nvml.nvmlDeviceGetCount())]
            else:
                wanted = _before_none(visible)
            by_name: Callable[[str], Any] = nvml.nvmlDeviceGetHandleByUUID
            by_number: Callable[[int], Any] = nvml.nvmlDeviceGetHandleByIndex
            cards = [by_number(int(w)) if w.isdecimal() else by_name(w) for w in wanted]
        except nvml.NVMLError as error:
            return f"no GPU is measured: {error}"
        if not cards:
            return f"no GPU is measured: {_VISIBLE} is {visible!r}"
        self._nvml, self._gpus = nvml, dict(enumerate(cards))
        return ""


def _before_none(visible: str) -> list[str]:
    """The words of ``CUDA_VISIBLE_DEVICES`` that count: CUDA stops at the first that is no card."""
    words = [word.strip() for word in visible.split(",")]
    return list(takewhile(lambda word: word and not word.startswith("-"), words))
