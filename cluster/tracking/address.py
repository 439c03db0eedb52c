"""Where a sweep is tracked, and whence it was submitted: remembered beside it, no password."""

from __future__ import annotations

import json
import os
import subprocess

from scaling.base import Store, note, read_json, write_atomic
from scaling.tracking import masked, without_password

TRACKING = "tracking.json"  # in a sweep's folder
GIT = "scaling.git_commit"
GIT_SECONDS = 10.0


def remember(store: Store, name: str, uri: str, *, begun: bool = True) -> None:
    """Note where a sweep was submitted to be tracked, and the commit of the tree around us, if any.

    The root's own store is noted as the empty text, for roots are moved and copied. Where no run
    was ``begun`` the commit stays.
    """
    file = store.sweep_dir(name) / TRACKING
    noted = "" if uri == store.own_tracking_uri else without_password(uri)
    commit = commit_here() if begun else str((read_json(file) or {}).get("commit") or "")
    write_atomic(file, json.dumps({"uri": noted, "commit": commit}))


def marks(store: Store, name: str) -> dict[str, str]:
    """Tags of the runs of a sweep: the git commit from which it was submitted, if it is known.

    With ``-dirty`` where files differed from it; MLflow's own tag is the commit alone.
    """
    commit = str((read_json(store.sweep_dir(name) / TRACKING) or {}).get("commit") or "")
    if not commit:
        return {}
    return {GIT: commit, "mlflow.source.git.commit": commit.removesuffix("-dirty")}


def commit_here() -> str:
    """The git commit of the current folder's tree, ``-dirty`` if it differs; empty without one."""
    words = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        said = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", *words],
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout.strip() if said.returncode == 0 else ""


def address(store: Store, name: str | None, given: str | None = None) -> str:
    """The tracking store that is meant: the one given, the sweep's own, or the default.

    A password comes from ``MLFLOW_TRACKING_URI``, if that names the sweep's own store.
    """
    noted = read_json(store.sweep_dir(name) / TRACKING) if name else None
    if given or noted is None:
        return given or store.tracking_uri
    own = str(noted["uri"]) or store.own_tracking_uri
    return store.tracking_uri if own == without_password(store.tracking_uri) else own


def told_address(store: Store, name: str | None, given: str | None = None) -> str:
    """The address of a sweep's store, with a word where the environment names another one."""
    uri = address(store, name, given)
    if not given and without_password(uri) != without_password(store.tracking_uri):
        note(
            f"sweep {name!r} is tracked in {masked(uri)}, where it was submitted last, not in "
            f"{masked(store.tracking_uri)}: --tracking-uri goes elsewhere"
        )
    return uri
