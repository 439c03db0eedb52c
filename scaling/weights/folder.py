"""``export``: kept weights as a folder of their own, for ``transformers`` where that can be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scaling.base import beside, write_atomic
from scaling.data import find_prepared
from scaling.data.text import write_tokenizer
from scaling.run import SPEC, weights_bytes, write_weights
from scaling.weights.hugging_face import HuggingFace, to_hugging_face
from scaling.weights.model import KeptModel

FORMS = ("auto", "transformers", "scaling")
WEIGHTS_FILE, CONFIG_FILE = "model.safetensors", "config.json"


@dataclass(frozen=True)
class Exported:
    """What :func:`export` wrote.

    Attributes
    ----------
    path : Path
    form : {"transformers", "scaling"}
    architecture : str
        The class that loads it; for ``scaling`` the family.
    num_tokens : int
        What the weights have been trained on.
    tokenizer : bool
        Whether the tokenizer is there too.
    why_not : str
        Why it is not for ``transformers``; empty if it is, or if that was not asked for.
    """

    path: Path
    form: str
    architecture: str
    num_tokens: int
    tokenizer: bool = False
    why_not: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return {**asdict(self), "path": str(self.path)}


def export(kept: KeptModel, out: Path, form: str = "auto") -> Exported:
    """Write a model to the new folder ``out``: weights, configuration, and the run's spec.

    Parameters
    ----------
    kept : KeptModel
        On the CPU.
    out : Path
    form : {"auto", "transformers", "scaling"}
        ``transformers``: names and configuration of the architecture there that computes the
        same, with the tokenizer where the data set is here. ``scaling``: our own names; the
        configuration is the family and its fields. ``auto``: the former where it exists.

    Raises
    ------
    ValueError
        If there is something at ``out``, or no such architecture.
    """
    if form not in FORMS:
        raise ValueError(f"form {form!r} is not known: choose one of {', '.join(FORMS)}")
    spec, why_not = kept.spec, ""
    with _new_folder(out) as folder:
        (folder / SPEC).write_text(json.dumps(spec.to_dict(), indent=1), encoding="utf-8")
        theirs, separator = None, None
        if form != "scaling":
            try:
                theirs = to_hugging_face(spec.family, kept.model)
            except ValueError as error:
                if form == "transformers":
                    raise
                why_not = str(error)
        if theirs is None:
            config = {"family": spec.family, "model": spec.model.to_dict()}
            _write(folder, HuggingFace(config, kept.model.state_dict()))
            return Exported(out, "scaling", spec.family, kept.weights.step, why_not=why_not)
        data = find_prepared(spec.data.data)
        if data is not None and data[1].fingerprint == spec.data.fingerprint:
            separator = write_tokenizer(*data, folder)
        ends = {"bos_token_id": separator, "eos_token_id": separator}
        _write(folder, HuggingFace({**theirs.config, **ends}, theirs.weights))
    architecture = str(theirs.config["architectures"][0])
    has_tokenizer = separator is not None
    return Exported(out, "transformers", architecture, kept.weights.step, has_tokenizer)


def _write(folder: Path, model: HuggingFace) -> None:
    write_weights(folder / WEIGHTS_FILE, weights_bytes(model.weights, format="pt"))
    write_atomic(folder / CONFIG_FILE, json.dumps(model.config, indent=1))


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder that is moved to ``out`` once it is whole."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is there already and not empty: name another folder, or remove it")
    partial = beside(out)
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
