"""What runs' folders say: the start of a journal, and the state of a run that trains."""

from __future__ import annotations

import platform
import time

from cluster.work.process import ProcessId

START = {"event": "start", "time": 1.0}


def running(**changes):
    here = {"host": platform.node(), "pid": ProcessId.of().pid}
    return {"state": "running", "step": 250, "time": time.time(), "seconds": 5.0, **here, **changes}
