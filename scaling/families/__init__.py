"""The registry of model families; those for images are listed in ``vision``."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from scaling.base import path_of, plugged, refuse_unknown
from scaling.families.base import (
    Family,
    ModelConfig,
    cached_cost,
    check_options,
    families_with,
    option_names,
    refuse_both,
    with_preset,
)
from scaling.families.mamba2 import MAMBA2
from scaling.families.ngram import NGRAM
from scaling.families.own import TorchFamily, own_family
from scaling.families.recurrent import RECURRENT
from scaling.families.transformer import TRANSFORMER
from scaling.families.vision import VISION

if TYPE_CHECKING:
    from torch import nn

    from scaling.families.stacked_module import Forward

FAMILIES: dict[str, Family] = {
    family.name: family for family in (TRANSFORMER, RECURRENT, MAMBA2, NGRAM, *VISION)
}


def get_family(name: str) -> Family:
    """The family called ``name``: one of ours, an installed package's, or at an import path.

    Raises
    ------
    ValueError
        If there is none; the message has the names and the nearest one.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    path = path_of("family", name)
    if not path:
        presets = [f"{n}:{name}" for n, family in FAMILIES.items() if name in family.presets]
        hint = f"it is a preset, {' or '.join(presets)}" if presets else ""
        refuse_unknown(name, family_names(), "family", hint=hint)
    return _own(path)


def family_names() -> tuple[str, ...]:
    """The names of all families, those of installed packages too."""
    return (*FAMILIES, *(name for name in plugged("family") if name not in FAMILIES))


def stacked_forward(model: nn.Module) -> Forward:
    """The forward passes of many models like ``model`` as one; see ``stacked_module``."""
    from scaling.families.stacked_module import stacked_forward

    return stacked_forward(model)


_own = cache(own_family)


__all__ = [
    "FAMILIES",
    "TRANSFORMER",
    "Family",
    "ModelConfig",
    "TorchFamily",
    "cached_cost",
    "check_options",
    "families_with",
    "family_names",
    "get_family",
    "option_names",
    "refuse_both",
    "stacked_forward",
    "with_preset",
]
