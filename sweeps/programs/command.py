"""Counts by a command of the user's, run once for each model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from scaling import Counts
from scaling.base import Store, Unit, digest, fill, note_once, read_json, write_atomic
from sweeps.document import Document, PlacedError, Where
from sweeps.programs.counted import TARGET, Counted, Options, Setting, no_target
from sweeps.programs.words import Word, check_names, read_command
from sweeps.values import number

KEPT = "counts.json"  # in ROOT/programs
MINUTE = 60.0
OWN = ("python", "code_dir")  # names of places that are there before any run
SAID = ("num_params", "flops_per_token", "num_params_non_embedding")
LAST_WORDS = 200  # characters


@dataclass(frozen=True)
class CommandCounts:
    """Counts that a command prints, as one JSON object on the last line of its output.

    Attributes
    ----------
    words : tuple of Word
    timeout_seconds : float
    unit : {"token", "example"}
    code : str
        The program's; what a command says of the same code is asked once.
    folder : Path
        Where it is run: the code's folder, or the sweep file's.
    """

    words: tuple[Word, ...]
    timeout_seconds: float
    unit: Unit
    code: str
    folder: Path
    name: str = "program"

    @cached_property
    def answers(self) -> Callable[[Store], _Answers]:
        """What the command has said so far, by store."""
        return cache(lambda store: _Answers(self.code, store))

    @classmethod
    def read(
        cls, document: Document, keys: Mapping[str, Any], where: Where, code: str, folder: Path
    ) -> CommandCounts:
        """From the ``counts`` of a sweep file.

        Raises
        ------
        ValueError
            For a command or a time that is none.
        """
        words = read_command(document, keys["command"], (*where, "command"), shell=False)
        at = (*where, "timeout_seconds")
        timeout = number(document, keys.get("timeout_seconds", MINUTE), at, low=0.1)
        return cls(tuple(words), timeout, keys.get("unit", "token"), code, folder)

    @property
    def sets(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def sized(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def has_body(self) -> bool:
        """It may say so; a run of which it does not has no such count."""
        return True

    @property
    def takes_target(self) -> bool:
        """No: it would be run for every size that is tried."""
        return False

    def check(self, document: Document, options: Collection[str]) -> None:
        """Refuse a name that is no option."""
        hints = dict.fromkeys(
            ("num_tokens", "num_steps", "seed", "run_dir"), "the model is counted before there is"
        )
        check_names(document, self.words, {*options, *OWN} - {TARGET}, hints)

    def model(self, options: Options, setting: Setting) -> Counted:
        """The model that the command counts for ``options``."""
        if TARGET in options:
            raise no_target()
        full = setting.shape(dict(options))
        known = {**full, "python": sys.executable, "code_dir": str(self.folder)}
        for word in self.words:
            if missing := [name for name in word.names if name not in known]:
                raise PlacedError(
                    f"{word.text!r} needs {missing[0]}, which is not set before the model is "
                    "counted",
                    word.where,
                )
        words = tuple(fill(word.text, known) for word in self.words)
        return Counted(self._counts(words, setting.store), full)

    def _counts(self, words: tuple[str, ...], store: Store) -> Counts:
        said = self.answers(store).ask(words, self._run)
        try:
            counts = {name: said[name] for name in SAID if said.get(name) is not None}
            counts["num_params"] = int(counts["num_params"])
            counts["flops_per_token"] = counts.get("flops_per_token", 6 * counts["num_params"])
            return Counts(**counts, unit=self.unit)
        except (KeyError, TypeError, ValueError) as error:
            raise self._refusal(words, f"prints no counts: {said!r}: {error}") from None

    def _run(self, words: tuple[str, ...]) -> dict[str, Any]:
        try:
            done = subprocess.run(
                words,
                cwd=self.folder,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self.timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            wait = f"gives no answer in {self.timeout_seconds:g} s: raise timeout_seconds"
            raise self._refusal(words, wait) from None
        except OSError as error:
            raise self._refusal(words, f"does not start: {error.strerror}") from None
        if done.returncode:
            last = _last(done.stderr) or _last(done.stdout) or "without a word"
            raise self._refusal(words, f"fails with {done.returncode}: {last}")
        try:
            said = json.loads(_last(done.stdout))
        except json.JSONDecodeError:
            said = None
        if not isinstance(said, dict):
            raise self._refusal(
                words,
                f"ends with {_last(done.stdout)!r}, not with one JSON object that has num_params "
                "and flops_per_token",
            )
        return said

    def _refusal(self, words: tuple[str, ...], what: str) -> PlacedError:
        return PlacedError(f"the counting command {' '.join(words)!r} {what}", self.words[0].where)


def _last(text: str) -> str:
    """The last line that is not empty, cut."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:LAST_WORDS] if lines else ""


class _Answers:
    """What commands have said; kept for the next time if the code they belong to is known."""

    def __init__(self, code: str, store: Store) -> None:
        self.code = code
        self.path = store.root / "programs" / KEPT
        self.known = (read_json(self.path) or {}) if code else {}

    def ask(self, words: tuple[str, ...], run: Callable[..., dict[str, Any]]) -> dict[str, Any]:
        """What ``run`` says of ``words``, or said before."""
        key = digest({"command": words, "code": self.code})
        if key not in self.known:
            note_once(f"counting models by {' '.join(words[:2])} ...")
            self.known[key] = run(words)
            if self.code:
                write_atomic(self.path, json.dumps(self.known))
        found: dict[str, Any] = self.known[key]
        return found
