"""What torch itself counts in the built module of a vision family, on the meta device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode


@dataclass
class Built:
    """Counts per example: ``macs`` without biases, outputs of products, outputs with a bias.

    ``macs_backward`` are those of the products that torch forms in the backward pass.
    """

    num_params: int
    macs: int
    macs_backward: int
    activations: int
    biases: int
    output_shape: tuple[int, ...]


class _Products(TorchDispatchMode):
    """Adds up the outputs of products and window poolings, and those that have a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs = self.biases = 0

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = op(*args, **(kwargs or {}))
        name = op._schema.name.removeprefix("aten::")
        if name in ("convolution", "addmm", "mm", "bmm"):
            self.outputs += out.numel()
            if name == "addmm" or (name == "convolution" and args[2] is not None):
                self.biases += out.numel()
        elif name in ("avg_pool2d", "max_pool2d_with_indices"):
            self.outputs += (out[0] if isinstance(out, tuple) else out).numel()
        elif name.startswith("_scaled_dot_product"):
            batch, heads, tokens, width = args[0].shape
            self.outputs += batch * heads * tokens * (tokens + width)
        return out


class _Backward(TorchDispatchMode):
    """Adds up MACs of the gradients of convolutions (torch's counter forgets their groups)."""

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if op._schema.name == "aten::convolution_backward":
            outputs, inputs, weight = args[:3]
            asked = sum(args[10][:2])  # the input's gradient, the weight's
            times = inputs if args[7] else outputs  # of a transposed one, each input meets a kernel
            self.macs += asked * times.numel() * weight[0].numel()
        return op(*args, **(kwargs or {}))


def built(family: Any, config: Any) -> Built:
    """Build ``config`` on the meta device, run it forward and back on an example, and count."""
    with torch.device("meta"):
        module = family.build(config).eval()
        kind = torch.long if getattr(config, "vocab_size", 0) else torch.float32
        example = torch.zeros(1, *family.input_shape(config), dtype=kind)
    with FlopCounterMode(display=False) as flops, _Products() as products:
        output = module(example)
    with FlopCounterMode(display=False) as back, _Backward() as convolutions:
        output.sum().backward()
    matrices = dict(back.get_flop_counts()["Global"])
    matrices.pop(torch.ops.aten.convolution_backward, None)
    return Built(
        num_params=sum(p.numel() for p in module.parameters() if p.requires_grad),
        macs=flops.get_total_flops() // 2,
        macs_backward=convolutions.macs + sum(matrices.values()) // 2,
        activations=products.outputs,
        biases=products.biases,
        output_shape=tuple(output.shape),
    )


def assert_counted_exactly(family: Any, options: dict[str, Any]) -> None:
    """The analytic counts of ``options`` equal torch's of the built module."""
    config = family.resolve(options)
    cost, found = family.cost(config), built(family, config)
    assert cost.num_params == found.num_params
    assert cost.macs_forward == found.macs + found.biases
    # A bias is one more for each output, forward, and so is the sum that is its gradient.
    exact = found.macs + found.biases + found.macs_backward + found.biases
    assert cost.flops_exact == 2 * exact
    assert cost.activations == found.activations
    assert found.output_shape[:2] == (1, config.num_classes)  # and the sides of dense ones
