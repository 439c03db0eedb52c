"""Why a tracking store does not answer, in one short line."""

from __future__ import annotations

import re
import textwrap

from scaling.base import WorkError

_CAUSES = (
    re.compile(r"\[Errno -?\d+\] ([^'\"()\[\]]+)"),  # Connection refused
    re.compile(r"Caused by \w+\('([^']+)'\)"),  # too many 500 error responses
    re.compile(r"\b([Rr]ead timed out)"),
)


class TrackingError(WorkError):
    """The tracking store does not answer; journals keep what it should have got."""


class DeletedError(TrackingError):
    """Somebody deleted it in the store; a deletion is undone only when that is asked for."""


class UnsureError(TrackingError):
    """It did not answer a request for many runs, and may still make them: ask it for the same."""


def reason(words: str) -> str:
    """What an error of a client's libraries comes down to, in a few words.

    Examples
    --------
    >>> reason("API request to http://h:1/api failed with exception HTTPConnectionPool(host='h', "
    ...        "port=1): Max retries exceeded with url: /api (Caused by NewConnectionError("
    ...        "'Failed to establish a new connection: [Errno 111] Connection refused'))")
    'Connection refused'
    """
    for cause in _CAUSES:
        if found := cause.search(words):
            return found[1].strip()
    # SQLAlchemy adds the statement and a link to its manual.
    words = re.split(r"\[SQL:|\(Background on this error", words, maxsplit=1)[0]
    return textwrap.shorten(words, 200, placeholder=" ...")
