"""Rows of stored examples as a model sees them: augmented, resized, standardised (torch)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from scaling.data.batches import ExampleData
from scaling.spec_parts import TrainSpec
from scaling.training.ahead import Ahead
from scaling.training.augment import Draws, augment, draw, to_float
from scaling.training.precision import send

SAMPLE = 1024  # training examples that mean and standard deviation are taken over


@dataclass(frozen=True)
class Batch:
    """Inputs and what they are; with mixup, what else they are and how little.

    The loss of a row is weight x loss(label) + (1 - weight) x loss(other).
    """

    inputs: Tensor
    labels: Tensor
    other: Tensor | None = None
    weight: Tensor | None = None


class Loader:
    """The batches of one run; each a function of the seed, the step and the row alone.

    Parameters
    ----------
    data : ExampleData
    train : TrainSpec
    seed : int
        Of the data's order and augmentation.
    input_shape : sequence of int
        What the model takes: images of another height or width are resized to it (bilinear with
        antialiasing), after augmentation.
    device : torch.device
    threads : int
        Threads that make the batches to come while a step runs; :meth:`close` ends them.

    Raises
    ------
    ValueError
        If the data cannot be given that shape, or cannot be augmented as asked.
    """

    def __init__(
        self,
        data: ExampleData,
        train: TrainSpec,
        seed: int,
        input_shape: tuple[int, ...],
        device: torch.device,
        threads: int = 0,
    ) -> None:
        self.data, self.train, self.seed, self.device = data, train, seed, device
        stored = data.info.input_shape
        self.size = _target(data.info.name, stored, tuple(input_shape))
        if train.augmented and len(stored) != 3:
            raise ValueError(f"{data.info.name} has no images to augment: choose another data set")
        if train.crop_padding and train.crop_padding >= min(stored[1:]):
            raise ValueError(
                f"crop_padding {train.crop_padding} moves all of an image of {stored[1]} x "
                f"{stored[2]} out of sight: choose a smaller one"
            )
        if train.colour_jitter and data.train_inputs.dtype != np.uint8:
            raise ValueError(
                f"colour_jitter is for images of bytes; {data.info.name} has "
                f"{data.train_inputs.dtype}: leave it out"
            )
        self.scale = _mean_and_std(data.train_inputs, device) if train.standardise else None
        self._ahead = Ahead(self._batch, train.num_tokens // train.batch_size, threads)

    def batch(self, step: int, rows: slice = slice(None)) -> Batch:
        """These rows of the batch of training step ``step`` (from 0)."""
        return self._ahead.get(step, rows)

    def close(self) -> None:
        """End the threads."""
        self._ahead.close()

    def _batch(self, step: int, rows: slice) -> Batch:
        size, seed = self.train.batch_size, self.seed
        if not self.train.augmented:
            inputs, labels = self.data.batch(step, batch_size=size, seed=seed, rows=rows)
            return Batch(self.shown(inputs), self._send(labels))
        draws = draw(self.train, seed, step)
        chosen = np.arange(size)[rows]
        if draws.partner is None or draws.weight is None:
            images, labels = self._augmented(step, chosen, draws)
            return Batch(self._shown(images), labels)
        # Each row needed, its own or a partner, is read once.
        needed, place = np.unique(
            np.concatenate([chosen, draws.partner[chosen]]), return_inverse=True
        )
        images, labels = self._augmented(step, needed, draws)
        one, other = torch.from_numpy(place).to(self.device).chunk(2)
        weight = self._send(draws.weight[chosen].astype(np.float32))
        shown = self._shown(images)
        w = weight[:, None, None, None]
        mixed = w * shown[one] + (1 - w) * shown[other]
        return Batch(mixed, labels[one], labels[other], weight)

    def shown(self, stored: NDArray[Any]) -> Tensor:
        """Stored inputs as the model sees them, on its device."""
        return self._shown(self._send(stored))

    def heldout(self, rows: slice) -> Tensor:
        """Held-out inputs, never augmented."""
        copied = np.array(self.data.heldout_inputs[rows])  # torch takes no read-only memory
        return self.shown(copied)

    def _augmented(self, step: int, rows: NDArray[np.int64], draws: Draws) -> tuple[Tensor, Tensor]:
        size = self.train.batch_size
        inputs, labels = self.data.batch(step, batch_size=size, seed=self.seed, rows=rows)
        return augment(self._send(inputs), draws.rows(rows)), self._send(labels)

    def _send(self, values: NDArray[Any]) -> Tensor:
        if values.dtype.kind == "u" and values.itemsize > 1:  # few kernels take these
            values = values.astype(np.int32)
        return send(torch.from_numpy(np.ascontiguousarray(values)), self.device)

    def _shown(self, inputs: Tensor) -> Tensor:
        """Stored or augmented inputs as the model sees them."""
        if self.data.info.vocab_size:  # tokens of texts
            return inputs.long()
        x = to_float(inputs)
        if self.size is not None:
            x = F.interpolate(x, self.size, mode="bilinear", antialias=True, align_corners=False)
        if self.scale is not None:
            x = (x - self.scale[0]) / self.scale[1]
        return x


def _target(name: str, stored: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, int] | None:
    """The height and width to resize to; None where the data fit as they are."""
    if stored == wanted:
        return None
    if len(stored) == len(wanted) == 3 and stored[0] == wanted[0]:
        return wanted[1], wanted[2]
    raise ValueError(
        f"the model takes inputs of {wanted}, data set {name} has {stored}: let the model's "
        "channels and features follow from the data, or choose other data"
    )


def _mean_and_std(inputs: NDArray[Any], device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel (feature), over examples spread evenly over the set."""
    count = min(SAMPLE, len(inputs))
    chosen = (2 * np.arange(count) + 1) * len(inputs) // (2 * count)
    sample = to_float(torch.from_numpy(inputs[chosen])).double()
    axes = [0, *range(2, sample.ndim)]
    mean = sample.mean(axes, keepdim=True)[0]
    std = sample.std(axes, keepdim=True, correction=0)[0]
    std[std == 0] = 1  # a constant feature stays 0
    return mean.float().to(device), std.float().to(device)
