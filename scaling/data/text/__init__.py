"""Text as tokens: sources, tokenizers, the split, preparation."""

from __future__ import annotations

from scaling.data.text.packages import Package, unpacked
from scaling.data.text.prepare import prepare_tokens
from scaling.data.text.sources import (
    JsonLines,
    ParquetColumn,
    Source,
    TextFiles,
    TokenShards,
    open_parquet,
)

__all__ = [
    "JsonLines",
    "Package",
    "ParquetColumn",
    "Source",
    "TextFiles",
    "TokenShards",
    "open_parquet",
    "prepare_tokens",
    "unpacked",
]
