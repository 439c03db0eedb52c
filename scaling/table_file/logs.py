"""Logs of training, as lines of names and numbers: ``step 100 | loss 3.21 | lr 1e-4``."""

from __future__ import annotations

import re
from collections import Counter

LOGS = (".log", ".out")

_PAIR = re.compile(
    r"(?<![\w/.-])([A-Za-z][\w/.-]{0,60})(?:\s{0,3}[=:]\s{0,3}|\s{1,3})"
    r"([-+]?(?:\d{1,30}\.?\d{0,30}|\.\d{1,30})(?:[eE][-+]?\d{1,3})?[kKMBGT]?)(?=[\s,;|)\]/]|$)"
)
FEW = 3
"""Lines of the same names from which a text is a log."""


def log_rows(text: str) -> tuple[list[dict[str, str]], list[int], int]:
    """The numbers of the lines that have the most frequent names, with the lines' numbers, and how
    many other lines say something; no rows where the text is no log.

    >>> log_rows("step 1: loss=3.5\\nsaved\\nstep 2: loss=3.25\\nstep 3: loss=3.1")[0][0]
    {'step': '1', 'loss': '3.5'}
    """
    lines = text.splitlines()
    found = [dict(_PAIR.findall(line)) for line in lines]
    names = Counter(tuple(row) for row in found if len(row) > 1)
    if not names:
        return [], [], 0
    usual, count = names.most_common(1)[0]
    if count < FEW:
        return [], [], 0
    at = [i for i, row in enumerate(found) if tuple(row) == usual]
    others = sum(bool(line.strip()) for line in lines) - count
    return [found[i] for i in at], [i + 1 for i in at], others
