"""A run table in a notebook: what says something, counted and escaped; its values are pandas'."""

from __future__ import annotations

import pickle
from html.parser import HTMLParser

import pandas as pd
import pytest

from analysis import load_runs
from analysis.tables import said


class Cells(HTMLParser):
    """Rows of a table, as a browser reads them."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.tags, self.inside = [], [], False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        self.inside = tag in ("td", "th")
        if self.inside:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


@pytest.fixture
def runs(tmp_path):
    frame = pd.DataFrame({"N": [1e6 * i for i in range(1, 16)], "D": 2e7, "loss": 3.25})
    frame["name"], frame["note"] = "<script>x</script>", "n"
    frame.loc[2, "loss"] = None
    frame.to_csv(tmp_path / "runs.csv", index=False)
    return load_runs(tmp_path / "runs.csv")


def test_a_run_table_shows_itself(runs):
    html = runs._repr_html_()
    seen = Cells(html)
    header, *rows = seen.rows
    assert {"num_params", "num_tokens", "loss", "name", "exclude_reason"} <= {*header}
    assert len(rows) == 12 and "and 3 more runs" in html and "1 left out: loss missing" in html
    assert "script" not in seen.tags and rows[0][header.index("name")] == "<script>x</script>"
    assert rows[2][header.index("loss")] == "" and rows[0][header.index("loss")] == "3.25"
    assert "note" in header  # a column of theirs, though some run is left out


def test_what_differs_within_a_sweep_goes_before_perplexity_and_stays_beside_a_reason(runs):
    swept = runs.assign(run_id="r", perplexity=9.0, flops=1e12, width=range(15), lr=0.1, seed=1)
    swept = swept.drop(columns=["N", "D"]).assign(batch_size=range(15))
    assert said(swept, 10) == [
        "run_id", "name", "num_params", "num_tokens", "flops", "loss", "note", "width",
        "batch_size", "exclude_reason",
    ]  # fmt: skip
    assert said(swept.drop(columns=["note", "width"]), 10)[-3:-1] == ["batch_size", "perplexity"]


def test_it_is_a_data_frame_and_so_is_what_is_made_of_it(runs):
    plain = runs[runs["num_params"] > 3e6]
    assert type(plain) is pd.DataFrame and plain.attrs["notes"] == runs.attrs["notes"]
    again = pickle.loads(pickle.dumps(runs))
    pd.testing.assert_frame_equal(again, runs)
    assert again._repr_html_() == runs._repr_html_()
    assert type(pd.concat([runs, runs])) is pd.DataFrame
