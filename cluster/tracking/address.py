"""Where a sweep is tracked: remembered beside it, without a password."""

from __future__ import annotations

import json

from scaling.base import Store, read_json, write_atomic
from scaling.tracking import without_password

TRACKING = "tracking.json"  # in a sweep's folder


def remember(store: Store, name: str, uri: str) -> None:
    """Note where a sweep was submitted to be tracked.

    The root's own store is noted as the empty text, for roots are moved and copied.
    """
    noted = "" if uri == store.own_tracking_uri else without_password(uri)
    write_atomic(store.sweep_dir(name) / TRACKING, json.dumps({"uri": noted}))


def address(store: Store, name: str | None, given: str | None = None) -> str:
    """The tracking store that is meant: the one given, the sweep's own, or the default.

    A password comes from ``MLFLOW_TRACKING_URI``, if that names the sweep's own store.
    """
    noted = read_json(store.sweep_dir(name) / TRACKING) if name else None
    if given or noted is None:
        return given or store.tracking_uri
    own = str(noted["uri"]) or store.own_tracking_uri
    return store.tracking_uri if own == without_password(store.tracking_uri) else own
