"""What a run is trained to do: next tokens or classes; batches, loss, held-out evaluation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.base import load
from scaling.data import open_same
from scaling.families import get_family
from scaling.schema import eval_column
from scaling.spec import RunSpec
from scaling.training.ahead import Ahead
from scaling.training.loader import Batch, Loader
from scaling.training.precision import autocast, send

# Held-out tokens and examples per forward pass: they fit a core's cache. The sums' order is part of
# the last bits of the loss, so these are constants.
EVAL_TOKENS = 2048
EVAL_EXAMPLES = 64
ON_CUDA = 32  # times as many there: a GPU is idle in small ones
ALL = slice(None)
OWN = ("epoch_size", "heldout_size", "loss", "evaluate", "close")  # what a user's task has

# ``share(chunk, starts)``: the results of ``chunk`` at each start, in their order.
Share = Callable[[Callable[[int], NDArray[np.float64]], Sequence[int]], list[NDArray[np.float64]]]


def alone(
    chunk: Callable[[int], NDArray[np.float64]], starts: Sequence[int]
) -> list[NDArray[np.float64]]:
    """All chunks done in this process."""
    return [chunk(start) for start in starts]


class Task(Protocol):
    """Batches and losses of one run.

    Attributes
    ----------
    epoch_size : int
        Tokens (examples) of one pass over the training data: each is trained on once before
        any comes again.
    heldout_size : int
        Tokens (examples) held out, those of further sets too.
    """

    epoch_size: int
    heldout_size: int

    def loss(self, model: nn.Module, step: int, rows: slice = ALL) -> Tensor:
        """The mean training loss of rows of the batch of ``step``, ready for ``backward``."""

    def evaluate(self, model: nn.Module, limit: int, share: Share = alone) -> dict[str, float]:
        """Held-out ``loss``, its sampling error ``loss_se``, and what else the task has.

        ``limit`` tokens (examples) are evaluated, all for 0; further sets share it equally with
        the held-out data, and their values are called as by ``scaling.schema.eval_column``.
        ``inference_seconds``, where it is there, is the time of a forward pass per token
        (example), the median over batches. Other numbers become columns. ``share`` does the
        chunks, several processes together or this one alone.
        """

    def close(self) -> None:
        """End what runs beside the steps."""


def seen_last(
    steps: int, per_epoch: int, size: int, count: int, items: int
) -> list[tuple[int, slice]]:
    """``count`` rows of batches of ``size``, or as many as there are, in parts of ``items``.

    They are of training steps spread evenly over the last of ``steps``, a pass of ``per_epoch``:
    all were trained on, and none comes twice.

    >>> seen_last(1000, 100, 8, 12, 8)
    [(925, slice(0, 8, None)), (975, slice(0, 4, None))]
    """
    passed = min(steps, max(1, per_epoch))
    needed = min(-(-count // size), passed)
    found = []
    for i in range(needed):
        step = steps - passed + (2 * i + 1) * passed // (2 * needed)
        most = min(size, count - i * size)
        found += [(step, slice(low, min(low + items, most))) for low in range(0, most, items)]
    return found


def make_task(spec: RunSpec, data_dir: Path | None, device: torch.device) -> Task:
    """The task that the spec names, or that the data ask for.

    Raises
    ------
    ValueError
        If the data on this machine are not those of the spec, or do not suit the family.
    """
    return task_on(spec, open_same(spec.data.data, spec.data.fingerprint, data_dir), device)


def task_on(spec: RunSpec, data: Any, device: torch.device) -> Task:
    """The task of a model like the spec's on opened data, whichever they are.

    Raises
    ------
    ValueError
        If they do not suit the family.
    """
    family = get_family(spec.family)
    if spec.train.task:
        own: Task = load(spec.train.task)(spec, data, device)
        wanted = (*OWN, "evaluate_training") if spec.train.train_eval else OWN
        missing = [name for name in wanted if not hasattr(own, name)]
        if missing:
            raise ValueError(f"task {spec.train.task} has no {', '.join(missing)}")
        return own
    unit = family.unit
    if data.info.unit != unit:
        raise ValueError(
            f"family {spec.family} sees {unit}s, data set {data.info.name!r} has "
            f"{data.info.unit}s: choose another of the two"
        )
    if spec.train.windows == "carried":
        from scaling.training.carried import CarriedTokens

        return CarriedTokens(spec, data, device)
    if trained_by := getattr(family, "task", ""):
        task: Task = load(trained_by)(spec, data, device)
        return task
    if getattr(spec.model, "dense", False):
        from scaling.training.dense import LabelPixels

        return LabelPixels(spec, data, device)
    return (NextToken if unit == "token" else Classify)(spec, data, device)


class NextToken:
    """Next-token prediction; losses in nats per token.

    On CUDA a model that takes targets is asked for its loss, not its logits, and batches are made
    by a thread while the step before them runs. On the CPU windows are gathered in no time.
    """

    def __init__(self, spec: RunSpec, data: Any, device: torch.device) -> None:
        self.spec, self.data, self.device = spec, data, device
        self.context: int = spec.model.context
        self.epoch_size = data.num_windows(self.context) * self.context
        self.heldout_size = data.info.evaluated_size
        self.fused = device.type == "cuda"
        self._ahead = Ahead(self._batch, spec.num_steps, 1 if device.type == "cuda" else 0)

    def _batch(self, step: int, rows: slice) -> Tensor:
        size, seed = self.spec.train.batch_size, self.spec.order_seed
        cut, windows = {}, self.spec.train.windows
        if windows != "fixed":  # the data of a user's own class may know no others
            cut = {"windows": windows}
        batch = self.data.batch(
            step, context=self.context, batch_size=size, seed=seed, rows=rows, **cut
        )
        return send(torch.from_numpy(batch), self.device)

    def _losses(self, model: nn.Module, tokens: Tensor, smoothing: float) -> Tensor:
        with autocast(self.spec, self.device):
            logits = model(tokens[:, :-1])
        flat = logits.float().flatten(0, 1)
        losses = F.cross_entropy(
            flat, tokens[:, 1:].flatten(), reduction="none", label_smoothing=smoothing
        )
        return losses.view(len(tokens), -1)

    def _is_fused(self, model: nn.Module) -> bool:
        return self.fused and getattr(_own(model), "takes_targets", False)

    def loss(self, model: nn.Module, step: int, rows: slice = ALL) -> Tensor:
        """The mean training loss of rows of the batch of ``step``."""
        tokens, smoothing = self._ahead.get(step, rows), self.spec.train.label_smoothing
        if not (self._is_fused(model) or getattr(_own(model), "has_objective", False)):
            return self._losses(model, tokens, smoothing).mean()
        with autocast(self.spec, self.device):
            loss: Tensor = model(tokens[:, :-1], tokens[:, 1:], smoothing)
        return loss

    def evaluate(self, model: nn.Module, limit: int, share: Share = alone) -> dict[str, float]:
        """Mean loss over fixed held-out windows; its error takes the window as the unit."""
        info = self.data.info
        part = 0 < limit < self.heldout_size
        most = max(1, limit // (1 + len(info.evals)) // self.context) if part else None
        values = self._evaluate(model, most, share, None, info.bytes_per_token)
        for one in info.evals:
            found = self._evaluate(model, most, share, one.name, one.bytes_per_token)
            del found["inference_seconds"]
            values |= {eval_column(one.name, key): value for key, value in found.items()}
        return values

    def _evaluate(
        self,
        model: nn.Module,
        most: int | None,
        share: Share,
        name: str | None,
        bytes_per_token: float | None,
    ) -> dict[str, float]:
        """The same for the held-out data, or for the further set of that name."""
        count = self.data.num_heldout_windows(self.context, most, name)
        items = self._at_once
        paces: list[float] = []
        numbers: Any = getattr(_own(model), "metrics", dict)
        names = list(numbers())
        places = position_bins(self.context) if self.spec.train.by_position else {}

        def chunk(i: int) -> NDArray[np.float64]:
            rows = slice(i, i + items)
            windows = self.data.heldout_windows(self.context, most, rows, name)
            began = time.perf_counter()
            losses = self._judged(model, send(torch.from_numpy(windows), self.device))
            means = _kept(losses.double().mean(1).cpu())
            paces.append((time.perf_counter() - began) / losses.numel())
            more = [np.full(len(means), float(number)) for number in numbers().values()]
            parts = [_kept(losses[:, part].double().mean(1).cpu()) for part in places.values()]
            return np.stack([means, *more, *parts])

        losses, *more = np.concatenate(share(chunk, range(0, count, items)), axis=1)
        values = {**_mean(losses), "inference_seconds": median(paces)}
        names += places
        values |= {key: float(one.mean()) for key, one in zip(names, more, strict=True)}
        if bytes_per_token:
            values["bits_per_byte"] = values["loss"] / (math.log(2) * bytes_per_token)
        return values

    def evaluate_training(
        self, model: nn.Module, limit: int, steps: int, share: Share = alone
    ) -> dict[str, float]:
        """The same on windows of the last pass over the data, of ``steps`` trained."""
        seen = self.seen(limit, steps, self._at_once)

        def chunk(i: int) -> NDArray[np.float64]:
            losses = self._judged(model, self._batch(*seen[i]))
            return _kept(losses.double().mean(1).cpu()[None])

        return _mean(np.concatenate(share(chunk, range(len(seen))), axis=1)[0])

    def seen(self, limit: int, steps: int, items: int) -> list[tuple[int, slice]]:
        """Rows of training steps that :meth:`evaluate_training` sees, in parts of ``items``."""
        most = max(1, limit // self.context) if 0 < limit < self.heldout_size else None
        count, size = self.data.num_heldout_windows(self.context, most), self.spec.train.batch_size
        return seen_last(steps, self.epoch_size // self.spec.units_per_step, size, count, items)

    def _judged(self, model: nn.Module, tokens: Tensor) -> Tensor:
        """The loss of each token of windows, as it is evaluated."""
        if not self._is_fused(model):
            return self._losses(model, tokens, 0.0)
        with autocast(self.spec, self.device):
            losses: Tensor = model(tokens[:, :-1], tokens[:, 1:], mean=False)
        return losses

    @property
    def _at_once(self) -> int:
        """Windows that are evaluated in one pass."""
        at_once = EVAL_TOKENS * (ON_CUDA if self.device.type == "cuda" else 1)
        return max(1, at_once // self.context)

    def close(self) -> None:
        """End the thread that makes batches."""
        self._ahead.close()


def position_bins(context: int) -> dict[str, slice]:
    """Places in the context, doubling: ``loss_at_4`` is of the fourth to the seventh token."""
    starts = [2**k for k in range(context.bit_length())]
    return {f"loss_at_{start}": slice(start - 1, min(2 * start - 1, context)) for start in starts}


def _own(model: nn.Module) -> nn.Module:
    """The model itself, not what spreads it over processes."""
    own: nn.Module = getattr(model, "module", model)
    return own


def batch_threads(device: torch.device, *, changed: bool) -> int:
    """Threads that make batches of examples while the model computes.

    Where the model computes on the same cores, one if the stored examples are ``changed``, resized
    or augmented, and none to gather them as they are: handing such a batch over costs more than
    making it. Beside a GPU as many as the run has cores, up to four: one gathers thousands of large
    images a second, and what is ready takes memory there.
    """
    beside_a_gpu: int = min(4, torch.get_num_threads())
    return int(changed) if device.type == "cpu" else beside_a_gpu


class Classify:
    """Classification; losses in nats per example, ``error`` is the share that top 1 misses."""

    def __init__(self, spec: RunSpec, data: Any, device: torch.device) -> None:
        self.spec, self.data, self.device = spec, data, device
        self.epoch_size, self.heldout_size = len(data.train_labels), len(data.heldout_labels)
        shape = tuple(get_family(spec.family).input_shape(spec.model))
        changed = bool(spec.train.augmented or shape != tuple(data.info.input_shape))
        threads = batch_threads(device, changed=changed)
        self.loader = Loader(data, spec.train, spec.order_seed, shape, device, threads)

    def _forward(self, model: nn.Module, inputs: Tensor) -> Tensor:
        with autocast(self.spec, self.device):
            logits: Tensor = model(inputs)
        return logits.float()

    def loss(self, model: nn.Module, step: int, rows: slice = ALL) -> Tensor:
        """The mean training loss of rows of the batch of ``step``."""
        return self.batch_loss(model, self.loader.batch(step, rows))

    def batch_loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The mean training loss of ``batch``.

        Classifiers on the side add their gradient and no value, so that it compares with others.
        """
        loss = self._loss(self._forward(model, batch.inputs), batch)
        for one in getattr(_own(model), "auxiliaries", ()):
            beside = one.weight * self._loss(one.logits.float(), batch)
            loss = loss + (beside - beside.detach())
        return loss

    def _labels(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """What the logits are of, for the rows ``inputs``."""
        return labels

    def _scores(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss and whether top 1 misses, of each row."""
        losses = F.cross_entropy(logits, labels, reduction="none").double()
        return torch.stack([losses, (logits.argmax(1) != labels).double()])

    def _loss(self, logits: Tensor, batch: Batch) -> Tensor:
        smoothing = self.spec.train.label_smoothing
        if batch.other is None or batch.weight is None:
            labels = self._labels(batch.inputs, batch.labels)
            return F.cross_entropy(logits, labels, label_smoothing=smoothing)
        one, other = (
            F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
            for labels in (batch.labels, batch.other)
        )
        return (batch.weight * one + (1 - batch.weight) * other).mean()

    def evaluate(self, model: nn.Module, limit: int, share: Share = alone) -> dict[str, float]:
        """Mean loss and error over the first ``limit`` held-out examples (all for 0)."""
        labels = self.data.heldout_labels
        count = min(limit or len(labels), len(labels))
        items = self._at_once
        paces: list[float] = []

        def chunk(i: int) -> NDArray[np.float64]:
            rows = slice(i, min(i + items, count))
            target = torch.from_numpy(labels[rows].astype(np.int64))
            inputs = self.loader.heldout(rows)
            began = time.perf_counter()
            logits = self._forward(model, inputs).cpu()
            paces.append((time.perf_counter() - began) / len(target))
            return _kept(self._scores(logits, self._labels(inputs, target).cpu()))

        losses, wrong = np.concatenate(share(chunk, range(0, count, items)), axis=1)
        error = float(wrong.sum()) / count
        return {**_mean(losses), "error": error, "inference_seconds": median(paces)}

    def evaluate_training(
        self, model: nn.Module, limit: int, steps: int, share: Share = alone
    ) -> dict[str, float]:
        """The same on examples of the last pass, of ``steps`` trained, not augmented."""
        size, seed = self.spec.train.batch_size, self.spec.order_seed
        seen = self.seen(limit, steps, self._at_once)

        def chunk(i: int) -> NDArray[np.float64]:
            step, rows = seen[i]
            inputs, labels = self.data.batch(step, batch_size=size, seed=seed, rows=rows)
            target = torch.from_numpy(labels.astype(np.int64))
            shown = self.loader.shown(inputs)
            logits = self._forward(model, shown).cpu()
            return _kept(self._scores(logits, self._labels(shown, target).cpu()))

        losses, wrong = np.concatenate(share(chunk, range(len(seen))), axis=1)
        return {**_mean(losses), "error": float(wrong.mean())}

    def seen(self, limit: int, steps: int, items: int) -> list[tuple[int, slice]]:
        """Rows of training steps that :meth:`evaluate_training` sees, in parts of ``items``."""
        count = min(limit or self.heldout_size, self.heldout_size)
        size = self.spec.train.batch_size
        return seen_last(steps, self.epoch_size // size, size, count, items)

    @property
    def _at_once(self) -> int:
        """Examples that are evaluated in one pass."""
        return EVAL_EXAMPLES * (ON_CUDA if self.device.type == "cuda" else 1)

    def close(self) -> None:
        """End the threads that make batches."""
        self.loader.close()


def _kept(values: Tensor) -> NDArray[np.float64]:
    """A copy of a chunk's values, to be held until all are there.

    The tensor itself lies between the chunk's large ones, and the allocator could give nothing
    around it back: a gigabyte over the 4,000 chunks of the default corpus.
    """
    copy: NDArray[np.float64] = values.numpy().copy()
    return copy


def _mean(losses: NDArray[np.float64]) -> dict[str, float]:
    """The mean, and its standard error with the items as independent draws."""
    n = len(losses)
    error = float(losses.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    return {"loss": float(losses.mean()), "loss_se": error}
