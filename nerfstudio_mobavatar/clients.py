"""Connections that nobody waits for: what uvicorn's own protocol lets a client hold for ever ends here.

A client has `REQUEST_SECONDS` to send the head of a request, however few bytes at a time, and must take some of its
answer every `STALL_SECONDS`. Where `MOST_CLIENTS` are connected, the one that has been about to ask for longest goes.
"""

import asyncio
import time
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 20.0
STALL_SECONDS = 60.0
"""A phone between two networks comes back sooner."""
MOST_CLIENTS = 400
"""Each takes a file handle, and another one for the file that it gets; systems allow 1024 or more."""


class PatientProtocol(H11Protocol):
    """HTTP for one client, with an end."""

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.asking_since = time.monotonic()
        self._request_end: asyncio.TimerHandle | None = None
        self._stall_end: asyncio.TimerHandle | None = None

    @property
    def is_asking(self) -> bool:
        """Whether no answer is under way."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > MOST_CLIENTS:
            asking = [client for client in self.connections if isinstance(client, PatientProtocol) and client.is_asking]
            min(asking, key=lambda client: client.asking_since).transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        self.asking_since = time.monotonic()
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall_end = self._stall_end or self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stall_end = _cancelled(self._stall_end)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._request_end = _cancelled(self._request_end)
        self._stall_end = _cancelled(self._stall_end)

    def _watch(self) -> None:
        """The time to ask runs while nothing is answered; bytes that come do not set it back."""
        if not self.is_asking or self.transport.is_closing():
            self._request_end = _cancelled(self._request_end)
        elif self._request_end is None:
            self._request_end = self.loop.call_later(REQUEST_SECONDS, self._give_up)

    def _give_up(self) -> None:
        """The end of an earlier answer may still be on its way: it has as long as any other part of one."""
        self.transport.close()
        self._stall_end = self._stall_end or self.loop.call_later(STALL_SECONDS, self.transport.abort)


def _cancelled(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
