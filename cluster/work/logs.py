"""Where the logs of jobs are."""

from __future__ import annotations

from pathlib import Path

from cluster.slurm import plain
from scaling.run import log_tail


def logs_dir(sweep_dir: Path, cluster: str = "") -> Path:
    """Where the jobs of a cluster write; two clusters give the same numbers."""
    return sweep_dir / "logs" / cluster


def job_log(sweep_dir: Path, job_id: str) -> Path:
    """What a worker job of a sweep wrote to its error stream."""
    own, cluster = plain(job_id)
    return logs_dir(sweep_dir, cluster) / f"{own}_0_log.err"


def last_words(folder: Path, job_id: str) -> str:
    """The last line that a job wrote to its error log."""
    return log_tail(folder / f"{job_id}_0_log.err", 1).strip() or "no last words"
