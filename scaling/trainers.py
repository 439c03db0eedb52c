"""Who trains a run: everything around it calls :func:`train`, alone or as a team.

A team trains run after run: rank 0 says which, the others follow.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.base import WorkerLostError
from scaling.program_spec import ProgramSpec
from scaling.run import NOTHING, Keep, Outcome
from scaling.spec import RunSpec
from scaling.specs import Spec, read_spec

if TYPE_CHECKING:
    from scaling.training import Team


def train(spec: Spec, run_dir: Path, **options: Any) -> Outcome:
    """Train one run to its end, from wherever its folder says that it got to.

    Parameters
    ----------
    spec : RunSpec or ProgramSpec
    run_dir : Path
        Holds the journal, the state and the checkpoints, or the program's own folder.
    **options
        Those of :func:`scaling.training.train`, or of :func:`scaling.programs.run`.
    """
    if isinstance(spec, ProgramSpec):
        from scaling.programs import run

        return run(spec, run_dir, **options)
    if spec.is_counted:
        return _count(spec, run_dir, **options)
    from scaling.training import train

    return train(spec, run_dir, **options)


def _count(spec: RunSpec, run_dir: Path, *, team: Team | None = None, **options: Any) -> Outcome:
    """A model that is counted: by the leader alone, while the others wait."""
    from scaling.counting import train

    read = ("data_dir", "should_stop", "epoch", "held")
    known = {name: options[name] for name in read if name in options}
    if team is None or team.size == 1:
        return train(spec, run_dir, **known)
    found, error = Outcome("failed", {}), None
    if team.leads:
        try:
            found = train(spec, run_dir, **known)
        except Exception as caught:  # the others hear of it first
            error = caught
    outcome: Outcome = team.say(found)
    if error is not None:
        raise error
    return outcome


def train_together(team: Team, spec: Spec, run_dir: Path, **options: Any) -> Outcome:
    """:func:`train` on all ranks; to be called on rank 0.

    Raises
    ------
    WorkerLostError
        If a rank died, now or before; the run can be resumed by another team.
    """
    if team.broken:
        raise WorkerLostError("a process of this job died before: start the job again")
    if team.size > 1:
        shared = ("device", "threads", "micro_batch", "shard", "compile")
        paths = ("trunk_dir", "data_dir")
        order = {
            "spec": spec.to_dict(),
            "run_dir": str(run_dir),
            "options": {name: options[name] for name in shared if name in options},
            "paths": {name: str(options[name]) for name in paths if options.get(name)},
            "keep": options.get("keep", NOTHING).marks,
            "means": options["means"].to_dict() if "means" in options else None,
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
        if order["means"] is not None:
            from scaling.programs import Means

            options["means"] = Means.from_dict(order["means"])
        else:
            options["keep"] = Keep.parse(order["keep"])
        spec = read_spec(order["spec"])
        train(spec, Path(order["run_dir"]), team=team, should_stop=stop, **options)
    team.leave()
