"""Somebody's code as a question to kept weights: a function, or a command."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.base import WorkError, refuse_unknown
from scaling.spec import RunSpec
from scaling.weights.folder import export
from scaling.weights.model import KeptModel

PLACE = re.compile(r"\{(\w+)\}")
PLACES = ("model", "run_dir", "run_id", "device")
TAIL = 400  # characters of what a failed command said


@dataclass(frozen=True)
class FunctionTask:
    """A function ``(model, spec)`` that returns a number, or numbers by name.

    ``model`` is the torch module in eval mode, on its device and without gradients.

    Raises
    ------
    ValueError
        If it cannot be imported.
    """

    path: str
    name: str

    def __post_init__(self) -> None:
        self.function()  # what is not there is refused before any run is asked

    def function(self) -> Callable[..., Any]:
        """The function itself; the folder that the command runs in counts too."""
        module, _, name = self.path.partition(":")
        if "" not in sys.path and str(Path.cwd()) not in sys.path:
            sys.path.append(str(Path.cwd()))
        try:
            found = getattr(importlib.import_module(module), name)
        except Exception as error:  # whatever the user's module raises as it is imported
            raise ValueError(
                f"{self.path} cannot be imported ({type(error).__name__}: {error}): write "
                "MODULE:FUNCTION, of a module here or on PYTHONPATH"
            ) from None
        if not callable(found):
            raise ValueError(f"{self.path} is no function, but {type(found).__name__}")
        return found  # type: ignore[no-any-return]

    @property
    def identity(self) -> None:
        """Not known: what it computes may have changed."""

    def check(self, spec: RunSpec) -> None:
        """Any run will do."""

    def ask(self, kept: KeptModel) -> dict[str, float]:
        """What the function says."""
        import torch

        try:
            with torch.no_grad():
                said = self.function()(kept.model, kept.spec)
        except Exception as error:  # whatever the user's function raises
            raise WorkError(f"{self.path}: {type(error).__name__}: {error}") from error
        return metrics(said, self.path)


@dataclass(frozen=True)
class CommandTask:
    """A command whose last line on stdout is a number, or a JSON object of numbers.

    ``{model}`` in it is a folder with the exported model (for ``transformers`` where that can
    be), ``{run_dir}`` the run's own, ``{run_id}`` its id, ``{device}`` where to compute.

    Raises
    ------
    ValueError
        For a place that is not known, or none that tells the run.
    """

    command: str
    name: str
    device: str = "cpu"

    def __post_init__(self) -> None:
        used = PLACE.findall(self.command)
        for place in used:
            if place not in PLACES:
                refuse_unknown(place, PLACES, "place")
        if not set(used) & {"model", "run_dir", "run_id"}:
            raise ValueError(
                f"command {self.command!r} does not say of which run: write {{model}} where the "
                "folder with the weights belongs"
            )

    @property
    def identity(self) -> None:
        """Not known: what it computes may have changed."""

    def check(self, spec: RunSpec) -> None:
        """Any run will do."""

    def ask(self, kept: KeptModel) -> dict[str, float]:
        """What the command says.

        Raises
        ------
        WorkError
            If it fails, or says no numbers.
        """
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "model"
            if "{model}" in self.command:
                export(kept, model)
            places = {
                "model": str(model),
                "run_dir": str(kept.run_dir),
                "run_id": kept.spec.run_id,
                "device": self.device,
            }
            words = [PLACE.sub(lambda m: places[m[1]], w) for w in shlex.split(self.command)]
            try:
                done = subprocess.run(words, capture_output=True, text=True, check=False)
            except OSError as error:
                raise ValueError(f"command {words[0]}: {error.strerror}: check the path") from None
        if done.returncode:
            told = " ".join(done.stderr.split())[-TAIL:]
            raise WorkError(f"command {words[0]} ended with {done.returncode}: {told}")
        last = next((line for line in reversed(done.stdout.splitlines()) if line.strip()), "")
        try:
            said = json.loads(last)
        except ValueError:
            raise WorkError(
                f"command {words[0]}: the last line on stdout is {last[:80]!r}, which is no "
                "number and no JSON object of numbers"
            ) from None
        return metrics(said, f"command {words[0]}")


def metrics(said: Any, who: str) -> dict[str, float]:
    """Numbers by metric, as somebody else's code said them; a number alone is ``value``.

    Raises
    ------
    WorkError
        If they are no numbers.
    """
    named = said if isinstance(said, Mapping) else {"value": said}
    values = {}
    for key, value in named.items():
        try:
            values[str(key)] = float(value)
        except (TypeError, ValueError, RuntimeError):
            kind = type(value).__name__
            raise WorkError(
                f"{who}: {key} is {kind}, not a number: return numbers by name"
            ) from None
    if not values:
        raise WorkError(f"{who} said nothing: return a number, or numbers by name")
    return values
