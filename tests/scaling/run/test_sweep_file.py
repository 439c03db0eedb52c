"""The one locator and the one reader of sweeps' files."""

from __future__ import annotations

import pytest

from scaling.base import Store
from scaling.run import (
    SWEEP_FILE,
    LineError,
    find_sweep_file,
    known_sweeps,
    numbered_rows,
    sweep_path,
    sweep_paths,
)


@pytest.fixture
def store(home):
    store = Store.at(home)
    for name in ("b", "a"):
        sweep_path(store, name).parent.mkdir(parents=True)
        sweep_path(store, name).write_text('{"run_id": "1"}\n\n{"run_id": "2"}\n')
    (store.sweep_dir("begun")).mkdir()
    return store


def test_a_sweep_is_found_by_name_by_folder_and_by_file(store, tmp_path, monkeypatch):
    path = sweep_path(store, "a")
    for source in ("a", store.sweep_dir("a"), path):
        assert find_sweep_file(source, store.root) == path
    for source in ("c", "begun", store.sweep_dir("begun"), tmp_path / "none.jsonl"):
        assert find_sweep_file(source, store.root) is None
    here = tmp_path / "here"
    (here / "a").mkdir(parents=True)
    (here / "a" / SWEEP_FILE).write_text("{}")
    monkeypatch.chdir(here)
    found = find_sweep_file("a", store.root)
    assert found is not None
    assert found.resolve() == here / "a" / SWEEP_FILE  # a folder at hand comes before a name


def test_those_that_there_are_come_by_name(store, tmp_path):
    assert known_sweeps(store) == ["a", "b"]
    assert sweep_paths(store) == [sweep_path(store, "a"), sweep_path(store, "b")]
    assert known_sweeps(Store.at(tmp_path / "empty")) == []


def test_rows_come_with_the_numbers_of_their_lines(store):
    assert list(numbered_rows(sweep_path(store, "a"))) == [
        (1, {"run_id": "1"}),
        (3, {"run_id": "2"}),
    ]


@pytest.mark.parametrize(("line", "is_json"), [("{", False), ("[1]", True)])
def test_a_line_that_is_no_row_is_told_by_number(tmp_path, line, is_json):
    path = tmp_path / "s.jsonl"
    path.write_text("{}\n\n" + line)
    with pytest.raises(LineError, match=f"{path}:3: not ") as caught:
        list(numbered_rows(path))
    assert caught.value.number == 3
    assert (caught.value.syntax is None) == is_json


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is not a text file"):
        list(numbered_rows(path))
