"""``attach``: a shell, or a command, beside a run: in its job, or in its folder on this machine."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.slurm import on_cluster, plain
from cluster.status import sweep_status
from scaling.base import Store, note
from scaling.run import known_sweeps, node_name, read_rows, state_of


@dataclass(frozen=True)
class Beside:
    """Where a shell beside a run is started, and how.

    Attributes
    ----------
    folder : Path
        The run's, where the shell begins.
    command : tuple of str
    variables : dict
        ``SCALING_RUN_ID``, ``SCALING_RUN_DIR`` and ``SCALING_RUN_PID``, the process that trains it.
    what : str
        Where that is, in words.
    """

    folder: Path
    command: tuple[str, ...]
    variables: dict[str, str]
    what: str


def beside(store: Store, run: str, words: Sequence[str] = ()) -> Beside:
    """What :func:`attach` starts for a run: its id, the beginning of it, or its name.

    Raises
    ------
    ValueError
        If there is no such run, several are, or it trains on another machine outside of SLURM.
    """
    name, row = find_run(store, run)
    (status,) = sweep_status(name, store.root, rows=[row]).runs
    folder = store.run_dir(status.run_id)
    state = state_of(folder)
    if not folder.is_dir():
        raise ValueError(f"run {status.run_id} was never begun: there is nothing to look at yet")
    host, pid = str(state.get("host", "")), str(state.get("pid", ""))
    running = status.state == "running"
    variables = {
        "SCALING_RUN_ID": status.run_id,
        "SCALING_RUN_DIR": str(folder),
        "SCALING_RUN_PID": pid if running else "",
    }
    shell = tuple(words) or (os.environ.get("SHELL") or "/bin/sh",)
    if running and status.job:
        pty = () if words else ("--pty",)
        job, cluster = plain(status.job)
        srun = ("srun", "--overlap", f"--jobid={job}", f"--nodelist={host}", "--ntasks=1")
        return Beside(
            folder,
            (*on_cluster(srun, cluster), f"--chdir={folder}", *pty, *shell),
            variables,
            f"run {status.run_id}, in job {status.job} on {host}",
        )
    if running and host != node_name():
        raise ValueError(
            f"run {status.run_id} trains on {host}, not here ({node_name()}): call it there"
        )
    what = f"beside process {pid}" if running else f"the run is {status.state}: in its folder"
    return Beside(folder, shell, variables, f"run {status.run_id}, {what}")


def attach(found: Beside) -> int:
    """Start what stands beside a run, with this terminal; its exit code."""
    note(found.what)
    environment = {**os.environ, **found.variables}
    try:
        return subprocess.run(found.command, cwd=found.folder, env=environment).returncode
    except FileNotFoundError:
        raise ValueError(
            f"there is no {shlex.quote(found.command[0])} here: attach where it is"
        ) from None


def find_run(store: Store, word: str) -> tuple[str, dict[str, Any]]:
    """The one run of any sweep whose id begins with a word, or that has it as its name; its sweep.

    Raises
    ------
    ValueError
        If it is none, or several.
    """
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for name in known_sweeps(store):
        for row in read_rows(store, name):
            if row["run_id"].startswith(word) or row["name"] == word:
                found[row["run_id"]] = (name, row)
    if len(found) != 1:
        listed = f" ({', '.join(sorted(found)[:3])}{', ...' * (len(found) > 3)})" if found else ""
        raise ValueError(
            f"{len(found)} runs under {store.root} match {word!r}{listed}: give one of the ids "
            "that `scaling status SWEEP` lists"
        )
    return next(iter(found.values()))
