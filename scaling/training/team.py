"""Several processes that train one run: who they are, how they meet, what they agree on.

SLURM starts the processes and tells each its number; they meet through a file on the shared
file system and talk by torch.distributed: NCCL between GPUs, gloo between CPUs and for all
messages. Rank 0 leads: it alone reads the queue, holds the lease and writes; the others do what
it says. A team lives as long as its job and trains run after run.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from scaling.base import WorkerLostError, read_json, write_atomic
from scaling.training.network import interface_of, own_address

MEET_SECONDS = 300.0  # nodes of one job may start minutes apart
TALK_SECONDS = 600.0  # a rank that is silent for so long is lost
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Place:
    """This process among those that SLURM started together.

    Attributes
    ----------
    rank, size, local_rank : int
        Its number, how many there are, its number on its node.
    nodes : int
        How many nodes they are on.
    key : str
        What no other team, and no earlier attempt of the same job, has.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    nodes: int = 1
    key: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Place:
        """As SLURM's variables say; alone where there are none."""

        def number(*names: str) -> int | None:
            return next((int(environment[name]) for name in names if environment.get(name)), None)

        size = number("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS") or 1
        if size == 1 or "SLURM_PROCID" not in environment:
            return cls()
        parts = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT")
        return cls(
            rank=number("SLURM_PROCID") or 0,
            size=size,
            local_rank=number("SLURM_LOCALID") or 0,
            nodes=number("SLURM_STEP_NUM_NODES", "SLURM_NNODES", "SLURM_JOB_NUM_NODES") or 1,
            key="-".join(environment.get(name) or "0" for name in parts),
        )


@dataclass
class Team:
    """The processes that train a run together; one alone unless :func:`connect` made it.

    Attributes
    ----------
    broken : bool
        Whether a call failed on some rank: it can then train no more.
    """

    place: Place = field(default_factory=Place)
    store: Any = None
    broken: bool = False
    _orders: int = 0

    @property
    def size(self) -> int:
        """How many processes there are."""
        return self.place.size

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.place.rank == 0

    def rendezvous(self) -> tuple[str, int]:
        """An address of this process's node that the others reach, and a port free on it."""
        host = _reachable(self.place)
        with socket.create_server((host, 0), family=_address_family(host)) as server:
            return host, int(server.getsockname()[1])

    def device(self, name: str) -> torch.device:
        """The device of this process; ``auto`` is CUDA where there is one."""
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        if name == "cuda" and self.size > 1:
            # With --gpus-per-task each process sees one device, else all of its node.
            return torch.device("cuda", self.place.local_rank % torch.cuda.device_count())
        return torch.device(name)

    def rows(self, batch_size: int, rank: int | None = None) -> range:
        """The rows of the global batch that a rank computes: equal shares, but for one row."""
        rank = self.place.rank if rank is None else rank
        return range(rank * batch_size // self.size, (rank + 1) * batch_size // self.size)

    def agree(self, *wishes: bool) -> tuple[bool, ...]:
        """Which wishes some rank has; every rank gets the same answer."""
        if self.size == 1:
            return wishes
        flags = torch.tensor(wishes, dtype=torch.int32)
        dist.all_reduce(flags, op=dist.ReduceOp.MAX)
        return tuple(bool(flag) for flag in flags)

    def say(self, value: Any) -> Any:
        """What rank 0 says, on every rank."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    def total(self, value: Any) -> Any:
        """The sum of a tensor over the ranks, the same bits on each."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def share(self, chunk: Callable[[int], Any], starts: Sequence[int]) -> list[Any]:
        """``chunk(start)`` for every start, in their order, computed by all ranks together.

        Each rank calls ``chunk`` equally often, because a sharded model needs them all; what is
        one too many is thrown away.
        """
        if self.size == 1:
            return [chunk(start) for start in starts]
        rounds = -(-len(starts) // self.size)
        mine = [i * self.size + self.place.rank for i in range(rounds)]
        done = [chunk(starts[i] if i < len(starts) else starts[0]) for i in mine]
        every: list[Any] = [None] * self.size
        dist.all_gather_object(every, done)
        return [every[i % self.size][i // self.size] for i in range(len(starts))]

    def order(self, order: dict[str, Any] | None) -> None:
        """Tell the other ranks what to do next; None lets them go. To be called on rank 0."""
        self.store.set(f"order/{self._orders}", json.dumps(order))
        self._orders += 1

    def next_order(self) -> dict[str, Any] | None:
        """Wait for rank 0, however long: it may wait for a run that another job holds."""
        key = f"order/{self._orders}"
        try:
            while not self.store.check([key]):
                time.sleep(POLL_SECONDS)
            self._orders += 1
            order: dict[str, Any] | None = json.loads(self.store.get(key))
        except (RuntimeError, dist.DistError) as error:
            raise WorkerLostError(f"rank 0 is gone: {_short(error)}") from error
        return order

    def leave(self) -> None:
        """Say that this rank has heard that it may go."""
        self.store.set(f"left/{self.place.rank}", "")

    def dismiss(self) -> None:
        """Let the other ranks go, and wait a little until they have heard it."""
        with contextlib.suppress(RuntimeError, dist.DistError):
            self.order(None)
            left = [f"left/{rank}" for rank in range(1, self.size)]
            if not self.broken:
                self.store.wait(left, timedelta(seconds=10))

    def explain(self, error: BaseException) -> BaseException:
        """The cause of an error that a run ended with: this rank's, or that of another.

        What goes wrong on one rank reaches the others as a broken connection, so each rank
        says why it goes before it does. One that says nothing was killed.
        """
        if self.size == 1:
            return error
        self.broken = True
        reason = _short(error)
        with contextlib.suppress(RuntimeError, dist.DistError):
            if not _is_broken_connection(error):
                self.store.set("failed", f"rank {self.place.rank}: {reason}")
                return error
            with contextlib.suppress(RuntimeError, dist.DistError):
                self.store.wait(["failed"], timedelta(seconds=2))
            if self.store.check(["failed"]):
                return RuntimeError(self.store.get("failed").decode())
        return WorkerLostError(f"a process of this job died ({reason}): the run can be resumed")


@contextlib.contextmanager
def connect(folder: Path, device: str = "auto") -> Iterator[Team]:
    """The team of the processes that SLURM started together with this one.

    Parameters
    ----------
    folder : Path
        On a file system that all see; they meet there.
    device : str
        With CUDA, GPUs talk by NCCL.

    Raises
    ------
    WorkerLostError
        If the others do not come.
    """
    place = Place.of(os.environ)
    if place.size == 1:
        yield Team()
        return
    team = Team(place, _meet(place, folder))
    on_gpu = team.device(device).type == "cuda"
    if on_gpu:
        torch.cuda.set_device(team.device(device))
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
        store=dist.PrefixStore("torch", team.store),
        rank=place.rank,
        world_size=place.size,
        timeout=timedelta(seconds=TALK_SECONDS),
    )
    try:
        yield team
        if team.leads:
            team.dismiss()
    except BaseException:
        team.broken = True
        if team.leads:
            team.dismiss()
        raise
    finally:
        dist.destroy_process_group()


def _meet(place: Place, folder: Path) -> Any:
    """The store of keys and values that rank 0 serves, on a port that it finds free.

    A port made from the job's number, as is usual, may still be taken by an orphan of the
    attempt before. Rank 0 listens on the one address that the others need.
    """
    path = folder / f"{place.key}.json"
    timeout = timedelta(seconds=MEET_SECONDS)
    if place.rank == 0:
        host = _reachable(place)
        listener = socket.create_server((host, 0), family=_address_family(host), backlog=place.size)
        port = listener.getsockname()[1]
        store = dist.TCPStore(
            host,
            port,
            place.size,
            is_master=True,
            timeout=timeout,
            wait_for_workers=False,
            master_listen_fd=listener.detach(),
        )
        token = secrets.token_hex(8)
        store.set("token", token)
        write_atomic(path, json.dumps({"host": host, "port": port, "token": token}))
        try:
            store.wait([f"here/{rank}" for rank in range(1, place.size)], timeout)
        except (RuntimeError, dist.DistError) as error:
            raise WorkerLostError(
                f"not all {place.size} processes came within {MEET_SECONDS:.0f} s: see the logs "
                "of the others"
            ) from error
        finally:
            path.unlink(missing_ok=True)
        _talk_over(host)
        return store
    until = time.monotonic() + MEET_SECONDS
    while time.monotonic() < until:
        where = read_json(path)
        if where is None:
            time.sleep(POLL_SECONDS)
            continue
        with contextlib.suppress(RuntimeError, dist.DistError):
            store = dist.TCPStore(
                where["host"], where["port"], place.size, is_master=False, timeout=timeout
            )
            if store.get("token").decode() == where["token"]:
                store.set(f"here/{place.rank}", "")
                with socket.create_connection((where["host"], where["port"]), 10) as probe:
                    _talk_over(probe.getsockname()[0])
                return store
        time.sleep(POLL_SECONDS)
    raise WorkerLostError(f"rank 0 did not come to {path} within {MEET_SECONDS:.0f} s")


def _reachable(place: Place) -> str:
    """The one address of this node that the other processes need."""
    return "127.0.0.1" if place.nodes == 1 else own_address()


def _address_family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _talk_over(address: str) -> None:
    """Let gloo and NCCL use the network that leads to rank 0; the site's own choice comes first."""
    name = interface_of(address)
    if name:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", name)


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _is_broken_connection(error: BaseException) -> bool:
    """Whether an error says no more than that another process has gone."""
    if isinstance(error, WorkerLostError | dist.DistError):
        return True
    # gloo and NCCL raise a plain RuntimeError: only their words tell.
    words = ("gloo", "nccl", "connection", "peer", "socket", "broken pipe")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
