"""A team trains run after run: rank 0 says which, the others follow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scaling.base import WorkerLostError
from scaling.run import NOTHING, Keep
from scaling.spec import RunSpec
from scaling.training.loop import Outcome, train
from scaling.training.team import Team


def train_together(team: Team, spec: RunSpec, run_dir: Path, **options: Any) -> Outcome:
    """:func:`scaling.training.train` on all ranks; to be called on rank 0.

    Raises
    ------
    WorkerLostError
        If a rank died, now or before; the run can be resumed by another team.
    """
    if team.broken:
        raise WorkerLostError("a process of this job died before: start the job again")
    if team.size > 1:
        shared = ("device", "threads", "micro_batch", "shard")
        paths = ("trunk_dir", "data_dir")
        order = {
            "spec": spec.to_dict(),
            "run_dir": str(run_dir),
            "options": {name: options[name] for name in shared if name in options},
            "paths": {name: str(options[name]) for name in paths if options.get(name)},
            "keep": options.get("keep", NOTHING).marks,
        }
        team.order(order)
    return train(spec, run_dir, team=team, **options)


def follow(team: Team, stop: Callable[[], bool]) -> None:
    """Train what rank 0 says until it leaves; to be called on the other ranks.

    Raises
    ------
    WorkerLostError
        If another rank died.
    """
    while (order := team.next_order()) is not None:
        options: dict[str, Any] = order["options"]
        options |= {name: Path(path) for name, path in order["paths"].items()}
        spec = RunSpec.from_dict(order["spec"])
        options["keep"] = Keep.parse(order["keep"])
        train(spec, Path(order["run_dir"]), team=team, should_stop=stop, **options)
    team.leave()
