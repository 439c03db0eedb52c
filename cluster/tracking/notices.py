"""Notices: a user's web address or command, told once that a sweep is done, stalls or fails.

Who ships a sweep tells them. Before one goes out it is noted in ``notices.json`` of the sweep's
folder, so that whatever dies meanwhile nobody is told twice; one that certainly did not arrive (no
connection) is tried again with the next look.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from cluster.status import NOTICES_FILE, SweepStatus, summary
from cluster.work import EARLY, claim, is_starting
from scaling.base import Store, note, read_json, write_atomic
from scaling.world import os, subprocess, time

SECONDS = 10.0  # for a web address to answer
COMMAND_SECONDS = 60.0
ATTEMPTS = 5  # where nobody can be reached
OVER = ("done", "diverged", "failed", EARLY)
UNSENT = (ConnectionRefusedError, socket.gaierror, FileNotFoundError)


class NotToldError(Exception):
    """Somebody could not be told; ``again`` where it certainly did not arrive."""

    def __init__(self, why: str, *, again: bool) -> None:
        super().__init__(why)
        self.again = again


def tell(store: Store, status: SweepStatus) -> None:
    """Tell whoever is to be told what has happened to a sweep and was not told yet."""
    if not status.policy.notify or not status.submission:
        return
    folder = store.sweep_dir(status.name)
    due = happened(status)
    if is_starting(folder):  # whoever is to go on with it is not there yet
        due = {key: said for key, said in due.items() if said["event"] != "stalled"}
    told = read_json(folder / NOTICES_FILE) or {}
    if not any(_is_due(told.get(key)) for key in due):
        return
    lease = claim(folder / "notices")
    if lease is None:  # another process tells it
        return
    with lease:
        told = read_json(folder / NOTICES_FILE) or {}
        for key, said in due.items():
            if _is_due(told.get(key)):
                attempts = (told.get(key) or {}).get("attempts", 0) + 1
                told[key] = {"state": "sending", "attempts": attempts, "time": time.time()}
                write_atomic(folder / NOTICES_FILE, json.dumps(told))
                try:
                    send(status.policy.notify, said)
                    told[key]["state"] = "sent"
                except NotToldError as error:
                    note(f"notice {said['event']!r} of sweep {status.name!r}: {error}")
                    again = error.again and attempts < ATTEMPTS
                    told[key] |= {"state": "again" if again else "failed", "why": str(error)}
                write_atomic(folder / NOTICES_FILE, json.dumps(told))


def _is_due(before: dict[str, Any] | None) -> bool:
    return before is None or before["state"] == "again"


def happened(status: SweepStatus) -> dict[str, dict[str, Any]]:
    """What there is to tell of a sweep, by what tells it apart from what was told before."""
    found = {}
    for failure in status.failures:
        found[f"failed {failure.cause} {status.submission}"] = _summary(
            status, "failed", failure.cause
        )
    over = all(run.imported or run.state in OVER for run in status.runs)
    if over:
        found[f"done {status.submission}"] = _summary(status, "done")
    elif status.cap:
        found[f"cap {status.submission}"] = _summary(status, "cap")
    elif status.in_state("stalled") or not (status.is_live or status.is_stopped):
        found[f"stalled {status.submission}"] = _summary(status, "stalled")
    return found


def _summary(status: SweepStatus, event: str, cause: str = "") -> dict[str, Any]:
    """A notice; chat services show its ``text``."""
    what = f"{event} ({cause})" if cause else event
    return {
        "text": f"{what}: {summary(status)}" + (f"; {status.cap}" if status.cap else ""),
        "sweep": status.name,
        "event": event,
        "cause": cause,
        "counts": status.counts,
        "flops_done": status.flops_done,
        "flops_total": status.flops_total,
        "gpu_hours_used": status.gpu_hours_used,
        "failures": [
            {key: value for key, value in failure.to_dict().items() if key != "log_tail"}
            for failure in status.failures
        ],
    }


def check_notify(notify: str) -> None:
    """Refuse an address that names variables which are not set here, or that has no host.

    Raises
    ------
    ValueError
        If it does; the message does not say the address.
    """
    if is_address(_expanded(notify)) and not urlsplit(_expanded(notify)).hostname:
        raise ValueError("notify has no host: write it as https://HOST/PATH")
    if notify.startswith("$") and " " not in notify and not is_address(_expanded(notify)):
        raise ValueError(f"notify {notify!r}: the environment has no web address of that name")


def is_address(notify: str) -> bool:
    """Whether a notice goes to a web address and not to a command."""
    return notify.startswith(("http://", "https://"))


def send(notify: str, said: dict[str, Any]) -> None:
    """Send one notice. Nothing of the address but its host is ever said: its path may be a secret.

    Raises
    ------
    NotToldError
        If it did not arrive, or nobody knows.
    """
    address, data = _expanded(notify), json.dumps(said).encode()
    if not is_address(address):
        _call(notify, data)
        return
    host = urlsplit(address).hostname or "the web address"
    try:
        asked = urllib.request.Request(address, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=SECONDS):
            return
    except urllib.error.HTTPError as error:
        error.close()
        raise NotToldError(f"{host} answers {error.code}", again=False) from None
    except urllib.error.URLError as error:
        why = error.reason
        again = isinstance(why, UNSENT)
        words = type(why).__name__ if isinstance(why, Exception) else "no answer"
        raise NotToldError(f"{host} cannot be reached ({words})", again=again) from None
    except (OSError, ValueError, http.client.HTTPException, ssl.SSLError) as error:
        raise NotToldError(f"{host}: {type(error).__name__}", again=False) from None


def _expanded(notify: str) -> str:
    """The address, which may name variables of the environment; a command stays as it is."""
    return str(os.path.expandvars(notify)) if notify.startswith(("$", "http")) else notify


def _call(command: str, data: bytes) -> None:
    try:
        ended = subprocess.run(
            ["sh", "-c", command], input=data, capture_output=True, timeout=COMMAND_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise NotToldError(f"its command took over {COMMAND_SECONDS:.0f} s", again=False) from None
    if ended.returncode:
        raise NotToldError(f"its command ended with {ended.returncode}", again=False)
