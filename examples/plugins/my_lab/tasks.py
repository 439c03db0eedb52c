"""A task of one's own: regression of the clean wave from the noisy one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


class Smooth:
    """The model sees a wave and gives it without noise; the loss is the mean squared error.

    A task is made of the run's spec, its data and the device. ``epoch_size`` says how many
    examples are seen before one comes again, ``heldout_size`` how many are held out; ``loss`` is a
    function of the step alone, so that a run that was killed goes on with the same batches.
    """

    def __init__(self, spec: Any, data: Any, device: torch.device) -> None:
        self.spec, self.data, self.device = spec, data, device
        self.epoch_size, self.heldout_size = data.info.train_size, data.info.heldout_size

    def loss(self, model: nn.Module, step: int, rows: slice = slice(None)) -> Tensor:
        """The mean training loss of rows of the batch of ``step``."""
        size = self.spec.train.batch_size
        inputs, _ = self.data.batch(step, batch_size=size, seed=self.spec.seed, rows=rows)
        return self._errors(model, torch.from_numpy(inputs)).mean()

    def evaluate(self, model: nn.Module, limit: int, share: Any = None) -> dict[str, float]:
        """The held-out loss, and what else is worth a column."""
        inputs = torch.from_numpy(self.data.heldout_inputs[: limit or None])
        errors = self._errors(model, inputs).double()
        deviation = float(errors.std() / math.sqrt(len(errors)))
        return {
            "loss": float(errors.mean()),
            "loss_se": deviation,
            "worst": float(errors.max()),  # any other number becomes a column
        }

    def close(self) -> None:
        """Nothing runs beside the steps."""

    def _errors(self, model: nn.Module, inputs: Tensor) -> Tensor:
        inputs = inputs.to(self.device)
        smooth = (inputs + inputs.roll(1, 1) + inputs.roll(-1, 1)) / 3
        return (model(inputs) - smooth).square().mean(1)


@dataclass(frozen=True)
class SmootherConfig:
    """``input_shape`` comes from the data."""

    width: int = 16
    input_shape: tuple[int, ...] = (16,)


class Smoother(nn.Module):
    """A perceptron from waves to waves; its configuration is in the annotation."""

    unit = "example"

    def __init__(self, config: SmootherConfig) -> None:
        super().__init__()
        size = config.input_shape[0]
        self.layers = nn.Sequential(
            nn.Linear(size, config.width), nn.GELU(), nn.Linear(config.width, size)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Waves ``(batch, size)`` to the same."""
        return self.layers(inputs)
