"""What a monitor measures, against MLflow's own monitors and the kernel's accounts."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from types import ModuleType, SimpleNamespace

import pytest
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor

from scaling.run.monitor import CPU, SYSTEM, Monitor, lacks_monitor


class Nvml(ModuleType):
    """NVIDIA's library for a machine of some cards; it knows what was asked."""

    class NVMLError(Exception):
        pass

    def __init__(self, cards, broken=()):
        super().__init__("pynvml")
        self.cards, self.broken, self.utilization = cards, broken, 40
        self.__spec__ = SimpleNamespace(name="pynvml")

    def nvmlInit(self):
        if not self.cards:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlDeviceGetCount(self):
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, i):
        if i >= len(self.cards):
            raise self.NVMLError("Invalid Argument")
        return i

    def nvmlDeviceGetHandleByUUID(self, name):
        return self.cards.index(name)

    def nvmlDeviceGetMemoryInfo(self, i):
        return SimpleNamespace(used=2e9 * (i + 1), total=8e10)

    def nvmlDeviceGetUtilizationRates(self, i):
        if "utilization" in self.broken:
            raise self.NVMLError("Not Supported")
        return SimpleNamespace(gpu=self.utilization + i)

    def nvmlDeviceGetPowerUsage(self, i):
        return 123_456 + 1000 * i

    def nvmlDeviceGetEnforcedPowerLimit(self, i):
        return 700_000


@pytest.fixture
def nvml(monkeypatch):
    def plant(*cards, **settings):
        module = Nvml(list(cards), **settings)
        monkeypatch.setitem(sys.modules, "pynvml", module)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        return module

    return plant


def of_cards(sample):
    return {name: value for name, value in sample.items() if name.startswith(f"{SYSTEM}gpu_")}


def test_cards_are_measured_as_mlflow_measures_them(nvml, monkeypatch):
    module = nvml("GPU-a", "GPU-b")
    from mlflow.system_metrics.metrics import gpu_monitor

    monkeypatch.setattr(gpu_monitor, "pynvml", module, raising=False)
    theirs = gpu_monitor.GPUMonitor()
    theirs.collect_metrics()
    monitor = Monitor()
    assert monitor.missing == ""
    ours = monitor.sample()
    expected = {f"{SYSTEM}{name}": value for name, value in theirs.aggregate_metrics().items()}
    assert len(expected) == 2 * 5
    assert of_cards(ours) == expected


def test_machine_metrics_have_mlflows_names(nvml):
    nvml()
    theirs = CPUMonitor()
    theirs.collect_metrics()
    ours = Monitor().sample()
    assert {f"{SYSTEM}{name}" for name in theirs.metrics} <= set(ours)
    assert list(ours)[-1] == CPU
    used = theirs.aggregate_metrics()["system_memory_usage_megabytes"]
    assert ours[f"{SYSTEM}system_memory_usage_megabytes"] == pytest.approx(used, rel=0.2)


def test_utilisation_is_the_mean_of_the_looks(nvml):
    module = nvml("GPU-a")
    monitor = Monitor()
    for module.utilization in (0, 100):
        monitor.look()
    module.utilization = 20
    assert monitor.sample()["system/gpu_0_utilization_percentage"] == 40
    assert monitor.sample()["system/gpu_0_utilization_percentage"] == 20


@pytest.mark.parametrize(
    ("visible", "watts"),
    [("1", [124.5]), ("GPU-b,0", [124.5, 123.5]), ("0,-1,1", [123.5]), ("", None), ("7", None)],
)
def test_only_the_cards_that_the_process_may_use(nvml, monkeypatch, visible, watts):
    nvml("GPU-a", "GPU-b")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monitor = Monitor()
    found = [v for name, v in of_cards(monitor.sample()).items() if name.endswith("watts")]
    assert found == (watts or [])
    assert bool(monitor.missing) == (watts is None)


def test_what_is_not_there_is_said_and_left_out(nvml, monkeypatch):
    nvml()
    monitor = Monitor()
    assert monitor.missing == "no GPU is measured: Driver Not Loaded"
    assert not of_cards(monitor.sample())
    nvml("MIG-a", broken=("utilization",))
    names = of_cards(Monitor().sample())
    assert "system/gpu_0_power_usage_watts" in names
    assert "system/gpu_0_utilization_percentage" not in names
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monitor = Monitor()
    assert "nvidia-ml-py" in monitor.missing
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert "pip install" in lacks_monitor()
    with pytest.raises(ValueError, match="psutil"):
        Monitor()


def cpu_of(who):
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def test_cpu_of_the_process_and_of_what_it_started():
    """One child has ended by then, another still works: seconds of CPU by the kernel's accounts."""
    work = "import sys, time\nwhile time.process_time() < 0.3: pass\n"
    monitor, began = Monitor(gpus=False), time.monotonic()
    own, ended = cpu_of(resource.RUSAGE_SELF), cpu_of(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", work], check=True)
    living = subprocess.Popen(
        [sys.executable, "-c", work + "print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    living.stdout.readline()
    sample, seconds = monitor.sample(), time.monotonic() - began
    living.communicate()
    own = cpu_of(resource.RUSAGE_SELF) - own
    ended = cpu_of(resource.RUSAGE_CHILDREN) - ended
    assert ended > 0.6
    assert sample["system/process_cpu_percentage"] * seconds / 100 == pytest.approx(
        own + ended, abs=0.15
    )
    assert sample["system/process_memory_megabytes"] > 20
