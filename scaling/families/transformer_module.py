"""The decoder-only transformer as a torch module."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from scaling.families.attention_module import Attention, LatentAttention
from scaling.families.attention_patterns import Pattern
from scaling.families.experts_module import Experts, Perceptron
from scaling.families.loss_module import linear_loss, linear_losses, rows_at_once
from scaling.families.parts_module import linear, norm, rotations, sinusoids
from scaling.families.transformer import TransformerConfig


class Block(nn.Module):
    """Attention and perceptron (or experts), each on a residual branch, with its norms."""

    def __init__(self, config: TransformerConfig, pattern: Pattern, dense: bool = True) -> None:
        super().__init__()
        self.attention_norm = norm(config)
        self.attention = (LatentAttention if config.kv_latent else Attention)(config, pattern)
        self.perceptron_norm = norm(config)
        self.perceptron = Perceptron(config) if dense else Experts(config)
        self.order, self.parallel = config.norm_position, config.parallel
        if self.order == "sandwich":
            self.attention_end_norm, self.perceptron_end_norm = norm(config), norm(config)
        self.dropout = nn.Dropout(config.dropout)
        self.scale = config.depth_scale

    def forward(
        self, x: Tensor, cos: Tensor | None, sin: Tensor | None, documents: Tensor | None = None
    ) -> Tensor:
        """``(batch, time, width)`` to the same."""
        mixed = self._branch("attention", x, cos, sin, documents)
        if self.parallel:
            mixed = mixed + self._branch("perceptron", x)
            return self._end(torch.add(x, mixed, alpha=self.scale), "attention")
        x = self._end(torch.add(x, mixed, alpha=self.scale), "attention")
        changed = self._branch("perceptron", x)
        return self._end(torch.add(x, changed, alpha=self.scale), "perceptron")

    def _branch(self, name: str, x: Tensor, *args: Tensor | None) -> Tensor:
        first = getattr(self, f"{name}_norm")
        y = getattr(self, name)(first(x) if self.order in ("pre", "sandwich") else x, *args)
        if self.order == "sandwich":
            y = getattr(self, f"{name}_end_norm")(y)
        elif self.order == "branch":
            y = first(y)
        dropped: Tensor = self.dropout(y)
        return dropped

    def _end(self, x: Tensor, name: str) -> Tensor:
        normed: Tensor = getattr(self, f"{name}_norm")(x) if self.order == "post" else x
        return normed


class TransformerModule(nn.Module):
    """Tokens ``(batch, time)`` to logits ``(batch, time, vocab_rows)``.

    Matrices start normal with variance 1 / fan-in, those that write to the residual stream with
    1 / (2 L fan-in) (Radford et al. 2019, sec. 2.3). Under muP the output starts with the base
    model's variance and its logits are multiplied by base width / width, tied to the embedding
    or not (Yang et al. 2022, table 8).

    Attributes
    ----------
    has_objective : bool
        Whether the loss that it is trained on is its own matter; then it must be asked for it.
    can_replay : bool
        Whether no step differs from another but in its numbers.
    """

    takes_targets = True  # it can be asked for its loss instead of its logits
    blocks_in_bfloat16 = True  # blocks whose weights are in it compute what autocast does

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        c = self.config = config
        penalised = c.experts and (c.balance == "aux" or c.router_z_loss)
        self.has_objective = bool(c.logit_cap or c.z_loss or c.predict_ahead > 1 or penalised)
        self.can_replay = c.is_plain
        self.embedding = nn.Embedding(c.vocab_rows, c.table_width)
        nn.init.normal_(self.embedding.weight, std=c.embedding_std)
        if c.embedding_width:
            self.enter = linear(c.table_width, c.width, c.table_width**-0.5)
            self.leave = linear(c.width, c.table_width, c.width**-0.5)
        if c.positions == "learned":
            self.positions = nn.Embedding(c.context + c.position_offset, c.width)
            nn.init.normal_(self.positions.weight, std=c.embedding_std)
        elif c.positions == "sinusoidal":
            self.register_buffer("sinusoids", sinusoids(c.context, c.width), persistent=False)
        self.dropout = nn.Dropout(c.dropout)
        self.blocks = nn.ModuleList(
            Block(c, pattern, dense=not c.experts or i < c.dense_layers)
            for i, pattern in enumerate(c.patterns)
        )
        if c.predict_ahead > 1:
            last = c.patterns[-1]
            self.ahead = nn.ModuleList(
                Block(c, last, dense=not c.experts) for _ in range(c.predict_ahead - 1)
            )
        self.norm = nn.Identity() if c.norm_position == "post" else norm(c)
        self.head: nn.Linear | None = None
        # The width that decides the variance of the output at the start: muP's is the base model's.
        fan_in = c.table_width if c.parametrisation == "standard" else c.base_width
        self.logit_scale = c.width_scale
        if not c.tied:
            self.head = linear(c.table_width, c.vocab_rows, fan_in**-0.5)
        elif c.scale_tied:
            # Unit variance of the logits at the start, whatever the embeddings' scale.
            self.logit_scale *= 1 / (c.embedding_std * math.sqrt(fan_in))
        if c.positions == "rotary":
            for name, kind in (("", "global"), ("_local", "local")):
                if kind == "global" or c.rope_base_local:
                    base = c.rope_base if kind == "global" else c.rope_base_local
                    cos, sin = rotations(c, base, c.rope_factor if kind == "global" else 1.0)
                    self.register_buffer(f"cos{name}", cos, persistent=False)
                    self.register_buffer(f"sin{name}", sin, persistent=False)

    def forward(
        self,
        tokens: Tensor,
        targets: Tensor | None = None,
        smoothing: float = 0.0,
        mean: bool = True,
    ) -> Tensor:
        """Logits of each next token; with ``targets`` its loss, without all logits at once.

        That is the mean over all tokens, or, if not ``mean``, each token's ``(batch, time)``,
        without smoothing and without a gradient. The mean is with what else the model is trained
        on, where it has an objective of its own.
        """
        x = self._embedded(tokens)
        documents = None
        if self.config.document_separator >= 0:
            # A separator is the last token of its document.
            ends = (tokens == self.config.document_separator).long()
            documents = ends.cumsum(1) - ends
        for block in self.blocks:
            x = self._through(block, x, documents)
        if targets is not None and mean and self.has_objective:
            return self._objective(x, targets, smoothing, documents)
        x = self._left(x)
        if targets is not None and self.config.logit_cap:
            return torch.cat(self._losses(x, targets, smoothing)).view_as(targets)
        if targets is not None:
            rows = x.flatten(0, 1), self._table(), targets.flatten(), self.logit_scale
            if mean:
                return linear_loss(*rows, smoothing)
            return linear_losses(*rows).view_as(targets)
        return self._logits(x)

    def _embedded(self, tokens: Tensor) -> Tensor:
        c, time = self.config, tokens.shape[1]
        x = self.embedding(tokens)
        if c.embedding_width:
            x = self.enter(x)
        if c.scale_embedding:
            x = x * (c.width if c.parametrisation == "standard" else c.base_width) ** 0.5
        if c.positions == "learned":
            x = x + self.positions.weight[c.position_offset : c.position_offset + time]
        elif c.positions == "sinusoidal":
            x = x + self.sinusoids[:time]
        dropped: Tensor = self.dropout(x)
        return dropped

    def _through(self, block: Any, x: Tensor, documents: Tensor | None) -> Tensor:
        """A block's output, with the rotations of its kind."""
        cos = sin = None
        if self.config.positions == "rotary":
            local = self.config.rope_base_local and block.attention.pattern.kind == "local"
            cos, sin = (self.cos_local, self.sin_local) if local else (self.cos, self.sin)
            cos, sin = cos[: x.shape[1]], sin[: x.shape[1]]
        out: Tensor = block(x, cos, sin) if documents is None else block(x, cos, sin, documents)
        return out

    def _left(self, x: Tensor) -> Tensor:
        """What the head reads."""
        x = self.norm(x)
        return self.leave(x) if self.config.embedding_width else x

    def _table(self) -> Tensor:
        """The output's weights ``(vocab_rows, table_width)``."""
        weight: Tensor = self.embedding.weight if self.head is None else self.head.weight
        return weight

    def _logits(self, x: Tensor) -> Tensor:
        logits, cap = F.linear(x, self._table()), self.config.logit_cap
        logits = logits if self.logit_scale == 1.0 else logits * self.logit_scale
        return cap * torch.tanh(logits / cap) if cap else logits

    def _objective(
        self, x: Tensor, targets: Tensor, smoothing: float, documents: Tensor | None
    ) -> Tensor:
        """What it is trained on: next tokens, further ones, and what holds logits and experts."""
        c = self.config
        total, far = self._loss(self._left(x), targets, smoothing), []
        for i, block in enumerate(self.ahead if c.predict_ahead > 1 else (), 1):
            y = self._left(self._through(block, x, documents))
            far.append(self._loss(y[:, :-i], targets[:, i:], smoothing))
        if far:
            total = total + c.ahead_weight * torch.stack(far).mean()
        for experts in self.experts():
            total = total + experts.penalty
        return total

    def _loss(self, x: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        return torch.cat(self._losses(x, targets, smoothing, self.config.z_loss)).mean()

    def _losses(
        self, x: Tensor, targets: Tensor, smoothing: float, z_loss: float = 0.0
    ) -> list[Tensor]:
        """Of each row, chunk by chunk: where there are several, logits are computed twice."""

        def of(h: Tensor, target: Tensor) -> Tensor:
            logits = self._logits(h).float()
            loss = F.cross_entropy(logits, target, reduction="none", label_smoothing=smoothing)
            return loss + z_loss * logits.logsumexp(-1).square() if z_loss else loss

        rows = rows_at_once(self.config.vocab_rows)
        h, target = x.flatten(0, 1).split(rows), targets.flatten().split(rows)
        if len(h) == 1 or not torch.is_grad_enabled():
            return [of(*part) for part in zip(h, target, strict=True)]
        return [checkpoint(of, *part, use_reentrant=False) for part in zip(h, target, strict=True)]

    def experts(self) -> list[Experts]:
        """The mixtures of experts of all blocks."""
        return [module for module in self.modules() if isinstance(module, Experts)]

    def after_step(self) -> None:
        """Balance the experts whose balance is no loss; to be called after each step."""
        if self.config.balance == "bias":
            for experts in self.experts():
                experts.rebalance()

    def metrics(self) -> dict[str, Tensor]:
        """Numbers of the last forward pass, for the journal; empty without experts.

        ``expert_load`` is what the fullest expert got over an even share, ``tokens_dropped`` the
        share of the choices that found no place: both the mean over the layers.
        """
        found = [block.perceptron for block in self.blocks]
        found = [one for one in found if isinstance(one, Experts)]
        if not found:
            return {}
        return {
            "expert_load": torch.stack([one.load.max() for one in found]).mean(),
            "tokens_dropped": torch.stack([one.dropped for one in found]).mean(),
        }

    def param_groups(self) -> list[dict[str, Any]]:
        """Multipliers of rates and gradients: 1, but for muP and CompleteP away from their base.

        Rates are those of optimisers that divide each gradient by its size: base width / width
        for matrices with two growing dimensions, else 1 (Yang et al. 2022, table 8, Adam). The
        multiplier of a gradient is 1 over its size beside the base model's: with it Adam's eps
        counts as much there as here (Dey et al. 2025, eq. 40), and rates for SGD are table 8's.
        """
        config = self.config
        inner, outer = 1 / (config.width_scale * config.depth_scale), 1 / config.width_scale
        blocks = list(self.blocks.parameters())
        if config.predict_ahead > 1:
            blocks += self.ahead.parameters()
        hidden = [p for p in blocks if p.ndim > 1]
        hidden += [self.enter.weight, self.leave.weight] if config.embedding_width else []
        head = [] if self.head is None else [self.head.weight]
        table = [self.embedding.weight]
        table += self.positions.parameters() if config.positions == "learned" else ()
        gains = [p for p in blocks if p.ndim == 1]
        last = list(self.norm.parameters())
        if inner == outer:  # one group, as checkpoints have it
            gains, last = gains + last, []
        rows = (
            (hidden, config.width_scale, inner, True),
            (head, 1.0, outer, True),
            (table, 1.0, outer, False),
            (gains, 1.0, inner, False),
            (last, 1.0, outer, False),
        )
        names = ("params", "lr_scale", "gradient_scale", "decay")
        return [dict(zip(names, row, strict=True)) for row in rows]
