"""``python -m scaling.programs.call module:function``: a Python function as a program.

The function is called with its options and a :class:`Run`, in a process of its own.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scaling.reporting import report


class Run:
    """What a training function is told of its run, and says of it.

    Attributes
    ----------
    seed, num_tokens, num_steps : int
        ``num_steps`` is 0 where the sweep file has no ``tokens_per_step``.
    attempt : int
        How often the run was begun, this time included.
    resumed : bool
        Whether it was begun before: ``checkpoint_dir`` may hold something.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self.seed = int(environment["SCALING_SEED"])
        self.num_tokens = int(environment["SCALING_NUM_TOKENS"])
        self.num_steps = int(environment.get("SCALING_NUM_STEPS", "0"))
        self.attempt = int(environment["SCALING_ATTEMPT"])
        self.resumed = "SCALING_RESUME" in environment
        self.run_dir = Path(environment["SCALING_RUN_DIR"])
        self._stop = False
        number = signal.Signals[environment["SCALING_STOP_SIGNAL"]]
        signal.signal(number, self._ask)

    @property
    def checkpoint_dir(self) -> Path:
        """A folder that is there again when the run goes on."""
        folder = self.run_dir / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def should_stop(self) -> bool:
        """Whether to checkpoint and return, because time or the user's patience is over."""
        return self._stop

    def report(self, *, step: float, loss: float | None = None, **metrics: float) -> None:
        """See :func:`scaling.report`."""
        report(step=step, loss=loss, **metrics)

    def _ask(self, *_: object) -> None:
        self._stop = True


def function_of(target: str) -> Callable[[dict[str, Any], Run], object]:
    """The function that ``module:name`` means.

    Raises
    ------
    ValueError
        If there is no such module or function.
    """
    module, _, name = target.partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ValueError(f"No module named {module!r}: is it in the program's code?") from None
    function = getattr(found, name, None)
    if not callable(function):
        raise ValueError(f"module {module} has no function {name!r}")
    return function  # type: ignore[no-any-return]


def main(argv: list[str]) -> int:
    """Call the function that the command line names."""
    try:
        function = function_of(argv[0])
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    options = json.loads(Path(os.environ["SCALING_OPTIONS_FILE"]).read_text(encoding="utf-8"))
    function(options, Run(dict(os.environ)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
