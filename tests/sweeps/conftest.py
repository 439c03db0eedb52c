"""A data set that needs no files, and sweeps from YAML text."""

from __future__ import annotations

from textwrap import dedent

import pytest

from scaling.data.info import DataInfo
from sweeps.design import design
from sweeps.document import parse_document
from sweeps.expansion import expand

INFO = DataInfo(
    name="corpus",
    fingerprint="0123456789abcdef",
    unit="token",
    train_size=10_000_000,
    heldout_size=1_000_000,
    vocab_size=256,
)


@pytest.fixture(scope="session")
def info():
    return INFO


@pytest.fixture(scope="session")
def expanded():
    """``expanded(text)``: the expansion of a sweep file's text."""

    def from_text(text: str):
        return expand(design(parse_document(dedent(text), "sweep.yaml")), info=INFO)

    return from_text


@pytest.fixture(scope="session")
def sweep(expanded):
    """``sweep(text)``: the sweep alone."""
    return lambda text: expanded(text).sweep
