"""A process that trains small models, each in a fork of its own, and says what each took at most.

    python -m sweeps.estimate.weighed < SPECS.json

The first model is trained in the process itself too: what it takes as a whole is a worker's.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scaling import RunSpec
from scaling.data import open_same
from scaling.families import get_family
from sweeps.estimate.made_up import CHUNK, as_a_worker, work_of

STEPS = 2  # before the checkpoint and after it: from the second on a step takes no more


def main() -> None:
    """Write bytes: this process's peak after the first model, each one's state, its fork's peak."""
    specs = [RunSpec.from_dict(plain) for plain in json.load(sys.stdin)]
    data = _data(specs[0])
    with as_a_worker():
        _train(specs[0])
        whole = _peak()
        states, peaks = zip(*map(_of_a_fork, specs), strict=True)
        print(json.dumps({"whole": whole, "states": states, "peaks": peaks}))
    del data


def _data(spec: RunSpec) -> Any:
    """A run's data, which stay open as in a worker; None where they are not on this machine."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        return open_same(spec.data.data, spec.data.fingerprint)
    return None


def _train(spec: RunSpec) -> int:
    """A few steps of a run, an evaluation, and a checkpoint that is written while it goes on.

    Bytes of weights and optimiser.
    """
    chunk = CHUNK["cpu"][get_family(spec.family).unit]
    work = work_of(spec, "cpu", chunk)
    for _ in range(STEPS):
        work.step()
    work.evaluate()
    written = copy.deepcopy(work.state())
    for _ in range(STEPS):
        work.step()
    return sum(tensor.nbytes for tensor in _tensors(written))


def _tensors(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _tensors(one)
    elif hasattr(value, "nbytes"):
        yield value


def _peak() -> int:
    """Bytes that this process took at most."""
    status = Path("/proc/self/status")
    if not status.exists():  # a Mac; elsewhere this may be the peak of the process that started us
        return _in_bytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _of_a_fork(spec: RunSpec) -> tuple[int, int]:
    """State and peak of a fork that trains: holes that one model leaves do not count for others."""
    told, telling = os.pipe()
    process = os.fork()
    if process == 0:
        status = 1
        try:
            os.write(telling, str(_train(spec)).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(telling)
    _, status, used = os.wait4(process, 0)
    with os.fdopen(told) as file:
        state = file.read()
    if status:
        raise OSError(f"training {spec.run_id} ended with {status}")
    return int(state), _in_bytes(used.ru_maxrss)


def _in_bytes(maxrss: int) -> int:
    return maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
