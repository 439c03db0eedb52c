"""A data set's held-out part as a question to kept weights."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scaling.base import note_once
from scaling.data import DataInfo, describe_data, find_prepared, open_data
from scaling.families import get_family
from scaling.spec import RunSpec
from scaling.spec_parts import TrainSpec
from scaling.weights.model import KeptModel

VALUES = ("loss", "loss_se", "bits_per_byte", "error")


@dataclass(frozen=True)
class DataTask:
    """The loss, and what else there is, on the held-out part of a data set.

    Inputs are prepared as for the run's own held-out data, by its own mean and deviation.

    Raises
    ------
    FileNotFoundError
        If the data set is not here.
    """

    data: str
    name: str
    limit: int = 0

    def __post_init__(self) -> None:
        describe_data(self.data)

    @property
    def identity(self) -> dict[str, Any]:
        """The content of the data and how much of it is used."""
        return {"fingerprint": describe_data(self.data).fingerprint, "limit": self.limit}

    def check(self, spec: RunSpec) -> None:
        """Refuse data that mean something else to the run than to themselves.

        Raises
        ------
        ValueError
            For tokens in place of examples, another tokenizer, or other classes.
        """
        info = describe_data(self.data)
        if info.unit != (unit := get_family(spec.family).unit):
            raise ValueError(
                f"{self.data} has {info.unit}s, family {spec.family} sees {unit}s: "
                "choose other data"
            )
        if info.unit == "token":
            self._check_tokens(spec, info)
        elif info.num_classes != spec.model.num_classes:
            raise ValueError(
                f"{self.data} has {info.num_classes} classes, the model {spec.model.num_classes}: "
                "choose data with the same classes"
            )
        elif info.vocab_size:
            self._check_tokens(spec, info)

    def _check_tokens(self, spec: RunSpec, info: DataInfo) -> None:
        trained, asked = find_prepared(spec.data.data), find_prepared(self.data)
        if trained is None or trained[1].fingerprint != spec.data.fingerprint:
            note_once(
                f"{spec.data.data} is not here as it was trained on: that {self.data} has the same "
                "tokenizer is taken for granted"
            )
        elif asked is None or _tokenizer(*trained) != _tokenizer(*asked):
            raise ValueError(
                f"{self.data} and {spec.data.data}, which the run was trained on, have different "
                "tokenizers: prepare the text with the same one"
            )
        if info.vocab_size is not None and info.vocab_size > spec.model.vocab_size:
            raise ValueError(
                f"{self.data} has {info.vocab_size} tokens, the model {spec.model.vocab_size}: "
                "choose data with the same tokenizer"
            )

    def ask(self, kept: KeptModel) -> dict[str, float]:
        """``loss`` (nats), ``loss_se``, and ``bits_per_byte`` or ``error``."""
        import torch

        from scaling.training import task_on

        data: Any = open_data(self.data)
        data = replace(data, info=replace(data.info, evals=()))  # the held-out part alone
        spec = replace(kept.spec, train=_not_augmented(kept.spec.train))
        if spec.train.standardise:
            own: Any = open_data(spec.data.data)
            data = replace(data, train_inputs=own.train_inputs)
        device = next(kept.model.parameters()).device
        with closing(task_on(spec, data, device)) as task, torch.no_grad():
            values = task.evaluate(kept.model, self.limit)
        return {key: values[key] for key in VALUES if key in values}


def _not_augmented(train: TrainSpec) -> TrainSpec:
    plain = TrainSpec(1)
    names = ("crop_padding", "crop_scale", "flip", "colour_jitter", "mixup")
    return replace(train, **{name: getattr(plain, name) for name in names})


def _tokenizer(folder: Path, info: DataInfo) -> tuple[Any, ...]:
    """What tells a data set's tokenizer from others, as far as it is known."""
    files = sorted(folder.glob("tokenizer.*"))
    return info.tokenizer, info.vocab_size, [(file.name, file.read_bytes()) for file in files]
