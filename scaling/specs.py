"""What a run may be: one of ours, or one of a program; everything around it takes either."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from scaling.program_spec import ProgramSpec
from scaling.spec import RunSpec

Spec: TypeAlias = RunSpec | ProgramSpec


def read_spec(value: Mapping[str, Any]) -> Spec:
    """The spec that ``to_dict`` of either kind wrote.

    Raises
    ------
    ValueError
        If it is neither.
    """
    return ProgramSpec.from_dict(value) if "program" in value else RunSpec.from_dict(value)
