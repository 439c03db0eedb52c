"""When a run is evaluated on held-out data, and on how much of it."""

from __future__ import annotations

from scaling.spec import TrainSpec


def curve_steps(num_steps: int) -> set[int]:
    """The steps of the learning curve: 2^(k/2) from 16 on, whatever the length of the run."""
    steps, k = set(), 8
    while (step := round(2 ** (k / 2))) < num_steps:
        steps.add(step)
        k += 1
    return steps


def evaluated(train: TrainSpec, heldout: int, first_step: int, num_steps: int) -> int:
    """Held-out tokens (examples) that a run sees from ``first_step`` to its end.

    ``heldout`` is how many there are: those of each point of the curve, and the final ones.
    """
    points = sum(step > first_step for step in curve_steps(num_steps))
    of_point, at_end = (
        min(limit or heldout, heldout) for limit in (train.curve_tokens, train.final_tokens)
    )
    return points * of_point + at_end
