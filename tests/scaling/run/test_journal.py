"""The journal survives torn lines, repeats and non-finite values."""

from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from scaling.run.journal import JOURNAL, Journal, damaged_lines, end, points, read_journal


def test_torn_last_line_is_ended_and_ignored(tmp_path):
    journal = Journal(tmp_path)
    journal.append("point", step=10, loss=2.0)
    journal.close()
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"event": "point", "step": 20, "lo')
    journal = Journal(tmp_path)
    journal.append("point", step=20, loss=1.5)
    journal.close()
    assert [p["loss"] for p in points(read_journal(tmp_path))] == [2.0, 1.5]


def test_points_already_written_are_left_out(tmp_path):
    for _ in range(2):
        journal = Journal(tmp_path)
        journal.append("point", step=10, loss=2.0)
        journal.close()
    assert len((tmp_path / JOURNAL).read_text().splitlines()) == 1


def test_an_end_before_a_new_start_does_not_count(tmp_path):
    journal = Journal(tmp_path)
    journal.append("end", status="failed")
    assert end(read_journal(tmp_path))["status"] == "failed"
    journal.append("start", attempt=2)
    assert end(read_journal(tmp_path)) is None
    journal.close()


@given(st.floats())
def test_any_float_comes_back_and_every_line_is_strict_json(value):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder))
        journal.append("point", step=1, loss=value)
        journal.close()
        (event,) = read_journal(Path(folder))

        def refuse(name):
            raise AssertionError(name)

        json.loads((Path(folder) / JOURNAL).read_text(), parse_constant=refuse)
    assert event["loss"] == value or (math.isnan(value) and math.isnan(event["loss"]))


def test_no_journal_is_no_events(tmp_path):
    assert read_journal(tmp_path / "none") == []


def test_damaged_lines_are_counted_until_an_attempt_makes_them_good(tmp_path):
    """A crash's half line before a start, and a line that is still being written, are no damage."""
    start = '{"event": "start", "attempt": 1}\n'
    point = '{"event": "point", "step": 10, "loss": 2.0}\n'
    cases = {
        start + point + point: 0,
        start + point + '{"event": "poi': 0,
        start + '{"event": "point", "st\n' + point: 1,
        start + '{"event": "point", "st\n' + start + point: 0,
        start + "\0" * 20 + "\n" + point + "}{\n": 2,
        start + '{"event": "point", "step": 1, "loss"{"event": "end", "status": "done"}\n': 1,
    }
    for text, expected in cases.items():
        (tmp_path / JOURNAL).write_text(text)
        assert damaged_lines(tmp_path) == expected, text
    assert damaged_lines(tmp_path / "none") == 0
