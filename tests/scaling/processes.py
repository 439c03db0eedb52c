"""Forked processes for tests: one that does something, or a team as SLURM would start it."""

from __future__ import annotations

import os
import traceback
from importlib import import_module
from pathlib import Path


def in_child(action, environment=()) -> int:
    """Run ``action`` in a forked process; its id. It exits with 0, or with 1 on an exception."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.environ.update(environment)
        action()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def exit_status(pid: int) -> int:
    """Wait for a child; its exit status, negative for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def import_for_teams() -> None:
    """Import here what each process of a team that shards would import by itself, in a second."""
    for name in ("torch.distributed.fsdp", "torch._dynamo"):
        import_module(name)


def start_team(folder: Path, size: int, lead, stop=lambda rank: False) -> list[int]:
    """Start ``size`` processes; ``lead(team)`` runs in the first. Their ids, by rank."""
    import_for_teams()
    environment = {"SLURM_NTASKS": str(size), "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"}

    def member(rank):
        from scaling.trainers import follow
        from scaling.training.team import connect

        with connect(folder) as team:
            assert (team.place.rank, team.size) == (rank, size)
            if team.leads:
                lead(team)
            else:
                follow(team, lambda: stop(rank))

    return [
        in_child(
            lambda rank=rank: member(rank),
            {**environment, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)},
        )
        for rank in range(size)
    ]


def run_team(folder: Path, size: int, lead, stop=lambda rank: False) -> list[int]:
    """The exit statuses of a team, by rank."""
    return [exit_status(pid) for pid in start_team(folder, size, lead, stop)]
