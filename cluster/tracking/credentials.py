"""Secrets of a server: from a file that only its owner may read, or from the environment."""

from __future__ import annotations

import os
import stat
from pathlib import Path

DATABASE_PASSWORD = "PGPASSWORD"  # PostgreSQL's own name; its client reads ~/.pgpass as well
ADMIN_NAME, ADMIN_PASSWORD = "MLFLOW_AUTH_ADMIN_USERNAME", "MLFLOW_AUTH_ADMIN_PASSWORD"
COOKIES = "MLFLOW_FLASK_SERVER_SECRET_KEY"
NAMES = (DATABASE_PASSWORD, ADMIN_NAME, ADMIN_PASSWORD, COOKIES)


def read_credentials(file: Path | None) -> dict[str, str]:
    """The secrets by the names that PostgreSQL and MLflow give them; the file's come first.

    Lines of the file are ``NAME=VALUE``, blank, or comments with ``#``. No message says a value.

    Raises
    ------
    ValueError
        If others than the owner may read the file, or a line is none of these.
    OSError
        If it cannot be read.
    """
    found = {name: os.environ[name] for name in NAMES if os.environ.get(name)}
    if file is None:
        return found
    with file.open(encoding="utf-8") as opened:
        mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
        if mode & 0o077:
            raise ValueError(f"{file} may be read by others (mode {mode:o}): chmod 600 {file}")
        lines = opened.read().splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if name.strip() not in NAMES or not equals or not value.strip():
            raise ValueError(
                f"line {number} of {file} is not NAME=VALUE with one of {', '.join(NAMES)}"
            )
        found[name.strip()] = value.strip()
    return found
