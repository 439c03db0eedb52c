"""Batches of prepared data: tokens and examples, and their order (numpy)."""

from __future__ import annotations

from scaling.data.batches.examples import (
    ARRAYS,
    ExampleData,
    describe_examples,
    open_examples,
    prepare_examples,
)
from scaling.data.batches.tokens import HELDOUT, TRAIN, TokenData, open_tokens

__all__ = [
    "ARRAYS",
    "HELDOUT",
    "TRAIN",
    "ExampleData",
    "TokenData",
    "describe_examples",
    "open_examples",
    "open_tokens",
    "prepare_examples",
]
