"""Which runs may train together as one batched computation; no torch is loaded to tell."""

from __future__ import annotations

import sys
from dataclasses import replace

from scaling.base import digest
from scaling.spec import RunSpec
from scaling.spec_parts import ScheduleSpec

FAMILIES = ("mlp", "transformer")
OPTIMIZERS = ("adam", "adamw", "sgd")
CACHED = 8 << 20  # bytes of activations, of all members: with more each is slower on a CPU
LEAST = 4  # members, which share the cost of launching an operation whatever their size
# Outputs of products of the members that go through the model at once: beyond this a step of many
# is no faster on a CPU, whose cache they leave, and a GPU is full.
AT_ONCE_BYTES = {"cpu": 2**26, "cuda": 2**32}


def ensemble_key(spec: RunSpec) -> str | None:
    """What runs of one ensemble have in common; None for a run that has to train alone.

    They may differ in seed, order of the data, peak rate, decay of weights, schedule, length and
    evaluations. Alone are those whose computation draws random numbers or looks at the whole batch
    (dropout, batch norm, augmentation), bfloat16, which has no tolerance to hold, other optimisers,
    families of convolutions, transformers with options beyond their shape, and what is plugged in.
    """
    model, train, optim = spec.model, spec.train, spec.optim
    together = (
        spec.family in FAMILIES
        and not spec.plugins
        and getattr(model, "is_plain", True)
        and not model.dropout
        and model.norm != "batch"
        and train.precision == "float32"
        and not train.augmented
        and not train.task
        and train.windows == "fixed"
        and not train.by_position
        and optim.optimizer in OPTIMIZERS
        and not optim.adaptive_clip
        and not optim.nesterov
        and (optim.decay == "decoupled" or optim.weight_decay == 0)
    )
    if not together:
        return None
    kept = {name: getattr(train, name) for name in ("batch_size", "label_smoothing", "standardise")}
    common = replace(
        spec,
        seed=0,
        data_seed=None,
        optim=replace(optim, lr=1.0, weight_decay=0.0, decay="decoupled"),
        schedule=ScheduleSpec(),
        train=type(train)(num_tokens=spec.units_per_step, **kept),
    )
    return digest(common.to_dict())


def _has_cuda() -> bool:
    """Whether ``auto`` is a GPU here."""
    from torch import cuda  # takes seconds

    return bool(cuda.is_available())


def most_members(spec: RunSpec, device: str) -> int:
    """Runs like this one that ``device`` trains together without one slowing the others.

    On a CPU their activations, which the backward pass reads again, should not leave the core's
    caches; a GPU has no such limit.
    """
    if device != "cpu" and _has_cuda():
        return sys.maxsize
    one = 4 * spec.cost.activations * spec.units_per_step
    return max(LEAST, CACHED // max(1, one))


def members_at_once(spec: RunSpec, device: str, units: int) -> int:
    """Members that go through the model at once on so many tokens (examples) each."""
    each = 4 * spec.cost.activations * units
    return max(1, AT_ONCE_BYTES.get(device, AT_ONCE_BYTES["cpu"]) // each)
