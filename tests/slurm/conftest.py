"""The test cluster, and sweeps to run there."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from cluster import submit
from cluster.launch import slurm as place
from cluster.tracking import delivery
from scaling.base import Store
from scaling.run.journal import end, points, read_journal
from sweeps.sweep import Sweep
from tests.grid import specs_over
from tests.slurm.cluster import Cluster
from tests.slurm.install import UnavailableError

NO_SERVER = "http://127.0.0.1:9"  # the journals are the truth; nothing here needs tracking


def freeze(pid):
    """Stop a process; whoever thaws it has all the time to set a trap before."""
    os.kill(pid, signal.SIGSTOP)


def thaw(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def is_signalled(pid):
    """Whether a frozen process has a signal to answer, was thawed by one, or is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return True
    fields = dict(line.split(":", 1) for line in status)
    pending = int(fields["SigPnd"], 16) | int(fields["ShdPnd"], 16)
    return bool(pending) or not fields["State"].strip().startswith("T")


@pytest.fixture(scope="session")
def slurm():
    """A real SLURM, for each of xdist's workers its own; one that runs is used and left running.

    Where there can be none the tests are skipped, but with ``CI`` or ``SCALING_REQUIRE_SLURM``
    in the environment that is a failure.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    with contextlib.ExitStack() as stack:
        try:
            cluster = stack.enter_context(Cluster.of_our_own(number))
            ours = not cluster.is_up
            cluster.up()
        except UnavailableError as error:
            if os.environ.get("CI") or os.environ.get("SCALING_REQUIRE_SLURM"):
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield from _known_to_clients(cluster)
        if ours:
            cluster.down(wipe=True)


def _known_to_clients(cluster):
    before = {key: os.environ.get(key) for key in cluster.environment}
    os.environ.update(cluster.environment)
    yield cluster
    for key, value in before.items():
        if value is None:
            del os.environ[key]
        else:
            os.environ[key] = value


@pytest.fixture(scope="session")
def known():
    """The table of runs that went undisturbed; most tests train the same ones."""
    return {}


@pytest.fixture
def site(slurm, home, tiny, tmp_path, monkeypatch, known, idle_shippers):
    """Sweeps on the cluster.

    ``site.sweep(**options)`` makes one over the listed options, ``site.submit(sweep, **options)``
    sends it, ``site.table(sweep)`` is what must not depend on what happened on the way, and
    ``site.undisturbed(sweep)`` the same table of a run in this process.
    """

    slurm.wait_until_idle()  # whatever the test before left
    monkeypatch.setattr(place, "LOOK_SECONDS", 1.0)
    monkeypatch.setattr(place, "SETTLE_SECONDS", 0.2)
    monkeypatch.setattr(delivery, "LONGEST_SECONDS", 1.0)  # for another shipper to end

    def sweep(name="s", resources=None, **options):
        sweep = Sweep.of(name, specs_over(**{"schedule": "cosine", **options}))
        return Sweep(name, sweep.entries, {"minutes": 10, **(resources or {})})

    def short_leases(resources):
        """Workers whose leases live for six seconds without a heartbeat."""
        shim = tmp_path / "shim"
        shim.mkdir(exist_ok=True)
        (shim / "sitecustomize.py").write_text(
            "import cluster.work.lease\n"
            "cluster.work.lease.BEAT_SECONDS, cluster.work.lease.STALE_SECONDS = 1.0, 6.0\n"
        )
        return {**resources, "setup": [f"export PYTHONPATH={shim}"]}

    def send(sweep, **options):
        return submit(sweep, on="slurm", tracking_uri=NO_SERVER, **options)

    def table(sweep, root=home):
        store, found = Store.at(root), {}
        for entry in sweep:
            events = read_journal(store.run_dir(entry.run_id))
            curve = tuple((p["step"], p["loss"], p["train_loss"]) for p in points(events))
            last = end(events) or {}
            found[entry.run_id] = (last.get("status"), last.get("loss"), curve)
        return found

    def undisturbed(sweep):
        root = tmp_path / "undisturbed"
        often = {"checkpoint_seconds"}  # which takes time, and nobody goes on from here
        resources = {key: value for key, value in sweep.resources.items() if key not in often}
        new = Sweep(sweep.name, tuple(e for e in sweep if e.run_id not in known), resources)
        if new.entries:
            submit(new, on="inline", root=root, tracking_uri=NO_SERVER)
            known.update(table(new, root))
        return {entry.run_id: known[entry.run_id] for entry in sweep}

    def starts(run_id):
        events = read_journal(Store.at(home).run_dir(run_id))
        return [event for event in events if event["event"] == "start"]

    def until(condition, seconds=300.0, what="that"):
        began = asked = time.monotonic()
        while not condition():
            now = time.monotonic()
            assert now < began + seconds, f"waited {seconds} s for {what}"
            time.sleep(min(max(0.1, 4 * (now - asked)), 1.0))  # to ask SLURM costs others time
            asked = time.monotonic()

    yield SimpleNamespace(
        cluster=slurm,
        store=Store.at(home),
        sweep=sweep,
        short_leases=short_leases,
        submit=send,
        table=table,
        undisturbed=undisturbed,
        starts=starts,
        until=until,
    )
    slurm.cancel_all()
