"""Evaluation reads the held-out tokens batch by batch, to the bits of one that gathers them."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from scaling.data.batches.tokens import open_tokens
from scaling.data.info import DataInfo, EvalInfo
from scaling.spec import RunSpec
from scaling.training.task import EVAL_TOKENS, NextToken

VOCAB = 11


def task_on(folder, heldout, context, evals=()):
    """Next-token prediction on random tokens in a file."""
    info = DataInfo("random", "0" * 16, "token", 10_000, heldout, vocab_size=VOCAB, evals=evals)
    draws = np.random.default_rng(0)
    further = ((f"eval-{one.name}.bin", one.size) for one in evals)
    for name, size in (("train.bin", 10_000), ("heldout.bin", heldout), *further):
        draws.integers(0, VOCAB, size, dtype=np.uint16).tofile(folder / name)
    options = {"depth": 1, "width": 8, "num_tokens": 1 << 15, "lr": 0.1, "context": context}
    spec = RunSpec.resolve(info=info, **options)
    return NextToken(spec, open_tokens(folder, info), torch.device("cpu"))


def bigram():
    torch.manual_seed(0)
    return torch.nn.Embedding(VOCAB, VOCAB)


def backwards(chunk, starts):
    """As other ranks do chunks: in whatever order, each by its start alone."""
    return [chunk(start) for start in reversed(starts)][::-1]


@pytest.mark.parametrize("context", [7, 32, 1000, EVAL_TOKENS + 5])
@pytest.mark.parametrize("limit", [0, 1, 5000, 10**9])
def test_the_loss_has_the_bits_of_gathered_windows(tmp_path, context, limit):
    task, model = task_on(tmp_path, 20_011, context), bigram()
    tokens = np.fromfile(tmp_path / "heldout.bin", np.uint16).astype(np.int64)
    size = 20_010 // context
    count = min(size, max(1, limit // context)) if limit else size
    numbers = [(2 * i + 1) * size // (2 * count) for i in range(count)]
    windows = torch.from_numpy(
        np.stack([tokens[n * context : (n + 1) * context + 1] for n in numbers])
    )
    items = max(1, EVAL_TOKENS // context)
    means = []
    with torch.no_grad():
        for some in windows.split(items):
            logits = model(some[:, :-1]).flatten(0, 1)
            losses = F.cross_entropy(logits, some[:, 1:].flatten(), reduction="none")
            means.append(losses.view(len(some), -1).double().mean(1).numpy())
        one, other = task.evaluate(model, limit), task.evaluate(model, limit, backwards)
    means = np.concatenate(means)
    assert one["loss"] == other["loss"] == float(means.mean())
    if count > 1:
        assert one["loss_se"] == other["loss_se"] == means.std(ddof=1) / math.sqrt(count)
    else:
        assert math.isnan(one["loss_se"])


def test_all_held_out_tokens_take_next_to_no_memory(tmp_path):
    heldout = 20_000_000
    task, model = task_on(tmp_path, heldout, 1024), bigram()
    tracemalloc.start()
    try:
        with torch.no_grad():
            values = task.evaluate(model, 0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.2 * heldout  # bytes; gathered as int64 they were 10 a token
    assert values["loss_se"] < 1e-3


def test_what_an_evaluation_collects_is_no_memory_of_torch(tmp_path):
    """Tensors held between a chunk's large ones kept the allocator from giving those back."""
    task, model = task_on(tmp_path, 20_000, 64), bigram()

    def share(chunk, starts):
        found = [chunk(start) for start in starts]
        assert all(means.flags.owndata for means in found)
        return found

    with torch.no_grad():
        assert task.evaluate(model, 0, share)["loss"] == task.evaluate(model, 0)["loss"]


@pytest.mark.parametrize("limit", [0, 6000])
def test_a_further_set_has_the_bits_that_it_would_have_as_the_held_out_one(tmp_path, limit):
    sizes, model = {"a": 7011, "b-1": 9001}, bigram()
    evals = tuple(EvalInfo(name, size, 1, 1.5) for name, size in sizes.items())
    task = task_on(tmp_path, 20_011, 32, evals)
    with torch.no_grad():
        values = task.evaluate(model, limit, backwards)
        for name, size in {"": 20_011, **sizes}.items():
            (folder := tmp_path / f"as-{name}").mkdir()
            alone = task_on(folder, size, 32)
            file = f"eval-{name}.bin" if name else "heldout.bin"
            (folder / "heldout.bin").write_bytes((tmp_path / file).read_bytes())
            expected = alone.evaluate(model, limit // 3)  # the limit is for all sets together
            prefix = f"eval/{name}/" if name else ""
            for key in ("loss", "loss_se"):
                assert values[prefix + key] == expected[key]
            if name:
                bits = values[f"eval/{name}/loss"] / (math.log(2) * 1.5)
                assert values[f"eval/{name}/bits_per_byte"] == bits
    assert sorted(values) == sorted(
        ["loss", "loss_se", "inference_seconds"]
        + [f"eval/{n}/{k}" for n in sizes for k in ("loss", "loss_se", "bits_per_byte")]
    )
