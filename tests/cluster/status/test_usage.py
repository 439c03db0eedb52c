"""Hours by user and sweep, and what was in vain, by cause: sums that were set by hand."""

from __future__ import annotations

import json

import pytest

from cluster.status import usage, usage_lines
from cluster.work.ledger import Entry
from scaling.base import Store
from scaling.cli import main
from tests.cluster.status.states import START, running

DONE, FAILED = {"event": "end", "status": "done"}, {"event": "end", "status": "failed"}


@pytest.fixture
def sweep(home, place):
    """On two GPUs: an hour of a result (a quarter of it twice), two of a failure, one half done."""
    place.sweep("a", "b", "c", "d")
    had = {"gpus": 2, "seconds": 3600.0, "step": 1000, "spent_tokens": 1000, "time": 1.0}
    place("a", [START, DONE], **{**had, "state": "done", "spent_tokens": 1250})
    failed = {**FAILED, "reason": "OutOfMemoryError: CUDA out of memory", "cause": "oom"}
    place("b", [START, failed], **{**had, "state": "failed", "seconds": 7200.0})
    place("c", [START], **running(**{**had, "state": "stopped", "step": 500, "spent_tokens": 500}))
    place.queue([("a",), ("b",), ("c",), ("d",)], resources={"threads": 4}, ends={"b": 0},
                policy={"price_per_gpu_hour": 3.0})  # fmt: skip
    folder = Store.at(home).sweep_dir("s") / "usage"
    folder.mkdir()
    for user, hours in {"ann": 7.0, "bob": 3.5}.items():
        entry = Entry(user, "n", gpu_seconds=3600 * hours, cpu_seconds=7200 * hours)
        (folder / f"{user}.json").write_text(json.dumps(vars(entry)))


def test_hours_add_up(sweep, home):
    found = usage(Store.at(home), "s")
    assert (found.held.gpu, found.held.cpu) == (10.5, 21.0)
    assert (found.results.gpu, found.results.cpu) == (2.0, 4.0)
    assert found.open.gpu == 2.0
    waste = {cause: hours.gpu for cause, hours in found.waste.items()}
    assert waste == {"oom": 4.0, "idle": 2.0, "computed again": 0.5}
    assert sum(waste.values()) + found.results.gpu + found.open.gpu == found.held.gpu
    assert found.cost(found.held) == 31.5


def test_usage_as_a_table_and_as_json(sweep, home, capsys):
    assert main(["usage", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (told,) = document["sweeps"]
    assert document["users"]["ann"] == {"gpu_hours": 7.0, "cpu_hours": 14.0, "cost": 21.0}
    assert told["users"]["bob"] == {"gpu_hours": 3.5, "cpu_hours": 7.0, "cost": 10.5}
    assert told["waste"]["oom"]["gpu_hours"] == 4.0
    rows = usage_lines([usage(Store.at(home), "s")])
    assert rows[0] == ("s", "ann", "7", "14", "21", "19%", "oom 38%, idle 19%, computed again 5%")
    assert rows[1][:3] == ("", "bob", "3.5")
    twice = usage_lines(2 * [usage(Store.at(home), "s")])
    assert twice[-1] == ("all", "bob", "7", "14", "21", "", "")
    assert main(["usage", "nothing"]) == 2
    assert "no sweep 'nothing'" in capsys.readouterr().err
