"""In which arithmetic a run is computed: autocast, TF32, and what the journal says of it."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from scaling.spec import RunSpec


def autocast(
    spec: RunSpec, device: torch.device, *, cached: bool = True
) -> AbstractContextManager[None]:
    """``bfloat16`` products where the spec asks for them; weights stay in float32."""
    enabled = spec.train.precision == "bfloat16"
    context: AbstractContextManager[None]
    context = torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=enabled, cache_enabled=cached
    )
    return context


def set_arithmetic(device: torch.device) -> None:
    """Products of float32 in this process: TF32 (10 bits of mantissa) on CUDA, else as ever.

    A worker trains run after run, so both are set.
    """
    torch.set_float32_matmul_precision("high" if device.type == "cuda" else "highest")


def arithmetic(spec: RunSpec, device: torch.device) -> str:
    """``bfloat16``, ``tf32`` or ``float32``: what products are computed in."""
    if spec.train.precision == "bfloat16":
        return "bfloat16"
    return "tf32" if device.type == "cuda" else "float32"


def computed_in(spec: RunSpec, device: torch.device) -> dict[str, str]:
    """What the journal says of it on CUDA: ``arithmetic``, and the ``card``."""
    if device.type != "cuda":
        return {}
    return {"arithmetic": arithmetic(spec, device), "card": torch.cuda.get_device_name(device)}


def send(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor on the device; to CUDA without waiting, from pinned memory."""
    if device.type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)
