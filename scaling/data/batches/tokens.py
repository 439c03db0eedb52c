"""A stream of tokens on disk: memory-mapped, cut into windows, batched without state."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scaling.data.batches.order import batch_indices
from scaling.data.batches.partition import lane_starts, offset_starts
from scaling.data.info import DataInfo

TRAIN, HELDOUT = "train.bin", "heldout.bin"


def eval_file(name: str) -> str:
    """The file of the tokens of a further set to evaluate on."""
    return f"eval-{name}.bin"


@dataclass(frozen=True)
class TokenData:
    """Tokens to train on, held out, and of further sets by name, each one long row ``(n_tokens,)``.

    A window is ``context + 1`` tokens, at a stride of ``context``: every token but the first is
    predicted once per epoch.
    """

    info: DataInfo
    train: NDArray[np.unsignedinteger]
    heldout: NDArray[np.unsignedinteger]
    evals: dict[str, NDArray[np.unsignedinteger]] = field(default_factory=dict)

    def num_windows(self, context: int) -> int:
        """Training windows per epoch: (n_tokens - 1) // context."""
        return max(0, (len(self.train) - 1) // _positive(context, "context"))

    def batch(
        self,
        step: int,
        *,
        context: int,
        batch_size: int,
        seed: int,
        rows: slice = slice(None),
        windows: str = "fixed",
    ) -> NDArray[np.int64]:
        """Windows ``(batch_size, context + 1)`` of training step ``step`` (from 0); its ``rows``.

        A function of its arguments alone: any step can be asked for at any time. ``windows`` is
        how the stream is cut: :class:`scaling.spec_parts.TrainSpec` has the names.
        """
        size = self.num_windows(context)
        if size == 0:
            raise ValueError(
                f"context {context} needs {context + 1} tokens; {self.info.name} has "
                f"{len(self.train)} to train on: choose a shorter context or more data"
            )
        if windows == "fixed":
            numbers = batch_indices(step, _positive(batch_size, "batch_size"), size, seed)
            return self.windows(numbers[rows], context)
        cut = {"num_tokens": len(self.train), "context": context, "batch_size": batch_size}
        if windows == "offset":
            starts = offset_starts(step, **cut, seed=seed)
        else:
            starts, _ = lane_starts(step, **cut, seed=seed)
        return _windows_at(self.train, starts[rows], context)

    def windows(self, numbers: NDArray[np.integer], context: int) -> NDArray[np.int64]:
        """The training windows ``(n, context + 1)`` of these numbers, each below num_windows."""
        return _gather(self.train, numbers, context)

    def num_heldout_windows(
        self, context: int, limit: int | None = None, name: str | None = None
    ) -> int:
        """How many windows are evaluated: all held out (or in set ``name``), or ``limit``."""
        size = self._heldout_size(context, name)
        return size if limit is None else min(size, _positive(limit, "limit"))

    def heldout_windows(
        self,
        context: int,
        limit: int | None = None,
        rows: slice = slice(None),
        name: str | None = None,
    ) -> NDArray[np.int64]:
        """Held-out windows ``(n, context + 1)``, the same for every run.

        All of them, or ``limit`` spread evenly over the held-out documents; of these the ``rows``,
        and no others are read. With a ``name`` those of that set.
        """
        size = self._heldout_size(context, name)
        count = self.num_heldout_windows(context, limit, name)
        asked = range(count)[rows]
        numbers = np.arange(asked.start, asked.stop, asked.step, dtype=np.int64)
        return _gather(self._held(name), (2 * numbers + 1) * size // (2 * count), context)

    def _held(self, name: str | None) -> NDArray[np.unsignedinteger]:
        return self.heldout if name is None else self.evals[name]

    def _heldout_size(self, context: int, name: str | None) -> int:
        tokens = len(self._held(name))
        size = (tokens - 1) // _positive(context, "context")
        if size < 1:
            has = "holds out" if name is None else f"has in {name}"
            raise ValueError(
                f"context {context} needs {context + 1} tokens; {self.info.name} {has} "
                f"{tokens}: choose a shorter context or more data"
            )
        return size


def open_tokens(folder: Path, info: DataInfo) -> TokenData:
    """The shards in ``folder``, memory-mapped."""
    return TokenData(
        info,
        _map(folder / TRAIN, info.dtype, info.train_size),
        _map(folder / HELDOUT, info.dtype, info.heldout_size),
        {one.name: _map(folder / eval_file(one.name), info.dtype, one.size) for one in info.evals},
    )


def _map(path: Path, dtype: str, size: int) -> NDArray[np.unsignedinteger]:
    kind = np.dtype(dtype).newbyteorder("<")
    found, expected = path.stat().st_size, size * kind.itemsize
    if found != expected:
        raise ValueError(
            f"{path} has {found} bytes, its meta.json says {expected}: "
            "remove the folder and prepare the data again"
        )
    # A plain view: indexing the memmap subclass itself costs twice as much.
    return np.memmap(path, dtype=kind, mode="r").view(np.ndarray)


def _gather(
    tokens: NDArray[np.unsignedinteger], windows: NDArray[np.integer], context: int
) -> NDArray[np.int64]:
    return _windows_at(tokens, windows.astype(np.int64) * context, context)


def _windows_at(
    tokens: NDArray[np.unsignedinteger], starts: NDArray[np.int64], context: int
) -> NDArray[np.int64]:
    gathered: NDArray[np.int64] = tokens[starts[:, None] + np.arange(context + 1)].astype(np.int64)
    return gathered


def _positive(value: int, name: str) -> int:
    if value < 1:
        raise ValueError(f"{name} {value} must be at least 1")
    return value
