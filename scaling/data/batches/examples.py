"""Labelled examples on disk or in memory, batched without state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.data.batches.order import batch_indices
from scaling.data.folder import building, publish, start_afresh
from scaling.data.info import DataInfo, fingerprint, read_info, write_info

ARRAYS = ("train_inputs", "train_labels", "heldout_inputs", "heldout_labels")


@dataclass(frozen=True)
class ExampleData:
    """Examples to train on and examples held out.

    Images are uint8, ``(n, channels, height, width)``, 0 to 255; texts uint8, ``(n, time)``;
    other inputs are float32, ``(n, features)``, or ``(n, time, features)`` for sequences of
    frames. Labels are int64, ``(n,)``, from 0.
    """

    info: DataInfo
    train_inputs: NDArray[Any]
    train_labels: NDArray[np.int64]
    heldout_inputs: NDArray[Any]
    heldout_labels: NDArray[np.int64]

    def batch(
        self,
        step: int,
        *,
        batch_size: int,
        seed: int,
        rows: slice | NDArray[np.int64] = slice(None),
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Inputs ``(batch_size, *input_shape)`` and labels of training step ``step`` (from 0).

        A function of its arguments alone: any step, and any ``rows`` of it, can be asked for at
        any time.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size {batch_size} must be at least 1")
        order = batch_indices(step, batch_size, len(self.train_labels), seed)
        return self.examples(order[rows])

    def examples(self, numbers: NDArray[np.integer]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Inputs and labels of the training examples of these numbers."""
        chosen = numbers.astype(np.intp)
        # `take` lets other threads run meanwhile; indexing does not for batches below 500.
        return self.train_inputs.take(chosen, axis=0), self.train_labels.take(chosen)


def prepare_examples(
    name: str, home: Path, make: Callable[[], dict[str, NDArray[Any]]], **origin: Any
) -> DataInfo:
    """Make ``home/name`` from the four arrays that ``make()`` returns, or find it made."""
    with building(home, name) as partial:
        if (done := read_info(home / name)) is not None:
            return done
        arrays = make()
        start_afresh(partial)
        files = [partial / f"{key}.npy" for key in ARRAYS]
        for key, path in zip(ARRAYS, files, strict=True):
            np.save(path, arrays[key])
        info = describe_examples(name, arrays, fingerprint({"unit": "example"}, files))
        write_info(partial, info, origin=origin)
        publish(partial, home / name)
    return info


def describe_examples(name: str, arrays: dict[str, NDArray[Any]], digest: str) -> DataInfo:
    """The info of four arrays whose fingerprint is ``digest``."""
    train, heldout = arrays["train_labels"], arrays["heldout_labels"]
    inputs = arrays["train_inputs"]
    is_text = inputs.ndim == 2 and inputs.dtype == np.uint8
    return DataInfo(
        name=name,
        fingerprint=digest,
        unit="example",
        train_size=len(train),
        heldout_size=len(heldout),
        vocab_size=256 if is_text else None,
        num_classes=int(max(train.max(), heldout.max())) + 1,
        input_shape=tuple(inputs.shape[1:]),
        train_documents=len(train),
        heldout_documents=len(heldout),
        dtype=str(inputs.dtype),
    )


def open_examples(folder: Path, info: DataInfo) -> ExampleData:
    """The arrays in ``folder``, memory-mapped."""
    arrays = {}
    for key in ARRAYS:
        try:
            mapped = np.load(folder / f"{key}.npy", mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(
                f"{folder / key}.npy is damaged ({error}): remove the folder, and fetch or prepare "
                "the data again"
            ) from error
        arrays[key] = mapped.view(np.ndarray)
    return ExampleData(info, **arrays)
