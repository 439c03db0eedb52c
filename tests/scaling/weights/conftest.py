"""Runs that kept their weights, trained once; and other texts."""

from __future__ import annotations

import numpy as np
import pytest

from scaling.run import Keep
from scaling.spec import RunSpec
from scaling.training import train
from tests.grid import TINY

KEEP = Keep((20, "final"))


@pytest.fixture(scope="session")
def texts(tiny_data):
    """The data folder with ``noise`` (other bytes) and ``cats`` (tokens of a BPE) too."""
    rng = np.random.default_rng(1)
    noise = [rng.integers(97, 123, 400, np.uint8).tobytes().decode() for _ in range(16)]
    cats = [f"the cat no. {i} sat on the {'mat' * (i % 5)} again\n" for i in range(60)]
    _prepare("noise", noise, tiny_data)
    _prepare("cats", cats, tiny_data, tokenizer="bpe", vocab_size=300)
    return tiny_data


def _prepare(name, documents, home, **options):
    from scaling.data.text import TextFiles, prepare_tokens

    folder = home.parent / name
    folder.mkdir()
    for i, document in enumerate(documents):
        (folder / f"{i:02d}.txt").write_text(document)
    prepare_tokens(name, TextFiles(tuple(sorted(folder.iterdir()))), home, heldout=0.3, **options)


@pytest.fixture(scope="session")
def trained(texts, tmp_path_factory):
    """``trained(name, **options)``: the folder of a run that kept step 20 and its end."""
    root = tmp_path_factory.mktemp("runs")

    def run(name, **options):
        if not (root / name).exists():
            train(RunSpec.resolve(**options), root / name, data_dir=texts, keep=KEEP)
        return root / name

    return run


@pytest.fixture
def llama(trained, texts, monkeypatch):
    """The folder of a small transformer that is a Llama elsewhere."""
    monkeypatch.setenv("SCALING_DATA", str(texts))
    return trained("llama", **TINY | {"mlp": "swiglu", "width": 16, "heads": 2})


@pytest.fixture
def perceptron(trained, texts, monkeypatch):
    """The folder of an MLP on digits, whose inputs are standardised."""
    monkeypatch.setenv("SCALING_DATA", str(texts))
    options = {"data": "digits", "family": "mlp", "depth": 2, "width": 8, "batch_size": 32}
    return trained("mlp", **options, num_tokens=960, lr=0.003, standardise=True)
