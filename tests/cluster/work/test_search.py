"""Searches on workers: each proposal once, whoever is killed when, and what is refused."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import shutil
import threading
from types import SimpleNamespace

import pytest

import cluster.work.search
import cluster.work.submission
import sweeps.sweep
from cluster import submit, sweep_status
from cluster.tracking.rule import Rule
from cluster.work import ProcessId, Queue, ended_runs, outlook, run_queue
from scaling.base import Store
from scaling.run import Journal, end, read_journal, sweep_path
from sweeps import Resources, Sweep, load_sweep
from sweeps.policy import Policy
from tests.cluster.launch.test_submit import starts

pytestmark = pytest.mark.usefixtures("store_ready", "idle_shippers")

FILE = {
    "name": "s",
    "data": "teacher:features=4,examples=256",
    "family": "mlp",
    "fixed": {"num_examples": 640, "batch_size": 16, "schedule": "wsd"},
    "design_space": {
        "space": {
            "parameters": {
                "width": {"log": [4, 24], "multiple_of": 4},
                "depth": {"uniform": [1, 4], "multiple_of": 1},
                "lr": {"log": [1e-4, 1.0]},
            }
        }
    },
}
KINDS = {
    "random": {"budget": 1.5e7},
    "evolution": {"population": 3, "tournament": 2, "budget": 1.5e7},
    "genetic": {"population": 3, "flip": 0.5, "budget": 1.5e7},
    "halving": {"rungs": 2, "eta": 2, "budget": 1.5e7},
    "asha": {"rungs": 2, "eta": 2, "budget": 1.5e7},
    "bayes": {"startup": 3, "budget": 1.2e7},
}


def file(kind, **changes):
    return {**FILE, "strategy": {"kind": kind, **KINDS[kind], **changes}}


class Killed(BaseException):
    """As a kill, but that leases are given back, which they are where the holder is dead."""


class Fate:
    """Kills at the k-th point that is passed."""

    def __init__(self, at=math.inf):
        self.at, self.passed = at, 0

    def passes(self):
        self.passed += 1
        if self.passed == self.at:
            raise Killed


def trainer(fate):
    """A run without training: its loss is a closed form of what it was told."""

    def train(spec, run_dir, *, epoch, held, **_):
        fate.passes()
        journal = Journal(run_dir, epoch, held)
        journal.append("start", step=0)
        fate.passes()
        loss = math.log10(spec.optim.lr / 0.01) ** 2 + spec.model.depth / 10
        tokens = spec.train.num_tokens
        time = 1000.0 + len(list(run_dir.parent.iterdir()))
        journal.append("end", status="done", loss=loss + 1 / tokens, tokens=tokens, time=time)
        journal.close()
        fate.passes()
        return SimpleNamespace(status="done")

    return train


def begin(store, asked):
    sweep = load_sweep(asked)
    sweep.write(sweep_path(store, "s"))
    queue = Queue.new(store.sweep_dir("s"), [(e.run_id,) for e in sweep], {})
    queue = cluster.work.submission.replace(queue, search=True)
    queue.write()
    return queue


def work(store, queue, fate=None):
    run_queue(store, "s", queue, Resources(), lambda: False, train=trainer(fate or Fate()))


def runs_of(store):
    return [
        (e.name, e.run_id, dict(e.point), dict(e.labels))
        for e in Sweep.read(sweep_path(store, "s"))
    ]


@pytest.mark.parametrize("kind", ["evolution", "asha"])
def test_kills_at_every_point_give_the_same_runs(kind, tmp_path, monkeypatch):
    """Before and after each file that is written, each run that begins and ends."""
    fate = Fate()
    for module in (sweeps.sweep, cluster.work.submission):

        def write(path, text, before=module.write_atomic):
            fate.passes()
            before(path, text)
            fate.passes()

        monkeypatch.setattr(module, "write_atomic", write)
    whole, struck = Store.at(tmp_path / "whole"), Store.at(tmp_path / "struck")
    work(whole, begin(whole, file(kind)))
    wanted, queue, kills = runs_of(whole), begin(struck, file(kind)), 0
    assert len(wanted) > 4
    for at in itertools.cycle(range(1, 10)):
        fate.at, fate.passed = at, 0
        try:
            work(struck, queue, fate)
        except Killed:
            kills += 1
            continue
        break
    assert kills > len(wanted)
    assert runs_of(struck) == wanted
    for _, run_id, *_ in wanted:
        ends = [e for e in read_journal(struck.run_dir(run_id)) if e["event"] == "end"]
        assert len(ends) == 1


@pytest.mark.parametrize("kind", list(KINDS))
def test_several_workers_propose_each_run_once_and_stop_at_the_budget(kind, home):
    store = Store.at(home)
    queue = begin(store, file(kind))
    workers = [threading.Thread(target=work, args=(store, queue)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    sweep = Sweep.read(sweep_path(store, "s"))
    assert [e.name for e in sweep] == [f"{kind}-{i:04d}" for i in range(len(sweep))]
    assert set(ended_runs(store, sweep)) == {e.run_id for e in sweep}
    assert {run_id for task in Queue.read(queue.path).tasks for run_id in task} == {
        e.run_id for e in sweep
    }
    seen = outlook(store, "s")
    budget = KINDS[kind]["budget"]
    assert 0.3 * budget < seen.progress.flops <= budget
    assert "FLOPs, and of the budget" in seen.end
    spent = [e.labels["search_flops"] for e in sweep]
    assert spent == sorted(spent)
    assert spent[-1] == pytest.approx(seen.progress.flops)


def test_a_promoted_run_goes_on_and_what_it_shares_is_trained_and_counted_once(home):
    """Real training: of two rungs, the second begins where the first left the constant rate."""
    submit(load_sweep(file("asha", budget=1.2e7)), on="inline")
    store = Store.at(home)
    sweep = Sweep.read(sweep_path(store, "s"))
    by_id = {e.run_id: e for e in sweep}
    promoted = [e for e in sweep if e.labels.get("parent")]
    assert promoted
    spent = 0
    for entry in sweep:
        last = end(read_journal(store.run_dir(entry.run_id)))
        spent += last["flops_spent"]
        if entry in promoted:
            assert entry.spec.num_tokens == 2 * by_id[entry.labels["parent"]].spec.num_tokens
            assert last["flops_spent"] < entry.spec.flops
            assert starts(store, entry.run_id)[0]["step"] > 0
    assert spent == outlook(store, "s").progress.flops


def test_a_second_half_goes_on_a_larger_budget_too_and_a_changed_strategy_does_not(home):
    store = Store.at(home)
    submit(load_sweep(file("evolution", budget=8e6)), on="inline")
    first = runs_of(store)
    again = submit(load_sweep(file("evolution", budget=8e6)), on="inline")
    assert again.submitted == ()
    submit(load_sweep(file("evolution", budget=1.6e7)), on="inline")
    assert runs_of(store)[: len(first)] == first
    assert len(runs_of(store)) > len(first)
    after = runs_of(store)
    plain = {key: value for key, value in FILE.items() if key != "design_space"}
    plain["grid"] = {"product": {"width": [4], "lr": [0.1]}}
    with pytest.raises(ValueError, match=r"strategy: tournament is 3, was 2\) and"):
        submit(load_sweep(file("evolution", tournament=3)), on="inline")
    with pytest.raises(ValueError, match="has changed"):
        submit(load_sweep(plain), on="inline")
    assert runs_of(store) == after
    status = sweep_status("s")
    assert str(status.search).startswith("search by evolution: ")
    assert status.to_dict()["search"]["runs"] == len(after)


def test_a_run_that_stops_early_frees_what_it_did_not_use(home):
    store = Store.at(home)
    queue = begin(store, file("random"))
    sweep = Sweep.read(sweep_path(store, "s"))
    (entry,) = sweep.entries
    journal = Journal(store.run_dir(entry.run_id), 1, lambda: True)
    journal.append("start", step=0)
    journal.append("end", status="stopped early", reason="hopeless", tokens=160, time=1.0)
    journal.close()
    (told,) = ended_runs(store, sweep).values()
    assert (told.loss, told.share) == (math.inf, 0.25)
    assert outlook(store, "s").progress.flops == entry.spec.flops / 4
    work(store, queue)
    assert len(runs_of(store)) > 5


def test_a_rule_ends_a_run_of_a_real_search_which_goes_on_with_what_it_saves(home, monkeypatch):
    """Real training, in which the sweep's rule calls the first run hopeless while it trains."""
    monkeypatch.setattr("cluster.work.worker.LOOK_SECONDS", 0.0)
    store = Store.at(home)
    queue = begin(store, file("evolution")).with_processes([ProcessId.of()])
    queue.write()
    (first,) = queue.run_ids
    (home / "hopeless.json").write_text(json.dumps([{"run_id": first, "reason": "no better"}]))
    rule, polls = Rule(store), itertools.count()

    def stop():
        if next(polls) == 8:
            policy = Policy(stop_early=f"cat {home}/hopeless.json")
            rule.look(dataclasses.replace(sweep_status("s"), policy=policy))
        return False

    run_queue(store, "s", queue, Resources(), stop)
    sweep = Sweep.read(sweep_path(store, "s"))
    ended = ended_runs(store, sweep)
    assert ended.keys() == {entry.run_id for entry in sweep}
    assert 0 < ended[first].share < 1
    assert [r.run_id for r in sweep_status("s").runs if r.state == "stopped early"] == [first]
    assert first not in {entry.labels.get("parent") for entry in sweep}
    spent = sum(ended[e.run_id].share * e.spec.flops for e in sweep)
    assert outlook(store, "s").progress.flops == pytest.approx(spent)
    assert spent <= KINDS["evolution"]["budget"] < spent + max(e.spec.flops for e in sweep)


SCRIPT = """\
import math, sys
width, lr = int(sys.argv[1]), float(sys.argv[2])
print("step 640 loss", 1 / width + math.log10(lr / 0.01) ** 2)
"""


def test_a_program_is_searched_by_local_workers_whatever_becomes_of_its_folder(home, tmp_path):
    """Anybody's script: its loss is a closed form, so that the best that was found is known."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "train.py").write_text(SCRIPT)
    asked = {
        "name": "s",
        "program": {
            "command": ["python", "train.py", "{width}", "{lr}"],
            "code": {"path": str(code)},
            "counts": {"num_params": "100 * width"},
            "reports": {"stdout": r"step (?P<step>\d+) loss (?P<loss>\S+)"},
        },
        "fixed": {"num_tokens": 640},
        "design_space": {
            "space": {
                "parameters": {
                    "width": {"log": [4, 24], "multiple_of": 4},
                    "lr": {"log": [1e-4, 1]},
                }
            },
            "ranges": {"num_params": [400, 2000]},
        },
        "strategy": {"kind": "evolution", "population": 3, "tournament": 2, "budget": 3e7},
    }
    sweep = load_sweep(asked)
    submit(sweep, on="local", workers=2, wait=True)
    store = Store.at(home)
    found = Sweep.read(sweep_path(store, "s"))
    assert len(found) > 4
    assert all(e.spec.program == sweep.entries[0].spec.program for e in found)
    assert all(e.labels.get("parent") for e in found.entries[3:])
    ended = ended_runs(store, found)
    for entry in found:
        width, lr = (entry.spec.options[name] for name in ("width", "lr"))
        assert width <= 20
        assert ended[entry.run_id].loss == pytest.approx(1 / width + math.log10(lr / 0.01) ** 2)
    assert outlook(store, "s").progress.flops <= 3e7
    (code / "train.py").write_text("print('another')")
    with pytest.raises(ValueError, match="the code of the search of sweep 's' has changed"):
        submit(load_sweep(asked), on="inline")
    shutil.rmtree(code)
    assert outlook(store, "s").end  # its further runs need the folder no more


def test_what_waits_for_a_run_that_was_cancelled_ends(home):
    """Nobody does it, so nothing can come of waiting."""
    store = Store.at(home)
    queue = begin(store, file("halving"))
    queue.stop_run(next(iter(queue.run_ids)))
    work(store, queue)
    assert len(runs_of(store)) == 2  # a bracket of two, of which one is open for ever


def test_local_workers_do_a_search_from_end_to_end(home):
    """Two processes, tiny models."""
    submit(load_sweep(file("evolution", budget=1.5e7)), on="local", workers=2, wait=True)
    store = Store.at(home)
    status = sweep_status("s")
    assert set(status.counts) == {"done"}
    assert len(status.runs) > 4
    assert outlook(store, "s").end
