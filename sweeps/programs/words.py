"""The words of a program's command and environment, and the names that they ask for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from scaling.base import as_word, placeholders, refuse_unknown
from sweeps.document import Document, Where, called, kind

_SHELLS = re.compile(r"(?<![{$])\$\{(?!\{)([^{}]*)\}")


@dataclass(frozen=True)
class Word:
    """A text with ``{name}`` in it, and where it stands."""

    text: str
    where: Where

    @cached_property
    def names(self) -> list[str]:
        """The names that it asks for."""
        return placeholders(self.text)


def read_word(document: Document, value: Any, where: Where) -> Word:
    """A text or a number as a word.

    Raises
    ------
    ValueError
        For anything else, and for braces that do not name something.
    """
    if isinstance(value, Mapping) and len(value) == 1 and None in value.values():
        (name,) = value
        document.refuse(where, f'{called(where)} is a mapping: quote it, as "{{{name}}}"')
    if value is None or not isinstance(value, str | int | float):
        document.refuse(where, f"{called(where)} must be a text, not {kind(value)}: quote it")
    text = as_word(value)
    if found := _SHELLS.search(text):
        document.refuse(
            where,
            f"{text!r}: write {{{found[1]}}} without $ (${{{{{found[1]}}}}} for a variable of the "
            "shell)",
        )
    word = Word(text, where)
    try:
        _ = word.names
    except ValueError as error:
        document.refuse(where, str(error))
    return word


def read_command(document: Document, value: Any, where: Where, shell: bool) -> list[Word]:
    """The words of a command: a list; with ``shell`` one text.

    Raises
    ------
    ValueError
        For a text where a list is due, the other way round, and for no words.
    """
    example = '[python, train.py, --lr, "{lr}"]'
    if shell:
        if not isinstance(value, str):
            document.refuse(where, f"with shell: true a command is one text, not {kind(value)}")
        return [read_word(document, value, where)]
    if isinstance(value, str):
        document.refuse(
            where, f"command must be a list of words, as {example}; a line for a shell needs "
            "shell: true beside it",
        )  # fmt: skip
    if not isinstance(value, list) or not value:
        what = "an empty list" if isinstance(value, list) else kind(value)
        document.refuse(where, f"command must be a list of words, as {example}, not {what}")
    return [read_word(document, word, (*where, i)) for i, word in enumerate(value)]


def check_names(
    document: Document, words: Iterable[Word], known: Iterable[str], hints: Mapping[str, str]
) -> None:
    """Refuse a name that is none of ``known``; ``hints`` say what would make a name known."""
    valid = set(known)
    for word in words:
        for name in word.names:
            if name in valid:
                continue
            if name in hints:
                document.refuse(word.where, f"{word.text!r}: there is no {name}: {hints[name]}")
            refuse_unknown(name, valid, "name", f"{document.at(word.where)}{word.text!r}: ")
