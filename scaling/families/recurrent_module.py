"""The recurrent language model as a torch module: torch.nn's cells, else a loop over time."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.families.loss_module import linear_loss, linear_losses
from scaling.families.recurrent import CELLS, RecurrentConfig

State = tuple[Tensor, ...]  # of one layer: the output (batch, out), of LSTMs the memory too


class FusedCell(nn.Module):
    """One layer of ``nn.RNN``, ``nn.GRU`` or ``nn.LSTM``."""

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        out, width = config.out_width, config.width
        kind = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[config.cell]
        more = {"proj_size": config.projection} if config.projection else {}
        self.layer = kind(out, width, batch_first=True, **more)
        self.has_memory = config.cell == "lstm"
        self.sizes = (out, width) if self.has_memory else (out,)
        with torch.no_grad():
            _start(self.layer.weight_ih_l0, self.layer.weight_hh_l0, width)
            self.layer.bias_ih_l0.zero_()
            self.layer.bias_hh_l0.zero_()
            if self.has_memory:  # gates lie in the order input, forget, cell, output
                self.layer.bias_ih_l0[width : 2 * width] = config.forget_bias
            if config.projection:
                nn.init.normal_(self.layer.weight_hr_l0, std=width**-0.5)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """``(batch, time, out)`` to the same, and the state after it."""
        before = tuple(part[None].to(x.dtype) for part in state)
        with warnings.catch_warnings():
            # On a CPU torch says once that one of its libraries has no projections.
            warnings.filterwarnings("ignore", "LSTM with projections is not supported")
            y, after = self.layer(x, before if self.has_memory else before[0])
        return y, tuple(part[0] for part in (after if self.has_memory else (after,)))


class LoopCell(nn.Module):
    """A cell of Jozefowicz et al. 2015 that torch has not, one step of time after another.

    ``lstm-i``, ``lstm-f`` and ``lstm-o`` are torch's LSTM with that gate at 1; ``mut1`` to ``mut3``
    are as on their page 6.
    """

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        cell, width = CELLS[config.cell], config.width
        self.kind, self.width = config.cell, width
        self.from_input = nn.Linear(width, cell.from_input * width)
        self.from_output = nn.Linear(width, cell.from_output * width, bias=False)
        self.bias = nn.Parameter(torch.zeros(width)) if cell.from_input < cell.biases else None
        self.sizes = (width, width) if self.kind.startswith("lstm") else (width,)
        with torch.no_grad():
            _start(self.from_input.weight, self.from_output.weight, width)
            self.from_input.bias.zero_()
            if cell.forgets:  # it comes after the input gate, where there is one
                first = width if self.kind == "lstm-o" else 0
                self.from_input.bias[first : first + width] = config.forget_bias

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """``(batch, time, width)`` to the same, and the state after it."""
        step = self._lstm if self.kind.startswith("lstm") else self._mutant
        inputs, outputs = self.from_input(x), []
        for t in range(x.shape[1]):
            state = step(x[:, t], inputs[:, t], state)
            outputs.append(state[0])
        return torch.stack(outputs, dim=1), state

    def _lstm(self, x: Tensor, given: Tensor, state: State) -> State:
        """Gates in the order input, forget, cell, output, one of them missing."""
        output, memory = state
        parts = list((given + self.from_output(output)).chunk(3, dim=-1))
        missing = "ifgo".index(self.kind[-1])
        gates = [torch.sigmoid(part) for part in parts]
        gates.insert(missing, torch.ones_like(memory))
        new = torch.tanh(parts[2 if missing > 2 else 1])
        memory = gates[1] * memory + gates[0] * new
        return gates[3] * torch.tanh(memory), memory

    def _mutant(self, x: Tensor, given: Tensor, state: State) -> State:
        (h,) = state
        inside = self.from_output.weight[: self.width]  # W_hh, whose argument the gate r decides
        before = torch.tanh(h) if self.kind == "mut3" else h
        if self.kind == "mut1":  # W_xz, W_xr; W_hr
            z_in, r_in = given.chunk(2, dim=-1)
            z = torch.sigmoid(z_in)
            r = torch.sigmoid(r_in + F.linear(h, self.from_output.weight[self.width :]))
            entering = torch.tanh(x)
        else:
            z_out = F.linear(before, self.from_output.weight[self.width : 2 * self.width])
            r_out = F.linear(h, self.from_output.weight[2 * self.width :])
            z_in, entering, *r_in_x = given.chunk(CELLS[self.kind].from_input, dim=-1)
            z = torch.sigmoid(z_in + z_out)
            r = torch.sigmoid((r_in_x[0] if r_in_x else x) + r_out + self._bias())
        if self.kind == "mut1":
            entering = entering + self._bias()
        candidate = torch.tanh(F.linear(r * h, inside) + entering)
        return (candidate * z + h * (1 - z),)

    def _bias(self) -> Tensor | float:
        return 0.0 if self.bias is None else self.bias


def _start(from_input: Tensor, from_output: Tensor, width: int) -> None:
    """Gate by gate: variance 1 / fan-in of the input, orthogonal from step to step."""
    nn.init.normal_(from_input, std=from_input.shape[1] ** -0.5)
    for gate in from_output.split(width):
        nn.init.orthogonal_(gate)


class RecurrentModule(nn.Module):
    """Tokens ``(batch, time)`` to logits ``(batch, time, vocab_size)``."""

    takes_targets = True

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.config = config
        out = config.out_width
        self.embedding = nn.Embedding(config.vocab_size, out)
        nn.init.normal_(self.embedding.weight, std=1.0 if not config.tied else out**-0.5)
        self.dropout = nn.Dropout(config.dropout)
        cell = FusedCell if config.cell in ("rnn", "gru", "lstm") else LoopCell
        self.blocks = nn.ModuleList(cell(config) for _ in range(config.depth))
        self.head: nn.Linear | None = None
        if not config.tied:
            self.head = nn.Linear(out, config.vocab_size, bias=False)
            nn.init.normal_(self.head.weight, std=out**-0.5)

    def start(self, batch_size: int) -> State:
        """The state before the first token, zeros: of all layers, each part ``(batch, size)``."""
        like = self.embedding.weight
        return tuple(
            torch.zeros(batch_size, size, device=like.device, dtype=like.dtype)
            for block in self.blocks
            for size in block.sizes
        )

    def carry(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits from a state on, and the state after the last token."""
        x, after = self._run(tokens, state)
        return F.linear(x, self._output()), after

    def forward(
        self,
        tokens: Tensor,
        targets: Tensor | None = None,
        smoothing: float = 0.0,
        mean: bool = True,
    ) -> Tensor:
        """Logits of each next token, or, with ``targets``, its loss; from a state of zeros.

        That is the mean over all tokens, or, if not ``mean``, each token's ``(batch, time)``,
        without smoothing and without a gradient.
        """
        x, _ = self._run(tokens, self.start(len(tokens)))
        if targets is None:
            return F.linear(x, self._output())
        rows = x.flatten(0, 1), self._output(), targets.flatten(), 1.0
        return linear_loss(*rows, smoothing) if mean else linear_losses(*rows).view_as(targets)

    def _output(self) -> Tensor:
        return self.embedding.weight if self.head is None else self.head.weight

    def _run(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        x, left, after = self.dropout(self.embedding(tokens)), list(state), []
        for block in self.blocks:
            own, left = left[: len(block.sizes)], left[len(block.sizes) :]
            x, end = block(x, tuple(own))
            x = self.dropout(x)
            after.extend(end)
        return x, tuple(after)

    def param_groups(self) -> list[dict[str, Any]]:
        """One rate for all; matrices of cells and the head decay."""
        decayed = [p for p in self.blocks.parameters() if p.ndim == 2]
        decayed += [] if self.head is None else [self.head.weight]
        kept = [self.embedding.weight, *(p for p in self.blocks.parameters() if p.ndim < 2)]
        names = ("params", "lr_scale", "gradient_scale", "decay")
        rows = ((decayed, 1.0, 1.0, True), (kept, 1.0, 1.0, False))
        return [dict(zip(names, row, strict=True)) for row in rows]
