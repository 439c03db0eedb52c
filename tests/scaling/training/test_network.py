"""Addresses and interfaces, against what the machine itself says."""

from __future__ import annotations

import socket
from pathlib import Path

from scaling.training.network import interface_of, own_address


def test_the_loopback_has_an_interface_and_no_one_has_a_foreign_address():
    name = interface_of("127.0.0.1")
    assert name in {name for _, name in socket.if_nameindex()}
    assert Path(f"/sys/class/net/{name}/type").read_text().strip() == "772"  # ARPHRD_LOOPBACK
    assert interface_of("192.0.2.1") is None  # RFC 5737: for documentation only


def test_the_own_address_is_slurms(monkeypatch, tmp_path):
    """``scontrol`` names the node's address; without one the host's name has to do."""
    scontrol = tmp_path / "scontrol"
    scontrol.write_text("#!/bin/sh\necho NodeName=$5 Arch=x NodeAddr=127.0.0.3 State=IDLE\n")
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setenv("SLURMD_NODENAME", "node7")
    assert own_address() == "127.0.0.3"
    monkeypatch.delenv("SLURMD_NODENAME")
    monkeypatch.setattr(socket, "gethostname", lambda: "localhost")
    assert socket.gethostbyaddr(own_address())[0].startswith("localhost")
