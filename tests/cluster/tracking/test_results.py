"""The note of a sweep's experiment says what came out of it."""

from __future__ import annotations

import json
import subprocess

import pytest

from analysis import load_runs
from cluster import submit, sweep_status
from cluster.tracking import results, ship_sweep
from scaling.base import Store
from scaling.cli import main
from scaling.run import read_rows
from scaling.tracking import connect, with_sections
from scaling.tracking.notes import NOTE_TAG
from scaling.tracking.values import LAW_METRIC


def note_of(uri, name="tiny"):
    return connect(uri).get_experiment_by_name(name).tags[NOTE_TAG]


def lines_of(uri, name="tiny"):
    """The lines in the charts: of each run of kind ``law`` its name and its points."""
    client = connect(uri)
    experiment = client.get_experiment_by_name(name).experiment_id
    return {
        run.info.run_name: {
            p.step: p.value for p in client.get_metric_history(run.info.run_id, LAW_METRIC)
        }
        for run in client.search_runs([experiment], "tags.`scaling.kind` = 'law'")
    }


def test_the_note_has_the_results_and_the_law_that_was_kept(
    make_sweep, store_ready, home, monkeypatch
):
    sweep = make_sweep(seed=[0, 1])
    submit(sweep, on="inline", tracking_uri=store_ready)
    said = note_of(store_ready)
    assert "### tiny: 2 runs" in said and "tags.`scaling.status`" in said  # what was there before
    assert "### Law" not in said
    runs = sorted(sweep_status("tiny").runs, key=lambda run: run.loss)
    rows = [line.split(" | ") for line in said.splitlines() if line.startswith("| ")]
    (header,) = [i for i, row in enumerate(rows) if row[0] == "| run"]
    assert rows[header] == ["| run", "loss", "N", "D", "C", "seed |"]
    assert [row[1] for row in rows[header + 2 :]] == [f"{run.loss:.4g}" for run in runs]

    kept = Store.at(home).sweep_dir("tiny") / "fit.json"
    kept.write_text("{}")
    asked = []

    def fit(words, **_):
        asked.append(words)
        found = {
            "level": 0.9, "formula": "L = 2 + 3 / N^0.5", "params": {"E": 2.0, "alpha": 0.5},
            "ci": {"E": [1.5, 2.5]}, "n_runs": 2, "draws": {"used": 7},
            "status": "identified", "frontier": [[1e9, 3.0], [1e10, 2.0]],
        }  # fmt: skip
        return subprocess.CompletedProcess(words, 0, json.dumps(found), "")

    monkeypatch.setattr(results, "subprocess", FakeProcesses(fit))
    ship_sweep("tiny", tracking_uri=store_ready)
    said = note_of(store_ready)
    assert "| E | 2 | 1.5 | 2.5 |" in said and said.count("### Results") == 1
    assert "--bootstrap" in asked[0]
    assert lines_of(store_ready) == {"law: L = 2 + 3 / N^0.5": {1000: 3.0, 10000: 2.0}}
    monkeypatch.setattr(results, "subprocess", FakeProcesses(None))
    ship_sweep("tiny", tracking_uri=store_ready)
    assert "`scaling fit tiny` says it." in note_of(store_ready)
    assert list(lines_of(store_ready)) == ["law: L = 2 + 3 / N^0.5"]  # no answer is no other law
    trained = load_runs("tiny", tracking_uri=store_ready)  # the line is none of them
    assert sorted(trained["loss"]) == [run.loss for run in runs]
    refused = subprocess.CompletedProcess([], 2, "", "scaling fit: too few runs\n")
    monkeypatch.setattr(results, "subprocess", FakeProcesses(lambda *_, **__: refused))
    ship_sweep("tiny", tracking_uri=store_ready)
    assert "None: too few runs" in note_of(store_ready) and lines_of(store_ready) == {}


@pytest.mark.slow  # `scaling fit` as the shipper calls it: its law, and what it does not say
def test_a_sweep_whose_law_nobody_chose_has_the_usual_one(make_sweep, store_ready, capfd):
    sizes = {"width": [8, 16, 32], "num_tokens": [2048, 4096, 8192]}
    submit(make_sweep(schedule="cosine", **sizes), on="inline", tracking_uri=store_ready)
    law = note_of(store_ready).partition("### Law\n\n")[2]
    assert "`scaling fit tiny --law NAME --keep`" in law and "| alpha | " in law
    assert main(["fit", "tiny", "--json", "--bootstrap", "100"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert f"`{found['formula']}`" in law
    assert f"| E | {found['params']['E']:.4g} |" in law
    ((name, line),) = lines_of(store_ready).items()
    assert name == f"law: {found['formula']}"
    drawn = {round(flops / 1e6): loss for flops, loss in found["frontier"] if flops > 5e5}
    assert line == pytest.approx(drawn, rel=1e-5)

    submit(make_sweep(name="seeds", seed=[0, 1, 2, 3, 4]), on="inline", tracking_uri=store_ready)
    law = note_of(store_ready, "seeds").partition("### Law\n\n")[2]
    assert law.startswith("None: num\\_params and num\\_tokens have fewer than the three values")
    assert "`scaling fit seeds` says more." in law and lines_of(store_ready, "seeds") == {}


class FakeProcesses:
    TimeoutExpired = subprocess.TimeoutExpired

    def __init__(self, run):
        self.run = run or self.late

    def late(self, words, timeout, **_):
        raise subprocess.TimeoutExpired(words, timeout)


def test_a_note_shows_twenty_runs_and_counts_the_rest(make_sweep, home, monkeypatch):
    submit(make_sweep(seed=[0, 1, 2]), on="inline")
    status, rows = sweep_status("tiny"), read_rows(Store.at(home), "tiny")
    assert "more" not in results.results(status, rows)
    monkeypatch.setattr(results, "ROOM", 200)
    assert "and 1 more, with a higher loss" in results.results(status, rows)
    monkeypatch.setattr(results, "ROOM", 9999)
    monkeypatch.setattr(results, "ROWS", 2)
    said = results.results(status, rows)
    assert said.endswith("and 1 more, with a higher loss") and said.count("\n| ") == 4 - 1 + 1


def test_a_section_replaces_itself_alone_and_names_are_no_markup():
    before = "### s\n\nwhat\n\n### Results\n\nold\n\n### Mine\n\nkept\n"
    after = with_sections(before, {"Results": "new"})
    assert after == before.replace("old", "new")
    assert with_sections(after, {"Results": "new"}) == after
    assert results._line(["a|b", "<b>x</b>\n"]) == r"| a\|b | \<b>x\</b> |"
