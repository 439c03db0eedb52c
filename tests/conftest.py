"""What every test shares: a home of its own and a tiny corpus."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from tests.grid import TINY

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
# Where no tracking server is on purpose, asking again takes seconds each time.
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
# Threads that wait for each other would keep a processor busy.
os.environ["OMP_WAIT_POLICY"] = "passive"
# No deadlines: a busy machine is no failure.
settings.register_profile("scaling", deadline=None)
settings.load_profile("scaling")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """The tests on SLURM first, for they wait more than they work, and no slow one last.

    Quick ones of a file stay together under xdist, which else makes what they share, and imports
    what they need, in each of its processes.
    """
    items.sort(key=lambda i: [i.get_closest_marker(name) is None for name in ("slurm", "slow")])
    for item in items:
        if not any(item.get_closest_marker(name) for name in ("xdist_group", "slow")):
            item.add_marker(pytest.mark.xdist_group(f"{item.path.parent.name}/{item.path.stem}"))


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    """A store root that no other test sees."""
    root = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("SCALING_HOME", str(root))
    monkeypatch.setenv("XDG_CACHE_HOME", str(root / "cache"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return root


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory) -> Path:
    """A SQLite tracking store with its tables; making one takes seconds, so xdist makes one."""
    from scaling.tracking.ready import connect

    base = tmp_path_factory.getbasetemp()
    path = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "empty" / "mlflow.db"
    path.parent.mkdir(exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            connect(f"sqlite:///{path}")
    return path


@pytest.fixture
def store_ready(home, empty_store) -> str:
    """The home's tracking store, ready; its URI."""
    shutil.copy(empty_store, home / "mlflow.db")
    return f"sqlite:///{home / 'mlflow.db'}"


@pytest.fixture
def idle_shippers(monkeypatch):
    """Shippers that wait until the test ends: MLflow takes seconds to be imported."""
    from cluster.tracking import shipper

    started, begin = [], shipper.start_shipper

    def start_shipper(*_):
        started.append(subprocess.Popen(["sleep", "3600"]))
        return started[-1]

    for module in list(sys.modules.values()):  # wherever it was imported to
        if getattr(module, "__dict__", {}).get("start_shipper") is begin:
            monkeypatch.setattr(module, "start_shipper", start_shipper)
    yield
    for process in started:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> Path:
    """A data folder with the byte corpus ``tiny``: 64 documents of a noisy repeating pattern."""
    from scaling.data.text.prepare import prepare_tokens
    from scaling.data.text.sources import TextFiles

    folder = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(0)
    for i in range(64):
        text = np.tile(np.frombuffer(b"abcdefgh ijklmno\n", np.uint8), 30)
        noise = rng.random(len(text)) < 0.1
        text = np.where(noise, rng.integers(97, 123, len(text)), text).astype(np.uint8)
        (folder / f"{i:02d}.txt").write_bytes(text.tobytes())
    home = folder / "data"
    prepare_tokens("tiny", TextFiles(tuple(sorted(folder.glob("*.txt")))), home, heldout=0.2)
    return home


@pytest.fixture
def tiny(tiny_data, monkeypatch):
    """Makes ``tiny`` available by name; returns options of a run that takes under a second."""
    monkeypatch.setenv("SCALING_DATA", str(tiny_data))
    return dict(TINY)
