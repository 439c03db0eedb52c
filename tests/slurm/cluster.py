"""A real SLURM with accounting on one Debian machine: virtual nodes on the loopback, as root.

```
python -m tests.slurm.cluster up [--folder DIR] [--nodes 4] [--no-user-signals]
eval "$(python -m tests.slurm.cluster env)"      # the shell now talks to it
python -m tests.slurm.cluster down [--wipe]
```
All its files are in one folder, ``/etc`` keeps its own: clients find the cluster by
``SLURM_CONF``. Several may run side by side, each with its ``--folder`` and ``--port``.

Configuration that cost time: ``cred_expire`` well above ``KillWait``, else a requeue drains its
node ("Duplicate jobid"); ``DbdHost`` must be a host name; ``PreemptParameters`` does not exist
in 22.05; Debian's ``slurm-wlm-emulator`` replaces the real daemons and does not work.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir

PACKAGES = "slurmctld slurmd slurm-client slurmdbd munge mariadb-server-core mariadb-client-core"
FOLDER = Path(os.environ.get("SCALING_SLURM_DIR") or Path(gettempdir()) / "scaling-slurm")
PORT = int(os.environ.get("SCALING_SLURM_PORT", "16800"))  # + 1 ... + 10 + nodes are used
PATIENCE = 180.0

SLURM_CONF = """\
ClusterName=lab
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={slurmctld}
SlurmUser=root
AuthType=auth/munge
AuthInfo=cred_expire=10,socket={folder}/munge/socket
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
AccountingStoragePass={folder}/munge/socket
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


class UnavailableError(RuntimeError):
    """This machine cannot run the cluster; the message says what it takes."""


@dataclass(frozen=True)
class Cluster:
    """The cluster in ``folder``.

    Attributes
    ----------
    nodes : int
        Virtual nodes ``node1`` ..., of 8 CPUs, 4,000 MB and 2 pretend GPUs each.
    user_signals : bool
        Whether pre-emption sends the user's signal first (``preempt_send_user_signal``).
    options : dict
        More lines for ``slurm.conf``, such as ``MaxArraySize``.
    """

    folder: Path = FOLDER
    nodes: int = 4
    port: int = PORT
    user_signals: bool = True
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def node_names(self) -> list[str]:
        """The names of the nodes."""
        return [f"node{i}" for i in range(1, self.nodes + 1)]

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs in its environment."""
        return {"SLURM_CONF": str(self.folder / "etc" / "slurm.conf")}

    @property
    def is_up(self) -> bool:
        """Whether its controller runs."""
        return self._pid("slurmctld") != 0

    def ask(self, *command: str, patience: float = 30.0) -> str:
        """What a SLURM command prints.

        Raises
        ------
        subprocess.CalledProcessError, subprocess.TimeoutExpired
            If it fails, or takes longer than ``patience`` seconds.
        """
        return subprocess.run(
            command,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=True,
            timeout=patience,
        ).stdout

    def up(self) -> None:
        """Start what does not run yet; about 20 s the first time, 3 s later.

        Raises
        ------
        UnavailableError
            If this machine cannot.
        """
        _install()
        for name in ("etc", "log", "pid", "state", "spool", "munge", "dev"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        (self.folder / "munge").chmod(0o711)
        self._configure()
        self._name_nodes()
        self._start_munge()
        self._start_database()
        self._start("slurmdbd", "slurmdbd")
        _wait_for("slurmdbd", lambda: self.ask("sacctmgr", "-n", "list", "cluster") is not None)
        if "lab" not in self.ask("sacctmgr", "-n", "list", "cluster", "format=cluster").split():
            self.ask("sacctmgr", "-iQ", "add", "cluster", "lab")
        self.start_controller()
        for node in self.node_names:
            self.start_node(node)
        self.wait_until_idle()

    def down(self, wipe: bool = False) -> None:
        """End all jobs and stop every daemon; with ``wipe`` the folder goes too."""
        with contextlib.suppress(subprocess.SubprocessError, OSError):
            self.cancel_all()
        pids = self.folder / "pid"
        daemons = [f"slurmd-{node}" for node in self.node_names]
        for name in (*daemons, "slurmctld", "slurmdbd", "mariadbd", "munged"):
            pid = self._pid(name)
            if pid:
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    _wait_for(f"the end of {name}", lambda name=name: not self._pid(name), 10)
                if self._pid(name):
                    os.kill(pid, signal.SIGKILL)
            (pids / f"{name}.pid").unlink(missing_ok=True)
        if wipe:
            shutil.rmtree(self.folder, ignore_errors=True)

    def cancel_all(self) -> None:
        """Cancel every job and wait until they are gone: steps would outlive their slurmd."""
        jobs = self.ask("squeue", "-h", "-o", "%A").split()
        if jobs:
            self.ask("scancel", *sorted(set(jobs)))
            _wait_for("the end of all jobs", lambda: not self.ask("squeue", "-h").split())

    def start_controller(self) -> None:
        """Start slurmctld and wait until it answers."""
        self._start("slurmctld", "slurmctld")
        _wait_for("slurmctld", lambda: "UP" in self.ask("scontrol", "ping"))

    def stop_controller(self) -> None:
        """Kill slurmctld as a crash does."""
        self._kill("slurmctld")

    def start_node(self, node: str) -> None:
        """Start a node's slurmd."""
        self._start(f"slurmd-{node}", "slurmd", "-N", node)

    def kill_node(self, node: str) -> None:
        """Kill -9 a node's slurmd; the steps on it go on as orphans."""
        self._kill(f"slurmd-{node}")

    def wait_until_idle(self) -> None:
        """Wait until every node takes jobs again."""

        def ready() -> bool:
            lines = self.ask("sinfo", "-h", "-N", "-p", "main", "-o", "%N %T").splitlines()
            states = dict(line.split() for line in lines)
            for node, state in states.items():
                if state.startswith(("down", "drain")) and self._pid(f"slurmd-{node}"):
                    with contextlib.suppress(subprocess.CalledProcessError):
                        self.ask("scontrol", "update", f"nodename={node}", "state=resume")
            return len(states) == self.nodes and set(states.values()) <= {
                "idle",
                "mixed",
                "allocated",
            }

        _wait_for("idle nodes", ready)

    @contextlib.contextmanager
    def configured(self, *, user_signals: bool = True, **options: object) -> Iterator[None]:
        """The same cluster with other settings inside the block; restarts the controller."""
        changed = Cluster(self.folder, self.nodes, self.port, user_signals, options)
        try:
            changed._reconfigure()
            yield
        finally:
            self._reconfigure()

    def _reconfigure(self) -> None:
        self._configure()
        pid = self._pid("slurmctld")
        if pid:
            os.kill(pid, signal.SIGTERM)
            _wait_for("the end of slurmctld", lambda: not self._pid("slurmctld"))
        self.start_controller()
        self.wait_until_idle()

    def _configure(self) -> None:
        ports = {
            "mariadb": self.port + 1,
            "slurmdbd": self.port + 2,
            "slurmctld": self.port + 3,
            "first": self.port + 11,
            "last": self.port + 10 + self.nodes,
        }
        grace = 20 if self.user_signals else 0
        text = SLURM_CONF.format(folder=self.folder, nodes=self.nodes, grace=grace, **ports)
        parameters = {"MaxArraySize": 10001, **self.options}
        if self.user_signals:
            parameters["SlurmctldParameters"] = "preempt_send_user_signal"
        text += "".join(f"{key}={value}\n" for key, value in parameters.items())
        etc = self.folder / "etc"
        (etc / "slurm.conf").write_text(text)
        for i in range(2):
            device = self.folder / "dev" / f"nvidia{i}"
            if not device.is_symlink():
                device.symlink_to("/dev/null")
        gpus = f"NodeName=node[1-{self.nodes}] Name=gpu File={self.folder}/dev/nvidia[0-1]\n"
        (etc / "gres.conf").write_text(gpus)
        (etc / "slurmdbd.conf").write_text(SLURMDBD_CONF.format(folder=self.folder, **ports))
        (etc / "slurmdbd.conf").chmod(0o600)

    def _name_nodes(self) -> None:
        """Let the nodes' names mean this machine; torch's rendezvous looks them up."""
        hosts = Path("/etc/hosts")
        known = hosts.read_text()
        missing = [node for node in self.node_names if node not in known.split()]
        if missing:
            with hosts.open("a") as file:
                file.write(f"127.0.0.1 {' '.join(missing)} # tests/slurm\n")

    def _start_munge(self) -> None:
        folder = self.folder / "munge"
        key = folder / "key"
        if not key.exists():
            self.ask("mungekey", "--create", f"--keyfile={key}")
        if not self._pid("munged"):
            self.ask(
                "munged",
                "--force",  # as root; the files' owner must be who runs it
                f"--key-file={key}",
                f"--socket={folder / 'socket'}",
                f"--seed-file={folder / 'seed'}",
                f"--log-file={self.folder / 'log' / 'munged.log'}",
                f"--pid-file={self.folder / 'pid' / 'munged.pid'}",
            )

    def _start_database(self) -> None:
        data, log = self.folder / "db", self.folder / "log" / "mariadbd.log"
        if not (data / "mysql").is_dir():
            data.mkdir(exist_ok=True)
            options = ("--no-defaults", "--user=root", f"--datadir={data}", "--skip-test-db")
            self.ask("mariadb-install-db", *options, patience=120)
        if not self._pid("mariadbd"):
            command = (
                "mariadbd",
                "--no-defaults",
                "--user=root",
                f"--datadir={data}",
                f"--socket={data / 'sock'}",
                "--bind-address=127.0.0.1",
                f"--port={self.port + 1}",
                f"--pid-file={self.folder / 'pid' / 'mariadbd.pid'}",
                "--skip-grant-tables",
                "--innodb-buffer-pool-size=128M",
                "--innodb-lock-wait-timeout=900",
                "--innodb-flush-log-at-trx-commit=0",
            )
            # It does not put itself into the background, as the others do.
            background = f"setsid {shlex.join(command)} >>{shlex.quote(str(log))} 2>&1 </dev/null &"
            self.ask("sh", "-c", background)
        client = ("mariadb", "--no-defaults", f"--socket={data / 'sock'}", "-uroot")
        _wait_for("mariadbd", lambda: "1" in self.ask(*client, "-e", "select 1"))

    def _start(self, name: str, *command: str) -> None:
        """Start a daemon that puts itself into the background and writes its pid."""
        if not self._pid(name):
            (self.folder / "pid" / f"{name}.pid").unlink(missing_ok=True)
            self.ask(*command)
            _wait_for(name, lambda: self._pid(name) != 0)

    def _kill(self, name: str) -> None:
        pid = self._pid(name)
        if pid:
            os.kill(pid, signal.SIGKILL)
            _wait_for(f"the end of {name}", lambda: not self._pid(name))

    def _pid(self, name: str) -> int:
        """The process of a daemon; 0 if it does not run. A zombie has no command line."""
        try:
            pid = int((self.folder / "pid" / f"{name}.pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return 0
        return pid if name.partition("-")[0].encode() in command else 0


def _wait_for(what: str, ready: Callable[[], bool], patience: float = PATIENCE) -> None:
    until = time.monotonic() + patience
    while True:
        with contextlib.suppress(subprocess.SubprocessError):
            if ready():
                return
        if time.monotonic() > until:
            raise TimeoutError(f"waited {patience:.0f} s for {what}")
        time.sleep(0.1)


def _install() -> None:
    """Install Debian's packages where they are missing."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("apt-get"):
        raise UnavailableError(
            "a test SLURM needs root on a Debian machine or container: "
            "`docker run -v $PWD:/src -w /src python:3.11-bookworm make test`"
        )
    missing = subprocess.run(["dpkg", "-s", *PACKAGES.split()], capture_output=True, check=False)
    if missing.returncode == 0:
        return
    policy = Path("/usr/sbin/policy-rc.d")  # Debian would start the daemons by itself
    if not policy.exists():
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *PACKAGES.split()]
    for command in (["apt-get", "-qq", "update"], install):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UnavailableError(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")


def main(argv: list[str] | None = None) -> int:
    """``python -m tests.slurm.cluster up|down|env``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=("up", "down", "env"))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--no-user-signals", action="store_true")
    parser.add_argument("--wipe", action="store_true", help="down: remove the folder too")
    args = parser.parse_args(argv)
    cluster = Cluster(args.folder, args.nodes, args.port, not args.no_user_signals)
    if args.action == "up":
        try:
            cluster.up()
        except UnavailableError as error:
            print(error, file=sys.stderr)
            return 1
        print(cluster.ask("sinfo", "-o", "%P %a %D %t %G %N"), end="")
    elif args.action == "down":
        cluster.down(args.wipe)
    else:
        for key, value in cluster.environment.items():
            print(f"export {key}={value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
