"""An event loop whose connections answer at once, for a server of several processes.

Uvicorn shares one socket among its processes, made without a protocol's number, by which asyncio
would know TCP and ask for TCP_NODELAY. So an answer's second part waits for the first part's
acknowledgement, which the other side holds back for 40 ms (RFC 1122, 4.2.3.2): with each request.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

LOOP = f"{__name__}:PromptLoop"


class PromptLoop(asyncio.SelectorEventLoop):
    """asyncio's loop, which asks for TCP_NODELAY for what comes in through a shared socket."""

    async def create_server(self, *args: Any, **options: Any) -> asyncio.Server:
        """asyncio's; of a listening socket each of its connections has the option."""
        shared = options.get("sock")
        if shared is not None and shared.family in (socket.AF_INET, socket.AF_INET6):
            shared.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return await super().create_server(*args, **options)
