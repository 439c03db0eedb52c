"""One sweep, one law: how its runs are fitted is kept with the sweep, and used where not told."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.commands.options import FitOptions, Source, changed, flags, read
from scaling.base import note, read_json, write_atomic
from scaling.run import SWEEP_FILE, find_sweep_file

if TYPE_CHECKING:
    import argparse

KEPT = "fit.json"  # in a sweep's folder


@dataclass(frozen=True)
class Kept:
    """How a sweep is fitted, and how many of its largest runs a report predicts from the others."""

    fit: FitOptions
    hold_out: int = 0


def keep(source: Source, how: Kept) -> Path:
    """Keep it with the sweep; the file.

    Raises
    ------
    ValueError
        If the source is no sweep under a root.
    """
    path = _path(source)
    if path is None:
        raise ValueError(f"{source.name} is no sweep: settings of a fit are kept with one")
    values = {"fit": changed(how.fit), "hold_out": how.hold_out}
    write_atomic(path, json.dumps(values, indent=1) + "\n")
    return path


def fit_options(source: Source, args: argparse.Namespace) -> Kept:
    """How ``source`` is to be fitted: what the arguments say, then what is kept with the sweep.

    What was kept counts if the arguments say nothing of the law; that it does is said on stderr.

    Raises
    ------
    ValueError
        If what is kept cannot be read.
    """
    given = read(FitOptions, args)
    hold_out = getattr(args, "hold_out", None)
    path = _path(source)
    if path is None or not path.exists() or given.law or given.x_col:
        return Kept(given, hold_out or 0)
    stated = {name: value for name, value in vars(given).items() if hasattr(args, name)}
    try:
        values = read_json(path) or {}
        kept = FitOptions(**{**{k: _tuples(v) for k, v in values["fit"].items()}, **stated})
        usual = int(values["hold_out"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{path}: no settings of a fit that can be read; remove it") from None
    if values["fit"]:
        note(f"fitted as kept with the sweep: {shlex.join(flags(kept))} (--law tells otherwise)")
    return Kept(kept, usual if hold_out is None else hold_out)


def _path(source: Source) -> Path | None:
    """Where a sweep's settings are kept; None for a source that is no sweep."""
    if source.tracking_uri is not None:
        return None
    file = find_sweep_file(source.name, source.root)
    return file.with_name(KEPT) if file and file.name == SWEEP_FILE else None


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
