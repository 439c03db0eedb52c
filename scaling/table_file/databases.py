"""Tables in SQLite's databases."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.table_file.packed import content_of

if TYPE_CHECKING:
    import pandas as pd

DATABASES = (".db", ".sqlite", ".sqlite3")

_OF_MLFLOW = {"experiments", "runs", "metrics", "params"}


def read_database(path: Path) -> pd.DataFrame:
    """The table of a database with the most values; ``attrs["said"]`` names the others.

    Raises
    ------
    ValueError
        If it is no database, has no rows, or is MLflow's store.
    """
    import pandas as pd

    with contextlib.closing(sqlite3.connect(":memory:")) as store:
        try:
            store.deserialize(content_of(path))
            found = store.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
            names = [name for (name,) in found if not name.startswith("sqlite_")]
            if set(names) >= _OF_MLFLOW:
                named = [name for (name,) in store.execute("SELECT name FROM experiments")]
                raise ValueError(
                    f"it is MLflow's store: name one of its experiments ({', '.join(named)}) with "
                    f"--tracking-uri sqlite:///{path.absolute()}"
                )
            frames = {name: pd.read_sql(f"SELECT * FROM {_quoted(name)}", store) for name in names}
        except sqlite3.DatabaseError as error:
            raise ValueError(
                f"it is no SQLite database ({error}); save the table as .csv"
            ) from None
    filled = {name: frame for name, frame in frames.items() if len(frame)}
    if not filled:
        raise ValueError("no table of the database has rows; a run table has one row per run")
    taken = max(filled, key=lambda name: filled[name].size)
    frame = filled[taken]
    if len(filled) > 1:
        others = ", ".join(repr(name) for name in filled if name != taken)
        frame.attrs["said"] = f"table {taken!r} is read, as it is the fullest; not {others}"
    return frame


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
