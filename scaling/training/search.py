"""The search for a cell by gradients (DARTS, Liu et al. 2019, arXiv 1806.09055), as a task."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from scaling.schedule import lr_factor
from scaling.schema import FOUND_PREFIX, eval_column
from scaling.spec import RunSpec
from scaling.training.loader import Batch
from scaling.training.task import ALL, Classify, Share, alone

EPSILON = 0.01  # a finite difference moves the weights by this in norm: footnote 2 of the paper


class Search(Classify):
    """Weights learn from every second training example, alphas from the others, in turns."""

    def __init__(self, spec: RunSpec, data: Any, device: torch.device) -> None:
        halves = [
            {name: getattr(data, name)[i::2] for name in ("train_inputs", "train_labels")}
            for i in (0, 1)
        ]
        super().__init__(spec, replace(data, **halves[0]), device)
        kept = {"heldout" + name[5:]: values for name, values in halves[1].items()}
        self.validation = Classify(spec, replace(data, **halves[1], **kept), device)
        self.validation.loader.scale = self.loader.scale

    def loss(self, model: nn.Module, step: int, rows: slice = ALL) -> Tensor:
        """The mean training loss of the batch of ``step``, after a step of the alphas."""
        if rows != ALL:
            raise ValueError("a search is of whole batches: use one GPU a run, and no micro_batch")
        batch = self.loader.batch(step)
        other = self.validation.loader.batch(step)
        spec = self.spec
        factor = lr_factor(spec.schedule, step, spec.num_steps, spec.units_per_step)
        with _frozen_norms(model), _asking(model.alphas):
            if spec.model.order == 1:
                gradient = self._gradient(model, other, [model.alphas])[0]
            else:
                gradient = self.second_order(model, batch, other, spec.optim.lr * factor)
        model.update_alphas(gradient)
        return self.batch_loss(model, batch)

    def second_order(
        self, model: nn.Module, batch: Batch, other: Batch, lr: float, epsilon: float = EPSILON
    ) -> Tensor:
        """The gradient of the alphas through one step of the weights: eqs. 6 to 8 of the paper.

        d L(w', a) / da - lr (dL(w+, a) / da - dL(w-, a) / da) / (2 e), where w' = w - lr dL(w, a) /
        dw, L is of ``batch`` but the first of ``other``, and w+ and w- are e dL(w', a) / dw' away
        from w. The step is plain: without momentum and decay.
        """
        weights = list(model.parameters())
        kept = [w.detach().clone() for w in weights]
        try:
            _move(weights, kept, self._gradient(model, batch, weights), -lr)
            first, *slope = self._gradient(model, other, [model.alphas, *weights])
            e = epsilon / float(torch.linalg.vector_norm(torch.stack([g.norm() for g in slope])))
            ends = []
            for sign in (1, -1):
                _move(weights, kept, slope, sign * e)
                ends.append(self._gradient(model, batch, [model.alphas])[0])
        finally:
            _move(weights, kept, kept, 0.0)
        return first - lr * (ends[0] - ends[1]) / (2 * e)

    def _gradient(self, model: nn.Module, batch: Batch, of: list[Tensor]) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = torch.autograd.grad(self.batch_loss(model, batch), of)
        return found

    def evaluate(self, model: nn.Module, limit: int, share: Share = alone) -> dict[str, float]:
        """As any classifier's; on examples that the alphas learn from; the alphas' entropy."""
        values = super().evaluate(model, limit, share)
        seen = self.validation.evaluate(model, limit or self.heldout_size, share)
        more = {eval_column("validation", name): seen[name] for name in ("loss", "error")}
        return {**values, **more, eval_column("alphas", "entropy"): model.entropy()}

    def found(self, model: nn.Module) -> dict[str, str]:
        """What the end of the run says: the cell, as options of the family ``darts``."""
        return {f"{FOUND_PREFIX}{kind}": cell for kind, cell in model.cells().items()}

    def close(self) -> None:
        """End the threads that make batches."""
        super().close()
        self.validation.close()


@torch.no_grad()  # type: ignore[untyped-decorator]
def _move(weights: list[Tensor], start: list[Tensor], along: Any, length: float) -> None:
    """Put the weights at ``start + length * along``."""
    for weight, at, direction in zip(weights, start, along, strict=True):
        weight.copy_(at + length * direction if length else at)


@contextlib.contextmanager
def _asking(alphas: Tensor) -> Iterator[None]:
    """The alphas ask for a gradient."""
    alphas.requires_grad_(True)
    try:
        yield
    finally:
        alphas.requires_grad_(False)


@contextlib.contextmanager
def _frozen_norms(model: nn.Module) -> Iterator[None]:
    """Batch norms normalise by their batch and keep no account of it."""
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
