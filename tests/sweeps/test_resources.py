"""Resources by model size, and the settings that go together."""

from __future__ import annotations

import json

import pytest

from sweeps import Sweep, read_design
from sweeps.resources import ResourceRules, Resources, parse_settings


def test_later_rules_win_from_their_size_on_and_settings_over_all():
    block = {
        "minutes": 60,
        "cpus": 4,
        "rules": [
            {"from_params": 1e9, "gpus": 8, "nodes": 2, "tasks_per_node": 8},
            {"from_params": 1e6, "gpus": 1, "minutes": 120},
        ],
    }
    rules = ResourceRules.parse(block)
    small, middle, large = rules.of(10), rules.of(1e6), rules.of(2e9)
    assert (small.gpus, small.minutes, small.cpus) == (0, 60, 4)
    assert (middle.gpus, middle.minutes, middle.is_alone) == (1, 120, False)
    assert (large.gpus, large.minutes, large.processes, large.is_alone) == (8, 120, 16, True)
    told = ResourceRules.parse(block, {"minutes": 30})
    assert {told.of(size).minutes for size in (10, 1e6, 2e9)} == {30}


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:3", "mps"])
def test_devices_that_torch_knows(device):
    assert Resources.from_dict({"device": device}).device == device


def test_resources_survive_json():
    resources = Resources.from_dict(
        {"setup": ["module load cuda"], "sbatch": {"exclusive": True}, "memory": "32GB"}
    )
    assert Resources.from_dict(resources.to_dict()) == resources
    assert resources.setup == ("module load cuda",)
    assert Resources().to_dict() == {}


@pytest.mark.parametrize(
    ("text", "megabytes"), [("32GB", 32768), ("800MB", 800), ("1.5G", 1536), ("2T", 2 * 1024**2)]
)
def test_memory_is_in_slurms_units(text, megabytes):
    """sbatch --mem: K, M, G, T are powers of 1024."""
    assert Resources(memory=text).memory_mb == megabytes


@pytest.mark.parametrize(
    ("minutes", "margin"), [(2, 20), (10, 60), (60, 120), (1440, 120), (None, 20)]
)
def test_the_margin_is_a_tenth_of_the_limit_between_twenty_seconds_and_two_minutes(minutes, margin):
    assert Resources(minutes=minutes).margin == margin


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"partitoin": "gpu"}, "unknown setting 'partitoin': did you mean 'partition'"),
        ({"memory": "32"}, "memory '32' is no amount: write it as 32GB"),
        ({"memory": 32}, "memory 32 is not a name"),
        ({"nodes": 0}, "nodes 0 is below 1"),
        ({"workers": 0}, "workers 0 is below 1: leave it out for --workers"),
        ({"device": "tpu"}, "device 'tpu' is none of auto, cpu, cuda, cuda:N, mps"),
        ({"minutes": "soon"}, "minutes 'soon' is not a number"),
        ({"minutes": 0}, "minutes 0.0 is not above 0"),
        ({"setup": [1]}, "setup must be a list of shell lines"),
        ({"gpus": "a100:"}, "gpus 'a100:' is no TYPE:COUNT: write it as a100:1"),
        ({"gpu_type": "a100"}, "gpu_type 'a100' without gpus: write gpus: a100:1"),
        ({"partition": "a,,b"}, "partition 'a,,b' has an empty name: write a,b"),
        ({"fallback": {"gpus": 1}}, "fallback must be a list of settings"),
        ({"fallback": [{"gpu": 1}]}, "unknown setting 'gpu': did you mean 'gpus'"),
        ({"fallback": [{"fallback": []}]}, "one of its settings has a fallback itself"),
        ({"sbatch": ["--x"]}, "sbatch must be a mapping"),
        ({"sbatch": {"time": 10}}, "sbatch: time: jobs get their time from the setting minutes"),
        ({"sbatch": {"--tim": 10}}, "sbatch: --tim: jobs get their time from the setting minutes"),
        ({"sbatch": {"cpus_per_task": 2}}, "cpus-per-task from the setting cpus: give that"),
        ({"sbatch": {"array": "0-3"}}, "array from the setting workers, alone and side_by_side"),
        ({"sbatch": {"gres": "gpu:2"}}, "sbatch: gres: jobs get their gpus from the setting gpus"),
        ({"sbatch": {"no-requeue": True}}, "jobs get their no-requeue from us: leave it out"),
        ({"rules": {"gpus": 1}}, "rules must be a list"),
        ({"rules": [{"gpus": 1}]}, "rule 1 has no from_params"),
        ({"rules": [{"from_params": 10, "gpu": 1}]}, "unknown setting 'gpu'"),
        ({"nodes": 2, "side_by_side": 2}, "leave side_by_side out"),
    ],
)
def test_wrong_settings_are_named(block, message):
    with pytest.raises(ValueError, match=message):
        ResourceRules.parse(block)


SWEEP = """\
name: s
data: python-source
family: transformer
fixed: {width: 32, depth: 1, num_tokens: 1e4}
grid: {product: {lr: [0.001]}}
resources:
  minutes: 10
"""


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("  partitoin: gpu", r"s.yaml:8: unknown key 'partitoin': did you mean 'partition'"),
        ("  rules: [{from_params: 1, gpu: 1}]", r"s.yaml:8: unknown key 'gpu': did you"),
        ("  rules:\n    - 3", r"s.yaml:9: item 1 of rules must be a mapping"),
        ("  memory: lots", r"s.yaml:6: resources: memory 'lots' is no amount"),
    ],
)
def test_a_sweep_file_is_refused_at_the_line(tmp_path, lines, message):
    path = tmp_path / "s.yaml"
    path.write_text(SWEEP)
    assert read_design(path).resources == {"minutes": 10}
    path.write_text(SWEEP + lines)
    with pytest.raises(ValueError, match=message):
        read_design(path)


@pytest.mark.parametrize("resources", [["gpus"], {"gpu": 1}])
def test_a_sweep_of_json_lines_is_refused_too(tmp_path, sweep, resources):
    path = tmp_path / "s.jsonl"
    sweep(SWEEP).write(path)
    row = json.loads(path.read_text())
    assert row["resources"] == {"minutes": 10}
    path.write_text(json.dumps({**row, "resources": resources}))
    with pytest.raises(ValueError, match=r"s.jsonl: resources( must be|: unknown setting)"):
        Sweep.read(path)


def test_settings_of_a_command_line_are_yaml():
    words = ["memory=8GB", "minutes=30", "alone=true", "python=apptainer exec a.sif python"]
    settings = parse_settings(words)
    assert settings == {
        "memory": "8GB",
        "minutes": 30,
        "alone": True,
        "python": "apptainer exec a.sif python",
    }
    with pytest.raises(ValueError, match="write it as KEY=VALUE"):
        parse_settings(["memory"])


def test_partitions_gpu_types_and_what_to_fall_back_to():
    asked = Resources.from_dict(
        {
            "partition": ["a", "b"],
            "gpus": "h100:2",
            "fallback": [{"gpus": "a100:4"}, {"partition": "c", "gpus": 0}],
        }
    )
    assert (asked.partition, asked.partitions) == ("a,b", ("a", "b"))
    assert (asked.gpus, asked.gpu_type) == (2, "h100")
    assert Resources.from_dict(asked.to_dict()) == asked
    first, second = asked.fall_back()
    assert (first.partition, first.gpus, first.gpu_type) == ("a,b", 4, "a100")
    assert (second.partition, second.gpus, second.gpu_type) == ("c", 0, "")
    assert not Resources().fall_back()
