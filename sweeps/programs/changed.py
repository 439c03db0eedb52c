"""Whether a program's code is another than when a sweep of that name was submitted."""

from __future__ import annotations

import os

from scaling import ProgramSpec
from scaling.base import Store
from scaling.run import sweep_path
from sweeps.sweep import Sweep


def changed_code(sweep: Sweep, root: str | os.PathLike[str] | None = None) -> str:
    """In words, what a change of code since then means for ``sweep``; empty without one."""
    path = sweep_path(Store.at(root), sweep.name)
    codes = _codes(sweep)
    if not codes or not path.exists():
        return ""
    before = _codes(Sweep.read(path))
    if not before or codes <= before:
        return ""
    there = {entry.run_id for entry in Sweep.read(path)}
    new = sum(entry.run_id not in there for entry in sweep)
    return (
        f"the program's code has changed since sweep {sweep.name!r} was submitted "
        f"({', '.join(sorted(before))} then, {', '.join(sorted(codes))} now): {new} of "
        f"{len(sweep)} runs are new"
    )


def _codes(sweep: Sweep) -> set[str]:
    specs = [entry.spec for entry in sweep]
    return {spec.program.code for spec in specs if isinstance(spec, ProgramSpec)}
