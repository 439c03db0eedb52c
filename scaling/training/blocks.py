"""The repeated blocks of a model: what is compiled, recomputed or sharded one block at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from scaling.spec import RunSpec
from scaling.training.team import Team


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """The members of the model's lists and sequences that have weights, in order."""
    lists = [
        child for child in model.children() if isinstance(child, nn.ModuleList | nn.Sequential)
    ]
    return [block for each in lists for block in each if any(True for _ in block.parameters())]


def can_recompute(block: nn.Module) -> bool:
    """Whether a second forward pass changes nothing: batch norm would count its batch twice."""
    return not any(isinstance(module, _BatchNorm) for module in block.modules())


def recompute(blocks: list[nn.Module]) -> None:
    """Keep a block's input alone for the backward pass, which computes the rest again.

    Gradients are the same bits, dropout included (Chen et al. 2016, arXiv 1604.06174).
    """
    for block in blocks:
        inner: Any = block.forward

        def forward(*args: Any, inner: Any = inner, **kwargs: Any) -> Any:
            return checkpoint(inner, *args, use_reentrant=False, **kwargs)

        block.forward = forward


def shard(model: nn.Module, spec: RunSpec, team: Team, device: torch.device) -> None:
    """Shard each block, then what is left; a block's weights are whole only while it computes.

    Where products are in bfloat16, blocks that can be travel in it; their gradients are summed in
    float32. What lies outside the blocks, and the signal between them, is as autocast has it.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(device.type, (team.size,))
    policy = MixedPrecisionPolicy()
    if spec.train.precision == "bfloat16" and getattr(model, "blocks_in_bfloat16", False):
        policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    for block in blocks_of(model):
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh)


def give_weights(model: nn.Module, source: nn.Module | None, device: torch.device) -> None:
    """Fill a sharded model that lies on the meta device with rank 0's ``source``.

    Each rank gets its part of one parameter after another, and the buffers, also those that no
    checkpoint has; only rank 0 ever holds the whole model.
    """
    import torch.distributed as dist
    from torch.distributed.tensor import DTensor, distribute_tensor

    model.to_empty(device=device)
    given = {} if source is None else dict(source.named_parameters())
    buffers = {} if source is None else dict(source.named_buffers())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            whole = given[name].to(device) if given else torch.empty(parameter.shape, device=device)
            assert isinstance(parameter.data, DTensor)
            part = distribute_tensor(whole, parameter.device_mesh, parameter.placements)
            parameter.to_local().copy_(part.to_local())
        for name, buffer in model.named_buffers():
            if buffers:
                buffer.copy_(buffers[name])
            dist.broadcast(buffer, src=0)
