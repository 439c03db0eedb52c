"""The rows that are meant: the last of each run, the Pareto frontier."""

from __future__ import annotations

import pytest

from analysis.tables import TableReading, load_runs

TEXT = """run,params,tokens,loss
b,160M,4e9,3.2
a,70M,1e9,4.0
a,70M,3e9,3.4
b,160M,2e9,3.5
a,70M,2e9,3.6
c,410M,1e9,
"""


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.csv").write_text(TEXT)
    return tmp_path / "a.csv"


def test_the_last_row_of_each_run_is_its_furthest(path):
    table = load_runs(path, how=TableReading(last_by="run"))
    assert table["loss"].tolist() == [3.2, 3.4]
    assert "--last-by run (by num_tokens) keeps 2 of 6 rows" in table.attrs["notes"]


def test_runs_may_be_told_by_several_columns(path):
    table = load_runs(path, how=TableReading(last_by="run, params"))
    assert table["loss"].tolist() == [3.2, 3.4]


def test_rows_without_progress_are_taken_as_they_stand(tmp_path):
    (tmp_path / "a.csv").write_text("run,params,loss\na,1e6,3\nb,2e6,4\na,1e6,2\n")
    table = load_runs(tmp_path / "a.csv", how=TableReading(last_by="run"))
    assert table["loss"].tolist() == [4, 2]


def test_the_frontier_is_what_none_beats(tmp_path):
    rows = [(1, 5.0), (2, 4.0), (2, 4.5), (3, 4.2), (4, 3.0), (5, 3.0), (6, 2.0)]
    (tmp_path / "a.csv").write_text("C,loss\n" + "".join(f"{c}e18,{y}\n" for c, y in rows))
    table = load_runs(tmp_path / "a.csv", where="loss > 2.5", how=TableReading(frontier=True))
    assert table["loss"].tolist() == [5.0, 4.0, 3.0]
    assert table["flops"].tolist() == [1e18, 2e18, 4e18]


def test_what_cannot_be_selected_by_is_named(path, tmp_path):
    with pytest.raises(ValueError, match="unknown column of --last-by 'rum': did you mean 'run'"):
        load_runs(path, how=TableReading(last_by="rum"))
    (tmp_path / "b.csv").write_text("params,loss\n1e6,3\n2e6,2\n")
    with pytest.raises(ValueError, match="--frontier needs compute and loss: the table has no flo"):
        load_runs(tmp_path / "b.csv", how=TableReading(frontier=True))
