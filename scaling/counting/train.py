"""One run of an n-gram model: counted, evaluated, and in its journal as any other run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scaling.counting.grams import count
from scaling.counting.smoothing import Smoothed, smooth
from scaling.data import TokenData, open_same
from scaling.run import (
    Outcome,
    Record,
    SupersededError,
    end,
    here,
    read_journal,
)
from scaling.schedule import evaluated_again
from scaling.schema import eval_column
from scaling.spec import RunSpec

HEARTBEAT_SECONDS = 2.0
LOOK_SECONDS = 0.2  # between looks at wishes to stop and the lease
EVAL_TOKENS = 1 << 17


class _StoppedError(Exception):
    """It was asked to stop."""


def train(
    spec: RunSpec,
    run_dir: Path,
    *,
    data_dir: Path | None = None,
    should_stop: Callable[[], bool] | None = None,
    epoch: int | None = None,
    held: Callable[[], bool] = lambda: True,
) -> Outcome:
    """Count one run's n-grams and evaluate them; one that is stopped begins anew.

    It counts the windows that a network of the same ``context``, ``batch_size`` and data seed is
    trained on, and is evaluated on the same held-out ones.

    Parameters
    ----------
    spec, run_dir, data_dir, should_stop, epoch, held
        As for :func:`scaling.training.train`.

    Raises
    ------
    ValueError
        If the data are not those of the spec.
    OSError
        If the folder cannot be written.
    """
    finished = end(read_journal(run_dir))
    if finished and finished["status"] == "done":
        return Outcome("done", finished)
    record = Record(spec, run_dir, None, epoch, held)
    try:
        return _Count(spec, record, should_stop or (lambda: False)).run(data_dir)
    except SupersededError:
        return Outcome("stopped", {})
    except BaseException as error:
        if not isinstance(error, KeyboardInterrupt):
            record.fail(error)
        raise
    finally:
        record.close()


class _Count:
    """One attempt."""

    def __init__(self, spec: RunSpec, record: Record, should_stop: Callable[[], bool]) -> None:
        self.spec, self.record, self.should_stop = spec, record, should_stop
        self.began, self.share = time.monotonic(), 0.0
        self.looked = self.beaten = -math.inf

    def run(self, data_dir: Path | None) -> Outcome:
        spec, record = self.spec, self.record
        record.journal.append(
            "start",
            attempt=record.attempt,
            step=0,
            time=time.time(),
            **here(),
            device="cpu",
            threads=1,
        )
        try:
            self._beat()
            data = open_same(spec.data.data, spec.data.fingerprint, data_dir)
            if not isinstance(data, TokenData):
                raise ValueError(f"family {spec.family} sees tokens, {data.info.name} has examples")
            model = spec.model
            windows = self._windows(data)
            counts = count(windows, model.vocab_size, model.order, self._beat)
            smoothed = smooth(counts, model.smoothing, model.epsilon)
            values = self._evaluate(data, smoothed)
            again = self._evaluate_training(data, smoothed, windows)
        except _StoppedError:
            self._state("stopped")
            return Outcome("stopped", {})
        seconds, size = round(time.monotonic() - self.began, 3), counts.num_counts
        found = {**values, **again, "num_params": size, "num_params_non_embedding": size}
        record.journal.append("point", step=spec.num_tokens, **values, seconds=seconds)
        event = {
            "status": "done",
            **found,
            "tokens": spec.num_tokens,
            "num_unique_tokens": spec.num_tokens,
            "epochs": spec.num_tokens / (data.num_windows(model.context) * model.context),
            "flops_spent": spec.flops + record.spent_tokens * spec.cost.flops_train,
            "seconds": seconds,
            "time": time.time(),
        }
        record.journal.append("end", **event)
        self._state("done", spec.num_tokens, values["loss"])
        record.tidy_up()
        return Outcome("done", event)

    def _windows(self, data: TokenData) -> NDArray[np.unsignedinteger]:
        """All windows of the run ``(n, context + 1)``, in the smallest type, read once."""
        spec, parts = self.spec, []
        kind = np.min_scalar_type(spec.model.vocab_size - 1)
        size = spec.train.batch_size
        for step in range(spec.num_steps):
            windows = data.batch(
                step,
                context=spec.model.context,
                batch_size=size,
                seed=spec.order_seed,
                windows=spec.train.windows,
            )
            parts.append(windows.astype(kind))
            self._beat()
        return np.concatenate(parts)

    def _evaluate(self, data: TokenData, model: Smoothed) -> dict[str, float]:
        """Loss, its sampling error and bits per byte, as a network's (``NextToken.evaluate``)."""
        info, limit, context = data.info, self.spec.train.final_tokens, self.spec.model.context
        part = 0 < limit < info.evaluated_size
        most = max(1, limit // (1 + len(info.evals)) // context) if part else None
        values = self._on(data, model, most, None, info.bytes_per_token)
        for one in info.evals:
            found = self._on(data, model, most, one.name, one.bytes_per_token)
            values |= {eval_column(one.name, key): value for key, value in found.items()}
        return values

    def _on(
        self,
        data: TokenData,
        model: Smoothed,
        most: int | None,
        name: str | None,
        bytes_per_token: float | None,
    ) -> dict[str, float]:
        context = self.spec.model.context
        n = data.num_heldout_windows(context, most, name)
        read = partial(data.heldout_windows, context, most, name=name)
        loss, error = self._mean(model, n, read)
        values = {"loss": loss, "loss_se": error}
        if bytes_per_token:
            values["bits_per_byte"] = loss / (math.log(2) * bytes_per_token)
        return values

    def _evaluate_training(
        self, data: TokenData, model: Smoothed, windows: NDArray[np.unsignedinteger]
    ) -> dict[str, float]:
        """The loss on windows that were counted, spread evenly, as many as a network's."""
        spec, heldout = self.spec, data.info.evaluated_size
        limit = evaluated_again(spec.train, heldout, spec.units_per_step)
        if not limit:
            return {}
        most = max(1, limit // spec.model.context)
        n = min(data.num_heldout_windows(spec.model.context, most), len(windows))
        some = windows[np.arange(n) * len(windows) // n].astype(np.int64)
        loss, error = self._mean(model, n, lambda rows: some[rows])
        return {"loss_train": loss, "loss_train_se": error}

    def _mean(
        self, model: Smoothed, n: int, read: Callable[[slice], NDArray[np.int64]]
    ) -> tuple[float, float]:
        """The mean loss of ``n`` windows, and its sampling error."""
        items, parts = max(1, EVAL_TOKENS // self.spec.model.context), []
        for low in range(0, n, items):
            self._beat()
            probabilities = model.probabilities(read(slice(low, low + items)))
            parts.append(-np.log(probabilities).mean(axis=1))
        means = np.concatenate(parts)
        error = float(means.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan
        return float(means.mean()), error

    def _beat(self, share: float = 0.0) -> None:
        """A heartbeat where one is due; stops if that is asked."""
        now, self.share = time.monotonic(), max(share, self.share)
        if now - self.looked > LOOK_SECONDS:
            self.looked = now
            if self.should_stop() or not self.record.journal.held():
                raise _StoppedError
        if now - self.beaten > HEARTBEAT_SECONDS:
            self.beaten = now
            self._state("running", round(self.share * self.spec.num_tokens))

    def _state(self, state: str, step: int = 0, loss: float | None = None) -> None:
        self.record.state(
            state,
            step=step,
            num_tokens=self.spec.num_tokens,
            loss=loss,
            gpus=0,
            started_step=0,
            seconds=round(time.monotonic() - self.began, 3),
            spent_tokens=self.record.spent_tokens + step,
        )
