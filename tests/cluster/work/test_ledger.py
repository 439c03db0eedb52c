"""Caps on what a sweep, or a user, may use: what runs is checkpointed, and goes on later."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from cluster import submit, sweep_status
from cluster.work import ledger
from cluster.work.ledger import Account, Entry, cap_reached, entries
from cluster.work.submission import Queue
from scaling.base import Store, WorkError
from sweeps.policy import Cap, Policy
from tests.cluster.launch.test_submit import results

pytestmark = pytest.mark.usefixtures("store_ready")


def put(store, sweep, name="w", **values):
    path = store.sweep_dir(sweep) / "usage" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(vars(Entry("ann", "n1", **values))))


def test_at_the_cap_a_sweep_stops_and_goes_on_to_the_same_bits(make_sweep, home, monkeypatch):
    monkeypatch.setattr(ledger, "LOOK_SECONDS", 0.0)
    store = Store.at(home)
    sweep = make_sweep(num_tokens=8192)
    capped = replace(sweep, policy=Policy(max_cpu_hours=1e-7))  # 0.4 ms of a core
    submit(capped, on="inline")
    status = sweep_status("tiny")
    assert set(status.counts) <= {"stopped", "planned"} and not status.is_live
    assert "of max_cpu_hours 1e-07: nothing new starts" in status.cap
    assert "`scaling retry tiny --set max_cpu_hours=2e-07` goes on" in status.cap
    assert {run.reason for run in status.runs} == {"a cap is reached"}
    with pytest.raises(WorkError, match="sweep 'tiny' has used"):
        submit(capped, on="inline")
    submit(capped, on="inline", settings={"max_cpu_hours": 1})
    used = sweep_status("tiny").to_dict()["caps"]["max_cpu_hours"]
    assert used["limit"] == 1 and 1e-7 < used["used"] < 0.1
    assert sweep_status("tiny").counts == {"done": 1}
    capped_results = results(store, sweep)
    submit(sweep, on="inline", rerun="all")
    assert results(store, sweep) == capped_results


def test_an_account_is_the_time_by_the_clock(home, monkeypatch):
    store = Store.at(home)
    queue = Queue.new(store.sweep_dir("s"), [], {})
    began = time.monotonic()
    with Account(store, queue, Policy(), gpus=2, cpus=3) as account:
        assert not account.over()
        time.sleep(0.2)
    took = time.monotonic() - began
    ((name, entry),) = entries(store)
    assert (name, entry.closed) == ("s", True)
    assert 0.2 * 2 <= entry.gpu_seconds <= took * 2
    assert entry.cpu_seconds == pytest.approx(1.5 * entry.gpu_seconds)


@pytest.mark.parametrize(
    ("cap", "used"),
    [
        (Cap(max_gpu_hours=7), "7 of max_gpu_hours 7"),
        (Cap(max_cpu_hours=15), "16 of max_cpu_hours 15"),
        (Cap(max_cost=30, price_per_gpu_hour=4, price_per_cpu_hour=0.5), "36 of max_cost 30"),
        (Cap(max_gpu_hours=7.1, max_cpu_hours=16.1), ""),
        (Cap(), ""),
    ],
)
def test_what_counts_is_the_sum_over_attempts(cap, used, home):
    store = Store.at(home)
    put(store, "s", "a", gpu_seconds=4 * 3600.0, cpu_seconds=6 * 3600.0, closed=True)
    put(store, "s", "b", gpu_seconds=3 * 3600.0, cpu_seconds=10 * 3600.0)
    put(store, "other", "c", gpu_seconds=1e9, cpu_seconds=1e9)
    said = cap_reached(store, "s", cap)
    assert used in said and bool(said) == bool(used)


def test_a_users_cap_counts_all_sweeps_of_the_root(home):
    store = Store.at(home)
    put(store, "s", gpu_seconds=3600.0)
    put(store, "t", gpu_seconds=3600.0)
    (home / "caps.yaml").write_text("ann: {max_gpu_hours: 2}\n'*': {max_gpu_hours: 1}\n")
    assert "ann has used 2 of max_gpu_hours 2" in cap_reached(store, "s", Cap(), "ann")
    assert "raise it in" in cap_reached(store, "s", Cap(), "ann")
    assert cap_reached(store, "s", Cap(), "bob") == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2", "caps.yaml is no YAML"),
        ("- a", "caps.yaml must be a mapping"),
        ("ann: {max_gpu_hours: -1}", "caps.yaml: max_gpu_hours -1 is not above 0"),
        ("ann: {hours: 1}", "hours"),
    ],
)
def test_damaged_caps_are_refused_before_anything_starts(text, words, make_sweep, home):
    (home / "caps.yaml").write_text(text)
    with pytest.raises(ValueError, match=words):
        submit(make_sweep(), on="inline")


def test_the_newest_submission_of_a_second_counts(home):
    """Its policy is the sweep's: names of submissions are in the order in which they were made."""
    folder = Store.at(home).sweep_dir("s")
    made = [Queue.new(folder, [], {}).path.name for _ in range(20)]
    assert [name[:22] for name in made] == sorted(name[:22] for name in made)
    assert len({name[:22] for name in made}) > 1
