"""One model over the processes of a team, and a batch over its micro-batches.

Whatever the number of processes and the size of a micro-batch, the gradient is that of the mean
loss over the whole global batch: each part's mean counts with its share of the rows, also where
these do not divide evenly.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from scaling.base import how_compiled, note, training_memory
from scaling.spec import RunSpec
from scaling.training.blocks import blocks_of, can_recompute, give_weights, recompute, shard
from scaling.training.fitting import Fit, fit
from scaling.training.precision import arithmetic
from scaling.training.replay import Replay
from scaling.training.task import Task
from scaling.training.team import Team

MEMORY_SHARE = 0.8  # of a GPU that the training state may take before it is sharded
REPLAY_STEPS = 30  # recording takes the time of a few


@dataclass(frozen=True)
class Layout:
    """How a run is computed; no part of what it is.

    Attributes
    ----------
    micro_batch : int
        Most rows of one forward pass; 0 for all that a rank has, on CUDA for as many as fit.
    shard : {"auto", "ddp", "fsdp"}
        ``ddp``: every rank holds the whole state. ``fsdp``: each holds a part of every matrix
        (FSDP2). ``auto``: ``fsdp`` where the state would take over 80 % of the GPU.
    compile : {"auto", "always", "blocks", "never"}
        ``torch.compile`` of the whole model, or of each block where it is sharded or that is asked
        for: equal blocks are compiled once. ``auto`` does so on CUDA where the run takes minutes, a
        deep model's block by block unless it takes hours. Where it does not and one pass takes the
        whole batch, it replays the model's passes as CUDA graphs, which ``never`` does not either.
    """

    micro_batch: int = 0
    shard: str = "auto"
    compile: str = "auto"


class Spread:
    """A model laid over a team.

    Parameters
    ----------
    build : callable
        Makes the model on the CPU, with the same weights on every rank. Where it is sharded rank 0
        alone has them, and gives the others their parts.
    layout : Layout

    Attributes
    ----------
    model : Module
        The model itself; its parameters are what the optimiser gets.
    fit : Fit
        Rows of one forward pass, and how many blocks are computed again in the backward pass.

    Raises
    ------
    ValueError
        If the model has batch norm, whose statistics the split would change.
    """

    def __init__(
        self,
        build: Callable[[], nn.Module],
        spec: RunSpec,
        team: Team,
        device: torch.device,
        layout: Layout,
    ) -> None:
        self.team, self.spec = team, spec
        self.batch_size = spec.train.batch_size
        most = max(len(team.rows(self.batch_size, rank)) for rank in range(team.size))
        self.sharded = team.size > 1 and (
            layout.shard == "fsdp" or (layout.shard == "auto" and _is_too_large(spec, device))
        )
        model, source = _on_meta(build, team) if self.sharded else (build(), None)
        self.fit = Fit(min(layout.micro_batch or most, most))
        if device.type == "cuda" and not layout.micro_batch and not _has_batch_norm(model):
            self.fit = _fit(spec, most, team, self.sharded, device)
        self.parts = -(-most // self.fit.rows)
        model = self._with_exact_norms(model, device)
        again = [block for block in blocks_of(model) if can_recompute(block)]
        recompute(again[: self.fit.recomputed])
        how = _compiles(layout.compile, spec, team, device)
        self.compiled = bool(how)
        if self.compiled:
            # Or a worker's later runs of other shapes count as one model's, of which torch compiles
            # eight and then no more.
            torch.compiler.reset()
        by_block = how == "blocks" or (self.compiled and self.sharded)
        if by_block:
            for block in blocks_of(model):
                block.compile(dynamic=False)
        if self.sharded:
            shard(model, spec, team, device)
            if _is_on_meta(model):
                give_weights(model, source, device)
        self.model = model.to(device)
        if self.compiled and not by_block:
            self.model.compile(dynamic=False)
        self.forward: Any = self.model
        self.replayed = layout.compile == "auto" and self._can_replay(device)
        if self.replayed:
            self.forward = Replay(self.model, spec, most, device)
        if team.size > 1 and not self.sharded:
            devices = [device.index] if device.type == "cuda" else None
            self.forward = nn.parallel.DistributedDataParallel(
                self.model, device_ids=devices, gradient_as_bucket_view=True
            )

    def not_compiled(self) -> AbstractContextManager[Any]:
        """For batches of other shapes than a step's, each of which would be compiled again."""
        if not self.compiled:  # what it imports takes seconds
            return contextlib.nullcontext()
        stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
        return stance

    def told(self) -> dict[str, Any]:
        """What the journal says of it: what is not the plain way."""
        parts = {"micro_batch": self.fit.rows} if self.parts > 1 else {}
        again = {"recomputed_blocks": self.fit.recomputed} if self.fit.recomputed else {}
        how = {"compiled": self.compiled, "replayed": self.replayed}
        return {**parts, **again, **{name: True for name, done in how.items() if done}}

    def _can_replay(self, device: torch.device) -> bool:
        return (
            device.type == "cuda"
            and self.team.size == self.parts == 1
            and not self.compiled
            and not self.fit.recomputed
            and not self.spec.train.task
            and self.spec.num_steps >= REPLAY_STEPS
            and getattr(self.model, "can_replay", False)
        )

    def _with_exact_norms(self, model: nn.Module, device: torch.device) -> nn.Module:
        if not _has_batch_norm(model):
            return model
        if self.parts > 1:
            raise ValueError(
                f"batch norm takes its statistics over the whole batch of {self.batch_size}; in "
                f"{self.parts} micro-batches the result would be another: leave micro_batch out, "
                "use more processes, or choose another norm"
            )
        if self.team.size > 1:
            if device.type != "cuda" or self.batch_size < self.team.size:
                raise ValueError(
                    f"batch norm over {self.team.size} processes needs GPUs and a batch of at "
                    f"least as many rows (it has {self.batch_size}, on {device.type}): use one "
                    "process, or choose another norm"
                )
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return model

    def backward(self, task: Task, step: int) -> Tensor:
        """Add the gradient of the global batch of ``step``; its mean loss, on every rank.

        Where one process has too little memory after all, it goes on with half the rows at a time.
        """
        while True:
            try:
                return self._backward(task, step)
            except torch.OutOfMemoryError:
                if self.team.size > 1 or self.fit.rows == 1 or _has_batch_norm(self.model):
                    raise
            self.forward, self.replayed = self.model, False
            self.fit = replace(self.fit, rows=-(-self.fit.rows // 2))
            self.parts = -(-self.batch_size // self.fit.rows)
            self.model.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
            note(f"out of memory: {self.fit.rows} of {self.batch_size} rows at a time from here on")

    def _backward(self, task: Task, step: int) -> Tensor:
        if self.team.size == 1 and self.parts == 1:
            loss = task.loss(self.forward, step)
            if not self.replayed:
                loss.backward()
            return loss.detach()
        if self.team.place.rank:
            # Rank 0 goes on with the run's own stream; what the others draw (dropout) follows
            # from the step, so that it needs no place in a checkpoint.
            torch.manual_seed(_seed_of(self.spec.seed, self.team.place.rank, step))
        total: Any = 0.0
        mine = self.team.rows(self.batch_size)
        for part in range(self.parts):
            low, high = (mine.start + len(mine) * k // self.parts for k in (part, part + 1))
            # Every rank does as many passes, so one without rows left does one that counts 0.
            rows = slice(low, high) if high > low else slice(0, 1)
            with self._gathering(last=part == self.parts - 1):
                loss = task.loss(self.forward, step, rows) * ((high - low) / self.batch_size)
                # DDP and FSDP take the mean over the ranks.
                (loss * self.team.size).backward()
            total = total + loss.detach()
        return self.team.total(total)

    def _gathering(self, *, last: bool) -> AbstractContextManager[Any]:
        """Exchange gradients only after the last part."""
        if self.sharded:
            self.model.set_requires_gradient_sync(last)
        elif self.team.size > 1 and not last:
            context: AbstractContextManager[Any] = self.forward.no_sync()
            return context
        return contextlib.nullcontext()

    def weights(self) -> dict[str, Tensor]:
        """The model's state as one process would have it, whole on rank 0; needs every rank."""
        return self._as_one(self.model.state_dict())

    def state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Weights and optimiser as one process would have them; needs every rank."""
        return {"model": self.weights(), "optimizer": self._as_one(optimizer.state_dict())}

    def references(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """The same as this rank has it: what the next step changes, in parts where sharded."""
        return {"model": self.model.state_dict(), "optimizer": optimizer.state_dict()}

    def _as_one(self, state: dict[str, Any]) -> dict[str, Any]:
        return _whole(state, self.team.leads) if self.sharded else state

    def load(self, state: dict[str, Any], optimizer: torch.optim.Optimizer) -> None:
        """Take over what :meth:`state` gave, under whatever number of processes."""
        if self.sharded:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            weights = self.model.state_dict()
            state = {
                "model": {k: _part_of(v, weights[k]) for k, v in state["model"].items()},
                "optimizer": {
                    **state["optimizer"],
                    "state": {
                        i: {k: _part_of(v, parameters[i]) for k, v in values.items()}
                        for i, values in state["optimizer"]["state"].items()
                    },
                },
            }
        self.model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])


def _seed_of(seed: int, rank: int, step: int) -> int:
    """A rank's seed at a step, of 63 bits: a hash where the numbers side by side have more."""
    together = (seed << 40) + (rank << 28) + step
    if together < 1 << 63:
        return together
    digest = hashlib.sha256(f"{seed} {rank} {step}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _is_too_large(spec: RunSpec, device: torch.device) -> bool:
    """Whether weights, gradients and Adam's moments leave a GPU too little for activations."""
    if device.type != "cuda":
        return False
    room: int = torch.cuda.get_device_properties(device).total_memory
    return training_memory(spec.cost, 0) > MEMORY_SHARE * room


def _has_batch_norm(model: nn.Module) -> bool:
    return any(isinstance(module, _BatchNorm) for module in model.modules())


def _fit(spec: RunSpec, most: int, team: Team, sharded: bool, device: torch.device) -> Fit:
    """The largest pass that fits on every rank; all rows where a user's task has the data."""
    if spec.train.task:
        return Fit(most)
    processes = team.size if sharded else 1
    fits = team.share(lambda _: fit(spec, most, processes, device), range(team.size))
    return Fit(min(one.rows for one in fits), max(one.recomputed for one in fits))


def _compiles(asked: str, spec: RunSpec, team: Team, device: torch.device) -> str:
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    how = arithmetic(spec, device)
    return how_compiled(asked, spec.flops, card, how, team.size, spec.equal_blocks)


def _on_meta(build: Callable[[], nn.Module], team: Team) -> tuple[nn.Module, nn.Module | None]:
    """The model without content, and on rank 0 one with; on each rank a whole one if weights are
    shared, which would come apart.
    """
    with torch.device("meta"):
        model = build()
    every = list(model.named_parameters(remove_duplicate=False))
    if len(every) > len(list(model.parameters())):
        return build(), None
    return model, build() if team.leads else None


def _is_on_meta(model: nn.Module) -> bool:
    return any(parameter.is_meta for parameter in model.parameters())


def _whole(value: Any, keep: bool) -> Any:
    """Nested values with sharded tensors made whole, on the CPU of the rank that keeps them."""
    from torch.distributed.tensor import DTensor

    if isinstance(value, dict):
        return {k: _whole(v, keep) for k, v in value.items()}
    if isinstance(value, list):
        return [_whole(v, keep) for v in value]
    if isinstance(value, DTensor):
        whole = value.full_tensor()
        return whole.cpu() if keep else None
    return value


def _part_of(value: Any, like: Any) -> Any:
    """This rank's part of a whole tensor, if it is of the shape of a sharded parameter."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(value, Tensor) or not isinstance(like, DTensor) or value.shape != like.shape:
        return value
    # Every rank has read the same file: each takes its part, nothing is sent.
    return distribute_tensor(
        value.to(like.device), like.device_mesh, like.placements, src_data_rank=None
    )
