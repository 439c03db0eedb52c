"""What a run may be: one of ours, or one of a program; everything around it takes either.

A sweep has a third kind among its results, runs that were trained elsewhere
(:class:`~scaling.imported_spec.ImportedSpec`). It is no ``Spec``: nobody can train one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from scaling.imported_spec import ImportedSpec
from scaling.program_spec import ProgramSpec
from scaling.spec import RunSpec

Spec: TypeAlias = RunSpec | ProgramSpec


def read_spec(value: Mapping[str, Any]) -> Spec:
    """The spec of a run to train, as ``to_dict`` of either kind wrote it.

    Raises
    ------
    ValueError
        If it is neither, or of a run that was trained elsewhere.
    """
    spec = read_any_spec(value)
    if isinstance(spec, ImportedSpec):
        raise ValueError(
            f"run {spec.run_id} ({spec.run!r}) was imported ({spec.source}): it was trained "
            "elsewhere and cannot be trained here"
        )
    return spec


def read_any_spec(value: Mapping[str, Any]) -> Spec | ImportedSpec:
    """:func:`read_spec`, for those who only read results.

    Raises
    ------
    ValueError
        If it is of no kind.
    """
    if "result" in value:
        return ImportedSpec.from_dict(value)
    return ProgramSpec.from_dict(value) if "program" in value else RunSpec.from_dict(value)
