"""Addresses of a store's files after its folder was moved or copied.

MLflow keeps them whole, from the root of the file system, in a SQLite store too; ours are in the
folder ``artifacts`` beside it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit

from scaling.tracking.view import VIEW_TAG

FOLDER = "artifacts"
# Experiments that were made here, by the tag that only ours have.
_OURS = """
    SELECT experiment_id, artifact_location FROM experiments WHERE experiment_id IN
    (SELECT experiment_id FROM experiment_tags WHERE key = ?)"""
_RUNS = """
    UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?)
    WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?"""


def artifacts_of(store: Path, experiment: str) -> str:
    """The address of an experiment's files, beside the SQLite file ``store``."""
    return (store.resolve().parent / FOLDER / experiment).as_uri()


def follow_store(store: Path) -> int:
    """Let the addresses of our experiments' files lie beside ``store`` again; how many were not.

    Only those in a folder ``artifacts`` elsewhere are changed; no file is touched.
    """
    try:
        with contextlib.closing(sqlite3.connect(store, timeout=60)) as connection, connection:
            return _follow(connection, store)
    except sqlite3.Error:  # whoever asks the store next says what is wrong with it
        return 0


def _follow(connection: sqlite3.Connection, store: Path) -> int:
    changed = 0
    for experiment, before in connection.execute(_OURS, (VIEW_TAG,)).fetchall():
        place = Path(unquote(urlsplit(before or "").path))
        now = artifacts_of(store, place.name)
        if (before or "").startswith("file:") and place.parent.name == FOLDER and before != now:
            connection.execute(
                "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
                (now, experiment),
            )
            start = before + "/"
            connection.execute(_RUNS, (now + "/", len(start) + 1, experiment, len(start), start))
            changed += 1
    return changed
