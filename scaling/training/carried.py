"""Next tokens by a model that goes on from the state in which the window before left it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.data.batches import lane_starts, lane_steps
from scaling.spec import RunSpec
from scaling.training.precision import autocast
from scaling.training.task import ALL, NextToken

State = tuple[Tensor, ...]


class CarriedTokens(NextToken):
    """Truncated back-propagation: the state goes on from step to step, gradients do not.

    Each row of a batch has a lane of the stream. Held-out windows begin with no state, as those of
    all models.

    Attributes
    ----------
    carried : tuple of Tensor
        What the last step left, each part ``(batch_size, size)``: part of a checkpoint. Empty
        before the first one.
    """

    def __init__(self, spec: RunSpec, data: Any, device: torch.device) -> None:
        super().__init__(spec, data, device)
        self.carried: State = ()
        self._before: State = ()
        self._step = -1
        length = lane_steps(len(data.train), self.context, spec.train.batch_size)
        self.epoch_size = length * spec.units_per_step

    def loss(self, model: nn.Module, step: int, rows: slice = ALL) -> Tensor:
        """The mean training loss of rows of the batch of ``step``."""
        if step != self._step:  # once a step, in however many parts it is computed
            self._before, self._step = self._start(model, step), step
            self.carried = tuple(torch.empty_like(part) for part in self._before)
        tokens = self._ahead.get(step, rows)
        module: Any = getattr(model, "module", model)
        with autocast(self.spec, self.device):
            logits, after = module.carry(tokens[:, :-1], tuple(part[rows] for part in self._before))
        for part, new in zip(self.carried, after, strict=True):
            part[rows] = new.detach()
        return F.cross_entropy(
            logits.float().flatten(0, 1),
            tokens[:, 1:].flatten(),
            label_smoothing=self.spec.train.label_smoothing,
        )

    def _start(self, model: nn.Module, step: int) -> State:
        """The state before a step: what the one before left, zeros where lanes begin."""
        size = self.spec.train.batch_size
        _, fresh = lane_starts(
            step,
            num_tokens=len(self.data.train),
            context=self.context,
            batch_size=size,
            seed=self.spec.order_seed,
        )
        if fresh:
            start: State = getattr(model, "module", model).start(size)
            return start
        assert self.carried, f"step {step} goes on from a state that is not here"
        return tuple(part.to(self.device) for part in self.carried)
