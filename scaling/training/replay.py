"""Computations recorded as CUDA graphs: hundreds of small kernels are launched at once.

Launching them one by one takes longer than computing them: 2 to 3 ms a layer on a slow host.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from scaling.families import get_family
from scaling.spec import RunSpec
from scaling.training.precision import autocast

WARM_UP = 3  # times before the recording, in which libraries choose and load their kernels


class Recorded:
    """``compute(*inputs)`` on CUDA, recorded once and replayed with other values.

    Kernels and their order are those of ``compute``, which may look at no tensor's value. Whatever
    else it reads has to stay where it is; what comes out lies where the next call writes.

    Parameters
    ----------
    compute : callable
    inputs : sequence of Tensor
        Of the shapes of all inputs to come.
    """

    def __init__(self, compute: Callable[..., Sequence[Tensor]], inputs: Sequence[Tensor]) -> None:
        self._inputs = [value.clone() for value in inputs]
        self._graph = torch.cuda.CUDAGraph()
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                compute(*self._inputs)
        here.wait_stream(aside)
        gc.collect()  # another recording that is freed meanwhile would end this one
        collects = gc.isenabled()
        gc.disable()
        try:
            with torch.cuda.graph(self._graph):
                self._outputs = tuple(compute(*self._inputs))
        finally:
            if collects:
                gc.enable()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What ``compute`` gives."""
        for mine, given in zip(self._inputs, inputs, strict=True):
            mine.copy_(given, non_blocking=True)
        self._graph.replay()
        return self._outputs


class Replay:
    """``model(inputs, targets, smoothing)``, its mean loss; with it, the parameters' gradients.

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
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        shape = (rows, *get_family(spec.family).input_shape(spec.model))
        sample = [torch.zeros(shape, dtype=torch.long, device=device) for _ in range(2)]

        def compute(inputs: Tensor, targets: Tensor) -> Sequence[Tensor]:
            with autocast(spec, device, cached=False):
                loss = model(inputs, targets, spec.train.label_smoothing)
            return loss.detach(), *torch.autograd.grad(loss, self._parameters)

        random = torch.cuda.get_rng_state(device)
        self._passes = Recorded(compute, sample)
        torch.cuda.set_rng_state(random, device)

    def __call__(self, inputs: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        """The loss; the parameters have its gradient and no other. ``smoothing`` is the spec's."""
        loss, *gradients = self._passes(inputs, targets)
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        return loss
