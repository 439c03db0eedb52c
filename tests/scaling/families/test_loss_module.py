"""The loss without all logits at once: torch's values, gradients and none of its memory."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from scaling.families import get_family, loss_module
from scaling.families.loss_module import linear_loss, linear_losses, rows_at_once

ROWS, WIDTH, CLASSES = 37, 16, 50


@pytest.fixture
def small_chunks(monkeypatch):
    """Eight rows of logits at a time, so five chunks, the last of five rows."""
    monkeypatch.setattr(loss_module, "CHUNK_BYTES", 8 * 4 * CLASSES + 100)


@pytest.fixture
def layer():
    generator = torch.Generator().manual_seed(1)
    hidden, weight = (
        torch.randn(rows, WIDTH, generator=generator).requires_grad_() for rows in (ROWS, CLASSES)
    )
    return hidden, weight, torch.randint(CLASSES, (ROWS,), generator=generator)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_chunks_give_what_torch_gives(small_chunks, layer, scale, smoothing):
    hidden, weight, targets = layer
    ours = linear_loss(hidden, weight, targets, scale, smoothing)
    logits = F.linear(hidden, weight) * scale
    theirs = F.cross_entropy(logits, targets, label_smoothing=smoothing)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    # The gradient that comes from above counts, as that of a micro-batch does.
    for one, other in zip(
        torch.autograd.grad(2.5 * ours, (hidden, weight)),
        torch.autograd.grad(2.5 * theirs, (hidden, weight)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    each = linear_losses(hidden, weight, targets, scale)
    torch.testing.assert_close(each, F.cross_entropy(logits, targets, reduction="none"))


def test_products_are_in_the_type_of_autocast(small_chunks, layer):
    hidden, weight, targets = layer
    with torch.autocast("cpu", torch.bfloat16):
        loss = linear_loss(hidden, weight, targets, 1.0)
        exact = F.cross_entropy(F.linear(hidden, weight).float(), targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact, rtol=1e-3, atol=0)
    slope, other = (torch.autograd.grad(value, weight)[0] for value in (loss, exact))
    assert slope.dtype == torch.float32
    assert F.cosine_similarity(slope.flatten(), other.flatten(), 0) > 0.999


class Largest(TorchDispatchMode):
    """The most elements of a tensor that an operation gave."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]
        self.elements = max([self.elements, *(tensor.numel() for tensor in tensors)])
        return out


def test_a_model_never_holds_all_logits(monkeypatch):
    family = get_family("transformer")
    options = {"depth": 1, "width": 16, "vocab_size": 5000, "context": 64}
    model = family.build(family.resolve(options))
    tokens = torch.zeros(4, 64, dtype=torch.long)
    monkeypatch.setattr(loss_module, "CHUNK_BYTES", 32 * 4 * 5000)
    assert rows_at_once(5000) == 32
    with Largest() as plain:
        F.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten()).backward()
    with Largest() as chunked:
        model(tokens, tokens).backward()
        with torch.no_grad():
            model(tokens, tokens, mean=False)
    assert plain.elements == 4 * 64 * 5000
    assert chunked.elements == 32 * 5000
