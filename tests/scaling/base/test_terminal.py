"""Terminal output: strict JSON, plain tables, progress that says nothing of short work."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scaling.base import terminal


def test_json_is_strict(capsys):
    terminal.print_json({"a": float("nan"), "b": np.float64(1.5), "c": (1, np.int64(2)), 3: None})
    found = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    assert found == {"a": None, "b": 1.5, "c": [1, 2], "3": None}


@pytest.mark.parametrize(
    ("value", "shown"),
    [(3, "3"), (999999, "999999"), (1e6, "1e+06"), (0.123456, "0.1235"), (None, ""), ("x", "x")],
)
def test_numbers_have_four_digits(value, shown):
    assert terminal.format_value(value) == shown


def test_table_holds_what_it_was_given(capsys):
    terminal.print_table("title [bold]", ("name", "n"), [("[red]x", 1), ("y", 20)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "title [bold]"
    assert any("[red]x" in line and line.rstrip().endswith("1") for line in lines)


def test_progress_is_silent_when_short_and_speaks_when_long(capsys, monkeypatch):
    def work():
        with terminal.progress("reading", 10) as advance:
            for _ in range(10):
                advance()

    work()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(terminal, "QUIET_SECONDS", -1.0)
    work()
    assert capsys.readouterr().err.splitlines()[-1] == "reading: 100%"
