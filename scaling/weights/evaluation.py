"""Kept weights evaluated: the numbers go to the run's journal, so that they last as it does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scaling.base import WorkError
from scaling.run import Journal, Kept, kept, read_journal
from scaling.schema import EVAL_PREFIX
from scaling.weights.model import choose, spec_of, with_weights
from scaling.weights.tasks import EvalTask


@dataclass(frozen=True)
class Evaluated:
    """What came of asking one run, at one step.

    Attributes
    ----------
    run_id : str
    step : int
        Tokens (examples) seen; 0 where there are no weights.
    values : dict
        Numbers by column (``eval/NAME/METRIC``); empty where it failed.
    is_new : bool
        Whether they were computed now; others were in the journal already.
    problem : str
        Why there are no numbers.
    """

    run_id: str
    step: int = 0
    values: dict[str, float] = field(default_factory=dict)
    is_new: bool = True
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)


def evaluate(
    run_dir: Path, task: EvalTask, *, every: bool = False, device: str = "cpu"
) -> Iterator[Evaluated]:
    """Ask a run's kept weights, and write what they say to its journal.

    What the journal has already of the same weights and the same data is not asked again.

    Parameters
    ----------
    run_dir : Path
    task : EvalTask
    every : bool
        All weights that it kept, not only those of its end.
    device : str

    Yields
    ------
    Evaluated
        In the order of the steps. What goes wrong is a ``problem``, not an exception.
    """
    run_id = run_dir.name
    try:
        spec = spec_of(run_dir)
        task.check(spec)
        chosen = (every and kept(run_dir)) or [choose(run_dir, spec)]
    except ValueError as error:
        yield Evaluated(run_id, problem=str(error))
        return
    # Open from before until after: should the run be begun anew meanwhile, this is lost with it.
    with closing(Journal(run_dir)) as journal:
        for weights in chosen:
            values = _known(run_dir, task, weights)
            if values is not None:
                yield Evaluated(run_id, weights.step, values, is_new=False)
                continue
            try:
                said = task.ask(with_weights(run_dir, spec, weights, device))
            except (ValueError, WorkError, OSError) as error:
                yield Evaluated(run_id, weights.step, problem=str(error))
                continue
            values = {f"{EVAL_PREFIX}{task.name}/{metric}": value for metric, value in said.items()}
            journal.append(
                "eval",
                step=weights.step,
                time=time.time(),
                task=task.name,
                of=weights.sha256,
                identity=task.identity,
                **values,
            )
            yield Evaluated(run_id, weights.step, values)


def _known(run_dir: Path, task: EvalTask, weights: Kept) -> dict[str, float] | None:
    """What the journal says of the same question to the same weights."""
    if task.identity is None:
        return None
    asked = {"task": task.name, "of": weights.sha256, "identity": task.identity}
    for event in reversed(read_journal(run_dir)):
        if event["event"] == "eval" and {key: event.get(key) for key in asked} == asked:
            return {key: value for key, value in event.items() if key.startswith(EVAL_PREFIX)}
    return None
