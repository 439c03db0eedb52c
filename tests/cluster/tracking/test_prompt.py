"""A connection through a socket made without a protocol's number, as uvicorn shares one."""

from __future__ import annotations

import asyncio
import socket

import pytest

from cluster.tracking import prompt


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_its_parts_are_sent_at_once(family, tmp_path):
    told = asyncio.Queue()

    class Telling(asyncio.Protocol):
        def connection_made(self, transport):
            told.put_nowait(transport.get_extra_info("socket"))

    async def connect():
        shared = socket.socket(family)
        shared.bind(str(tmp_path / "s") if family == socket.AF_UNIX else ("127.0.0.1", 0))
        server = await asyncio.get_running_loop().create_server(Telling, sock=shared)
        async with server:
            with socket.socket(family) as client:
                client.connect(shared.getsockname())
                taken = await told.get()
                at_once = family == socket.AF_INET and taken.getsockopt(
                    socket.IPPROTO_TCP, socket.TCP_NODELAY
                )
        return at_once

    with asyncio.Runner(loop_factory=prompt.PromptLoop) as runner:
        assert bool(runner.run(connect())) == (family == socket.AF_INET)


def test_uvicorn_finds_it():
    from uvicorn.config import Config

    assert Config("no:app", loop=prompt.LOOP).get_loop_factory() is prompt.PromptLoop
