"""Who used how much, on which sweep, and what of it was in vain, by cause."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cluster.slurm import Answer
from cluster.status.run import Work
from cluster.status.run_status import RunStatus
from cluster.status.sweep import sweep_status
from cluster.work import EARLY, entries, read_queues
from scaling.base import Store, uncollected
from scaling.run import read_rows
from sweeps import Policy, Resources

AGAIN = "computed again"  # what was lost to a kill since the last checkpoint
IDLE = "idle"  # start-up, waits for others' runs, and whatever no run says of its time


class Hours(NamedTuple):
    """Hours that GPUs, and cores, were held."""

    gpu: float = 0.0
    cpu: float = 0.0

    def plus(self, other: Hours) -> Hours:
        """Both together."""
        return Hours(self.gpu + other.gpu, self.cpu + other.cpu)

    def to_dict(self) -> dict[str, float]:
        """Plain values."""
        return {"gpu_hours": self.gpu, "cpu_hours": self.cpu}


@dataclass(frozen=True)
class Usage:
    """What a sweep has used.

    Attributes
    ----------
    users : dict
        Hours held, by user, all attempts, waste included.
    results, open : Hours
        Of runs that have a result, and of runs that may go on from what they have.
    waste : dict
        Hours in vain by cause: those of failures, ``non-finite``, ``stopped early``, ``computed
        again``, ``idle``.
    policy : Policy
        Whose prices and caps hold.
    """

    sweep: str
    users: Mapping[str, Hours]
    results: Hours
    open: Hours
    waste: Mapping[str, Hours] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)

    @property
    def held(self) -> Hours:
        """Of all users together."""
        total = Hours()
        for hours in self.users.values():
            total = total.plus(hours)
        return total

    def cost(self, hours: Hours) -> float:
        """At the policy's prices; 0 without any."""
        prices = self.policy.price_per_gpu_hour, self.policy.price_per_cpu_hour
        return prices[0] * hours.gpu + prices[1] * hours.cpu

    def to_dict(self) -> dict[str, Any]:
        """What ``scaling usage --json`` prints of it."""

        def told(hours: Hours) -> dict[str, float]:
            return {**hours.to_dict(), "cost": self.cost(hours)}

        return {
            "sweep": self.sweep,
            **told(self.held),
            "users": {user: told(hours) for user, hours in self.users.items()},
            "results": told(self.results),
            "open": told(self.open),
            "waste": {cause: told(hours) for cause, hours in self.waste.items()},
        }


@uncollected()
def usage(store: Store, name: str) -> Usage:
    """What the sweep ``name`` has used; runs that another sweep did are that one's.

    Raises
    ------
    ValueError
        If no sweep of that name was submitted.
    """
    rows = read_rows(store, name)
    status = sweep_status(name, store.root, rows=rows)
    work = Work(read_queues(store.sweep_dir(name)), Answer())
    users: dict[str, Hours] = defaultdict(Hours)
    for _, entry in entries(store, name):
        held = Hours(entry.gpu_seconds / 3600, entry.cpu_seconds / 3600)
        users[entry.user] = users[entry.user].plus(held)
    spent: dict[str, Hours] = defaultdict(Hours)
    given = {queue.path: Resources.from_dict(queue.resources) for queue in work.queues}
    for run in status.runs:
        if run.imported or not run.seconds or run.run_id not in work.newest:
            continue
        own, again = _hours(run, given[work.newest[run.run_id].path])
        spent[_purpose(run)] = spent[_purpose(run)].plus(own)
        spent[AGAIN] = spent[AGAIN].plus(again)
    results, left = spent.pop("results", Hours()), spent.pop("open", Hours())
    told = results.plus(left)
    for hours in spent.values():
        told = told.plus(hours)
    held = Usage(name, users, results, left).held
    spent[IDLE] = Hours(max(0.0, held.gpu - told.gpu), max(0.0, held.cpu - told.cpu))
    waste = {cause: hours for cause, hours in spent.items() if any(hours)}
    waste = dict(sorted(waste.items(), key=lambda item: item[1], reverse=True))
    policy = Policy.parse(work.queues[-1].policy if work.queues else rows[0].get("policy", {}))
    return Usage(name, users, results, left, waste, policy)


def _purpose(run: RunStatus) -> str:
    """What a run's hours were for: results, what goes on, or the cause of their loss."""
    if run.state == "done":
        return "results"
    if run.state == EARLY:
        return run.state
    return run.cause or "open"


def _hours(run: RunStatus, resources: Resources) -> tuple[Hours, Hours]:
    """What a run took on the way to where it is, and what it computed again."""
    gpus, cpus = float(run.gpus or 0), float(resources.threads * resources.processes)
    hours = (run.seconds or 0.0) / 3600
    more = hours * (run.spent / run.step - 1) if run.step and run.spent > run.step else 0.0
    return Hours(gpus * hours, cpus * hours), Hours(gpus * more, cpus * more)


def by_user(found: Sequence[Usage]) -> dict[str, dict[str, float]]:
    """Hours and cost of each user on some sweeps together, each sweep at its own prices."""
    totals: dict[str, dict[str, float]] = {}
    for one in found:
        for user, hours in one.users.items():
            before = totals.setdefault(user, {"gpu_hours": 0.0, "cpu_hours": 0.0, "cost": 0.0})
            before["gpu_hours"] += hours.gpu
            before["cpu_hours"] += hours.cpu
            before["cost"] += one.cost(hours)
    return totals


def usage_lines(found: Sequence[Usage]) -> list[tuple[Any, ...]]:
    """Rows of the table: sweep, user, hours, cost, share of results, waste by cause."""
    rows: list[tuple[Any, ...]] = []
    for one in found:
        on_gpus = one.held.gpu > 0
        total = one.held.gpu if on_gpus else one.held.cpu
        share = (one.results.gpu if on_gpus else one.results.cpu) / total if total else 0.0
        waste = ", ".join(
            f"{cause} {(h.gpu if on_gpus else h.cpu) / total:.0%}"
            for cause, h in one.waste.items()
            if total
        )
        for i, (user, hours) in enumerate(sorted(one.users.items())):
            cost = f"{one.cost(hours):.4g}" if one.cost(hours) else ""
            own = (user, f"{hours.gpu:.4g}", f"{hours.cpu:.4g}", cost)
            rows.append(
                (one.sweep if not i else "", *own, *(("", "") if i else (f"{share:.0%}", waste)))
            )
        if not one.users:
            rows.append((one.sweep, "", "0", "0", "", "", waste))
    for user, sums in sorted(by_user(found).items()) if len(found) > 1 else ():
        amounts = (f"{sums[key]:.4g}" for key in ("gpu_hours", "cpu_hours", "cost"))
        rows.append(("all", user, *amounts, "", ""))
    return rows
