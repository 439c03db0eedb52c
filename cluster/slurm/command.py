"""The one caller of SLURM's commands: what they print, or why there is no answer.

Only :mod:`scaling.training.network`, which lies below, asks ``scontrol`` itself for its address.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scaling.base import WorkError
from scaling.world import os, signal, subprocess, time

PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a command.

    Attributes
    ----------
    name : str
        The command's.
    text : str
        What it printed; empty where it gave no answer.
    failure : {"", "missing", "silent", "refused"}
        Why it gave none: it is not here, it took too long, or it ended with an error.
    words : str
        What was said of that, by the system or by the command; it may have several lines, or none.
    code : int
        The exit code of a command that refused.
    """

    name: str
    text: str = ""
    failure: Literal["", "missing", "silent", "refused"] = ""
    words: str = ""
    code: int = 0

    @property
    def problem(self) -> str:
        """Why there is no answer, in a line that names the command; empty if there is one."""
        if not self.failure:
            return ""
        said = textwrap.shorten(self.last_line, 120) or f"exit code {self.code}"
        return said if said.startswith(self.name) else f"{self.name}: {said}"

    @property
    def last_line(self) -> str:
        """The last line of its words that is not blank."""
        return next((line for line in reversed(self.words.splitlines()) if line.strip()), "")


class Call:
    """A command that has been started; several may run at a time."""

    def __init__(self, command: Sequence[str], cluster: str = "") -> None:
        self.name = command[0]
        self.problem = ""
        self.began = time.monotonic()
        # The user's defaults for these commands would change what they print.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SQUEUE_", "SACCT_"))}
        try:
            self.process = subprocess.Popen(
                on_cluster(command, cluster),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env={**kept, "LC_ALL": "C"},
                start_new_session=True,
            )
        except OSError as error:
            self.problem = str(error.strerror)

    def reply(self, until: float) -> Reply:
        """What it prints, or why there is no answer by ``until`` (of :func:`time.monotonic`)."""
        if self.problem:
            return Reply(self.name, failure="missing", words=self.problem)
        try:
            out, err = self.process.communicate(timeout=max(0.5, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()
            words = f"nothing within {until - self.began:.0f} s"
            return Reply(self.name, failure="silent", words=words)
        if code := self.process.returncode:
            return Reply(self.name, failure="refused", words=err.strip() or out.strip(), code=code)
        return Reply(self.name, out)


def on_cluster(command: Sequence[str], cluster: str) -> list[str]:
    """A SLURM command to a site's cluster of that name; to the one that is asked without, for none.

    This is the one place that says so: each of them knows the option.
    """
    return [command[0], *([f"--clusters={cluster}"] if cluster else ()), *command[1:]]


def run(command: Sequence[str], patience: float = PATIENCE_SECONDS, cluster: str = "") -> Reply:
    """What a SLURM command answers within ``patience`` seconds; never raises."""
    call = Call(command, cluster)
    return call.reply(call.began + patience)


def output(command: Sequence[str], cluster: str = "") -> str:
    """What a SLURM command prints.

    Raises
    ------
    WorkError
        If there is no such command here, it fails, or it takes over 30 seconds.
    """
    reply = run(command, cluster=cluster)
    if reply.failure == "missing":
        raise WorkError(
            f"there is no {reply.name} here: submit from a login node of a SLURM cluster, or "
            "with --on local"
        )
    if reply.failure == "silent":
        raise WorkError(
            f"{reply.name} did not answer within {PATIENCE_SECONDS:.0f} s: try again when the "
            "controller is back"
        )
    if reply.failure:
        raise WorkError(f"{reply.name} failed: {reply.last_line or 'it says nothing'}")
    return reply.text
