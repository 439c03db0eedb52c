"""Optimisers by name, and parameter groups by parametrisation."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from scaling.base import OPTIMIZERS, OWN_OPTIMIZERS

if TYPE_CHECKING:
    import torch

    from scaling.spec import RunSpec
    from scaling.spec_parts import OptimSpec

# Methods that torch wraps for its compiler, which it loads when one of them is first called.
WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "step", "zero_grad")
ADAPTIVE_EPS = 1e-3  # least norm of a unit's weights: Brock et al. 2021, sec. 4.1


def make_optimizer(spec: RunSpec, model: torch.nn.Module) -> torch.optim.Optimizer:
    """The optimiser over the model's parameter groups.

    A module says in ``param_groups()`` by what each parameter's rate and gradient are multiplied,
    and whether it decays; a module without it gets one group that decays matrices only. Each group
    keeps its rate's multiplier as ``lr_scale``; its decay is over that, so that a step takes as
    much of every matrix (Wang and Aitchison 2024, arXiv 2405.13698). Gradients are multiplied,
    and decay that torch's class does not decouple is done, as the optimiser steps.
    """
    import torch

    o: OptimSpec = spec.optim
    class_name, takes = OPTIMIZERS[o.optimizer]
    values: dict[str, Any] = {
        "betas": (o.beta1, o.beta2),
        "eps": o.eps,
        "momentum": o.momentum,
        "beta3": o.beta3,
        "alpha": o.alpha,
        "num_steps": spec.num_steps,
    }
    itself = o.optimizer in ("adamw", "schedulefree")
    ours = o.decay == "decoupled" and not itself and o.weight_decay != 0
    found = [group for group in param_groups(model) if group["params"]]
    home: Any = torch.optim
    if o.optimizer in OWN_OPTIMIZERS:
        from scaling.training import optimizers

        home = optimizers
        if o.optimizer == "muon":
            found = optimizers.split_for_muon(model, found)
    elif o.optimizer == "schedulefree":
        home = _schedulefree()
    scaled = any(group.get("gradient_scale", 1) != 1 for group in found)
    groups = []
    for group in found:
        decay = o.weight_decay / group["lr_scale"] if group["decay"] else 0.0
        groups.append(
            {
                "params": group["params"],
                "lr_scale": group["lr_scale"],
                "lr": o.lr * group["lr_scale"],
                "weight_decay": 0.0 if ours else decay,
                **({"decoupled_decay": decay} if ours else {}),
                **({"gradient_scale": group["gradient_scale"]} if scaled else {}),
                **{name: True for name in ("muon", "stacked") if group.get(name)},
            }
        )
    kwargs = {name: values[name] for name in takes}
    if class_name in ("AdamW", "Adam", "SGD", "Adagrad"):
        kwargs["fused"] = True
    if o.nesterov and class_name == "SGD":
        kwargs["nesterov"] = True
    optimizer: torch.optim.Optimizer
    optimizer = _uncompiled(getattr(home, class_name))(groups, lr=o.lr, **kwargs)
    if o.optimizer == "schedulefree":
        optimizer.train()
    if scaled:
        optimizer.register_step_pre_hook(_scale_gradients)
    if ours:
        optimizer.register_step_pre_hook(_decay)
    return optimizer


@cache
def _uncompiled(kind: type[Any]) -> type[Any]:
    """The optimiser's class as it is but for the compiler: loading it takes half of a run's start.

    A step is the same, with hooks and without gradients; no optimiser of ours is compiled.
    """
    import torch

    plain = {name: inspect.unwrap(getattr(kind, name)) for name in WRAPPED}
    return type(kind.__name__, (kind,), {**plain, "step": torch.no_grad()(plain["step"])})


def _schedulefree() -> Any:
    try:
        import schedulefree
    except ImportError:
        raise ValueError(
            "optimizer schedulefree needs its package: pip install 'scaling-lab[optimizers]'"
        ) from None
    return schedulefree


@contextmanager
def averaged(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Weights are those to evaluate and to keep meanwhile, and then what they were, to the bit.

    They differ for an optimiser without a schedule (Defazio et al. 2024, arXiv 2405.15682), whose
    result is an average of its steps.
    """
    if not hasattr(optimizer, "eval"):
        yield
        return
    params = [p for group in optimizer.param_groups for p in group["params"]]
    kept = [p.detach().clone() for p in params]
    optimizer.eval()
    try:
        yield
    finally:
        for p, value in zip(params, kept, strict=True):
            p.detach().copy_(value)
        for group in optimizer.param_groups:
            group["train_mode"] = True


def _scale_gradients(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """Multiply each group's gradients by its ``gradient_scale``."""
    import torch

    for group in optimizer.param_groups:
        gradients = [p.grad for p in group["params"] if p.grad is not None]
        if gradients and group["gradient_scale"] != 1:
            torch._foreach_mul_(gradients, group["gradient_scale"])


def _decay(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """Take each weight w that has a gradient to (1 - lr x decay) w, as AdamW does first.

    Notes
    -----
    Loshchilov & Hutter 2019 (arXiv 1711.05101), alg. 1 and 2, with lr for their schedule's
    multiplier, as in torch.
    """
    import torch

    for group in optimizer.param_groups:
        weights = [p for p in group["params"] if p.grad is not None]
        if weights and group["decoupled_decay"]:
            with torch.no_grad():
                torch._foreach_mul_(weights, 1 - group["lr"] * group["decoupled_decay"])


def param_groups(model: torch.nn.Module) -> list[dict[str, Any]]:
    """Groups of ``params`` with ``lr_scale``, ``decay`` and, if not 1, ``gradient_scale``."""
    if hasattr(model, "param_groups"):
        groups: list[dict[str, Any]] = model.param_groups()
        return groups
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "lr_scale": 1.0, "decay": True},
        {"params": [p for p in parameters if p.ndim < 2], "lr_scale": 1.0, "decay": False},
    ]


def clip_adaptively(model: torch.nn.Module, limit: float) -> None:
    """Scale each unit's gradient G to at most ``limit`` x max(norm of its weights W, 0.001).

    A unit is a row of a matrix, a filter of a convolution, or a whole vector or scalar. The
    classifier, the last matrix of ``model.head``, is left as it is.

    Notes
    -----
    Brock et al. 2021 (arXiv 2102.06171), eq. 3 and sec. 4.1.
    """
    import torch

    head = getattr(model, "head", None) or torch.nn.Module()
    products = torch.nn.Linear | torch.nn.Conv2d
    matrices = [m for m in head.modules() if isinstance(m, products)]
    kept = {id(p) for m in matrices[-1:] for p in m.parameters()}
    for weight in model.parameters():
        if weight.grad is None or id(weight) in kept:
            continue
        with torch.no_grad():
            size, slope = _unit_norm(weight), _unit_norm(weight.grad)
            largest = limit * size.clamp_min(ADAPTIVE_EPS)
            weight.grad.mul_((largest / slope.clamp_min(1e-6)).clamp_max(1.0))


def _unit_norm(x: torch.Tensor) -> torch.Tensor:
    """The norm of each unit, shaped to multiply ``x``; a vector of any shape is one unit."""
    import torch

    is_vector = max(x.shape, default=1) == x.numel()
    norm: torch.Tensor
    norm = torch.linalg.vector_norm(
        x, dim=None if is_vector else tuple(range(1, x.ndim)), keepdim=True
    )
    return norm


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set every group's rate to ``lr`` x its ``lr_scale``."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]
