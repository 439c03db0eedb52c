"""What kept weights can be asked: a data set's held-out part, somebody's function, a command."""

from __future__ import annotations

import re
from typing import Any, Protocol

from scaling.data import DATASETS
from scaling.spec import RunSpec
from scaling.weights.code_tasks import FunctionTask
from scaling.weights.data_task import DataTask
from scaling.weights.model import KeptModel

FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class EvalTask(Protocol):
    """Something that a model is asked, whose answers are numbers."""

    @property
    def name(self) -> str:
        """It names the columns: ``eval/NAME/METRIC``."""

    @property
    def identity(self) -> dict[str, Any] | None:
        """What the answer depends on beside the weights; None where that is not known."""

    def check(self, spec: RunSpec) -> None:
        """Refuse a run that cannot be asked this, before any is."""

    def ask(self, kept: KeptModel) -> dict[str, float]:
        """The numbers by metric."""


def find_task(text: str, name: str | None = None, limit: int = 0) -> EvalTask:
    """The task that ``text`` names: a data set, or a function as ``module:function``.

    Parameters
    ----------
    text : str
    name : str, optional
        In place of the data set's or the function's own.
    limit : int
        Held-out tokens (examples) of a data set; 0 for all.

    Raises
    ------
    ValueError
        If it is neither.
    FileNotFoundError
        If it is the name of no data set here.
    """
    if FUNCTION.fullmatch(text) and text.partition(":")[0] not in DATASETS:
        if limit:
            raise ValueError("--limit is for data sets: a function sees the whole model")
        return FunctionTask(text, name or text.rpartition(":")[2])
    return DataTask(text, name or re.sub(r"[^\w.-]", "_", text), limit)
