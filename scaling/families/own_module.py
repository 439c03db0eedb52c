"""Counts of any module, from the module itself on torch's meta device: nothing is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from scaling.base import Cost

if TYPE_CHECKING:
    from scaling.families.own import TorchFamily

PRODUCTS = (nn.Linear, nn.modules.conv._ConvNd)


def count(family: TorchFamily, config: Any) -> Cost:
    """Parameters exactly; FLOPs of a forward pass by torch's counter of matrix products.

    Activations are the outputs of linear and convolution layers. Kaplan's and Chinchilla's FLOPs,
    which are of transformers, are the exact count.

    Raises
    ------
    ValueError
        If the module cannot be built or called on the meta device.
    """
    outputs = 0

    def add(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal outputs
        outputs += output.numel()

    shape, unit = family.input_shape(config), family.unit
    kind = torch.long if unit == "token" else torch.float32
    try:
        with torch.device("meta"):
            model = family.build(config)
            for module in model.modules():
                if isinstance(module, PRODUCTS):
                    module.register_forward_hook(add)
            model.eval()
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                model(torch.zeros((1, *shape), dtype=kind))
    except Exception as error:
        raise ValueError(
            f"{family.name} cannot be counted on the meta device "
            f"({type(error).__name__}: {error}): give the module a cost(config)"
        ) from error
    units = family.units_per_item(config)
    macs = round(counter.get_total_flops() / (2 * units))
    params = {id(p): p for p in model.parameters() if p.requires_grad}
    total = sum(p.numel() for p in params.values())
    tables = {id(m.weight): m.weight for m in model.modules() if isinstance(m, nn.Embedding)}
    heads = {
        id(m.weight): m.weight
        for m in model.modules()
        if unit == "token" and isinstance(m, nn.Linear) and m.out_features == config.vocab_size
    }
    embedding = sum(w.numel() for key, w in (tables | heads).items() if key in params)
    matrices = sum(p.numel() for key, p in params.items() if p.ndim >= 2 and key not in tables)
    tied = sum(w.numel() for key, w in tables.items() if key in heads)
    head = sum(w.numel() for key, w in heads.items() if key not in tables)
    return Cost(
        unit=unit,
        num_params=total,
        num_params_block=matrices - head,
        num_params_matmul=matrices + tied,
        num_params_non_embedding=total - embedding,
        macs_forward=macs,
        activations=round(outputs / units),
        flops_kaplan=6 * macs,
        flops_chinchilla=6 * macs,
    )
