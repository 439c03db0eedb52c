"""The three failure channels (the caller's mistake, no answer, a status) at the command line.

A mistake of the caller's is a ``ValueError`` (or an ``OSError`` for a path) and exits with 2;
work that was asked for properly and could not be done is a ``WorkError`` and exits with 1;
an answer that must be read with care is a value with a ``status`` and exits with 0.
"""

from __future__ import annotations

import errno


class OptionError(ValueError):
    """An option of a run, or several together, has a value that it cannot have.

    ``options`` are their names, for whoever wants to point at the place where one was given.
    """

    def __init__(self, message: str, *options: str) -> None:
        super().__init__(message)
        self.options = options


class WorkError(RuntimeError):
    """Work that was asked for properly could not be done; the message says what remedies it."""


class NoAnswerError(WorkError):
    """The data hold no answer to a well-posed question (a minimum outside the grid, say)."""


class WorkerLostError(WorkError):
    """A process that worked on the same run died; the run can be resumed."""


def is_full(error: BaseException) -> bool:
    """Whether a disk or quota is full (``ENOSPC``, ``EDQUOT``)."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def describe(error: BaseException) -> str:
    """The error in one line, with its remedy where the system's own words have none."""
    if not isinstance(error, OSError) or error.strerror is None:
        return " ".join(str(error).split())
    where = f"{error.filename}: " if error.filename else ""
    remedies = {
        2: "check the path",
        13: "check its permissions, or name another folder (--root, SCALING_HOME, SCALING_DATA)",
        30: "name a folder you may write to (--root, SCALING_HOME, SCALING_DATA)",
        28: "free some space and run the same command again; finished work is kept",
        122: "free some space and run the same command again; finished work is kept",
        98: "the port is in use: choose another with --port",
    }
    remedy = remedies.get(error.errno or 0)
    return f"{where}{error.strerror}" + (f"; {remedy}" if remedy else "")
