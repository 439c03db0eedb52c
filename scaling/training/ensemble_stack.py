"""The weights of an ensemble's members as one matrix, a row a member, and its optimiser."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scaling.spec import RunSpec
from scaling.training.optim import param_groups
from scaling.training.precision import send

CLIP_EPS = 1e-6  # as torch's clip_grad_norm_


@dataclass(frozen=True)
class Group:
    """Columns of the matrix with rules of their own; see ``optim.param_groups``."""

    columns: slice
    lr_scale: float
    gradient_scale: float
    decay: bool


class Stack:
    """Weights ``(k, n)`` and moments of ``k`` models, moved on by one optimiser step together.

    A member's own model holds views of its row, so that whatever reads the model sees the weights
    as they are now, and its own optimiser says what moments it begins with and gets them back for
    a checkpoint: in the format of a run alone.

    Parameters
    ----------
    specs, models, optimizers : sequences of equal length
        The members; what ``ensemble_key`` asks to be equal is.
    """

    def __init__(
        self,
        specs: Sequence[RunSpec],
        models: Sequence[nn.Module],
        optimizers: Sequence[torch.optim.Optimizer],
    ) -> None:
        self.specs, self.models, self.optimizers = list(specs), list(models), list(optimizers)
        names = {id(p): name for name, p in models[0].named_parameters()}
        self.shapes: dict[str, torch.Size] = {}
        self.groups: list[Group] = []
        at = 0
        for group in param_groups(models[0]):
            first = at
            for p in group["params"]:
                self.shapes[names[id(p)]] = p.shape
                at += p.numel()
            scales = float(group["lr_scale"]), float(group.get("gradient_scale", 1))
            self.groups.append(Group(slice(first, at), *scales, bool(group["decay"])))
        self.weights = torch.stack([self._row(model) for model in models])
        self.moments = {
            name: torch.stack([self._moment(i, name) for i in range(len(models))])
            for name in self._moment_names()
        }
        self.steps = [self._steps_of(i) for i in range(len(models))]
        self._bind()

    def __len__(self) -> int:
        return len(self.models)

    def views(self, rows: Tensor) -> dict[str, Tensor]:
        """Rows ``(k, n)`` as weights by name, each ``(k, ...)``."""
        sizes = [shape.numel() for shape in self.shapes.values()]
        parts = rows.split(sizes, dim=1)
        return {
            name: part.view(len(rows), *shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def step(self, gradients: Tensor, rates: Sequence[float]) -> None:
        """Move every member on by its gradient ``(k, n)``, at its rate; gradients are used up."""
        clip = self.specs[0].optim.grad_clip
        with torch.no_grad():
            if clip:
                norms = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)
                gradients.mul_((clip / (norms + CLIP_EPS)).clamp_max(1.0))
            for group in self.groups:
                if group.gradient_scale != 1:
                    gradients[:, group.columns].mul_(group.gradient_scale)
            decays = [
                1 - lr * s.optim.weight_decay for lr, s in zip(rates, self.specs, strict=True)
            ]
            if any(decay != 1 for decay in decays):
                kept = self._column(decays)
                for group in self.groups:
                    if group.decay:
                        self.weights[:, group.columns].mul_(kept)
            self.steps = [step + 1 for step in self.steps]
            sizes = self._directions(gradients, rates)
            for group in self.groups:
                part = gradients[:, group.columns]
                self.weights[:, group.columns].addcmul_(part, sizes, value=-group.lr_scale)

    def _directions(self, gradients: Tensor, rates: Sequence[float]) -> Tensor:
        """Turn gradients into directions; the length ``(k, 1)`` of each member's step."""
        o = self.specs[0].optim
        if o.optimizer == "sgd":
            if o.momentum:
                momentum = self.moments["momentum_buffer"]
                gradients.copy_(momentum.mul_(o.momentum).add_(gradients))
            return self._column(rates)
        mean, square = self.moments["exp_avg"], self.moments["exp_avg_sq"]
        mean.lerp_(gradients, 1 - o.beta1)
        square.mul_(o.beta2).addcmul_(gradients, gradients, value=1 - o.beta2)
        root = self._column([math.sqrt(1 - o.beta2**step) for step in self.steps])
        torch.sqrt(square, out=gradients)
        torch.div(mean, gradients.div_(root).add_(o.eps), out=gradients)
        return self._column(
            [lr / (1 - o.beta1**step) for lr, step in zip(rates, self.steps, strict=True)]
        )

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these members alone; the others' models keep their weights."""
        chosen = torch.tensor(rows, dtype=torch.long, device=self.weights.device)
        for name in ("specs", "models", "optimizers", "steps"):
            values = getattr(self, name)
            setattr(self, name, [values[row] for row in rows])
        self.weights = self.weights[chosen]
        self.moments = {name: value[chosen] for name, value in self.moments.items()}
        self._bind()

    def fill(self, row: int) -> None:
        """Give a member's own optimiser its moments as they are now."""
        if not self.steps[row]:
            return
        state = self.optimizers[row].state
        moments = {name: self.views(value[row : row + 1]) for name, value in self.moments.items()}
        for name, p in self._parameters(row).items():
            if self.specs[0].optim.optimizer != "sgd":
                state[p]["step"] = torch.tensor(float(self.steps[row]))
            for kind, parts in moments.items():
                state[p][kind] = parts[name][0].clone()

    def _column(self, values: Sequence[float]) -> Tensor:
        return send(torch.tensor(values, dtype=torch.float32), self.weights.device)[:, None]

    def _bind(self) -> None:
        """Let each model's parameters be views of its row."""
        views = self.views(self.weights)
        for row in range(len(self)):
            for name, p in self._parameters(row).items():
                p.data = views[name][row]

    def _parameters(self, row: int) -> dict[str, nn.Parameter]:
        return dict(self.models[row].named_parameters())

    def _row(self, model: nn.Module) -> Tensor:
        parameters = dict(model.named_parameters())
        return torch.cat([parameters[name].detach().flatten() for name in self.shapes])

    def _moment_names(self) -> tuple[str, ...]:
        o = self.specs[0].optim
        if o.optimizer == "sgd":
            return ("momentum_buffer",) if o.momentum else ()
        return "exp_avg", "exp_avg_sq"

    def _moment(self, row: int, kind: str) -> Tensor:
        """A member's moments as its optimiser has them, 0 before its first step."""
        state, parameters = self.optimizers[row].state, self._parameters(row)
        return torch.cat(
            [
                value.flatten()
                if (value := state.get(parameters[name], {}).get(kind)) is not None
                else torch.zeros(shape.numel(), device=self.weights.device)
                for name, shape in self.shapes.items()
            ]
        )

    def _steps_of(self, row: int) -> int:
        return max(
            (int(s["step"]) for s in self.optimizers[row].state.values() if "step" in s), default=0
        )
