"""What happens at which step of a run: its learning rate, its cooldown, its evaluations."""

from __future__ import annotations

import math

from scaling.spec_parts import ScheduleSpec, TrainSpec


def cooldown_start(schedule: ScheduleSpec, num_steps: int) -> int:
    """The step at which the cooldown begins; ``num_steps`` when there is none."""
    if schedule.schedule != "wsd":
        return num_steps
    return num_steps - round(schedule.cooldown_fraction * num_steps)


def lr_factor(schedule: ScheduleSpec, step: int, num_steps: int, units_per_step: int) -> float:
    """Learning rate over its peak at ``step`` of ``num_steps``, counted from 0.

    Warm-up rises linearly over ``warmup_tokens``. Then ``constant``: 1. ``cosine``:
    f + (1 - f)(1 + cos(pi t)) / 2 (Loshchilov and Hutter 2017, eq. 5) and ``linear``:
    1 - (1 - f) t, with t the share of the steps after warm-up that is done and
    f = ``final_lr_fraction``. ``wsd``: 1, then 1 - sqrt(t) over the last ``cooldown_fraction``
    of the steps (Hägele et al. 2024, eq. 1).
    """
    s = schedule
    warmup_steps = math.ceil(s.warmup_tokens / units_per_step)
    factor = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    if s.schedule == "wsd":
        start = cooldown_start(s, num_steps)
        if step >= start:
            factor *= 1 - math.sqrt((step - start) / max(1, num_steps - start))
        return factor
    if s.schedule == "constant" or step < warmup_steps:
        return factor
    done = (step - warmup_steps) / max(1, num_steps - warmup_steps)
    f = s.final_lr_fraction
    if s.schedule == "cosine":
        return f + (1 - f) * (1 + math.cos(math.pi * done)) / 2
    return 1 - (1 - f) * done


def curve_steps(num_steps: int) -> set[int]:
    """The steps of the learning curve: 2^(k/2) from 16 on, whatever the length of the run."""
    steps, k = set(), 8
    while (step := round(2 ** (k / 2))) < num_steps:
        steps.add(step)
        k += 1
    return steps


def curve_size(train: TrainSpec, units_per_step: int) -> int:
    """Most held-out tokens (examples) of a point of the curve; 0 for all there are.

    A run of 24 steps has most points for its length: at 16, at 23 and the last. If each sees
    ``curve_share`` x 24 steps' worth, at a third of training on it, the three cost that share of
    the training. So it does not depend on the length of the run, as trunks need.
    """
    if train.curve_share is None:
        return train.curve_tokens
    return min(train.curve_tokens, max(1, int(24 * train.curve_share * units_per_step)))


def ends_apart(train: TrainSpec, heldout: int, units_per_step: int) -> bool:
    """Whether the last point of the curve is an evaluation of its own, beside the final one."""
    of_point, at_end = _seen(train, heldout, units_per_step)
    return train.curve_share is not None and of_point != at_end


def evaluated(train: TrainSpec, heldout: int, units_per_step: int, first_step: int) -> int:
    """Tokens (examples) that a run is evaluated on from ``first_step`` to its end.

    ``heldout`` is how many there are: those of each point of the curve, the final ones and those
    of the training data.
    """
    points = sum(step > first_step for step in curve_steps(train.num_tokens // units_per_step))
    points += ends_apart(train, heldout, units_per_step)
    of_point, at_end = _seen(train, heldout, units_per_step)
    return points * of_point + at_end + evaluated_again(train, heldout, units_per_step)


def evaluated_again(train: TrainSpec, heldout: int, units_per_step: int) -> int:
    """Training tokens (examples) that the loss is taken on at the end; 0 for none.

    As many as held-out ones. Where nobody asked, no more than a tenth of those trained on, or a
    step's: a forward pass is a third of the training, so they cost a thirtieth of it.
    """
    if train.train_eval is False:
        return 0
    at_end = min(_seen(train, heldout, units_per_step)[1], train.num_tokens)
    return at_end if train.train_eval else min(at_end, max(train.num_tokens // 10, units_per_step))


def _seen(train: TrainSpec, heldout: int, units_per_step: int) -> tuple[int, int]:
    """Held-out tokens (examples) of a point of the curve, and at the end."""
    of_point, at_end = (
        min(limit or heldout, heldout)
        for limit in (curve_size(train, units_per_step), train.final_tokens)
    )
    return of_point, at_end
