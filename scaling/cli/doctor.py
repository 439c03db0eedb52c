"""What works on this machine: torch, GPU, SLURM, the tracking store, data."""

from __future__ import annotations

import os
import shutil
from importlib import metadata
from typing import Any

from scaling.base import GROUPS, Store, load, plugged
from scaling.data import DATASETS


def checks() -> list[dict[str, Any]]:
    """One entry a thing: ``what``, whether it ``works``, and a ``detail`` or remedy."""
    found = [_torch(), _gpu(), _cores(), _slurm(), _store(), _tracking(), _monitor(), _data()]
    return [*found, *_plugged()]


def _entry(what: str, works: bool, detail: str) -> dict[str, Any]:
    return {"what": what, "works": works, "detail": detail}


def _torch() -> dict[str, Any]:
    try:
        import torch
    except ImportError as error:
        return _entry("torch", False, f"{error}; pip install torch")
    threads = torch.get_num_threads()
    return _entry("torch", True, f"{torch.__version__}, {threads} threads by default")


def _gpu() -> dict[str, Any]:
    import torch

    if not torch.cuda.is_available():
        return _entry("GPU", False, "no CUDA device; runs train on the CPU")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return _entry("GPU", True, ", ".join(names))


def _cores() -> dict[str, Any]:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return _entry("CPU", True, f"{count} cores: --workers {count}")


def _slurm() -> dict[str, Any]:
    path = shutil.which("sbatch")
    return _entry("SLURM", path is not None, path or "no sbatch on PATH; --on local works")


def _store() -> dict[str, Any]:
    root = Store.at().root
    existing = next(p for p in (root, *root.parents) if p.exists())
    writable = os.access(existing, os.W_OK)
    free = shutil.disk_usage(existing).free / 1e9
    remedy = "" if writable else "; set SCALING_HOME to a folder you may write to"
    return _entry("store", writable, f"{root}, {free:.0f} GB free{remedy}")


def _tracking() -> dict[str, Any]:
    from scaling.tracking import masked

    try:
        version = metadata.version("mlflow")
    except metadata.PackageNotFoundError:
        return _entry("tracking", False, "mlflow is not installed; pip install mlflow")
    return _entry("tracking", True, f"mlflow {version}, {masked(Store.at().tracking_uri)}")


def _monitor() -> dict[str, Any]:
    from scaling.run import Monitor, lacks_monitor

    if problem := lacks_monitor():
        return _entry("monitor", False, problem)
    return _entry("monitor", True, Monitor().missing or "CPU, memory and GPUs (monitor_seconds)")


def _data() -> dict[str, Any]:
    folder = Store.at().data_dir
    ready = [name for name in DATASETS if (folder / name / "meta.json").exists()]
    return _entry("data", True, f"prepared: {', '.join(ready) or 'none yet'} (scaling data list)")


def _plugged() -> list[dict[str, Any]]:
    """What installed packages add, each loaded to see that it is there."""
    found = []
    for kind in GROUPS:
        for name, path in plugged(kind).items():
            try:
                load(path)
            except ValueError as error:
                found.append(_entry(f"{kind} {name}", False, str(error)))
            else:
                found.append(_entry(f"{kind} {name}", True, f"plugged in: {path}"))
    return found
