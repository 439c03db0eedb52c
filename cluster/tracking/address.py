"""Where a sweep is tracked: remembered beside it, without a password."""

from __future__ import annotations

import json

from scaling.base import Store, read_json, write_atomic
from scaling.tracking import without_password

TRACKING = "tracking.json"  # in a sweep's folder


def remember(store: Store, name: str, uri: str) -> None:
    """Note where a sweep was submitted to be tracked."""
    path = store.sweep_dir(name) / TRACKING
    write_atomic(path, json.dumps({"uri": without_password(uri)}))


def address(store: Store, name: str | None, given: str | None = None) -> str:
    """The tracking store that is meant: the one given, the sweep's own, or the root's.

    A password comes from ``MLFLOW_TRACKING_URI``, if that names the sweep's own store.
    """
    noted = read_json(store.sweep_dir(name) / TRACKING) if name else None
    own, default = (noted or {}).get("uri"), store.tracking_uri
    return given or (own if own and own != without_password(default) else default)
