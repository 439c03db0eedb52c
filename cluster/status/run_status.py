"""One run of a sweep as it stands, and the states that a run can be in."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.status.run import NOTHING
from cluster.work import EARLY, Fault

STATES = (
    *("done", "running", "queued", "planned", "pre-empted", "stopped"),
    *("stalled", "failed", "diverged", EARLY, "unknown"),
)
"""``planned``: nobody was asked to do it; ``queued``: a live worker or a job in SLURM's queue
will; ``pre-empted``: its job had to make room and goes on later; ``stopped``: it was asked to
stop and is checkpointed; ``stopped early``: a rule called it hopeless; ``stalled``: its worker
died or gives no sign of life, or SLURM holds its job; ``unknown``: SLURM has a word for its job
that is not known here."""

ENDED = ("done", "diverged", "failed", EARLY)


@dataclass(frozen=True, slots=True)
class RunStatus:
    """One run of a sweep as it stands.

    Attributes
    ----------
    state : str
        One of ``STATES``.
    reason : str
        Why it is in that state, where there is something to say.
    flops : float
        C of the whole run.
    step, num_tokens : int
        Tokens (examples) seen, and D.
    loss : float or None
        The last held-out loss.
    seconds : float or None
        Time that it trained so far.
    gpus : int or None
        GPUs that it trains on; None where its worker did not say.
    job : str
        The SLURM job that has or had it, ``12_3`` for a task of an array; empty without SLURM.
    fault : Fault
        What broke it, if it failed, diverged or stalled; see :mod:`cluster.work.causes`.
    imported : bool
        Whether it was trained elsewhere: nothing is to do of it here.
    damaged : int
        Lines of its journal that cannot be read, so that points of its curve may be missing.
    spent : int
        Tokens (examples) that were computed for it, by all attempts.
    """

    run_id: str
    name: str
    state: str
    reason: str
    flops: float
    step: int
    num_tokens: int
    loss: float | None
    seconds: float | None
    gpus: int | None = None
    job: str = ""
    fault: Fault = NOTHING
    imported: bool = False
    damaged: int = 0
    spent: int = 0

    @property
    def cause(self) -> str:
        """Why it failed, diverged or stalled, one of :data:`cluster.work.causes.NAMES`."""
        return self.fault.cause

    @property
    def progress(self) -> float:
        """Share of its tokens seen, in [0, 1]."""
        if self.state in ("done", "diverged"):
            return 1.0
        return min(1.0, self.step / self.num_tokens) if self.num_tokens else 0.0

    @property
    def trained(self) -> float:
        """Share of its tokens that was computed; below 1 too for a run that ended before them."""
        if self.progress == 1.0 and not self.step:  # nothing is left that says where it ended
            return 1.0
        return min(1.0, self.step / self.num_tokens) if self.num_tokens else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Time to go at the pace so far; None for a run that does not run or has just begun."""
        if self.state != "running" or not self.step or not self.seconds:
            return None
        return self.seconds / self.step * (self.num_tokens - self.step)
