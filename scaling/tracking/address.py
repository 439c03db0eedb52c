"""Addresses of tracking stores, as they may be shown and kept."""

from __future__ import annotations

from urllib.parse import urlsplit


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
