"""Sweep: a named, ordered list of runs, each once; kept as JSON Lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from scaling import LABELS, ImportedSpec, Spec, read_any_spec
from scaling.base import Display, Store, flops_text, format_value, write_atomic
from scaling.run import NOTHING, Keep, LineError, has_result, numbered_rows
from sweeps.naming import run_names
from sweeps.policy import NONE as NO_POLICY
from sweeps.policy import Policy
from sweeps.resources import ResourceRules

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]{0,99}")
NONE: Mapping[str, Any] = {}
SHOWN = 6  # runs in a notebook's table


@dataclass(frozen=True)
class Entry:
    """One run of a sweep: identity, readable ``name`` (no part of identity) and ``spec``.

    ``labels`` are columns of the run table that say what the run is for, such as ``axis``.
    ``point`` is that of the space where a search chose it.
    """

    run_id: str
    name: str
    spec: Spec
    labels: Mapping[str, Any] = field(default_factory=dict, hash=False)
    point: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @cached_property
    def columns(self) -> dict[str, Any]:
        """The run table's columns that are known before the run."""
        columns = self.spec.columns()
        return {"run_id": columns.pop("run_id"), "name": self.name, **columns, **self.labels}


@dataclass(frozen=True)
class Imported:
    """A run that was trained elsewhere and is one of a sweep's results; nothing is to do of it."""

    run_id: str
    name: str
    spec: ImportedSpec

    @cached_property
    def columns(self) -> dict[str, Any]:
        """The run table's columns beside its result."""
        columns = self.spec.columns()
        return {"run_id": columns.pop("run_id"), "name": self.name, **columns}


@dataclass(frozen=True)
class Sweep:
    """Runs in the order in which they were asked for, no two with the same ``run_id``.

    Attributes
    ----------
    name : str
        Letters, digits and ``._+=-``: it names the sweep's folder.
    entries : tuple of Entry
    resources : dict
        What its runs may use, for the launcher alone to read; no part of any run's identity.
    keep : Keep
        Which weights of its runs last; no part of their identity either.
    imported : tuple of Imported
        Runs that were trained elsewhere; who goes through the sweep does not meet them.
    policy : Policy
        What it may use as a whole, and who is told of it.
    search : dict
        Where a strategy chooses its runs: the sweep file's content, by which the next is chosen.

    Raises
    ------
    ValueError
        If the name cannot be a folder's, or a run or a run's name occurs twice.
    """

    name: str
    entries: tuple[Entry, ...]
    resources: Mapping[str, Any] = field(default_factory=dict, hash=False)
    keep: Keep = NOTHING
    imported: tuple[Imported, ...] = ()
    policy: Policy = NO_POLICY
    search: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        for what in ("run_id", "name"):
            seen: set[str] = set()
            for entry in (*self.entries, *self.imported):
                value = getattr(entry, what)
                if value in seen:
                    raise ValueError(f"sweep {self.name!r} has {what} {value!r} twice")
                seen.add(value)

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __repr__(self) -> str:
        return self._display().text

    def _repr_html_(self) -> str:
        return self._display().html

    def _display(self) -> Display:
        """Its ranges and FLOPs, and the first runs."""
        title = f"Sweep {self.name}: {len(self)} runs"
        title += f" and {len(self.imported)} imported" if self.imported else ""
        if self.entries:
            for letter, key in (("N", "num_params"), ("D", "num_tokens")):
                values = [entry.columns[key] for entry in self]
                low, high = format_value(min(values)), format_value(max(values))
                title += f", {letter} {low}" + f" to {high}" * (low != high)
            title += f", {flops_text(float(self.flops))}"
        keys = ("num_params", "num_tokens", "flops")
        rows = [
            (e.run_id[:8], e.name, *(e.columns[key] for key in keys)) for e in self.entries[:SHOWN]
        ]
        left = len(self) - len(rows)
        return Display(
            title,
            ("run_id", "name", "N", "D", "C"),
            rows,
            [f"and {left} more"] if left else [],
        )

    @classmethod
    def of(
        cls, name: str, specs: Iterable[Spec], labels: Mapping[str, Mapping[str, Any]] = NONE
    ) -> Sweep:
        """The sweep over ``specs``: each once, named by what varies among them.

        ``labels`` are those of each ``run_id`` that has any.
        """
        unique: dict[str, Spec] = {}
        for spec in specs:
            unique.setdefault(spec.run_id, spec)
        names = run_names(list(unique.values()), list(unique))
        entries = zip(unique, names, unique.values(), strict=True)
        return cls(name, tuple(Entry(*entry, labels.get(entry[0], NONE)) for entry in entries))

    @property
    def flops(self) -> float:
        """Training FLOPs of all runs, each by itself."""
        return sum(entry.spec.flops for entry in self.entries)

    def to_jsonl(self) -> str:
        """One JSON object a line: ``run_id``, ``name``, ``sweep``, ``spec`` and the columns.

        The first line has the sweep's ``resources``, ``keep``, ``policy`` and ``search`` too.
        """
        runs: list[Entry | Imported] = [*self.entries, *self.imported]
        rows = [{**e.columns, "sweep": self.name, "spec": e.spec.to_dict()} for e in runs]
        for row, entry in zip(rows, self.entries, strict=False):
            if entry.point:
                row["point"] = entry.point
        if self.resources:
            rows[0]["resources"] = self.resources
        if self.keep:
            rows[0]["keep"] = self.keep.marks
        if policy := self.policy.to_dict():
            rows[0]["policy"] = policy
        if self.search:
            rows[0]["search"] = self.search
        return "".join(json.dumps(row) + "\n" for row in rows)

    def write(self, path: Path) -> None:
        """Write :meth:`to_jsonl` to ``path`` in one step."""
        write_atomic(path, self.to_jsonl())

    @classmethod
    def read(cls, path: Path) -> Sweep:
        """The sweep that :meth:`write` wrote.

        Raises
        ------
        ValueError
            If a line is no run, belongs to another sweep, or its ``run_id`` is not its spec's.
        """
        entries: list[Entry] = []
        imported: list[Imported] = []
        names: dict[str, int] = {}
        resources: Mapping[str, Any] = {}
        marks = None
        policy: Mapping[str, Any] = NONE
        search: Mapping[str, Any] = NONE
        try:
            for number, row in numbered_rows(path):
                entry, name = _entry(row, f"{path}:{number}")
                if isinstance(entry, Entry):
                    entries.append(entry)
                else:
                    imported.append(entry)
                names.setdefault(name, number)
                resources = resources or row.get("resources", NONE)
                marks = marks or row.get("keep")
                policy = policy or row.get("policy", NONE)
                search = search or row.get("search", NONE)
        except LineError as error:
            what = "not a run of a sweep: a line is one JSON object"
            if error.syntax:
                what = f"not JSON: {error.syntax.msg} at column {error.syntax.colno}"
            raise ValueError(f"{path}:{error.number}: {what}") from None
        if not entries and not imported:
            raise ValueError(f"{path} has no runs")
        if len(names) > 1:
            first, other = list(names)[:2]
            raise ValueError(
                f"{path}:{names[other]}: a run of sweep {other!r} in a file of {first!r}: "
                "keep one sweep a file"
            )
        try:
            ResourceRules.parse(resources)
            keep = Keep.parse(marks)
            told = Policy.parse(policy)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        return cls(
            next(iter(names)), tuple(entries), resources, keep, tuple(imported), told, search
        )


def unfinished(sweep: Sweep, root: str | None = None) -> Sweep:
    """The runs of ``sweep`` that have no result in the store at ``root`` yet."""
    store = Store.at(root)
    left = [entry for entry in sweep if not has_result(store.run_dir(entry.run_id))]
    return replace(sweep, entries=tuple(left))


def check_name(name: Any) -> str:
    """``name`` if it can name a sweep and its folder.

    Raises
    ------
    ValueError
        If it cannot.
    """
    if name is not None and not isinstance(name, str):
        raise ValueError(f"sweep name {name!r} cannot name a folder: quote it, to make it a text")
    if name is None or not _NAME.fullmatch(name):
        raise ValueError(
            f"sweep name {name!r} cannot name a folder: use 1 to 100 letters, digits and ._+=-, "
            "the first a letter or digit"
        )
    return name


def _entry(value: Mapping[str, Any], place: str) -> tuple[Entry | Imported, str]:
    """The run in a row, and its sweep's name."""
    missing = [key for key in ("run_id", "name", "sweep", "spec") if key not in value]
    if missing:
        raise ValueError(f"{place}: not a run of a sweep: it has no {', '.join(missing)}")
    try:
        spec = read_any_spec(value["spec"])
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    if spec.run_id != value["run_id"]:
        raise ValueError(
            f"{place}: run_id {value['run_id']} does not match its spec ({spec.run_id}): "
            "the line was edited; expand the sweep file again"
        )
    if isinstance(spec, ImportedSpec):
        return Imported(value["run_id"], value["name"], spec), value["sweep"]
    labels = {key: value[key] for key in LABELS if key in value}
    point = value.get("point", NONE)
    return Entry(value["run_id"], value["name"], spec, labels, point), value["sweep"]
