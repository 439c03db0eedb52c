"""The files that describe the test cluster to its daemons.

What cost time: ``cred_expire`` well above ``KillWait``, else a requeue drains its node
("Duplicate jobid"); ``DbdHost`` must be a host name; ``PreemptParameters`` does not exist in
22.05; Debian's ``slurm-wlm-emulator`` replaces the real daemons and does not work.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SLURM_CONF = """\
ClusterName={name}
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={slurmctld}
SlurmUser=root
AuthType=auth/munge
AuthInfo=cred_expire=10,socket={shared}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/pid/slurmctld.pid
SlurmdPidFile={folder}/pid/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,bf_continue,sched_interval=2,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
SlurmdTimeout=10
SlurmctldTimeout=10
KillWait=3
InactiveLimit=0
MinJobAge=300
MaxJobCount=20000
DefMemPerCPU=100
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={slurmdbd}
AccountingStoragePass={shared}/munge/socket
AccountingStorageTRES=gres/gpu
GresTypes=gpu
NodeName=node[1-{nodes}] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[{first}-{last}] \
CPUs=8 RealMemory=4000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE \
GraceTime={grace} State=UP
PartitionName=high Nodes=ALL MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF State=UP
PartitionName=short Nodes=ALL MaxTime=30 PriorityTier=10 PreemptMode=OFF State=UP
"""

SLURMDBD_CONF = """\
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={slurmdbd}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={mariadb}
StorageUser=root
StorageLoc=slurm_acct
PidFile={folder}/pid/slurmdbd.pid
LogFile={folder}/log/slurmdbd.log
"""

# Heeded with ``TaskPlugin=task/cgroup`` alone: the kernel then kills what takes too much memory.
CGROUP_CONF = """\
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
ConstrainRAMSpace=yes
"""


def write(
    folder: Path,
    nodes: int,
    port: int,
    user_signals: bool,
    options: Mapping[str, object],
    *,
    name: str,
    shared: Path,
    slurmdbd: int,
) -> None:
    """Write ``folder/etc``; see :class:`tests.slurm.cluster.Cluster` for the arguments.

    The key and the accounting (at port ``slurmdbd``) are those of the cluster in ``shared``.
    """
    ports = {
        "mariadb": port + 1,
        "slurmdbd": slurmdbd,
        "slurmctld": port + 3,
        "first": port + 11,
        "last": port + 10 + nodes,
    }
    grace = 20 if user_signals else 0
    text = SLURM_CONF.format(
        folder=folder, nodes=nodes, grace=grace, name=name, shared=shared, **ports
    )
    parameters = {"MaxArraySize": 10001, **options}
    if user_signals:
        parameters["SlurmctldParameters"] = "preempt_send_user_signal"
    text += "".join(f"{key}={value}\n" for key, value in parameters.items())
    etc = folder / "etc"
    (etc / "slurm.conf").write_text(text)
    (etc / "cgroup.conf").write_text(CGROUP_CONF)
    for i in range(2):
        device = folder / "dev" / f"nvidia{i}"
        if not device.is_symlink():
            device.symlink_to("/dev/null")
    gpus = f"NodeName=node[1-{nodes}] Name=gpu File={folder}/dev/nvidia[0-1]\n"
    (etc / "gres.conf").write_text(gpus)
    (etc / "slurmdbd.conf").write_text(SLURMDBD_CONF.format(folder=folder, **ports))
    (etc / "slurmdbd.conf").chmod(0o600)
