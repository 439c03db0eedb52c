"""A worker's steps and evaluations of a model on made-up data, to be timed or weighed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from scaling import RunSpec
from scaling.families import get_family

# Held-out tokens (examples) of a forward pass, and of a timed one.
CHUNK = {"cpu": {"token": 2048, "example": 64}, "cuda": {"token": 65536, "example": 2048}}
TIMED_CHUNK = {"cpu": {"token": 512, "example": 64}, "cuda": {"token": 16384, "example": 2048}}


@dataclass(frozen=True)
class Work:
    """What a worker does with a model, as a run does it.

    Attributes
    ----------
    step, evaluate : callable
        An optimiser step; a chunk of an evaluation.
    state : callable
        Weights and optimiser as a checkpoint has them.
    """

    step: Callable[[], None]
    evaluate: Callable[[], None]
    state: Callable[[], dict[str, Any]]


def device_name() -> str:
    """``cuda`` where torch sees a GPU, else ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def card_name() -> str:
    """The GPU's name; empty without one."""
    import torch

    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else ""


def measure(spec: RunSpec, seconds: float = 0.06, *, compiled: bool = False) -> tuple[float, float]:
    """Seconds of a training step and of a chunk of an evaluation, on made-up data.

    As a run does them, by one thread on a CPU; each is the median over ``seconds``. Evaluations
    are not compiled.
    """
    kind = device_name()
    with as_a_worker():
        chunk = TIMED_CHUNK[kind][get_family(spec.family).unit]
        work = work_of(spec, kind, chunk, compiled=compiled)
        return _time(kind, work.step, seconds), _time(kind, work.evaluate, seconds / 2)


def work_of(spec: RunSpec, kind: str, chunk: int, *, compiled: bool = False) -> Work:
    """The work of a run like ``spec`` on a ``kind`` of device.

    Evaluations go by ``chunk`` tokens (examples).
    """
    import torch

    from scaling.training import Replay, make_optimizer, set_arithmetic

    family, device = get_family(spec.family), torch.device(kind)
    items = max(1, chunk // family.units_per_item(spec.model))
    set_arithmetic(device)
    model = family.build(spec.model).to(device)
    forward: Any = model
    if compiled:
        torch.compiler.reset()
        forward = torch.compile(model, dynamic=False)
    on_cuda = device.type == "cuda"
    asks_loss = on_cuda and getattr(model, "takes_targets", False) and not spec.train.task
    optimizer = make_optimizer(spec, model)
    random = torch.Generator().manual_seed(0)
    shape = tuple(family.input_shape(spec.model))

    def batch(size: int) -> tuple[Any, Any]:
        if words := getattr(spec.model, "vocab_size", 0):
            inputs = torch.randint(0, words, (size, *shape), generator=random)
        else:
            inputs = torch.rand(size, *shape, generator=random)
        if family.unit == "token":
            return inputs.to(device), inputs.to(device)
        return inputs.to(device), torch.zeros(size, dtype=torch.long, device=device)

    def losses(inputs: Any, targets: Any) -> Any:
        with torch.autocast(
            device.type, torch.bfloat16, enabled=spec.train.precision == "bfloat16"
        ):
            training = torch.is_grad_enabled()
            through = forward if training else model
            if asks_loss:
                return through(inputs, targets, mean=training)
            outputs = through(inputs)
        outputs = outputs.float()
        if spec.train.task:  # what a user's task asks of them is not known
            return outputs.square()
        return torch.nn.functional.cross_entropy(
            outputs.flatten(0, -2), targets.flatten(), reduction="none"
        )

    trained, held_out = batch(spec.train.batch_size), batch(items)

    replayed = None
    if asks_loss and not compiled and getattr(model, "can_replay", False):
        replayed = Replay(model, spec, spec.train.batch_size, device)

    def step() -> None:
        loss = losses(*trained).mean() if replayed is None else replayed(*trained, 0.0)
        if replayed is None:
            loss.backward()
        if spec.optim.grad_clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), spec.optim.grad_clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if not on_cuda:
            loss.item()

    def evaluate() -> None:
        with torch.no_grad():
            losses(*held_out).double().cpu()

    def state() -> dict[str, Any]:
        return {"model": model.state_dict(), "optimizer": optimizer.state_dict()}

    return Work(step, evaluate, state)


@contextlib.contextmanager
def as_a_worker() -> Iterator[None]:
    """One thread, as workers have; torch's own settings are put back."""
    import torch

    threads, random = torch.get_num_threads(), torch.random.get_rng_state()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.random.set_rng_state(random)


def _time(kind: str, step: Callable[[], Any], seconds: float) -> float:
    """Seconds a step: the median of those that fit in ``seconds``, after one to warm up.

    On a CPU of processor time: what else runs now says nothing about when the sweep will run.
    """
    import torch

    clock = time.process_time if kind == "cpu" else time.perf_counter
    times: list[float] = []
    on_cuda = kind == "cuda"
    together = 5 if on_cuda else 1  # nothing waits for a GPU after each step
    step()
    began = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - began < seconds:
        if on_cuda:
            torch.cuda.synchronize()
        start = clock()
        for _ in range(together):
            step()
        if on_cuda:
            torch.cuda.synchronize()
        times.append((clock() - start) / together)
    return median(times)
