"""Addresses of tracking stores, as they may be remembered and as they may be shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_USER = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s'\"]*@", re.IGNORECASE)
_SECRET = re.compile(r"([?&](?:password|passwd|token|secret|api_?key)=)[^&\s'\"]*", re.IGNORECASE)


def without_password(uri: str) -> str:
    """The address without the password that it may hold; the user's name stays.

    Examples
    --------
    >>> without_password("http://ann:secret@host:5000/path")
    'http://ann@host:5000/path'
    >>> without_password("sqlite:////home/ann/mlflow.db")
    'sqlite:////home/ann/mlflow.db'
    """
    user, at, host = urlsplit(uri).netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    return uri.replace(f"{user}@{host}", f"{name}{at}{host}", 1) if colon else uri


def masked(words: str) -> str:
    """Words with the user information of every address in them masked: a token may be a name.

    Examples
    --------
    >>> masked("no answer from http://ann:secret@host:5000/path")
    'no answer from http://***@host:5000/path'
    >>> masked("postgresql://host/runs?user=ann&password=secret")
    'postgresql://host/runs?user=ann&password=***'
    """
    return _SECRET.sub(r"\1***", _USER.sub(r"\1***@", words))
