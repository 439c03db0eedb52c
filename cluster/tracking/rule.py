"""A sweep's rule for runs that are hopeless, asked now and then by who ships the sweep.

The rule is a command that prints what is hopeless as JSON: a user's, or ``scaling hopeless``, so
that what the runs say comes here as a value.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass

from cluster.status import SweepStatus
from cluster.work import read_reasons, stop_early
from scaling.base import Store, note, refuse_unknown
from scaling.world import os, subprocess, time

RULES = ("median", "forecast")  # of `scaling hopeless`
SECONDS = 600.0  # that a rule may take


def check_rule(rule: str) -> None:
    """Refuse a word that is neither a rule nor a command.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if rule and rule not in RULES and rule.isidentifier() and shutil.which(rule) is None:
        refuse_unknown(rule, RULES, "stop_early")


@dataclass
class Rule:
    """The rule of one sweep, and when it was asked last."""

    store: Store
    asked: float = float("-inf")

    def look(self, status: SweepStatus) -> None:
        """Ask it, if it is time, and end early what it calls hopeless."""
        policy = status.policy
        due = time.monotonic() - self.asked > 60 * policy.look_minutes
        if not policy.stop_early or not due or not status.in_state("running", "queued"):
            return
        self.asked = time.monotonic()
        try:
            ended = stop_early(self.store, status.name, self._ask(policy.stop_early, status.name))
        except (ValueError, subprocess.TimeoutExpired) as error:
            why = "took too long" if isinstance(error, subprocess.TimeoutExpired) else str(error)
            note(f"stop_early of sweep {status.name!r}: {why}")
            return
        if ended:
            note(f"{len(ended)} runs stop early: {', '.join(ended)}")

    def _ask(self, rule: str, name: str) -> dict[str, str]:
        root = str(self.store.root)
        if rule in RULES:
            words = ("hopeless", name, "--root", root, "--rule", rule, "--json")
            rule = shlex.join([sys.executable, "-m", "scaling", *words])
        told = subprocess.run(
            ["sh", "-c", rule],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={**os.environ, "SCALING_HOME": root, "SCALING_SWEEP": name},
        )
        if told.returncode:
            raise ValueError(f"its command ended with {told.returncode}")
        return read_reasons(told.stdout)
