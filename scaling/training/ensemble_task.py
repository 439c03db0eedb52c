"""Batches, losses and evaluations of an ensemble: what ``Task`` has for one, for all members.

Windows, examples and the chunks of an evaluation are those of the tasks of runs alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from scaling.data.batches import batch_indices, epoch_order
from scaling.schema import eval_column
from scaling.training.task import (
    EVAL_EXAMPLES,
    EVAL_TOKENS,
    Classify,
    NextToken,
    Task,
    _kept,
    _mean,
)

FEW_CLASSES = 16  # fewer fill no vector of the processor: a softmax is faster with classes first

Logits = Callable[[Tensor], Tensor]  # inputs (k, batch, ...) to logits (k, batch, ..., classes)


class Order:
    """The order of one member's data, its epoch's permutation kept.

    The cache of ``epoch_order`` is for a few runs, not for the seeds of an ensemble in turn.
    """

    def __init__(self, seed: int, size: int, batch_size: int) -> None:
        self.seed, self.size, self.batch_size = seed, size, batch_size
        self._epoch = -1
        self._order: NDArray[np.integer[Any]] = np.empty(0, np.int64)

    def at(self, step: int) -> NDArray[np.integer[Any]]:
        """The numbers ``(batch_size,)`` of windows (examples) of a step."""
        epoch, offset = divmod(step * self.batch_size, self.size)
        if offset + self.batch_size > self.size:
            return batch_indices(step, self.batch_size, self.size, self.seed)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, epoch_order(self.size, self.seed, epoch)
        return self._order[offset : offset + self.batch_size]


class Shared(Protocol):
    """What the members of an ensemble have in common; ``size`` is how many items there are."""

    size: int

    def batch(self, numbers: NDArray[Any]) -> tuple[Tensor, Tensor]:
        """Inputs and targets, each ``(k, batch, ...)``, of items ``(k, batch)``."""

    def evaluate(self, logits: Logits, k: int, limit: int) -> list[dict[str, float]]:
        """``Task.evaluate`` of ``k`` members, without the time of a forward pass."""

    def evaluate_training(
        self, logits: Logits, orders: Sequence[Order], limit: int, steps: int
    ) -> list[dict[str, float]]:
        """The same on data that members of these orders saw in the last pass of ``steps``."""


def shared(task: Task) -> Shared:
    """A task's data for all members."""
    if isinstance(task, NextToken):
        return SharedTokens(task)
    if isinstance(task, Classify):
        return SharedExamples(task)
    raise TypeError(f"no ensemble is trained on {type(task).__name__}")


def losses(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """The cross-entropy of each prediction, in the shape of ``targets``."""
    flat, labels = logits.float().flatten(0, -2), targets.flatten()
    if flat.shape[1] < FEW_CLASSES:
        flat, labels = flat.mT[None], labels[None]
    found = F.cross_entropy(flat, labels, reduction="none", label_smoothing=smoothing)
    return found.view(targets.shape)


class SharedTokens:
    """Windows of tokens, and next-token losses."""

    def __init__(self, task: NextToken) -> None:
        self.task, self.data = task, task.data
        self.context, self.device = task.context, task.device
        self.size = self.data.num_windows(self.context)
        self.heldout_size = task.heldout_size

    def batch(self, numbers: NDArray[Any]) -> tuple[Tensor, Tensor]:
        """Windows without their last token, and without their first."""
        windows = self.data.windows(numbers.ravel(), self.context)
        tokens = torch.from_numpy(windows).to(self.device)
        tokens = tokens.view(*numbers.shape, self.context + 1)
        return tokens[..., :-1], tokens[..., 1:]

    def evaluate(self, logits: Logits, k: int, limit: int) -> list[dict[str, float]]:
        """As :meth:`NextToken.evaluate`."""
        info = self.data.info
        part = 0 < limit < self.heldout_size
        most = max(1, limit // (1 + len(info.evals)) // self.context) if part else None
        found = self._evaluate(logits, k, most, None, info.bytes_per_token)
        for one in info.evals:
            also = self._evaluate(logits, k, most, one.name, one.bytes_per_token)
            for values, more in zip(found, also, strict=True):
                values |= {eval_column(one.name, key): value for key, value in more.items()}
        return found

    def _evaluate(
        self, logits: Logits, k: int, most: int | None, name: str | None, per_token: float | None
    ) -> list[dict[str, float]]:
        count = self.data.num_heldout_windows(self.context, most, name)
        means, items = [], self._at_once
        for i in range(0, count, items):
            windows = self.data.heldout_windows(self.context, most, slice(i, i + items), name)
            tokens = torch.from_numpy(windows.astype(np.int64)).to(self.device)
            tokens = tokens.expand(k, *tokens.shape)
            found = losses(logits(tokens[..., :-1]), tokens[..., 1:])
            means.append(_kept(found.double().mean(-1).cpu()))
        values = [_mean(row) for row in np.concatenate(means, axis=1)]
        if per_token:
            for value in values:
                value["bits_per_byte"] = value["loss"] / (math.log(2) * per_token)
        return values

    def evaluate_training(
        self, logits: Logits, orders: Sequence[Order], limit: int, steps: int
    ) -> list[dict[str, float]]:
        """As :meth:`NextToken.evaluate_training`."""
        means = []
        for step, rows in self.task.seen(limit, steps, self._at_once):
            inputs, targets = self.batch(np.stack([order.at(step)[rows] for order in orders]))
            means.append(_kept(losses(logits(inputs), targets).double().mean(-1).cpu()))
        return [_mean(row) for row in np.concatenate(means, axis=1)]

    @property
    def _at_once(self) -> int:
        return max(1, EVAL_TOKENS // self.context)


class SharedExamples:
    """Labelled examples, and their classification."""

    def __init__(self, task: Classify) -> None:
        self.task, self.data, self.loader = task, task.data, task.loader
        self.device, self.size = task.device, len(task.data.train_labels)

    def batch(self, numbers: NDArray[Any]) -> tuple[Tensor, Tensor]:
        """Inputs as the models see them, and labels."""
        inputs, labels = self.data.examples(numbers.ravel())
        seen = self.loader.shown(inputs)
        target = torch.from_numpy(labels).to(self.device)
        return seen.view(*numbers.shape, *seen.shape[1:]), target.view(numbers.shape)

    def evaluate(self, logits: Logits, k: int, limit: int) -> list[dict[str, float]]:
        """As :meth:`Classify.evaluate`."""
        labels = self.data.heldout_labels
        count = min(limit or len(labels), len(labels))
        chunks = []
        for i in range(0, count, EVAL_EXAMPLES):
            rows = slice(i, min(i + EVAL_EXAMPLES, count))
            target = torch.from_numpy(labels[rows].astype(np.int64))
            inputs = self.loader.heldout(rows)
            scores = logits(inputs.expand(k, *inputs.shape)).cpu()
            chunks.append(_scores(scores, target.expand(k, *target.shape)))
        return _classified(chunks)

    def evaluate_training(
        self, logits: Logits, orders: Sequence[Order], limit: int, steps: int
    ) -> list[dict[str, float]]:
        """As :meth:`Classify.evaluate_training`."""
        chunks = []
        for step, rows in self.task.seen(limit, steps, EVAL_EXAMPLES):
            inputs, targets = self.batch(np.stack([order.at(step)[rows] for order in orders]))
            chunks.append(_scores(logits(inputs).cpu(), targets.cpu()))
        return _classified(chunks)


def _scores(logits: Tensor, targets: Tensor) -> NDArray[np.float64]:
    """Loss and whether top 1 misses ``(2, k, batch)``, of each example."""
    wrong = (logits.argmax(-1) != targets).double()
    return _kept(torch.stack([losses(logits, targets).double(), wrong]))


def _classified(chunks: Sequence[NDArray[np.float64]]) -> list[dict[str, float]]:
    """Loss, its sampling error and error of each member."""
    of_losses, wrong = np.concatenate(chunks, axis=-1)
    return [
        {**_mean(row), "error": int(missed.sum()) / len(missed)}
        for row, missed in zip(of_losses, wrong, strict=True)
    ]


def stacked_batch(
    data: Shared, orders: Sequence[Order], steps: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """The batch ``(k, batch, ...)`` of each member's step; read once where all have the same."""
    if len({(order.seed, step) for order, step in zip(orders, steps, strict=True)}) == 1:
        inputs, targets = data.batch(orders[0].at(steps[0])[None])
        k = len(orders)
        return inputs.expand(k, *inputs.shape[1:]), targets.expand(k, *targets.shape[1:])
    numbers = np.stack([order.at(step) for order, step in zip(orders, steps, strict=True)])
    return data.batch(numbers)
