"""``submit --on slurm``: arrays, packing, jobs of their own, canaries, refusals."""

from __future__ import annotations

import json
import os
from itertools import pairwise

import pytest

from cluster import submit
from cluster.launch import feeder
from cluster.work import ProcessId
from scaling.base import read_json
from scaling.base.errors import WorkError
from scaling.run import LOG, state_of

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm-1")]


def queues(site, name="s"):
    folder = site.store.sweep_dir(name) / "submissions"
    return [read_json(path) for path in sorted(folder.glob("*.json"))]


def elapsed(site, run_id):
    """When a run began and ended, in seconds since 1970."""
    lines = (site.store.run_dir(run_id) / "metrics.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    return events[0]["time"], events[-1]["time"]


def test_workers_take_run_after_run_side_by_side_the_longest_first(site):
    sizes = [16384, 32768, 131072]
    sweep = site.sweep(seed=[0, 1], num_tokens=sizes, resources={"cpus": 2, "memory": "3GB"})
    submission = site.submit(sweep, workers=1, wait=True)
    assert site.table(sweep) == site.undisturbed(sweep)
    (job,) = submission.job_ids
    listed = site.cluster.ask("sacct", "-X", "-n", "-P", "-j", job, "-o", "AllocCPUS").split()
    assert listed == ["2"]
    tokens = {entry.run_id: entry.spec.train.num_tokens for entry in sweep}
    by_start = sorted(tokens, key=lambda run_id: elapsed(site, run_id)[0])
    assert tokens[by_start[0]] == max(sizes)
    done = {}  # by worker: a second one takes its first run long before it begins it
    for run_id in by_start:
        log = (site.store.run_dir(run_id) / LOG).read_text()
        done.setdefault(log.partition(" in process ")[2].split()[0], []).append(tokens[run_id])
    assert all(lengths == sorted(lengths, reverse=True) for lengths in done.values())
    spans = sorted(elapsed(site, run_id) for run_id in tokens)
    assert any(later[0] < earlier[1] for earlier, later in pairwise(spans))
    logs = (site.store.sweep_dir("s") / "logs").glob("*_log.err")
    assert any("2 side by side" in path.read_text() for path in logs)


def test_memory_limits_how_many_run_side_by_side(site):
    """A run takes 300 MB or more: only one fits in 400 MB, whatever the CPUs."""
    sweep = site.sweep(seed=[0, 1, 2], resources={"cpus": 4, "memory": "400MB"})
    site.submit(sweep, workers=1, wait=True)
    logs = (site.store.sweep_dir("s") / "logs").glob("*_log.err")
    assert any(": 1 side by side" in path.read_text() for path in logs)
    spans = sorted(elapsed(site, entry.run_id) for entry in sweep)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))


def test_large_runs_have_jobs_of_their_own_in_arrays_that_the_site_allows(site):
    rules = [{"from_params": 1e4, "alone": True, "memory": "1GB"}]
    sweep = site.sweep(width=[8, 16], seed=[0, 1, 2], resources={"rules": rules})
    large = [entry for entry in sweep if entry.spec.cost.num_params >= 1e4]
    assert len(large) == 3
    with site.cluster.configured(MaxArraySize=2):
        submission = site.submit(sweep, workers=1, wait=True)
    assert site.table(sweep) == site.undisturbed(sweep)
    packed, alone = sorted(queues(site), key=lambda queue: "alone" in queue["resources"])
    assert [len(alone["slurm_jobs"]), len(packed["slurm_jobs"])] == [2, 1]
    assert set(submission.job_ids) == {*alone["slurm_jobs"], *packed["slurm_jobs"]}
    assert alone["resources"]["memory"] == "1GB"
    trained = [e.run_id for e in large]
    assert alone["own_jobs"] == {r: state_of(site.store.run_dir(r))["job"] for r in trained}
    assert not packed["own_jobs"]


def test_more_jobs_than_the_site_lets_wait_are_fed_without_a_terminal(site, monkeypatch):
    """Two at a time for three runs with a job each; the process that sends them is its own."""
    monkeypatch.setattr(feeder, "FEED_SECONDS", 0.5)
    ask = site.cluster.ask
    if "two" not in ask("sacctmgr", "-n", "-P", "list", "account", "format=account").split():
        ask("sacctmgr", "-iQ", "add", "account", "two")
        ask("sacctmgr", "-iQ", "add", "user", "root", "account=two", "maxsubmitjobs=2")
    sweep = site.sweep(seed=[0, 1, 2], resources={"alone": True, "account": "two"})
    with site.cluster.configured(AccountingStorageEnforce="limits"):
        submission = site.submit(sweep)
        (first,) = queues(site)
        assert len(first["own_jobs"]) == 2
        (pid,) = (process["pid"] for process in first["jobs"])
        site.until(lambda: {s for s, *_ in site.table(sweep).values()} == {"done"}, what="the end")
        site.until(lambda: not queues(site)[0]["waiting"], what="the feeder")
        site.until(lambda: not ProcessId.of(pid).started, what="its end")
    (queue,) = queues(site)
    assert set(submission.job_ids) < set(queue["slurm_jobs"])
    assert len(queue["own_jobs"]) == 3


def test_a_thousand_jobs_are_sent_in_five_seconds(site):
    sweep = site.sweep(
        seed=list(range(1000)), resources={"alone": True, "workers": 7, "sbatch": {"hold": True}}
    )
    from cluster.launch.place import Order
    from cluster.launch.slurm import Slurm
    from cluster.launch.submit import _write_sweep
    from cluster.work.tasks import make_tasks
    from sweeps.resources import ResourceRules

    tasks = make_tasks((entry.run_id, entry.spec) for entry in sweep)
    _write_sweep(site.store, sweep)
    began = os.times()
    rules, ends = ResourceRules.parse(sweep.resources), {entry.run_id: 0 for entry in sweep}
    order = Order(site.store, sweep, tasks, ends, "", 2, rules, rules.of(0))
    (queue,) = Slurm.plan(order).send_all()
    took = [after - before for after, before in zip(os.times()[:4], began, strict=False)]
    assert sum(took) < 5.0  # of the processor, ours and our children's: the machine may be busy
    shown = site.cluster.ask("scontrol", "show", "job", queue.slurm_jobs[0])
    assert "ArrayTaskId=0-999%7" in shown


def test_the_rest_follows_a_canary_only_on_success(site):
    good = site.sweep("good", seed=[0, 1])
    site.submit(good, workers=1, wait=True, canary=True)
    assert {status for status, *_ in site.table(good).values()} == {"done"}
    (queue,) = queues(site, "good")
    canaries = site.cluster.ask("sacct", "-X", "-n", "-P", "-j", ",".join(queue["canary"])).split()
    assert len(queue["canary"]) == 2
    assert len(canaries) == 2

    bad = site.sweep("bad", seed=[2, 3], resources={"setup": ["export SCALING_DATA=/nowhere"]})
    with pytest.raises(WorkError, match=r"the canary failed, nothing else ran: .*no data set"):
        site.submit(bad, workers=1, wait=True, canary=True)
    assert not any(site.store.run_dir(entry.run_id).exists() for entry in bad)


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"partition": "mian"}, "unknown partition 'mian': did you mean 'main'"),
        ({"partition": "short", "minutes": 40}, "minutes 40 is over the limit .* 'short', 30"),
        ({"memory": "5GB"}, "memory 5120 MB a node: .* has at most 4000 MB"),
        ({"gpus": 3}, "gpus 3 a node: .* at most 2"),
        ({"cpus": 9}, "cpus 9 a node: .* at most 8"),
        ({"nodes": 5}, "nodes 5: partition 'main' has 4"),
        ({"minutes": 1}, "minutes 1 is below 2"),
        ({"constraint": "a100"}, "features of partition 'main' are none"),
        ({"sbatch": {"reservation": "tomorrow"}}, "SLURM says: .*reservation"),
        ({"rules": [{"from_params": 0, "gpu": 1}]}, "unknown setting 'gpu': did you mean 'gpus'"),
    ],
)
def test_what_the_site_does_not_have_is_named_and_nothing_is_sent(site, home, resources, message):
    sweep = site.sweep(resources=resources)
    before = sorted(home.rglob("*"))
    with pytest.raises(ValueError, match=message):
        submit(sweep, on="slurm")
    assert sorted(home.rglob("*")) == before


def test_jobs_run_the_code_of_their_submission(site, monkeypatch, tmp_path):
    """Code in the folder of the submission, or edited after it, does not reach the jobs."""
    (tmp_path / "scaling").mkdir()
    (tmp_path / "scaling" / "__init__.py").write_text("raise ImportError('not this one')")
    monkeypatch.chdir(tmp_path)
    sweep = site.sweep()
    site.submit(sweep, workers=1, wait=True)
    assert {status for status, *_ in site.table(sweep).values()} == {"done"}
    (code,) = (site.store.sweep_dir("s") / "code").iterdir()
    assert (code / "scaling" / "training" / "loop.py").is_file()
    script = next((site.store.sweep_dir("s") / "logs").glob("*_submission.sh")).read_text()
    assert f"export PYTHONPATH={code}" in script
