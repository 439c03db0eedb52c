"""What ``sinfo`` and ``scontrol`` print, and what does not fit there."""

from __future__ import annotations

import pytest

from cluster.slurm import command
from cluster.slurm.site import Site, slurm_minutes
from scaling.base.errors import WorkError
from sweeps.resources import Resources

# Lines as SLURM 20 to 23 print them for ``-o "%P|%l|%c|%m|%G|%f|%D"``.
SINFO = """\
gpu*|2-00:00:00|64|515000|gpu:a100:4(S:0-1)|a100,ib|10
gpu*|2-00:00:00|96|1031000|gpu:h100:8|h100,ib|2
cpu|12:00:00|128|257000|(null)|(null)|100
debug|30:00|8|16000|gpu:2,shard:8|(null)|1
"""


def answers(command, cluster):
    return SINFO if command[0] == "sinfo" else "SlurmVersion\nMaxArraySize            = 1001\n"


@pytest.fixture
def site():
    return Site.ask(ask=answers)


def test_partitions_nodes_and_the_array_limit_are_read(site):
    assert site.max_array == 1001
    assert [group.gpus for group in site.groups] == [4, 8, 0, 2]
    assert [group.minutes for group in site.groups] == [2880, 2880, 720, 30]
    assert site.groups[1].features == ("h100", "ib")
    assert site.limit("") == 2880
    assert site.limit("debug") == site.limit("gpu,debug") == 30


@pytest.mark.parametrize(
    "resources",
    [
        Resources(),
        Resources(gpus=8, cpus=96, memory="1000000MB", nodes=2, minutes=2880),
        Resources(partition="cpu", cpus=128, nodes=100, minutes=720),
        Resources(constraint="h100|a100"),
        Resources(partition="gpu,cpu", minutes=720),
        Resources(gpus=8, gpu_type="h100", nodes=2),
    ],
)
def test_what_fits_is_not_refused(site, resources):
    site.check(resources)


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (Resources(partition="gpus"), "unknown partition 'gpus': did you mean 'gpu'"),
        (Resources(partition="gpu,cup"), "unknown partition 'cup': did you mean 'cpu'"),
        (Resources(partition="gpu,cpu", gpus=1), "of partition 'cpu' has at most 0"),
        (Resources(gpus=1, gpu_type="v100"), "the GPUs of partition 'gpu' are a100, h100: ask"),
        (Resources(gpus=8, gpu_type="a100"), "gpus 8 a node: .* at most 4"),
        (Resources(gpus=1, gpu_type="a100", partition="debug"), "'debug' are of no type"),
        (Resources(minutes=3000), "minutes 3000 is over the limit of partition 'gpu', 2880"),
        (Resources(gpus=9), "gpus 9 a node: a node of partition 'gpu' has at most 8"),
        (Resources(gpus=8, nodes=3), "nodes 3: partition 'gpu' has 2 that fit"),
        (Resources(partition="cpu", gpus=1), "gpus 1 a node: .* at most 0"),
        (Resources(tasks_per_node=8, cpus=13), "cpus 104 a node: .* at most 96"),
        (Resources(memory="2TB"), "memory 2.09715e[+]06 MB a node"),
        (Resources(constraint="v100"), "features of partition 'gpu' are a100, h100, ib"),
        (Resources(minutes=1), "minutes 1 is below 2"),
        (Resources(minutes=2, margin_seconds=110), "leaves nothing of 2 minutes"),
    ],
)
def test_what_does_not_fit_is_named_with_its_limit(site, resources, message):
    with pytest.raises(ValueError, match=message):
        site.check(resources)


def test_nodes_that_have_one_thing_each_do_not_have_both():
    lines = "p*|infinite|64|1000|gpu:1|(null)|1\np*|infinite|8|9000|(null)|(null)|1\n"
    site = Site.ask(ask=lambda command, _: lines if command[0] == "sinfo" else "")
    assert site.max_array == 1001
    with pytest.raises(ValueError, match="no node of partition 'p' has the cpus, memory and gpus"):
        site.check(Resources(gpus=1, memory="8GB"))


def test_a_site_without_a_default_partition_wants_one_named():
    lines = SINFO.replace("*", "")
    site = Site.ask(ask=lambda command, _: lines if command[0] == "sinfo" else "")
    with pytest.raises(ValueError, match="no default partition: give one of cpu, debug, gpu"):
        site.check(Resources())


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("30:00", 30), ("1:00:00", 60), ("2-00:00:00", 2880), ("1-02", 1560), ("infinite", None)],
)
def test_times_are_slurms(text, minutes):
    """sinfo(1): days-hours:minutes:seconds, leading parts left out."""
    assert slurm_minutes(text) == minutes


def test_commands_that_are_missing_fail_or_hang_are_one_line(monkeypatch):
    with pytest.raises(WorkError, match="there is no no-such-command here: submit from a login"):
        command.output(["no-such-command"])
    with pytest.raises(WorkError, match="failed: Invalid account"):
        command.output(["sh", "-c", "echo Invalid account >&2; exit 1"])

    silent = command.Reply("sinfo", failure="silent", words="nothing within 30 s")
    monkeypatch.setattr(command, "run", lambda *_, **__: silent)
    with pytest.raises(WorkError, match="sinfo did not answer within 30 s"):
        command.output(["sinfo"])
