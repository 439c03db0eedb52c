"""The sources by the key of ``reports`` that asks for them. A new one is a line here."""

from __future__ import annotations

from scaling.programs.readers.file import File, Own
from scaling.programs.readers.mlflow import MLflow
from scaling.programs.readers.reports import OWN
from scaling.programs.readers.source import Source
from scaling.programs.readers.stdout import Stdout
from scaling.programs.readers.tensorboard import TensorBoard

SOURCES: dict[str, type[Source]] = {
    OWN: Own,
    "file": File,
    "stdout": Stdout,
    "tensorboard": TensorBoard,
    "mlflow": MLflow,
}
