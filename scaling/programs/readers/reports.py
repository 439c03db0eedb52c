"""What a program's reports mean: which source, which name is the step, which the loss."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal, TypeAlias

from scaling.base import placeholders, refuse_unknown, whole

Record: TypeAlias = Mapping[str, Any]
Unit = Literal["tokens", "steps"]

OWN = "report"  # the source of programs that call scaling.report
FILES = (".jsonl", ".csv")
KEYS = ("step", "loss", "unit", "metrics")
UNITS = ("tokens", "steps")


@dataclass(frozen=True)
class Report:
    """One report, understood.

    Attributes
    ----------
    step : int or None
        Tokens (examples) seen; None where a pattern has no group for them.
    loss : float or None
        As reported, NaN and infinity too; None in a report of other things.
    metrics : dict
        The other numbers by their names.
    """

    step: int | None
    loss: float | None
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Reports:
    """The ``reports`` of a sweep file's ``program``.

    Attributes
    ----------
    source : str
        A key of :data:`~scaling.programs.readers.SOURCES`.
    where : tuple of str
        The file's or folder's template, or the patterns; empty for ``report`` and ``mlflow``.
    step, loss : str
        Names of the numbers that are these; of nested values dotted (``eval.loss``).
    unit : {"tokens", "steps"}
        What ``step`` counts: tokens (examples), or steps of ``tokens_per_step``.
    metrics : tuple of str or None
        The other numbers to keep; None for all.
    """

    source: str = OWN
    where: tuple[str, ...] = ()
    step: str = "step"
    loss: str = "loss"
    unit: Unit = "tokens"
    metrics: tuple[str, ...] | None = None

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Reports:
        """The reports that a sweep file describes; of ``scaling.report`` where it is silent.

        Raises
        ------
        ValueError
            For a key that is not known, two sources, a template or a pattern that is none.

        Examples
        --------
        >>> Reports.parse({"file": "{run_dir}/log.jsonl", "step": "tokens", "loss": "val_loss"})
        ... # doctest: +ELLIPSIS
        Reports(source='file', where=('{run_dir}/log.jsonl',), step='tokens', loss='val_loss', ...)
        """
        if not isinstance(value, Mapping):
            raise ValueError(f"reports must be a mapping (key: value), not {value!r}")
        for key in value:
            if key not in (*_CHECKS, *KEYS):
                refuse_unknown(str(key), (*_CHECKS, *KEYS), "key of reports")
        named = [key for key in value if key in _CHECKS]
        if len(named) > 1:
            raise ValueError(f"reports are read from one place, not from {' and '.join(named)}")
        names = {key: value.get(key, key) for key in ("step", "loss")}
        for key, name in names.items():
            if not isinstance(name, str) or not name:
                raise ValueError(f"reports: {key} {name!r} is no name of a number")
        unit, metrics = value.get("unit", "tokens"), value.get("metrics")
        if unit not in UNITS:
            refuse_unknown(str(unit), UNITS, "unit", "reports: ")
        if metrics is not None and not _is_texts(metrics):
            raise ValueError(f"reports: metrics {metrics!r} is no list of names")
        source = named[0] if named else OWN
        where = _CHECKS[source](value[source], names["loss"]) if named else ()
        kept = None if metrics is None else tuple(metrics)
        return cls(source, where, names["step"], names["loss"], unit, kept)

    @property
    def templates(self) -> tuple[str, ...]:
        """Texts whose ``{name}`` are filled when a run begins."""
        return self.where if self.source in ("file", "tensorboard") else ()

    def understand(self, record: Record, tokens_per_step: int) -> Report:
        """What one record of the source says.

        Raises
        ------
        ValueError
            If its step is missing or no whole number, or its loss is no number.
        """
        numbers = _flat(record)
        step = self._tokens(numbers.get(self.step), tokens_per_step)
        loss = numbers.get(self.loss)
        if loss is not None and not _is_number(loss):
            raise ValueError(f"{self.loss} {loss!r} is no number")
        rest = {
            key: float(value)
            for key, value in numbers.items()
            if key not in (self.step, self.loss, "step")
            and _is_number(value)
            and (self.metrics is None or key in self.metrics)
        }
        return Report(step, None if loss is None else float(loss), rest)

    def _tokens(self, step: Any, tokens_per_step: int) -> int | None:
        if step is None:
            if self.source == "stdout":
                return None
            raise ValueError(f"it has no {self.step}")
        if not _is_number(step) or step < 0 or not isinstance(whole(step), int):
            raise ValueError(f"{self.step} {step!r} is no whole number of {self.unit}")
        return int(step) * (tokens_per_step if self.unit == "steps" else 1)


def _file(value: Any, loss: str) -> tuple[str, ...]:
    text = _template(value, "file", "{run_dir}/log.jsonl")
    if PurePath(text).suffix not in FILES:
        raise ValueError(f"reports: file {text!r} is none of {', '.join(FILES)}")
    return (text,)


def _tensorboard(value: Any, loss: str) -> tuple[str, ...]:
    return (_template(value, "tensorboard", "{run_dir}/tensorboard"),)


def _mlflow(value: Any, loss: str) -> tuple[str, ...]:
    if value is not True:
        raise ValueError(f"reports: mlflow {value!r}: write mlflow: true")
    return ()


def _stdout(value: Any, loss: str) -> tuple[str, ...]:
    patterns = (value,) if isinstance(value, str) else value
    if not _is_texts(patterns) or not patterns:
        raise ValueError(f"reports: stdout {value!r} is neither a pattern nor a list of patterns")
    groups: set[str] = set()
    for pattern in patterns:
        try:
            groups.update(re.compile(pattern).groupindex)
        except re.error as error:
            raise ValueError(f"reports: stdout {pattern!r} is no pattern: {error}") from None
    if loss not in groups:
        raise ValueError(
            f"reports: stdout has no group (?P<{loss}>...), so no loss can be read: name it, "
            "or say what it is called by loss:"
        )
    return tuple(patterns)


_CHECKS = {"file": _file, "tensorboard": _tensorboard, "mlflow": _mlflow, "stdout": _stdout}


def _template(value: Any, key: str, example: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"reports: {key} {value!r} is no path: write it as {example}")
    placeholders(value)
    return value


def _is_texts(value: Any) -> bool:
    listed = isinstance(value, Sequence) and not isinstance(value, str)
    return listed and all(isinstance(one, str) for one in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _flat(record: Record, prefix: str = "") -> dict[str, Any]:
    """Nested values under dotted names."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
