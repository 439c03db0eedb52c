"""Labelled examples: folders, Parquet, arrays, and their preparation."""

from __future__ import annotations

from scaling.data.images.labelled import source_of
from scaling.data.images.prepare_labelled import prepare_labelled

__all__ = ["prepare_labelled", "source_of"]
