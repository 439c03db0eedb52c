"""A real SLURM with accounting on one Debian machine: virtual nodes on the loopback, as root.

```
python -m tests.slurm.cluster up [--folder DIR] [--nodes 4] [--no-user-signals]
eval "$(python -m tests.slurm.cluster env)"      # the shell now talks to it
python -m tests.slurm.cluster down [--wipe]
```
All its files are in one folder, ``/etc`` keeps its own: clients find the cluster by
``SLURM_CONF``. Several may run side by side, each with its ``--folder`` and ``--port``.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import gettempdir

from tests.slurm import configuration
from tests.slurm.install import UnavailableError, install

FOLDER = Path(os.environ.get("SCALING_SLURM_DIR") or Path(gettempdir()) / "scaling-slurm")
PORT = int(os.environ.get("SCALING_SLURM_PORT", "16800"))  # + 1 ... + 10 + nodes are used
PATIENCE = 180.0
STRIDE, MOST_CLUSTERS = 10, 60  # one has room for ten of xdist's workers; six sessions at a time


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
    name : str
    shares : Cluster, optional
        Another one, which is up, whose accounting and key this one has too: ``--clusters`` then
        reaches each from the other.
    """

    folder: Path = FOLDER
    nodes: int = 4
    port: int = PORT
    user_signals: bool = True
    options: Mapping[str, object] = field(default_factory=dict)
    name: str = "lab"
    shares: Cluster | None = None

    @classmethod
    def beside(cls, number: int) -> Cluster:
        """The default cluster for 0, else another one that may run beside it."""
        if number == 0:
            return cls()
        return cls(FOLDER.with_name(f"{FOLDER.name}-{number}"), port=PORT + 100 * number)

    @classmethod
    @contextlib.contextmanager
    def of_our_own(cls, number: int) -> Iterator[Cluster]:
        """The first of ``number``, ``number + STRIDE`` ... that no other session of tests has.

        Two in one would cancel each other's jobs.
        """
        for candidate in range(number, MOST_CLUSTERS, STRIDE):
            cluster = cls.beside(candidate)
            with cluster.folder.with_name(f"{cluster.folder.name}.lock").open("w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                yield cluster
                return
        raise UnavailableError(f"all test clusters of worker {number} are in use: {FOLDER}*.lock")

    def second(self) -> Cluster:
        """Another cluster, of two nodes, that shares this one's accounting.

        Under a new name each time: the accounting remembers jobs by their numbers.
        """
        folder = self.folder.with_name(f"{self.folder.name}-annex")
        return Cluster(folder, 2, self.port + 50, name=f"annex{os.getpid()}", shares=self)

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
        ours = {key: value for key, value in os.environ.items() if key != "SLURM_CLUSTERS"}
        return subprocess.run(
            command,
            env={**ours, **self.environment},
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
        install()
        for name in ("etc", "log", "pid", "state", "spool", "munge", "dev", "tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        (self.folder / "munge").chmod(0o711)
        self._configure()
        self._name_nodes()
        if self.shares is None:
            self._start_munge()
            self._start_database()
            self._start("slurmdbd", "slurmdbd")
        _wait_for("slurmdbd", lambda: self.ask("sacctmgr", "-n", "list", "cluster") is not None)
        known = self.ask("sacctmgr", "-n", "-P", "list", "cluster", "format=cluster").split()
        if self.name not in known:
            self.ask("sacctmgr", "-iQ", "add", "cluster", self.name)
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
        for _ in range(3):
            jobs = self.ask("squeue", "-h", "-o", "%A").split()
            if not jobs:
                return
            self.ask("scancel", *sorted(set(jobs)))
            try:
                _wait_for("the end of all jobs", lambda: not self.ask("squeue", "-h").split(), 45)
            except TimeoutError:
                # A job whose end no node reports ends with its node, as administrators do it.
                for state in ("down", "resume"):
                    nodes = f"nodename={','.join(self.node_names)}"
                    self.ask("scontrol", "update", nodes, f"state={state}", "reason=stuck")
        left = self.ask("squeue", "-h")
        if left.split():
            raise TimeoutError(f"jobs that do not end:\n{left}")

    def start_controller(self) -> None:
        """Start slurmctld and wait until it answers."""
        self._start("slurmctld", "slurmctld")
        _wait_for("slurmctld", lambda: "UP" in self.ask("scontrol", "ping"))

    def stop_controller(self) -> None:
        """Kill slurmctld as a crash does."""
        self._kill("slurmctld")

    def wait_until_saved(self, job: str) -> None:
        """Wait until the controller has on disk how a job is; it saves every five seconds at most.

        One that crashes before launches the job a second time, which SLURM then holds.
        """
        saved = self.folder / "state" / "job_state"
        since = time.time()
        self.ask("scontrol", "update", f"jobid={job}", "comment=saved")
        _wait_for("the controller's state", lambda: saved.stat().st_mtime > since)

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
        """The same cluster with other settings inside the block; restarts its daemons."""
        changed = replace(self, user_signals=user_signals, options=options)
        try:
            changed._reconfigure()
            yield
        finally:
            self._reconfigure()

    def _reconfigure(self) -> None:
        self._configure()
        nodes = [f"slurmd-{node}" for node in self.node_names]
        for name in ("slurmctld", *nodes):
            pid = self._pid(name)
            if pid:
                os.kill(pid, signal.SIGTERM)
                _wait_for(f"the end of {name}", lambda name=name: not self._pid(name))
        self.start_controller()
        for node in self.node_names:
            self.start_node(node)
        self.wait_until_idle()

    def _configure(self) -> None:
        shared = self.shares or self
        configuration.write(
            self.folder,
            self.nodes,
            self.port,
            self.user_signals,
            self.options,
            name=self.name,
            shared=shared.folder,
            slurmdbd=shared.port + 2,
        )

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
        # A server that starts removes every other server's temporary tables from its tmpdir.
        options = ("--no-defaults", "--user=root", f"--tmpdir={self.folder / 'tmp'}")
        if not data.exists():
            half = self.folder / "db.half"
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir()
            self.ask(
                "mariadb-install-db",
                *options,
                f"--datadir={half}",
                "--skip-test-db",
                patience=120,
            )
            half.rename(data)
        if not self._pid("mariadbd"):
            command = (
                "mariadbd",
                *options,
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
