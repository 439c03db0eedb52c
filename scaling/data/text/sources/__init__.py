"""Where documents come from, a kind a file: text, JSON Lines, Parquet, token shards."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
