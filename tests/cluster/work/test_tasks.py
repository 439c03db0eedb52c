"""Tasks: runs of one trunk in one chain, by tokens; the longest chain first."""

from __future__ import annotations

import pytest

from cluster.work.tasks import chain_flops, make_tasks
from scaling.spec import RunSpec


@pytest.fixture
def specs(tiny):
    def make(**options):
        spec = RunSpec.resolve(**{**tiny, **options})
        return spec.run_id, spec

    return make


def test_runs_of_one_trunk_form_one_task_by_ascending_tokens(specs):
    short, long = specs(num_tokens=4096), specs(num_tokens=16384)
    other = specs(num_tokens=8192, seed=1)
    tasks = make_tasks([long, other, short])
    assert [task.run_ids for task in tasks] == [(short[0], long[0]), (other[0],)]
    assert tasks[0].key == short[1].trunk_id


def test_runs_without_a_trunk_stay_alone(specs):
    runs = [specs(num_tokens=n, schedule="cosine") for n in (4096, 8192)]
    assert [task.run_ids for task in make_tasks(runs)] == [(runs[1][0],), (runs[0][0],)]


def test_a_chain_costs_its_longest_trunk_once_and_every_cooldown(specs):
    """D = 4096 and 16384 with 20 % cooldown: 0.8 x 16384 + 0.2 (4096 + 16384) tokens."""
    (_, short), (_, long) = specs(num_tokens=4096), specs(num_tokens=16384)
    tokens = chain_flops([short, long]) / short.cost.flops_train
    assert tokens == pytest.approx(0.8 * 16384 + 0.2 * (4096 + 16384))
    assert chain_flops([long]) == pytest.approx(long.flops)
