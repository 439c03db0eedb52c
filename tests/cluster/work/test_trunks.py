"""What a shared trunk leaves on the disk: its furthest checkpoint, once nobody needs another."""

from __future__ import annotations

import pytest

from cluster import submit
from cluster.work import trunks as module
from cluster.work.lease import claim
from scaling.base import Store
from sweeps.sweep import Sweep
from tests.cluster.launch.test_submit import results

pytestmark = pytest.mark.usefixtures("store_ready")

SIZES = [4096, 8192, 16384]  # 32, 64 and 128 steps; with a cooldown over the last fifth of each


def saved(home):
    return sorted(int(path.stem) for path in home.glob("trunks/*/*.pt"))


def only(sweep, *sizes, name=None):
    entries = [e for e in sweep if e.spec.train.num_tokens in sizes]
    return Sweep(name or sweep.name, tuple(entries))


@pytest.fixture
def first_two(make_sweep, home):
    """A sweep of three runs on one trunk, of which the third is still to do."""
    sweep = make_sweep(num_tokens=SIZES)
    assert len({entry.spec.trunk_id for entry in sweep}) == 1
    sweep.write(Store.at(home).sweep_dir("tiny") / "sweep.jsonl")
    submit(only(sweep, *SIZES[:2]), on="inline")
    return sweep


def test_what_an_unfinished_run_starts_from_is_kept_and_nothing_else(first_two, home):
    assert saved(home) == [51]  # where the second run left; the first one's, 26, is gone
    (trunk,) = (path.parent for path in home.glob("trunks/*/*.pt"))
    half = trunk / ".000000000051.pt.0badcafe"  # of a worker that was killed
    half.write_bytes(b"half")
    submit(first_two, on="inline")
    assert not half.exists()
    assert saved(home) == [102]  # a later sweep on more data would go on from it
    spent = {
        e.spec.train.num_tokens: results(Store.at(home), only(first_two, e.spec.train.num_tokens))
        for e in first_two
    }
    submit(first_two, on="inline", rerun="all")
    again = {size: results(Store.at(home), only(first_two, size)) for size in SIZES}
    assert again == spent


def test_another_sweep_that_shares_the_trunk_keeps_it(make_sweep, home):
    sweep = make_sweep(num_tokens=SIZES)
    longer = only(sweep, SIZES[2], name="longer")
    longer.write(Store.at(home).sweep_dir("longer") / "sweep.jsonl")
    submit(only(sweep, *SIZES[:2]), on="inline")
    assert saved(home) == [51]
    submit(longer, on="inline")
    assert saved(home) == [102]


def test_a_failed_run_is_unfinished(make_sweep, home, monkeypatch):
    import scaling.training.loop as trainer

    sweep, make_task = make_sweep(num_tokens=SIZES), trainer.make_task

    def broken(spec, *args):
        if spec.train.num_tokens == SIZES[1]:
            raise RuntimeError("no")
        return make_task(spec, *args)

    with monkeypatch.context() as patched:
        patched.setattr(trainer, "make_task", broken)
        submit(sweep, on="inline")
    assert saved(home) == [26, 102]  # the failed run's, and the furthest
    submit(sweep, on="inline", rerun="failed")
    assert saved(home) == [102]


def test_a_submission_tidies_up_after_a_worker_that_died_first(make_sweep, home, monkeypatch):
    sweep = make_sweep(num_tokens=SIZES)
    with monkeypatch.context() as dead:
        dead.setattr("cluster.work.worker.tidy", lambda *_: None)
        submit(sweep, on="inline")
    assert saved(home) == [26, 51, 102]
    trunk = Store.at(home).trunk_dir(sweep.entries[0].spec.trunk_id)
    with claim(trunk):  # somebody works there
        assert submit(sweep, on="inline").submitted == ()
        assert saved(home) == [26, 51, 102]
    submit(sweep, on="inline", dry_run=True)
    assert saved(home) == [26, 51, 102]
    submit(sweep, on="inline")
    assert saved(home) == [102]


def test_a_checkpoint_that_goes_while_a_run_looks_for_it_costs_only_time(
    first_two, home, monkeypatch
):
    """As if somebody tidied between the look and the load."""
    from scaling.run import checkpoint

    load = checkpoint.load

    def vanishing(path):
        path.unlink()
        return load(path)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "load", vanishing)
        submit(first_two, on="inline")
    found = results(Store.at(home), first_two)
    submit(first_two, on="inline", rerun="all")
    assert results(Store.at(home), first_two) == found


def test_a_sweeps_file_is_read_again_only_when_it_changed(make_sweep, home):
    module._branches.cache_clear()
    submit(make_sweep(num_tokens=SIZES), on="inline")
    assert module._branches.cache_info().misses == 1
