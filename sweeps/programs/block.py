"""The ``program`` of a sweep file, key by key, as a value."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scaling import COUNTED, LABELS, PLACES, RUN_COLUMNS, Program
from scaling.base import refuse_unknown
from scaling.programs import Reports
from sweeps.data_size import DATA_SIZES
from sweeps.document import Document, Where, called, kind
from sweeps.programs.code import Code, check_files, check_function, read_code
from sweeps.programs.command import CommandCounts
from sweeps.programs.counted import NO_TARGET, TARGET, Counting, Formula
from sweeps.programs.data import as_number, check_data, check_plain
from sweeps.programs.families import FamilyCounts
from sweeps.programs.formulas import COUNTS, FormulaCounts
from sweeps.programs.words import Word, check_names, read_command, read_word
from sweeps.resources import STOP_SIGNALS
from sweeps.values import number

PROGRAM_KEYS = (
    "program",
    "train",
)  # `train: module:function` is short for program: {function: ...}
BLOCK: Where = ("program",)
KEYS = (
    "command",
    "function",
    "shell",
    "code",
    "counts",
    "reports",
    "tokens_per_step",
    "stop",
    "env",
    "options_format",
    "name",
)
PROGRAM_ONLY = frozenset(KEYS) - {"name"}
FORMATS = ("json", "yaml", "toml")
UNITS = ("token", "example")
TAKEN = {column.name for column in RUN_COLUMNS} - {"lr", "batch_size", *LABELS}
OURS = ("family", "preset")  # keys of a sweep file that name a model of ours
SCALED = ("compound", "single_axis", "coefficient_search", "design_space")
"""Shapes that scale a family's model."""
STOP = {
    "signal": "stop_signal",
    "grace_seconds": "stop_seconds",
    "silent_minutes": "silent_minutes",
}
_OPTION = re.compile(r"[^\W\d]\w*([.-]\w+)*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class ProgramBlock:
    """A validated ``program``.

    Attributes
    ----------
    program : Program
    words : tuple of Word
        Of its command, its environment and its reports' place.
    counting : Counting
        How its models are counted.
    tokens_per_step : Formula or None
        None where nobody says.
    name : str
        What the table calls its family.
    resources : dict
        Fields of :class:`sweeps.Resources`: how it is stopped, where its code lies.
    """

    program: Program
    words: tuple[Word, ...]
    counting: Counting
    tokens_per_step: Formula | None
    name: str
    resources: Mapping[str, Any]

    @property
    def asked(self) -> frozenset[str]:
        """The names that its words use."""
        return frozenset(name for word in self.words for name in word.names)

    @property
    def wanted(self) -> frozenset[str]:
        """Of the options that the counting sets, those that the program is to see."""
        sees_all = self.program.function or "options_file" in self.asked
        return self.asked | frozenset(self.counting.sized if sees_all else ())

    def as_own(self, document: Document, shape: str) -> Document:
        """The sweep file as the generator of a shape reads it.

        Raises
        ------
        ValueError
            If the shape scales a family's model, and the counts are by none.
        """
        if isinstance(self.counting, FamilyCounts):
            return self.counting.as_own(document)
        if shape in SCALED:
            document.refuse(
                (shape,),
                f"{shape} scales a model of a family, and this program's counts are of none: give "
                "program: {counts: {family: NAME}}, or take grid, isoflop, ladder or runs",
            )
        return document

    def check_searched(self, document: Document) -> None:
        """Refuse to search what can be counted only where the code lies.

        Raises
        ------
        ValueError
            With the remedy.
        """
        if isinstance(self.counting, CommandCounts):
            document.refuse(
                (*BLOCK, "counts"),
                "a strategy chooses runs where the code need not lie, and these counts ask "
                "it: give formulas or a family",
            )

    def check_fixed(self, document: Document, fixed: Mapping[str, Any]) -> None:
        """Refuse values of options that no program can be given.

        Raises
        ------
        ValueError
            For what JSON does not hold, and for data that are neither named nor declared.
        """
        for key, value in fixed.items():
            if key == "data":
                check_data(document, value)
            else:
                check_plain(document, value, ("fixed", key))

    def points(
        self, document: Document, shape: str, points: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """The points of a shape with plain values; numbers in a table of text are numbers."""
        block = document.value[shape]
        is_table = shape == "runs" and isinstance(block, Mapping)
        for i, point in enumerate(points):
            check_plain(document, point, (shape, i))
        return [{k: as_number(v) if is_table else v for k, v in p.items()} for p in points]

    def check_bounds(self, document: Document, quantities: Collection[str]) -> None:
        """Refuse constraints on what is not known of a program's runs.

        Raises
        ------
        ValueError
            With the line and the remedy.
        """
        unknown = {"memory_bytes": "a program's activations are not known: bound num_params"}
        if not self.counting.has_body:
            unknown["num_params_non_embedding"] = "give it a formula under program: counts"
        if self.tokens_per_step is None:
            unknown["steps"] = "say how many tokens a step takes, by program: tokens_per_step"
        for quantity in quantities:
            if quantity in unknown:
                document.refuse(
                    ("constraints", quantity), f"{quantity} is not known: {unknown[quantity]}"
                )

    def with_resources(self, document: Document, resources: Mapping[str, Any]) -> dict[str, Any]:
        """A sweep's resources with those that the program says.

        Raises
        ------
        ValueError
            If both say one thing.
        """
        for key in self.resources:
            if key in resources:
                document.refuse(("resources", key), f"{key} is set under program too: keep one")
        return {**resources, **self.resources}

    def check_options(
        self, document: Document, places: Mapping[str, Where], later: Collection[str]
    ) -> None:
        """Refuse options that cannot be one, and words and formulas that ask for none.

        Parameters
        ----------
        document : Document
        places : mapping
            Where each option stands, the derived ones too.
        later : collection of str
            Those that rules derive after the model is counted.
        """
        for key, where in places.items():
            if key in ("data", "seed", *DATA_SIZES):
                continue
            if key == TARGET:
                if not self.counting.takes_target:
                    document.refuse(where, NO_TARGET)
            elif key in OURS:
                document.refuse(where, f"{key} of a program: give it under program: counts")
            elif key in COUNTED or key in PLACES:
                meaning = PLACES.get(key, "a count of the run")
                document.refuse(
                    where, f"{key} is no name for an option: it stands for {meaning}; rename it"
                )
            elif key in TAKEN:
                document.refuse(
                    where,
                    f"{key} is no name for an option: it is a column of the run table; rename it",
                )
            elif not _OPTION.fullmatch(key):
                document.refuse(
                    where, f"option {key!r} is no name: use letters, digits, _, and . or - inside"
                )
        options = {key for key in places if key not in (*DATA_SIZES, "seed", TARGET)}
        for key in options:
            if outer := next((o for o in options if key.startswith(f"{o}.")), None):
                document.refuse(places[key], f"{key} is inside of option {outer}: keep one")
        self.counting.check(document, options - set(later))
        known = {*options, *self.counting.sets, *COUNTED, *PLACES}
        hints = {}
        if not self.counting.has_body:
            hints["num_params_non_embedding"] = "give it a formula under counts"
        if self.tokens_per_step is None:
            hints["num_steps"] = "say how many tokens a step takes, by tokens_per_step"
            hints["tokens_per_step"] = "give program: {tokens_per_step: NUMBER}"
        else:
            counts = (name for name in COUNTS if name not in hints)
            self.tokens_per_step.check(document, {*options, *self.counting.sets, *counts})
        check_names(document, self.words, known - set(hints), hints)


def read_program(
    document: Document, content: Mapping[str, Any], kept: Program | None = None
) -> ProgramBlock | None:
    """The ``program`` of a sweep file's content; None where it is a sweep of our own runs.

    ``kept`` is the program of a search that has begun: its code is as it was then, and not looked
    for, as further runs are chosen where it need not lie.

    Raises
    ------
    ValueError
        For a wrong key or value, at its line.
    """
    if not any(key in content for key in PROGRAM_KEYS):
        return None
    for key in OURS:
        if key in content:
            document.refuse(
                (key,), f"{key} of a program: give it under program: counts, or leave program out"
            )
    keys = document.mapping(content.get("program", {}), BLOCK, KEYS)
    function_at: Where = (*BLOCK, "function")
    if "train" in content:
        if "function" in keys:
            document.refuse(("train",), "train and program: {function: ...} are one: keep one")
        keys["function"], function_at = content["train"], ("train",)
    shell = keys.get("shell", False)
    if not isinstance(shell, bool):
        document.refuse((*BLOCK, "shell"), f"shell must be true or false, not {kind(shell)}")
    if ("command" in keys) == ("function" in keys):
        both = "both: keep one" if "command" in keys else "neither"
        document.refuse(
            BLOCK, f"a program has a command: [python, train.py, ...] or a function: "
            f"module:name; this one has {both}",
        )  # fmt: skip
    code = Code(kept.code) if kept else read_code(document, keys.get("code"), (*BLOCK, "code"))
    command: list[Word] = []
    if "command" in keys:
        command = read_command(document, keys["command"], (*BLOCK, "command"), shell)
        if not kept:
            check_files(document, command, code, shell)
    elif not kept:
        code = check_function(document, keys["function"], function_at, code)
    env = _env(document, keys.get("env", {}))
    reports = document.mapping(keys.get("reports", {}), (*BLOCK, "reports"))
    read = _reports(document, reports)
    options_format = _one_of(document, keys, "options_format", FORMATS)
    counting = _counting(document, keys, code)
    step = keys.get("tokens_per_step")
    step_at: Where = (*BLOCK, "tokens_per_step")
    if read.unit == "steps" and step is None:
        document.refuse(
            (*BLOCK, "reports"), "reports count steps: say how many tokens one takes, by "
            "tokens_per_step",
        )  # fmt: skip
    name = keys.get("name", counting.name)
    if not isinstance(name, str) or not name:
        document.refuse((*BLOCK, "name"), f"name must be a text, not {kind(name)}")
    program = Program(
        command=tuple(word.text for word in command),
        function=keys.get("function", ""),
        shell=shell,
        code=code.identity,
        env={key: word.text for key, word in env.items()},
        reports=reports,
        options_format=options_format,
    )
    where = {"code": str(code.path)} if code.path else {}
    return ProgramBlock(
        program=program,
        words=(*command, *env.values(), *_templates(document, read)),
        counting=counting,
        tokens_per_step=None if step is None else Formula.read(document, step, step_at),
        name=name,
        resources={**_stop(document, keys.get("stop", {})), **where},
    )


def refuse_outside(document: Document, content: Any) -> None:
    """Refuse keys of ``program`` that stand beside it."""
    for key in content if isinstance(content, Mapping) else ():
        if key in PROGRAM_ONLY:
            document.refuse((key,), f"{key} is a key of program: move it there")


def _reports(document: Document, block: Mapping[str, Any]) -> Reports:
    try:
        return Reports.parse(block)
    except ValueError as error:
        document.refuse((*BLOCK, "reports"), str(error))


def _templates(document: Document, reports: Reports) -> Iterator[Word]:
    """Where reports are read, as words."""
    for text in reports.templates:
        yield read_word(document, text, (*BLOCK, "reports", reports.source))


def _env(document: Document, block: Any) -> dict[str, Word]:
    where: Where = (*BLOCK, "env")
    found = {}
    for key, value in document.mapping(block, where).items():
        at = (*where, key)
        if not _VARIABLE.fullmatch(key):
            document.refuse(at, f"{key!r} is no name of a variable: use letters, digits and _")
        if key.startswith("SCALING_"):
            document.refuse(at, f"{key}: variables SCALING_... are set for each run: rename it")
        found[key] = read_word(document, value, at)
    return found


def _one_of(document: Document, keys: Mapping[str, Any], key: str, valid: tuple[str, ...]) -> str:
    """One of ``valid``, the first if left out."""
    value = keys.get(key, valid[0])
    if value not in valid:
        refuse_unknown(str(value), valid, key, document.at((*BLOCK, key)))
    chosen: str = value
    return chosen


def _counting(document: Document, keys: Mapping[str, Any], code: Code) -> Counting:
    where: Where = (*BLOCK, "counts")
    if "counts" not in keys:
        document.refuse(
            BLOCK,
            "a program has no counts, so N and FLOPs are not known: give counts: {num_params: "
            "FORMULA, flops_per_token: FORMULA}, {family: NAME} or {command: [...]}",
        )
    block = document.mapping(keys["counts"], where)
    if "family" in block:
        return FamilyCounts.read(document, block, where)
    if "command" in block:
        document.mapping(block, where, ("command", "timeout_seconds", "unit"))
    else:
        document.mapping(block, where, (*COUNTS, "unit", "size", "family", "command"))
    if block.get("unit", "token") not in UNITS:
        refuse_unknown(str(block["unit"]), UNITS, "unit", document.at((*where, "unit")))
    if "command" in block:
        folder = code.path or document.folder.absolute()
        return CommandCounts.read(document, block, where, code.identity, folder)
    return FormulaCounts.read(document, block, where)


def _stop(document: Document, block: Any) -> dict[str, Any]:
    """How a program is stopped, by the names that resources have for it."""
    where: Where = (*BLOCK, "stop")
    keys = document.mapping(block, where, tuple(STOP))
    for key, value in keys.items():
        if key == "signal":
            if value not in STOP_SIGNALS:
                refuse_unknown(str(value), STOP_SIGNALS, "signal", document.at((*where, key)))
        elif not number(document, value, (*where, key)) > 0:
            document.refuse((*where, key), f"{called((*where, key))} {value:g} is not above 0")
    return {STOP[key]: value for key, value in keys.items()}
