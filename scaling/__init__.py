"""What one run is, and how it is trained: ``RunSpec``, model families, data, ``train``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scaling.families import FAMILIES
    from scaling.spec import RunSpec
    from scaling.store import Store
    from scaling.training import train

__version__ = "0.1.0"
__all__ = ["FAMILIES", "RunSpec", "Store", "__version__", "train"]

_HOMES = {
    "FAMILIES": "scaling.families",
    "RunSpec": "scaling.spec",
    "Store": "scaling.store",
    "train": "scaling.training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'scaling' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
