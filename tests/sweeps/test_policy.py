"""The ``policy`` of a sweep file: it survives the way to the store, and bad ones are one line."""

from __future__ import annotations

import pytest

from sweeps.load import load_sweep
from sweeps.policy import Policy
from sweeps.sweep import Sweep

FILE = """\
name: s
fixed: {{family: mlp, data: "teacher:examples=64,heldout=32", depth: 1, num_examples: 640, lr: 0.1}}
grid: {{product: {{width: [4, 8]}}}}
policy: {policy}
"""
GIVEN = "{max_gpu_hours: 100, after: [first], priority: -5, notify: 'cat > x', mail: a@b.c}"


def load(tmp_path, policy):
    path = tmp_path / "s.yaml"
    path.write_text(FILE.format(policy=policy))
    return load_sweep(path)


def test_a_policy_is_no_part_of_the_runs_and_goes_with_the_sweep(tmp_path, home):
    plain, sweep = load(tmp_path, "{}"), load(tmp_path, GIVEN)
    assert [e.run_id for e in plain] == [e.run_id for e in sweep]
    assert sweep.policy == Policy(
        max_gpu_hours=100.0, after=("first",), priority=-5, notify="cat > x", mail="a@b.c"
    )
    sweep.write(tmp_path / "s.jsonl")
    assert Sweep.read(tmp_path / "s.jsonl").policy == sweep.policy
    assert "policy" not in plain.to_jsonl()
    assert "cat > x" not in f"{sweep} {sweep.policy}"


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("{max_gpu_hours: 0}", "max_gpu_hours 0 is not above 0: leave it out for no cap"),
        ("{max_cpu_hours: lots}", "max_cpu_hours 'lots' is not a number"),
        ("{max_cost: 5}", "max_cost 5 without a price: give price_per_gpu_hour"),
        ("{max_cost: 5, price_per_gpu_hour: -1}", "price_per_gpu_hour -1 is below 0"),
        ("{priority: 5000}", r"priority 5000 is not in \[-1000, 1000\]"),
        ("{after: 3}", "after 3 is no list of sweeps' names"),
        ("{mail: ann}", "mail 'ann' is no address"),
        ("{look_minutes: 0}", "look_minutes 0 is not above 0"),
        ("{notify: [a]}", r"notify \['a'\] is not a name"),
        ("{max_gpu_hour: 5}", "max_gpu_hour.*max_gpu_hours"),
        ("[a]", "policy must be a mapping"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(policy, words, tmp_path, home):
    with pytest.raises(ValueError, match=words) as error:
        load(tmp_path, policy)
    assert str(error.value).startswith(f"{tmp_path / 's.yaml'}:4: ")
    assert "\n" not in str(error.value)
