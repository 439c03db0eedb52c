"""A disk that is full in the middle of a sweep: named, nothing corrupt, retried."""

from __future__ import annotations

import json
import subprocess

import pytest

from cluster import sweep_status
from scaling.base import Store, read_json
from scaling.base.errors import is_full
from scaling.cli import main
from scaling.run.journal import read_journal
from tests.slurm.conftest import NO_SERVER

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm-2")]


@pytest.fixture
def disk(tmp_path):
    """A file system of 24 MB; ``disk.fill()`` fills it, ``disk.grow()`` makes it larger."""
    root = tmp_path / "disk"
    root.mkdir()

    class Disk:
        path = root

        def fill(self):
            with (root / "ballast").open("wb", buffering=0) as ballast:
                try:
                    while True:
                        ballast.write(bytes(4096))
                except OSError as error:
                    assert is_full(error)

        def grow(self):
            subprocess.run(["mount", "-o", "remount,size=64m", str(root)], check=True)

    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(root)], check=True)
    yield Disk()
    subprocess.run(["umount", "--lazy", str(root)], check=True)


def test_a_full_disk_is_named_and_a_retry_on_a_larger_one_has_the_same_table(site, disk, capsys):
    resources = site.short_leases({"cpus": 2, "checkpoint_seconds": 0.5})
    sweep = site.sweep(num_tokens=128 * 1000, seed=[0, 1], resources=resources)
    root, store = str(disk.path), Store.at(disk.path)
    site.submit(sweep, workers=1, root=root)
    site.until(
        lambda: any(
            (read_json(store.run_dir(e.run_id) / "state.json") or {}).get("step") for e in sweep
        ),
        what="the first run",
    )
    disk.fill()
    site.until(lambda: not sweep_status("s", root).is_live, what="the end of the job")

    status = sweep_status("s", root)
    assert set(status.counts) <= {"done", "failed"}
    (failure,) = status.failures
    assert failure.cause == "disk"
    assert "No space left" in failure.reason
    assert failure.remedy == "scaling retry s --cause disk"
    for entry in sweep:
        events = read_journal(store.run_dir(entry.run_id))
        assert {event["event"] for event in events} <= {"start", "point", "end"}
    command = ["retry", "s", "--cause", "disk", "--root", root, "--tracking-uri", NO_SERVER]
    assert main(command) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "No space left on device; free some space and run the same command again" in said

    disk.grow()
    assert main([*command, "--wait", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)["submitted"]
    assert sorted(again) == sorted(run.run_id for run in failure.runs)
    assert site.table(sweep, disk.path) == site.undisturbed(sweep)
