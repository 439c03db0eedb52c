"""What a run takes of a machine's memory on a CPU, from a few small models that are weighed.

A run's bytes are those of a worker, and a sum at a price each over its parameters, their gradients
with the logits, the outputs of the layers in a step, those of one layer, and those of one in a
chunk of an evaluation. The first two are counted, the others are the non-negative ones that come
nearest to what the weighed models took with a checkpoint under way, so the holes that the allocator
leaves are in them. Data that are mapped do not count.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from scaling import RunSpec
from scaling.base import Store, digest, hashed, note
from sweeps.estimate.calibration import keep, kept, shapes, spread_over, timed_shapes
from sweeps.estimate.made_up import CHUNK

WEIGHED = 6  # models of a family without shapes of its own
STEP_FLOPS = 12e9  # of a step of these, at most: a fifth of a core's second
GRADIENT = 4  # bytes of a parameter's
LOGIT = 12  # bytes in a step: of a logit, its logarithm of a softmax, and its gradient
JUDGED_LOGIT = 8  # in an evaluation, without a gradient
SHAPES: Mapping[str, Sequence[Mapping[str, int]]] = {
    "transformer": (
        {"depth": 1, "width": 64, "context": 128, "batch_size": 32},
        {"depth": 8, "width": 64, "context": 64, "batch_size": 32},
        {"depth": 2, "width": 64, "context": 256, "batch_size": 16},
        {"depth": 4, "width": 128, "context": 128, "batch_size": 8},
        {"depth": 4, "width": 256, "context": 32, "batch_size": 2},
        {"depth": 1, "width": 768, "context": 32, "batch_size": 2},
    ),
    "mlp": (
        {"depth": 2, "width": 128, "batch_size": 16384},
        {"depth": 12, "width": 128, "batch_size": 4096},
        {"depth": 1, "width": 512, "batch_size": 8192},
        {"depth": 2, "width": 1536, "batch_size": 16},
        {"depth": 4, "width": 1024, "batch_size": 64},
        {"depth": 3, "width": 512, "batch_size": 2048},
    ),
}


@dataclass(frozen=True)
class Weights:
    """What a process took that trained small models.

    Attributes
    ----------
    whole : int
        Bytes of it all with the first model.
    states, peaks : sequence of int
        Bytes of each model's weights and optimiser, and of a fork that trained it. What a fork
        shares with the process may count for it or not, so only their differences are used.
    """

    whole: int
    states: Sequence[int]
    peaks: Sequence[int]


@dataclass(frozen=True)
class Memory:
    """What runs of one family take of a machine's memory on a CPU.

    Attributes
    ----------
    worker : float
        Bytes of a worker, libraries included, without a model.
    prices : tuple of float
        Bytes for each of :func:`_amounts`.
    source : str
        Where the numbers come from, in words.
    """

    worker: float
    prices: tuple[float, ...]
    source: str

    def bytes(self, spec: RunSpec, rows: int = 0, members: int = 1) -> float:
        """Bytes of the process that trains a run, or an ensemble of ``members`` like it, at most.

        ``rows`` are those of a forward pass, a micro-batch; 0 for the whole batch.
        """
        amounts = _amounts(spec, rows, members)
        return self.worker + sum(p * a for p, a in zip(self.prices, amounts, strict=True))

    def most_rows(self, spec: RunSpec, room: float) -> int:
        """The most rows of a forward pass that so many bytes allow; 0 if they allow none."""
        rows = range(1, spec.train.batch_size + 1)
        return bisect_right(rows, room, key=lambda count: self.bytes(spec, count))


def _amounts(spec: RunSpec, rows: int = 0, members: int = 1) -> tuple[float, ...]:
    """Parameters; bytes of gradients and logits in a step, or of logits in an evaluation's chunk.

    Then outputs in a pass, of all layers and of one, and of one in an evaluation's chunk. Of an
    ensemble the parameters of all, and the outputs of those that go through at once.
    """
    model, cost = spec.model, spec.cost
    logits = getattr(model, "vocab_size", 0) or 0
    outputs = cost.activations - logits
    layer = outputs / getattr(model, "depth", 1)
    batch = spec.train.batch_size
    units = spec.units_per_step // batch * min(rows or batch, batch)
    chunk = CHUNK["cpu"][cost.unit]
    trained, evaluated = members, members
    if members > 1:
        from scaling.training import members_at_once

        trained = min(members, members_at_once(spec, "cpu", units))
        evaluated = min(members, members_at_once(spec, "cpu", chunk))
    params = members * cost.num_params
    in_step = GRADIENT * params + LOGIT * logits * trained * units
    return (
        float(params),
        float(max(in_step, JUDGED_LOGIT * logits * evaluated * chunk)),
        float(trained * outputs * units),
        trained * layer * units,
        evaluated * layer * chunk,
    )


def weighed(store: Store, specs: Sequence[RunSpec]) -> Memory | None:
    """Prices of memory for models of one family, from those kept or from weighing a few.

    Like :func:`sweeps.estimate.calibration.calibrated`, but for a family without shapes of its own
    at some of the specs alone; None where each step of these takes too long, or it fails.
    """
    models = to_weigh(specs)
    if not models:
        return None
    known, key = kept(store), _key(models)
    if key not in known:
        try:
            found = priced(models, weigh(models))
        except OSError as error:
            note(f"memory is not known: {error}")
            return None
        known[key] = {**asdict(found), "time": time.time()}
        keep(store, known)
    return _memory(known[key])


def weighed_before(store: Store, specs: Sequence[RunSpec]) -> Memory | None:
    """The same from what is kept alone."""
    models = to_weigh(specs)
    value = kept(store).get(_key(models)) if models else None
    return None if value is None else _memory(value)


def _memory(value: Mapping[str, Any]) -> Memory:
    return Memory(value["worker"], tuple(value["prices"]), value["source"])


def _key(models: Sequence[RunSpec]) -> str:
    return digest(
        {
            "weighed": [{"family": m.family, **hashed(m.model)} for m in models],
            "data": models[0].data.data,
            "batches": [m.train.batch_size for m in models],
            "precision": models[0].train.precision,
            "optimizer": [models[0].optim.optimizer, models[0].optim.momentum > 0],
        }
    )


def to_weigh(specs: Sequence[RunSpec]) -> list[RunSpec]:
    """The models to weigh, the first of which is the smallest."""
    first = specs[0]
    if first.family in SHAPES:
        wanted = [timed_shapes(first.family, "cpu")[0], *SHAPES[first.family]]
        return [_affordable(spec) for spec in shapes(first, wanted)]
    others = {(digest(hashed(spec.model)), spec.train.batch_size): spec for spec in specs}
    return spread_over(list(others.values()), STEP_FLOPS, WEIGHED)


def _affordable(spec: RunSpec) -> RunSpec:
    """The same in smaller batches where a vocabulary is so large that a step takes long."""
    per_row = spec.cost.flops_train * spec.units_per_step / spec.train.batch_size
    rows = min(spec.train.batch_size, max(1, int(STEP_FLOPS / per_row)))
    return replace(spec, train=replace(spec.train, batch_size=rows))


def priced(models: Sequence[RunSpec], weights: Weights) -> Memory:
    """Prices from what a whole process took with the first model, and forks of it with each.

    A parameter's is counted: the state twice, with a checkpoint under way, and a gradient. What
    small models take says little of it. The state is that of the model with most parameters, as
    some optimisers have fewer moments of a large matrix than of the rest. So are logits: of a large
    vocabulary an evaluation of small models has more than their steps, which then say nothing of
    large ones.
    """
    import numpy as np
    from scipy.optimize import nnls

    whole = float(weights.whole)
    counts = [model.cost.num_params for model in models]
    largest = counts.index(max(counts))
    parameter = 2 * weights.states[largest] / counts[largest]
    amounts = np.array([_amounts(model) for model in models])
    forks = np.asarray(weights.peaks, float)
    more, took = amounts - amounts[0], forks - forks[0]
    scale = np.maximum(np.abs(more).max(axis=0), 1e-300)[2:]
    parts = 1 / (whole + np.maximum(took, 0.0))  # what is wanted is right in proportion, in all
    rest = took - parameter * more[:, 0] - more[:, 1]
    others = nnls(more[:, 2:] / scale * parts[:, None], rest * parts)[0] / scale
    prices = (float(parameter), 1.0, *(float(price) for price in others))
    worker = whole - float(np.dot(prices, amounts[0]))
    return Memory(worker, prices, f"{len(models)} weighed models of {models[0].family}")


def weigh(models: Sequence[RunSpec]) -> Weights:
    """What :func:`priced` is given, from processes that train the models.

    Raises
    ------
    OSError
        If they end before they say so.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    told = subprocess.run(
        [sys.executable, "-m", "sweeps.estimate.weighed"],
        input=json.dumps([model.to_dict() for model in models]),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if told.returncode:
        raise OSError(f"weighing models ended with {told.returncode}: {told.stderr[-300:].strip()}")
    return Weights(**json.loads(told.stdout.splitlines()[-1]))  # an import of a user's may print
