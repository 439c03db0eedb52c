"""How much of a batch one forward pass takes, and what it keeps: the largest that fits.

Counted before anything is computed, on tensors without content, so that it needs no GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scaling.base import training_memory
from scaling.families import get_family
from scaling.spec import RunSpec
from scaling.training.blocks import blocks_of, can_recompute, recompute
from scaling.training.precision import autocast

ROOM = 0.9  # of the free memory that may be taken: the rest is the allocator's, and the kernels'
ENOUGH_TOKENS = 8192  # a pass of fewer leaves a GPU idle: rather compute activations twice
ENOUGH_EXAMPLES = 64
FULL_TOKENS = 65536  # a pass of more is no faster, and its loss a longer graph
SURELY = 1.5  # times what all activations take by the rough rule
CHUNK_BYTES = 1 << 32  # that of ``scaling.families.loss_module``


@dataclass(frozen=True)
class Footprint:
    """Bytes that a forward pass leaves for the backward pass.

    Attributes
    ----------
    fixed : int
        Whatever the number of rows: weights in another type, gradients made early.
    per_row : int
        For each sequence (example), beside its blocks.
    per_block : int
        For each row and block that can be computed again, beyond its input.
    blocks : int
        How many such blocks there are.
    """

    fixed: int
    per_row: int
    per_block: int
    blocks: int

    def bytes(self, rows: int, recomputed: int = 0) -> int:
        """Those of ``rows``, where ``recomputed`` blocks keep their input alone."""
        # The block that is being computed again has all of its own.
        kept = self.blocks - recomputed + min(1, recomputed)
        return self.fixed + rows * (self.per_row + kept * self.per_block)

    def most_rows(self, room: float, recomputed: int = 0) -> int:
        """The most rows within ``room`` bytes; 0 if none fits."""
        one = self.bytes(1, recomputed) - self.fixed
        return max(0, int(room - self.fixed) // max(1, one))


@dataclass(frozen=True)
class Fit:
    """Rows of one forward pass, and how many blocks are computed again in the backward pass."""

    rows: int
    recomputed: int = 0


def saved_bytes(model: nn.Module, spec: RunSpec, rows: int) -> int:
    """Bytes of the tensors that a forward pass of ``rows`` saves, its weights left out.

    The model's own device decides where it is computed; in a ``FakeTensorMode``, nowhere.
    """
    family = get_family(spec.family)
    device = next(model.parameters()).device
    shape = (rows, *family.input_shape(spec.model))
    owned = {p.untyped_storage()._cdata for p in model.parameters()}
    found: dict[int, Tensor] = {}  # the tensors too, so that no number is used twice

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in owned:
            found[storage._cdata] = tensor
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        autocast(spec, device),
    ):
        if family.unit != "token":
            kind = torch.long if getattr(spec.model, "vocab_size", 0) else torch.float32
            logits = model(torch.zeros(shape, dtype=kind, device=device))
            loss = nn.functional.cross_entropy(
                logits.float(), torch.zeros(rows, dtype=torch.long, device=device)
            )
        else:
            tokens = torch.zeros(shape, dtype=torch.long, device=device)
            if getattr(model, "takes_targets", False):
                loss = model(tokens, tokens)
            else:
                logits = model(tokens).float().flatten(0, 1)
                loss = nn.functional.cross_entropy(logits, tokens.flatten())
    del loss
    return sum(tensor.untyped_storage().nbytes() for tensor in found.values())


def footprint(spec: RunSpec) -> Footprint:
    """What a model like the spec's leaves for the backward pass, from its shapes alone."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(), torch.random.fork_rng(devices=()):
        model = get_family(spec.family).build(spec.model)
        again = [block for block in blocks_of(model) if can_recompute(block)]
        whole = [saved_bytes(model, spec, rows) for rows in (2, 4)]
        recompute(again)
        less = [saved_bytes(model, spec, rows) for rows in (2, 4)]
    per_row, per_row_less = ((two - one) // 2 for one, two in (whole, less))
    each = (per_row - per_row_less) // len(again) if again else 0
    return Footprint(
        fixed=max(0, whole[0] - 2 * per_row),
        per_row=per_row - each * len(again),
        per_block=max(0, each),
        blocks=len(again),
    )


def largest(found: Footprint, most: int, enough: int, room: float) -> Fit:
    """The largest pass that fits: without recomputing if ``enough`` rows do, else with the least.

    Parameters
    ----------
    most : int
        Rows that a rank has of a batch.
    enough : int
        Rows from which on more are not faster.
    room : float
        Bytes for activations.
    """
    wanted = min(most, enough)
    for recomputed in range(found.blocks + 1):
        rows = found.most_rows(room, recomputed)
        if rows >= wanted:
            return Fit(_even(most, rows), recomputed)
    return Fit(_even(most, max(1, found.most_rows(room, found.blocks))), found.blocks)


def _even(most: int, rows: int) -> int:
    """``rows`` or somewhat fewer, so that all passes are equal: shapes that change are compiled."""
    parts = -(-most // min(rows, most))
    better = next((p for p in range(parts, 2 * parts) if most % p == 0), parts)
    return -(-most // better)


def fit(spec: RunSpec, most: int, processes: int, device: torch.device) -> Fit:
    """The largest pass that fits on a GPU beside the state that it holds of the model.

    Parameters
    ----------
    most : int
        Rows that a rank has of a batch.
    processes : int
        Over which weights, gradients and the optimiser's moments are sharded; 1 if they are not.
    """
    torch.cuda.empty_cache()  # what an earlier run of this process left
    free, _ = torch.cuda.mem_get_info(device)
    return fit_in(spec, most, free - training_memory(spec.cost, 0) / processes)


def fit_in(spec: RunSpec, most: int, room: float) -> Fit:
    """The same where so many bytes are free beside the state.

    Blocks are counted only where it is not plain that all fits: that takes seconds.
    """
    unit = get_family(spec.family).unit
    per_row = spec.units_per_step // spec.train.batch_size
    if unit == "token":
        room -= CHUNK_BYTES / ROOM
        most = _even(most, max(1, FULL_TOKENS // per_row))
    room *= ROOM
    if SURELY * (training_memory(spec.cost, most * per_row) - training_memory(spec.cost, 0)) < room:
        return Fit(most)
    enough = -(-(ENOUGH_TOKENS if unit == "token" else ENOUGH_EXAMPLES) // per_row)
    return largest(footprint(spec), most, enough, room)
