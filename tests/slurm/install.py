"""Debian's SLURM, installed where it is missing."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import gettempdir

PACKAGES = "slurmctld slurmd slurm-client slurmdbd munge mariadb-server-core mariadb-client-core"


class UnavailableError(RuntimeError):
    """This machine cannot run the cluster; the message says what it takes."""


def install() -> None:
    """Install Debian's packages where they are missing; others wait for the first who does.

    Raises
    ------
    UnavailableError
        Without root, Debian or its packages.
    """
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("apt-get"):
        raise UnavailableError(
            "a test SLURM needs root on a Debian machine or container: "
            "`docker run -v $PWD:/src -w /src python:3.11-bookworm make test`"
        )
    with (Path(gettempdir()) / "scaling-slurm-install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install()


def _install() -> None:
    missing = subprocess.run(["dpkg", "-s", *PACKAGES.split()], capture_output=True, check=False)
    if missing.returncode == 0:
        return
    policy = Path("/usr/sbin/policy-rc.d")  # Debian would start the daemons by itself
    if not policy.exists():
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *PACKAGES.split()]
    for command in (["apt-get", "-qq", "update"], install):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UnavailableError(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
