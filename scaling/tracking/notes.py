"""The note of an experiment, the markdown that MLflow's UI shows above its runs: in sections."""

from __future__ import annotations

import re
from collections.abc import Mapping

NOTE_TAG = "mlflow.note.content"


def with_sections(note: str, sections: Mapping[str, str]) -> str:
    """The note with these sections, by heading; one that it has is replaced, others stay.

    Examples
    --------
    >>> print(with_sections("What it is.\\n\\n### Law\\n\\nold\\n", {"Law": "new"}))
    What it is.
    <BLANKLINE>
    ### Law
    <BLANKLINE>
    new
    <BLANKLINE>
    """
    for heading, text in sections.items():
        own = f"### {heading}\n\n{text.strip()}\n"
        found = re.search(rf"^### {re.escape(heading)}\n.*?(?=^### |\Z)", note, re.M | re.S)
        if found:
            after = note[found.end() :]
            note = note[: found.start()] + own + ("\n" + after if after else "")
        else:
            note = f"{note.rstrip()}\n\n{own}" if note.strip() else own
    return note


def with_head(note: str, head: str) -> str:
    """The note with its first section, which says what a sweep is, replaced or put before all.

    Examples
    --------
    >>> with_head("### s: 2 runs\\n\\nold\\n\\n### Law\\n\\nkept\\n", "### s: 3 runs\\n\\nnew\\n")
    '### s: 3 runs\\n\\nnew\\n\\n### Law\\n\\nkept\\n'
    """
    title = head.partition(":")[0] + ":"
    rest = re.sub(r"\A.*?(?=^### |\Z)", "", note[1:], count=1, flags=re.M | re.S)
    rest = rest if note.startswith(title) else note
    return f"{head.rstrip()}\n\n{rest}" if rest.strip() else head


def cell(text: object) -> str:
    """Text for a cell of a table: no bar, no line break, no markup of its own."""
    return re.sub(r"([\\|`*_<\[\]])", r"\\\1", " ".join(str(text).split()))
