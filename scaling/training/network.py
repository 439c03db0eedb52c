"""This node's address among those of a SLURM job, and the interface that has an address."""

from __future__ import annotations

import os
import socket
import struct
import subprocess


def own_address() -> str:
    """An address under which the other nodes of the job reach this one.

    SLURM's own for the node (``NodeAddr``), else what the host's name stands for.

    Raises
    ------
    OSError
        If the name has no address.
    """
    name = os.environ.get("SLURMD_NODENAME")
    host = socket.gethostname()
    if name:
        try:
            told = subprocess.run(
                ["scontrol", "show", "node", "--oneliner", name],
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            ).stdout
        except (OSError, subprocess.TimeoutExpired):
            told = ""
        addresses = [word[9:] for word in told.split() if word.startswith("NodeAddr=")]
        host = addresses[0] if addresses else name
    return str(socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)[0][4][0])


def interface_of(address: str) -> str | None:
    """The name of the interface that has an IPv4 address; None if it cannot be told."""
    try:
        import fcntl

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            for _, name in socket.if_nameindex():
                request = struct.pack("256s", name.encode()[:15])
                try:
                    answer = fcntl.ioctl(probe.fileno(), 0x8915, request)  # SIOCGIFADDR
                except OSError:  # it has no address
                    continue
                if socket.inet_ntoa(answer[20:24]) == address:
                    return name
    except (ImportError, OSError):
        return None
    return None
