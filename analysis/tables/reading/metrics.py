"""What somebody's loss is measured in, and the loss of a table that has it by another name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.tables.reading.header import header_of
from analysis.tables.reading.likely import SCORE, flags
from analysis.tables.reading.notes import Note, quoted
from analysis.tables.reading.numbers import parsed
from analysis.tables.where import column_of
from scaling import COLUMN_FLAGS, normalise

if TYPE_CHECKING:
    import pandas as pd

NATS = "nats/token"
_LOSS = re.compile(r"loss|^l$|nll|entropy|^ce$|xent")
_ERROR = re.compile(_LOSS.pattern + "|err|brier|ppl|perplex|bits|bp[bcd]$|nats|mse$|mae$|miss")


@dataclass(frozen=True)
class Metric:
    """What stands for a loss: by which names, in which unit, and the loss as a formula of it."""

    name: str
    looks: re.Pattern[str]
    unit: str
    loss: str = "{0}"
    loss_unit: str = ""


METRICS = (
    Metric("perplexity", re.compile(r"(?<!log)(ppl|perplexity)$"), "perplexity", "log({0})", NATS),
    Metric("log perplexity", re.compile(r"log(ppl|perplexity)$"), NATS),
    Metric("bits per byte", re.compile(r"bpb$|bits(per)?byte$"), "bits/byte"),
    Metric("bits per character", re.compile(r"bpc$|bits(per)?char(acter)?$"), "bits/character"),
    Metric("bits per dimension", re.compile(r"bpd$|bits(per)?dim(ension)?$"), "bits/dimension"),
    Metric("nats per token", re.compile(r"nats(per)?token$"), NATS),
    Metric("bits per token", re.compile(r"bits(per)?token$"), "bits/token"),
)


def unit_of(name: str) -> str:
    """The unit of a loss that its column's name tells; the name itself of what is no loss of ours.

    Empty where it is called a loss without a unit.

    >>> [unit_of(name) for name in ("val_bpb", "loss (bits)", "ppl", "error", "val_loss")]
    ['bits/byte', 'bits/token', 'perplexity', 'error', '']
    """
    if unit := header_of(name).unit:
        return unit
    if metric := metric_of(name):
        return metric.unit
    return "" if _LOSS.search(normalise(name)) else name


def is_score(name: str) -> bool:
    """Whether a column's name tells of right answers, which are better more.

    >>> [is_score(name) for name in ("hellaswag acc", "top1_err", "loss")]
    [True, False, False]
    """
    return SCORE.search(normalise(name)) is not None and not is_error(name)


def is_error(name: str) -> bool:
    """Whether a column's name, or the unit of a loss, tells of something that is better lower.

    >>> [is_error(name) for name in ("brier_score", "top1_err", "bits/byte", "accuracy")]
    [True, True, True, False]
    """
    return _ERROR.search(normalise(name)) is not None


def advice(name: str) -> str:
    """How to have a stated column in nats, where it is another measure of the same."""
    metric = metric_of(name)
    if metric is None or not metric.loss_unit:
        return ""
    way = flags("loss", [metric.loss.format(quoted(name))])[0]
    return f"; {way} is in {metric.loss_unit}"


def metric_of(name: str) -> Metric | None:
    """The metric that the name of a column tells."""
    form = re.sub("(val|valid|validation|eval|test|dev|heldout)$", "", normalise(name))
    return next((metric for metric in METRICS if metric.looks.search(form)), None)


def loss_by_metric(
    frame: pd.DataFrame, mark: str | None, notes: list[str]
) -> tuple[pd.Series, str] | None:
    """The loss of a table without a column of that name, and its unit; None where it is in doubt.

    It is that of the first of ``METRICS`` that the table has once.
    """
    there = [(metric, name) for name in map(str, frame.columns) if (metric := metric_of(name))]
    for metric in METRICS:
        names = [name for one, name in there if one is metric]
        if len(names) > 1:
            names = [name for name in names if "train" not in name.lower()]
        if len(names) != 1:
            continue
        values, faults = parsed(frame[names[0]], names[0], mark)
        if faults or not values.notna().any():
            continue
        loss = metric.loss.format(quoted(names[0]))
        found = column_of(frame.assign(**{names[0]: values}), loss, COLUMN_FLAGS["loss"])
        unit = metric.loss_unit or metric.unit
        others = [name for _, name in there if name != names[0]]
        notes.append(Note(f"loss is {loss}, in {unit}", "loss", taken=True))
        said = f"{names[0]!r} is {metric.name}; another is {' or '.join(flags('loss', others[:2]))}"
        notes += [Note(said, "loss")] if others else []
        return found, unit
    return None
