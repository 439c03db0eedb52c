"""What is imported: files, a folder, or an experiment of a tracking store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from scaling.importing.experiments import runs_of_experiment
from scaling.importing.folders import runs_of_folder
from scaling.importing.found import FoundRun
from scaling.importing.tables import is_export, runs_of_files


def find_runs(
    sources: Sequence[str], experiment: str | None = None, columns: Mapping[str, str] | None = None
) -> tuple[list[FoundRun], list[str]]:
    """The runs in ``sources``, as they are there, and what a reader should know of them.

    Parameters
    ----------
    sources : sequence of str
        The address of a tracking store, a folder, or files that belong together.
    experiment : str, optional
        Which experiment of the store.
    columns : dict, optional
        What is stated of the columns: a store is asked for the histories of these.

    Raises
    ------
    ValueError
        If a source is none of these, or there are no runs in it.
    FileNotFoundError
        If there is no such file.
    TrackingError
        If the store does not answer.
    """
    stores = [source for source in sources if "://" in source]
    if stores and (len(sources) > 1 or not experiment):
        raise ValueError(
            f"{stores[0]} is a tracking store: give it alone, and --experiment NAME beside it"
        )
    if experiment and not stores:
        raise ValueError(
            f"--experiment {experiment!r} is of a tracking store, as sqlite:///FILE or http://HOST"
        )
    if experiment:
        return runs_of_experiment(stores[0], experiment, columns or {})
    paths = [Path(source).expanduser() for source in sources]
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(2, "No such file or folder", str(path))
    if not any(path.is_dir() for path in paths):
        return runs_of_files(paths), []
    if len(paths) > 1:
        raise ValueError(f"{paths[0]} and {paths[1]}: give one folder alone, or files")
    if exports := _exports(paths[0]):
        return runs_of_files(exports), []
    return runs_of_folder(paths[0]), []


def _exports(folder: Path) -> list[Path]:
    """The files of a folder that has nothing but what W&B's pages export."""
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return inside if all(path.is_file() and is_export(path) for path in inside) else []
