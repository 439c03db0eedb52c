"""One model over the processes of a team, and a batch over its micro-batches.

Whatever the number of processes and the size of a micro-batch, the gradient is that of the mean
loss over the whole global batch: each part's mean counts with its share of the rows, also where
these do not divide evenly.
"""

from __future__ import annotations

import contextlib
import hashlib
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from scaling.base import training_memory
from scaling.spec import RunSpec
from scaling.training.task import Task
from scaling.training.team import Team

MEMORY_SHARE = 0.8  # of a GPU that the training state may take before it is sharded
SHARDS = ("auto", "ddp", "fsdp")


class Spread:
    """A model laid over a team.

    Parameters
    ----------
    model : Module
        On the CPU, with the same weights on every rank.
    micro_batch : int
        Most rows of one forward pass; 0 for all that the rank has.
    shard : {"auto", "ddp", "fsdp"}
        ``ddp``: every rank holds the whole state. ``fsdp``: each holds a part of every matrix
        (FSDP2). ``auto``: ``fsdp`` where the state would take over 80 % of the GPU.

    Attributes
    ----------
    model : Module
        The model itself; its parameters are what the optimiser gets.

    Raises
    ------
    ValueError
        If the model has batch norm, whose statistics the split would change.
    """

    def __init__(
        self,
        model: nn.Module,
        spec: RunSpec,
        team: Team,
        device: torch.device,
        micro_batch: int = 0,
        shard: str = "auto",
    ) -> None:
        self.team, self.seed = team, spec.seed
        self.batch_size = spec.train.batch_size
        most = max(len(team.rows(self.batch_size, rank)) for rank in range(team.size))
        self.parts = -(-most // min(micro_batch or most, most))
        model = self._with_exact_norms(model, device)
        self.sharded = team.size > 1 and (
            shard == "fsdp" or (shard == "auto" and _is_too_large(spec, device))
        )
        if self.sharded:
            _shard(model, team, device)
        self.model = model.to(device)
        self.forward = self.model
        if team.size > 1 and not self.sharded:
            devices = [device.index] if device.type == "cuda" else None
            self.forward = nn.parallel.DistributedDataParallel(self.model, device_ids=devices)

    def _with_exact_norms(self, model: nn.Module, device: torch.device) -> nn.Module:
        if not any(isinstance(module, _BatchNorm) for module in model.modules()):
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
        """Add the gradient of the global batch of ``step``; its mean loss, on every rank."""
        if self.team.size == 1 and self.parts == 1:
            loss = task.loss(self.model, step)
            loss.backward()
            return loss.detach()
        if self.team.place.rank:
            # Rank 0 goes on with the run's own stream; what the others draw (dropout) follows
            # from the step, so that it needs no place in a checkpoint.
            torch.manual_seed(_seed_of(self.seed, self.team.place.rank, step))
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


def _shard(model: nn.Module, team: Team, device: torch.device) -> None:
    """Shard each block, then what is left; a block's weights are whole only while it computes."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (team.size,))
    for child in model.children():
        if isinstance(child, nn.ModuleList | nn.Sequential):
            for block in child:
                if any(True for _ in block.parameters()):
                    fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


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
