"""One run over two virtual nodes: the curve of one process, also after the job was put back."""

from __future__ import annotations

import pytest

from scaling.run.journal import read_journal

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm-1")]


def assert_same_curves(table, other):
    assert table.keys() == other.keys()
    for run_id, (status, loss, curve) in table.items():
        expected_status, expected_loss, expected_curve = other[run_id]
        assert status == expected_status == "done"
        assert loss == pytest.approx(expected_loss, rel=1e-5)
        assert len(curve) == len(expected_curve) > 2
        for point, expected in zip(curve, expected_curve, strict=True):
            assert point == pytest.approx(expected, rel=1e-5)


def test_two_nodes_have_the_curve_of_one_process(site):
    """Replicated on two nodes, three rows against two, in micro-batches of two."""
    sweep = site.sweep(
        resources={"nodes": 2, "micro_batch": 2, "shard": "ddp"}, batch_size=5, depth=2
    )
    submission = site.submit(sweep, wait=True, canary=True)
    assert_same_curves(site.table(sweep), site.undisturbed(sweep))
    (entry,) = sweep
    (tried,) = (site.store.sweep_dir("s") / "canary").glob(f"*/{entry.run_id}")
    assert [e["processes"] for e in read_journal(tried) if e["event"] == "start"] == [2]
    assert [start["processes"] for start in site.starts(entry.run_id)] == [2]
    jobs = ",".join(submission.job_ids)
    nodes = site.cluster.ask("sacct", "-n", "-X", "-j", jobs, "-o", "NNodes").split()
    assert set(nodes) == {"2"}


def test_a_sharded_run_goes_on_after_a_requeue(site):
    sweep = site.sweep(
        resources=site.short_leases(
            {"nodes": 2, "shard": "fsdp", "checkpoint_seconds": 0.5, "threads": 1}
        ),
        num_tokens=128 * 400,
    )
    (entry,) = sweep
    submission = site.submit(sweep)
    run_dir = site.store.run_dir(entry.run_id)
    site.until(lambda: list(run_dir.glob("checkpoint*.pt")), what="a checkpoint")
    for job in submission.job_ids:
        site.cluster.ask("scontrol", "requeue", job)
    site.until(lambda: site.table(sweep)[entry.run_id][0] == "done", 300, "the end")
    assert_same_curves(site.table(sweep), site.undisturbed(sweep))
    starts = site.starts(entry.run_id)
    assert len(starts) == 2
    assert starts[1]["step"] > 0
