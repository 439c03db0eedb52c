"""Optimisers that torch has not, or not so: Muon with its AdamW, Lion, and AdEMAMix.

Neither decays weights: that is done before a step, alike for all (``optim.py``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
RMS = 0.2  # of an update, about AdamW's
LEAST_NORM = 1e-7


def orthogonalised(matrix: Tensor) -> Tensor:
    """Nearly U V^T of the matrix U S V^T: all singular values in about [0.7, 1.2].

    Five Newton-Schulz iterations with Jordan's quintic (Jordan et al. 2024, kellerjordan.github.io/
    posts/muon): in bfloat16 on CUDA, in float32 elsewhere.
    """
    a, b, c = QUINTIC
    x = matrix.to(torch.bfloat16 if matrix.is_cuda else torch.float32)
    x = x / x.norm().clamp(min=LEAST_NORM)
    flip = x.shape[0] > x.shape[1]
    x = x.T if flip else x
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if flip else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised, for the matrices of groups with ``muon``; AdamW for the others.

    An update of an r x c matrix is 0.2 sqrt(max(r, c)) times what :func:`orthogonalised` gives of
    Nesterov's momentum, so that its root mean square is about AdamW's and one rate serves both
    (Liu et al. 2025, arXiv 2502.16982, eq. 4). Kernels of convolutions are matrices of their
    outputs by all else; groups with ``stacked`` have stacks of matrices, each by itself.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float,
        betas: tuple[float, float],
        eps: float,
        momentum: float,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "momentum": momentum, "muon": False}
        defaults |= {"stacked": False}
        super().__init__(groups, defaults)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all groups."""
        loss = None if closure is None else closure()
        with torch.no_grad():
            for group in self.param_groups:
                params = [p for p in group["params"] if p.grad is not None]
                (self._muon if group["muon"] else self._adamw)(group, params)
        return loss

    def _muon(self, group: dict[str, Any], params: list[Tensor]) -> None:
        for p in params:
            if hasattr(p, "device_mesh"):
                raise ValueError("muon needs whole matrices, and this run is sharded: shard: ddp")
            state = self.state[p]
            if not state:
                state["momentum"] = torch.zeros_like(p)
            state["momentum"].lerp_(p.grad, 1 - group["momentum"])
            ahead = p.grad.lerp(state["momentum"], group["momentum"])
            ahead = ahead if group["stacked"] else ahead.flatten(1)
            update = (torch.vmap(orthogonalised) if group["stacked"] else orthogonalised)(ahead)
            scale = RMS * max(ahead.shape[-2:]) ** 0.5
            p.add_(update.view_as(p), alpha=-group["lr"] * scale)

    def _adamw(self, group: dict[str, Any], params: list[Tensor]) -> None:
        if not params:
            return
        for p in params:
            if not self.state[p]:
                self.state[p] |= {
                    "step": torch.zeros((), device=p.device),
                    "exp_avg": torch.zeros_like(p),
                    "exp_avg_sq": torch.zeros_like(p),
                }
        parts = [
            [self.state[p][name] for p in params] for name in ("exp_avg", "exp_avg_sq", "step")
        ]
        beta1, beta2 = group["betas"]
        adamw(
            params,
            [p.grad for p in params],
            parts[0],
            parts[1],
            [],
            parts[2],
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=0.0,
            eps=group["eps"],
            maximize=False,
        )


class Lion(torch.optim.Optimizer):
    """The sign of a mixture of gradient and momentum (Chen et al. 2023, arXiv 2302.06675, alg. 2).

    w <- w - lr sign(beta1 m + (1 - beta1) g); then m <- beta2 m + (1 - beta2) g.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], lr: float, betas: tuple[float, float]
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all groups."""
        loss = None if closure is None else closure()
        with torch.no_grad():
            for group in self.param_groups:
                self._step(group, [p for p in group["params"] if p.grad is not None])
        return loss

    def _step(self, group: dict[str, Any], params: list[Tensor]) -> None:
        if not params:
            return
        for p in params:
            if not self.state[p]:
                self.state[p]["momentum"] = torch.zeros_like(p)
        beta1, beta2 = group["betas"]
        gradients = [p.grad for p in params]
        momenta = [self.state[p]["momentum"] for p in params]
        signs = torch._foreach_lerp(momenta, gradients, 1 - beta1)
        torch._foreach_sign_(signs)
        torch._foreach_add_(params, signs, alpha=-group["lr"])
        torch._foreach_lerp_(momenta, gradients, 1 - beta2)


class AdEMAMix(torch.optim.Optimizer):
    """Adam with a second, slow average of gradients (Pagliardini et al. 2024, arXiv 2409.03137).

    w <- w - lr (m1 / (1 - beta1^t) + alpha_t m2) / (sqrt(v / (1 - beta2^t)) + eps), algorithm 1.
    Over the ``num_steps`` of the run alpha_t rises linearly, and beta3_t so that the half-life
    of m2 does, from beta1's (eqs. 4 and 5).
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float,
        betas: tuple[float, float],
        eps: float,
        beta3: float,
        alpha: float,
        num_steps: int,
    ) -> None:
        self.beta3, self.alpha, self.num_steps = beta3, alpha, num_steps
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "done": 0})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all groups."""
        loss = None if closure is None else closure()
        with torch.no_grad():
            for group in self.param_groups:
                group["done"] += 1
                self._step(group, [p for p in group["params"] if p.grad is not None])
        return loss

    def mixing(self, t: int, beta1: float) -> tuple[float, float]:
        """alpha and beta3 at step ``t`` (from 1)."""
        share = min(1.0, t / self.num_steps)
        first, last = math.log(beta1), math.log(self.beta3)
        return self.alpha * share, math.exp(first * last / ((1 - share) * last + share * first))

    def _step(self, group: dict[str, Any], params: list[Tensor]) -> None:
        if not params:
            return
        for p in params:
            if not self.state[p]:
                self.state[p] |= {name: torch.zeros_like(p) for name in ("fast", "slow", "square")}
        (beta1, beta2), t = group["betas"], group["done"]
        alpha, beta3 = self.mixing(t, beta1)
        gradients = [p.grad for p in params]
        fast, slow, square = (
            [self.state[p][name] for p in params] for name in ("fast", "slow", "square")
        )
        torch._foreach_lerp_(fast, gradients, 1 - beta1)
        torch._foreach_lerp_(slow, gradients, 1 - beta3)
        torch._foreach_mul_(square, beta2)
        torch._foreach_addcmul_(square, gradients, gradients, 1 - beta2)
        size = torch._foreach_sqrt(square)
        torch._foreach_div_(size, math.sqrt(1 - beta2**t))
        torch._foreach_add_(size, group["eps"])
        update = torch._foreach_div(fast, 1 - beta1**t)
        torch._foreach_add_(update, slow, alpha=alpha)
        torch._foreach_div_(update, size)
        torch._foreach_add_(params, update, alpha=-group["lr"])


def hidden_matrices(model: torch.nn.Module) -> set[int]:
    """The ids of what Muon is for: matrices and kernels but embeddings and those of ``head``."""
    head = getattr(model, "head", None)
    others = {id(p) for p in head.parameters()} if isinstance(head, torch.nn.Module) else set()
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            others |= {id(p) for p in module.parameters()}
    return {id(p) for p in model.parameters() if p.ndim >= 2} - others


def split_for_muon(model: torch.nn.Module, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups of those for Muon, the members that decay, and of the rest.

    A module names its stacks of matrices, one for each expert, in ``stacks``.

    Where a matrix's rate under Adam is multiplied by s as widths grow, Muon's is by sqrt(s): the
    updates' root mean square is alike, but Adam's grow in spectral norm as the width does, those
    of Muon, all of whose singular values are alike, as its square root (Yang et al. 2023, arXiv
    2310.17813, condition 1).
    """
    matrices, found = hidden_matrices(model), []
    stacks = {id(getattr(m, name)) for m in model.modules() for name in getattr(m, "stacks", ())}
    for group in groups:
        mine = [p for p in group["params"] if group["decay"] and id(p) in matrices]
        rest = [p for p in group["params"] if id(p) not in {id(m) for m in mine}]
        muon = {"lr_scale": group["lr_scale"] ** 0.5, "muon": True}
        for stacked in (False, True):
            kind = [p for p in mine if (id(p) in stacks) is stacked]
            found += [{**group, "params": kind, **muon, "stacked": stacked}] if kind else []
        found += [{**group, "params": rest}] if rest else []
    return found
