"""The transformer's perceptron, and the mixture of experts that may stand in its place."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn import functional as F

from scaling.families.parts_module import activate, linear, writing_std
from scaling.families.transformer_counts import expert_places
from scaling.families.transformer_options import ACTIVATIONS

if TYPE_CHECKING:
    from scaling.families.transformer import TransformerConfig


class Perceptron(nn.Module):
    """One activation between two matrices, gated or not."""

    def __init__(self, config: TransformerConfig, hidden: int = 0) -> None:
        super().__init__()
        self.activation, self.gated = ACTIVATIONS[config.mlp]
        hidden, bias = hidden or config.mlp_width, config.biases == "all"
        entering = (2 if self.gated else 1) * hidden
        self.enter = linear(config.width, entering, config.width**-0.5, bias)
        self.leave = linear(hidden, config.width, writing_std(config, hidden), bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., width)`` to the same."""
        out: Tensor = self.leave(_hidden(self.enter(x), self.activation, self.gated))
        return out


def _hidden(h: Tensor, activation: str, gated: bool) -> Tensor:
    if gated:
        gate, h = h.chunk(2, dim=-1)
        return activate(activation, gate) * h
    return activate(activation, h)


class Experts(nn.Module):
    """A router that sends each token to some of many perceptrons.

    Attributes
    ----------
    penalty : Tensor
        Of the last forward pass: what balance and the router's z-loss add to the training loss.
    load, dropped : Tensor
        Of the last forward pass: the share of the choices that each expert got, times their number
        ``(experts,)``, and the share of the choices that found no place.
    """

    stacks = ("enter", "leave")  # parameters that have a matrix for each expert

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.activation, self.gated = ACTIVATIONS[config.mlp]
        width, hidden, count = config.width, config.expert_width, config.experts
        entering = (2 if self.gated else 1) * hidden
        self.router = linear(width, count, width**-0.5)
        self.enter = nn.Parameter(torch.empty(count, entering, width))
        self.leave = nn.Parameter(torch.empty(count, width, hidden))
        nn.init.normal_(self.enter, std=width**-0.5)
        nn.init.normal_(self.leave, std=writing_std(config, hidden))
        shared = config.shared_experts * hidden
        self.shared = Perceptron(config, shared) if shared else None
        self.gate = linear(width, 1, width**-0.5) if config.shared_gate else None
        if config.balance == "bias":
            self.register_buffer("bias", torch.zeros(count))
        # No buffers: of this process alone, and in no checkpoint.
        self.load, self.dropped, self.penalty = torch.ones(count), torch.zeros(()), torch.zeros(())
        self.seen: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, time, width)`` to the same."""
        c = self.config
        with nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False):
            logits = F.linear(x.float(), self.router.weight.float())
            scores = logits.sigmoid() if c.router == "sigmoid" else logits.softmax(-1)
            wanted = scores + self.bias if c.balance == "bias" else scores
            if c.router_groups:
                wanted = self._in_groups(wanted)
            chosen = wanted.topk(c.experts_per_token, dim=-1).indices
            weights = scores.gather(-1, chosen)
            if c.router_renormalise:
                weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-20)
            self._note(logits, scores, chosen)
            weights = (c.routed_scale * weights).to(x.dtype)
        routed = self._in_places if c.expert_capacity else self._all
        out = routed(x, chosen, weights)
        if self.shared is not None:
            always = self.shared(x)
            out = out + (always if self.gate is None else self.gate(x).sigmoid() * always)
        return out

    def _in_groups(self, wanted: Tensor) -> Tensor:
        """Scores with those outside of each token's best groups at minus infinity."""
        c = self.config
        groups = wanted.unflatten(-1, (c.router_groups, -1))
        best = groups.amax(-1)
        kept = best.topk(c.router_groups_kept, dim=-1).indices
        left = torch.ones_like(best, dtype=torch.bool).scatter(-1, kept, False)
        return groups.masked_fill(left[..., None], -math.inf).flatten(-2)

    def _note(self, logits: Tensor, scores: Tensor, chosen: Tensor) -> None:
        """Keep what the training loss, the balance and the journal ask of this pass."""
        c = self.config
        counts = _counts(chosen, c.experts)
        loads = counts * (c.experts / chosen[0].numel())
        self.load, self.dropped = loads.mean(0), counts.new_zeros(())
        self.penalty = logits.new_zeros(())
        if c.balance == "aux":
            shares = scores / scores.sum(-1, keepdim=True) if c.router == "sigmoid" else scores
            balance = (loads * shares.mean(1)).sum(1).mean()
            self.penalty = self.penalty + c.balance_weight * balance
        if c.router_z_loss:
            self.penalty = self.penalty + c.router_z_loss * logits.logsumexp(-1).square().mean()
        if c.balance == "bias" and self.training:
            self.seen = counts.sum(0) if self.seen is None else self.seen + counts.sum(0)

    def _all(self, x: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """Every token to every expert that it chose, those of one expert together."""
        k = self.config.experts_per_token
        flat, order = x.flatten(0, 1), chosen.flatten().argsort(stable=True)
        rows = flat[order // k].split(self._sizes(chosen))
        parts = [self._expert(i, part) for i, part in enumerate(rows) if len(part)]
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order), device=order.device)
        each = torch.cat(parts)[back].view(*x.shape[:2], k, -1)
        return (each * weights[..., None]).sum(2)

    def _sizes(self, chosen: Tensor) -> list[int]:
        """Tokens of each expert; as even as can be where tensors have no content."""
        count = self.config.experts
        if chosen.is_meta or isinstance(chosen, FakeTensor):
            return [len(part) for part in torch.arange(chosen.numel()).tensor_split(count)]
        return [int(size) for size in _counts(chosen, count).sum(0).tolist()]

    def _expert(self, i: int, rows: Tensor) -> Tensor:
        h = _hidden(F.linear(rows, self.enter[i]), self.activation, self.gated)
        return F.linear(h, self.leave[i])

    def _in_places(self, x: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """The first tokens of each sequence that chose an expert, as many as have a place.

        In the order of the positions, all choices of one before those of the next: a token that
        comes later takes no place from an earlier one, as with first choices first.
        """
        c, (batch, time, width) = self.config, x.shape
        places = expert_places(c)
        flat = chosen.flatten(1)  # (batch, time k)
        queues = (flat[..., None] == torch.arange(c.experts, device=x.device)).long().cumsum(1)
        taken = queues.gather(2, flat[..., None])[..., 0] - 1
        has_place = taken < places
        self.dropped = 1 - has_place.float().mean()
        slot = torch.where(has_place, flat * places + taken, c.experts * places)
        rows = x.repeat_interleave(c.experts_per_token, dim=1)
        room = x.new_zeros(batch, c.experts * places + 1, width)
        room = room.scatter(1, slot[..., None].expand(-1, -1, width), rows)[:, :-1]
        room = room.view(batch, c.experts, places, width).transpose(0, 1).flatten(1, 2)
        h = _hidden(torch.bmm(room, self.enter.mT.to(room.dtype)), self.activation, self.gated)
        y = torch.bmm(h, self.leave.mT.to(h.dtype))
        y = y.view(c.experts, batch, places, width).transpose(0, 1).flatten(1, 2)
        y = F.pad(y, (0, 0, 0, 1)).gather(1, slot[..., None].expand(-1, -1, width))
        return (y.view(batch, time, -1, width) * weights[..., None]).sum(2)

    def rebalance(self) -> None:
        """Move the choice's bias against what each expert got since this was asked last."""
        if self.seen is None:
            return
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(self.seen)
        self.bias += self.config.balance_rate * (self.seen.mean() - self.seen).sign()
        self.seen = None


def _counts(chosen: Tensor, experts: int) -> Tensor:
    """How many of the choices of each sequence an expert got ``(batch, experts)``."""
    flat = chosen.flatten(1)
    ones = torch.ones(flat.shape, device=flat.device)
    return torch.zeros(len(flat), experts, device=flat.device).scatter_add(1, flat, ones)
