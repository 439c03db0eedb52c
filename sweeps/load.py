"""``load_sweep``: a sweep from a sweep file or its content, from JSON Lines, or by its name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaling import RunSpec
from scaling.base import Store
from scaling.run import find_sweep_file, sweep_path
from sweeps.design import Design, design, read_design
from sweeps.document import Document
from sweeps.estimate import Prices
from sweeps.expansion import Expansion, expand
from sweeps.search import begin
from sweeps.sweep import Sweep

YAML = (".yaml", ".yml")


def find_sweep(source: str | os.PathLike[str], root: str | os.PathLike[str] | None = None) -> Path:
    """The file that ``source`` means: a file, a folder with ``sweep.jsonl``, or a name.

    Raises
    ------
    ValueError
        If there is none.
    """
    found = find_sweep_file(source, root)
    if found is None:
        folder = Store.at(root).sweep_dir(str(source))
        raise ValueError(
            f"no sweep {source}: neither a file nor a sweep's folder, nor is there {folder}"
        )
    return found


def load_sweep(
    source: str | os.PathLike[str] | Mapping[str, Any],
    root: str | os.PathLike[str] | None = None,
    *,
    info: Any = None,
) -> Sweep:
    """The sweep in ``source``.

    Parameters
    ----------
    source : path, str or dict
        A sweep file (``.yaml``), a ``.jsonl`` that :meth:`Sweep.write` wrote, a folder with
        ``sweep.jsonl``, or the name of a sweep in ``root``; or what a sweep file says, as a dict.
    root : path, optional
        The store; ``$SCALING_HOME`` or its default if left out.
    info : DataInfo, optional
        What is known of the data; looked up by name when left out.

    Raises
    ------
    ValueError
        If there is no such sweep, or it is not valid; the message has file and line.

    Examples
    --------
    >>> sweep = load_sweep("examples/grid.yaml")  # doctest: +SKIP
    >>> len(sweep), sweep.flops  # doctest: +SKIP
    (12, 3124...)
    >>> tiny = {"name": "tiny", "fixed": {"depth": 2, "num_tokens": 1e6}}
    >>> load_sweep(tiny | {"grid": {"product": {"width": [16, 32]}}})  # doctest: +SKIP
    Sweep tiny: 2 runs, ...
    """
    if isinstance(source, Mapping):
        return _expanded(design(Document(dict(source), info=info)), root, info).sweep
    return preview(source, root, info=info)[0].sweep


def preview(
    source: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    *,
    info: Any = None,
) -> tuple[Expansion, Prices]:
    """:func:`load_sweep` with what else the sweep file says: what was left out, and prices."""
    path = find_sweep(source, root)
    if path.suffix in YAML:
        asked = read_design(path, info=info)
        return _expanded(asked, root, info), asked.prices
    if path.suffix == ".jsonl":
        sweep = Sweep.read(path)
        return Expansion(sweep, len(sweep), 0, (), {}, info), Prices()
    raise ValueError(f"{path} is neither .yaml nor .jsonl: a sweep is one of the two")


def _expanded(asked: Design, root: str | os.PathLike[str] | None, info: Any) -> Expansion:
    """All runs; of a search the first."""
    found = (begin if asked.plan else expand)(asked, info=info, root=root)
    if found.in_bfloat16:
        _refuse_float32(asked, found, Store.at(root))
    return found


def _refuse_float32(asked: Design, found: Expansion, store: Store) -> None:
    """Runs of before, when a sweep on GPUs was in float32, would be trained anew."""
    path = sweep_path(store, asked.name)
    now = {entry.run_id for entry in found.sweep}
    left = [e.spec for e in (Sweep.read(path) if path.exists() else ()) if e.run_id not in now]
    learnt = [spec for spec in left if isinstance(spec, RunSpec) and not spec.is_counted]
    if old := sum(spec.train.precision == "float32" for spec in learnt):
        asked.document.refuse(
            ("resources",),
            f"sweep {asked.name!r} has {old} runs in float32, and without a precision runs on GPUs "
            "are in bfloat16: fix precision: float32 to go on with them, or bfloat16 to train anew",
        )
