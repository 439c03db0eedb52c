"""Runs in folders, one each: options, logs (JSON Lines, CSV), and TensorBoard's event files."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scaling.base import describe
from scaling.importing.found import Flat, FoundRun, flat, unwrapped
from scaling.importing.numbers import seconds_of
from scaling.programs.readers import EVENT_FILES, CsvLines, JsonLines, event_loader, scalars
from scaling.table_file import plain_value

_OPTIONS = ("config", "options", "hparams", "args", "params", "hyperparameters", "cfg")
_OPTION_FORMS = (".json", ".yaml", ".yml", ".toml")
_FINALS = ("summary.json", "wandb-summary.json", "results.json", "final.json")
_LOGS = (".jsonl", ".csv")
_HPARAMS = "hparams"  # TensorBoard's plug-in


class _Yaml(yaml.SafeLoader):
    """Plain values; an object of somebody's class becomes the text that stands there."""


_Yaml.add_multi_constructor("", lambda loader, tag, node: str(getattr(node, "value", "")))


def runs_of_folder(folder: Path) -> list[FoundRun]:
    """The runs below ``folder``: one for each folder in it, or itself where its files are a run's.

    Raises
    ------
    ValueError
        If there are none, or a file of a run cannot be read.
    """
    own = _Files.of(folder, below=False)
    folders = [folder] if own else sorted(path for path in folder.iterdir() if path.is_dir())
    found = []
    for path in folders:
        if files := _Files.of(path, below=True):
            found.append(_run(path, path.name, files))
    if not found:
        raise ValueError(
            f"{folder} has no runs: a run is a folder with logs ({', '.join(_LOGS)}), "
            f"TensorBoard's event files, or {', '.join(_FINALS)}"
        )
    return found


@dataclass(frozen=True)
class _Files:
    """The files of a run that say something of it."""

    options: tuple[Path, ...]
    finals: tuple[Path, ...]
    logs: tuple[Path, ...]
    events: tuple[Path, ...]

    def __bool__(self) -> bool:
        return bool(self.finals or self.logs or self.events)

    @classmethod
    def of(cls, folder: Path, *, below: bool) -> _Files:
        walk = folder.rglob("*") if below else folder.glob("*")
        paths = sorted((p for p in walk if p.is_file()), key=lambda p: (len(p.parts), p))
        options = [p for p in paths if p.stem in _OPTIONS and p.suffix in _OPTION_FORMS]
        return cls(
            tuple(options),
            tuple(p for p in paths if p.name in _FINALS),
            tuple(p for p in paths if p.suffix in _LOGS),
            tuple(p for p in paths if p.match(EVENT_FILES)),
        )


def _run(folder: Path, name: str, files: _Files) -> FoundRun:
    options: Flat = {}
    for path in reversed(files.options):  # the one nearest to the top counts
        options.update(_flat_file(path))
    final: Flat = {}
    for path in files.finals:
        final.update(_flat_file(path))
    history = [flat(record) for path in files.logs for record in _records(path)]
    first = None
    if files.events:
        asked, scalars_, first = _events(folder, files.events)
        options, history = {**asked, **options}, history + scalars_
    return FoundRun(
        source="tensorboard" if files.events and not files.logs else "logs",
        run=name,
        name=name,
        place=name,
        state=str(final.pop("state", "")),
        options=options,
        final=final,
        history=history,
        seconds=seconds_of(final.get("_runtime")),
        born=first,
    )


def _flat_file(path: Path) -> Flat:
    values = flat(unwrapped(_mapping(path)))
    return {k: plain_value(v) if isinstance(v, str) else v for k, v in values.items()}


def _mapping(path: Path) -> Mapping[str, Any]:
    """What a file of JSON, YAML or TOML says."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            return tomllib.loads(text)
        value = json.loads(text) if path.suffix == ".json" else yaml.load(text, _Yaml)
    except (ValueError, yaml.YAMLError, RecursionError, OSError) as error:
        raise ValueError(f"{path}: cannot be read: {' '.join(describe(error).split())}") from None
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{path}: it is no mapping of names to values")
    return value


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    """The records of a log; a line that is none is refused, but for the last, which may be cut."""
    reader = CsvLines(path) if path.suffix == ".csv" else JsonLines(path)
    found = list(reader.read(last=True))
    for i, one in enumerate(found):
        if one.record is not None:
            yield one.record
        elif i < len(found) - 1:
            raise ValueError(f"{path}, {one.place}: {one.problem}: {one.text[:80]!r}")


def _events(folder: Path, paths: tuple[Path, ...]) -> tuple[Flat, list[Flat], float | None]:
    """Options, scalars and the time of the first event in a run's event files.

    Scalars of a folder below begin with its name (Keras: ``validation/epoch_loss``), but for the
    folder that ``add_hparams`` makes.
    """
    load = event_loader()
    options: Flat = {}
    records: list[Flat] = []
    first: float | None = None
    for path in paths:
        events = list(load(str(path)).Load())
        if first is None and events:
            first = events[0].wall_time
        asked = _hparams(events)
        options.update(asked)
        place = path.parent.relative_to(folder).as_posix()
        prefix = "" if place == "." or asked else f"{place}/"
        records += [{"step": step, prefix + tag: value} for step, tag, value in scalars(events)]
    return options, sorted(records, key=lambda record: record["step"]), first


def _hparams(events: list[Any]) -> Flat:
    """What ``SummaryWriter.add_hparams`` wrote."""
    from tensorboard.plugins.hparams import error, metadata

    found: Flat = {}
    for event in events:
        for value in event.summary.value:
            plugin = value.metadata.plugin_data
            if plugin.plugin_name == _HPARAMS:
                try:
                    start = metadata.parse_session_start_info_plugin_data(plugin.content)
                except error.HParamsError:  # it says something else: metrics, or the end
                    continue
                found.update(
                    {
                        name: getattr(v, kind)
                        for name, v in start.hparams.items()
                        if (kind := v.WhichOneof("kind")) != "list_value"
                    }
                )
    return found
