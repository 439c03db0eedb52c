"""Data sets by name: what they hold, their fingerprints, and their batches (numpy).

Only ``augment`` and ``loader`` need torch.

>>> from scaling.data import describe_data, open_data
>>> info = describe_data("teacher")
>>> data = open_data("teacher")
>>> inputs, labels = data.batch(0, batch_size=4, seed=0)
>>> inputs.shape == (4, *info.input_shape)
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scaling.data.examples import ExampleData
    from scaling.data.info import DataInfo
    from scaling.data.registry import DATASETS, describe_data, fetch_data, list_data, open_data
    from scaling.data.tokens import TokenData

__all__ = [
    "DATASETS",
    "DataInfo",
    "ExampleData",
    "TokenData",
    "describe_data",
    "fetch_data",
    "list_data",
    "open_data",
]

_HOMES = {"DataInfo": "info", "ExampleData": "examples", "TokenData": "tokens"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'registry')}"), name)
