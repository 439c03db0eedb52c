"""A run's model with the weights that it kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.base import read_json
from scaling.families import get_family
from scaling.run import JOURNAL, SPEC, Kept, archived, end, kept, read_journal
from scaling.spec import RunSpec

if TYPE_CHECKING:
    from torch import nn

REMEDY = "put `keep: final` into the sweep file and submit it with --rerun all"


@dataclass(frozen=True)
class KeptModel:
    """A model as a run left it.

    Attributes
    ----------
    run_dir : Path
    spec : RunSpec
    weights : Kept
        Where its weights are, and of which step.
    model : Module
        Float32, in eval mode.
    """

    run_dir: Path
    spec: RunSpec
    weights: Kept
    model: nn.Module


def load_model(run_dir: Path, step: int | None = None, device: str = "cpu") -> KeptModel:
    """The model of a run with weights that it kept.

    Parameters
    ----------
    run_dir : Path
    step : int, optional
        Optimiser steps; the end by default.
    device : str

    Raises
    ------
    ValueError
        If the run kept no such weights, or the file is damaged.

    Examples
    --------
    >>> found = load_model(Path("runs/3e197028dee2ff9a"))  # doctest: +SKIP
    >>> found.model(tokens)  # doctest: +SKIP
    """
    spec = spec_of(run_dir)
    return with_weights(run_dir, spec, choose(run_dir, spec, step), device)


def with_weights(run_dir: Path, spec: RunSpec, weights: Kept, device: str = "cpu") -> KeptModel:
    """The model of ``spec`` with some weights."""
    model = get_family(spec.family).build(spec.model)
    model.load_state_dict(weights.load())
    return KeptModel(run_dir, spec, weights, model.to(device).eval())


def spec_of(run_dir: Path) -> RunSpec:
    """The spec of the run in a folder.

    Raises
    ------
    ValueError
        If there is none.
    """
    written = read_json(run_dir / SPEC)
    if written is None:
        raise ValueError(f"{run_dir} has no {SPEC}: it is not a run's folder, or was never begun")
    return RunSpec.from_dict(written)


def choose(run_dir: Path, spec: RunSpec, step: int | None = None) -> Kept:
    """The weights after ``step`` optimiser steps, by default those of the end.

    Raises
    ------
    ValueError
        If they were not kept.
    """
    events, units = read_journal(run_dir), spec.units_per_step
    found = kept(run_dir, events)
    wanted = [k for k in found if (k.is_end if step is None else k.step == step * units)]
    if wanted:
        return wanted[0]
    last = end(events)
    status = str(last["status"]) if last else "not finished"
    if not run_dir.is_dir() and archived(run_dir, JOURNAL):
        raise ValueError(
            f"run {run_dir.name} is in an archive: `scaling archive SWEEP --restore` takes it out"
        )
    if not found:
        remedy = REMEDY if status == "done" else "they are kept when it is done, if asked for"
        raise ValueError(f"run {run_dir.name} ({status}) kept no weights: {remedy}")
    steps = ", ".join(str(k.step // units) for k in found)
    what = f"step {step}" if step is not None else "its end"
    raise ValueError(
        f"run {run_dir.name} ({status}) did not keep the weights of {what}: there are those of "
        f"steps {steps} (--step)"
    )
