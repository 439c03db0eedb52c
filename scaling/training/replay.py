"""A model's passes as CUDA graphs: a small model's hundreds of kernels are launched at once.

Launching them one by one takes longer than computing them: 3 ms a layer where that is slow.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from scaling.families import get_family
from scaling.spec import RunSpec
from scaling.training.precision import autocast


class Replay:
    """``model(inputs, targets)``, its mean loss, and the backward pass, recorded once.

    Kernels and their order are those of the model itself. Inputs are copied to where the graphs
    read them, and gradients lie where they write them, so one pass has to be used up before the
    next. The model's own ``forward`` is as before.

    Parameters
    ----------
    model : Module
        On CUDA; says by ``can_replay`` that no step differs from another but in its numbers.
    rows : int
        Sequences of each batch.

    Attributes
    ----------
    module : Module
        The model.
    """

    def __init__(self, model: nn.Module, spec: RunSpec, rows: int, device: torch.device) -> None:
        self.module = model
        shape = (rows, *get_family(spec.family).input_shape(spec.model))
        sample = tuple(torch.zeros(shape, dtype=torch.long, device=device) for _ in range(2))
        stream = torch.cuda.get_rng_state(device)
        with autocast(spec, device, cached=False):
            self._passes: Any = torch.cuda.make_graphed_callables(
                _Loss(model, spec.train.label_smoothing), sample
            )
        torch.cuda.set_rng_state(stream, device)

    def __call__(self, inputs: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        """The loss; ``smoothing`` is the spec's."""
        loss: Tensor = self._passes(inputs, targets)
        return loss


class _Loss(nn.Module):
    def __init__(self, model: nn.Module, smoothing: float) -> None:
        super().__init__()
        self.model, self.smoothing = model, smoothing

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a batch."""
        loss: Tensor = self.model(inputs, targets, self.smoothing)
        return loss
