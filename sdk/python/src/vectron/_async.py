"""The asyncio transport: a pool of kept connections per server, for one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator

from ._endpoints import Endpoint
from ._sync import _reason
from ._wire import AnswerReader, BadAnswer, Broken, BrokenStream, EventReader, Reply, Request, request_prefix


class Connection(asyncio.Protocol):
    """One kept connection with at most one request on it."""

    def __init__(self) -> None:
        self.fresh = True
        self.reader = AnswerReader()
        self.lost = False
        self.streaming = False
        self.transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[bool] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        waiter = self._waiter
        if waiter is None:
            self.close()  # it said something unasked
            return
        try:
            whole = self.reader.feed(data)
        except BadAnswer as error:
            if not waiter.done():
                waiter.set_exception(error)
            return
        if not waiter.done():
            if whole:
                waiter.set_result(True)
            elif self.streaming:
                waiter.set_result(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            if exc is None and self.reader.closed():
                waiter.set_result(True)
            else:
                waiter.set_exception(
                    exc or ConnectionResetError("the connection was closed before the answer was whole")
                )

    def ask(self, head: bytes, body: bytes | None) -> asyncio.Future[bool]:
        """Puts a request on it; the future ends with the answer."""
        self.reader = AnswerReader()
        self._waiter = asyncio.get_running_loop().create_future()
        assert self.transport is not None
        self.transport.write(head + body if body else head)
        return self._waiter

    def more(self) -> asyncio.Future[bool]:
        """The next piece of an answer that streams."""
        if self.lost:
            raise ConnectionResetError("the connection was closed before the answer was whole")
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    def rest(self) -> None:
        """Nothing is awaited any more."""
        self._waiter = None

    def close(self) -> None:
        """Ends it."""
        self.lost = True
        if self.transport is not None:
            self.transport.abort()


class AsyncTransport:
    """Sends requests over kept connections. Several servers are several gateways of one cluster: the first that works
    is used until it does not."""

    def __init__(
        self, endpoints: list[Endpoint], tls: ssl.SSLContext | None, connect_timeout: float, connections: int
    ) -> None:
        self.endpoints = endpoints
        self._tls = tls
        self._connect_timeout = connect_timeout
        self._places = asyncio.Semaphore(connections)
        self._idle: dict[Endpoint, list[Connection]] = {endpoint: [] for endpoint in endpoints}
        self._chosen = 0
        self._closed = False

    async def send(self, request: Request) -> Reply | Broken:
        """One attempt."""
        deadline = time.monotonic() + request.timeout
        try:
            if self._places.locked():
                await asyncio.wait_for(self._places.acquire(), request.timeout)
            else:
                await self._places.acquire()
        except asyncio.TimeoutError:
            return Broken("no connection of the pool became free in time", sent=False, timed_out=True)
        try:
            if request.hedge_after is None:
                return await self._one(request, deadline, self.endpoints[self._chosen])
            return await self._hedged(request, deadline, request.hedge_after)
        finally:
            self._places.release()

    async def stream(self, request: Request) -> AsyncIterator[tuple[str, bytes]]:
        """The events of an answer as they come; ``("status N", body)`` when it is no stream but a refusal."""
        deadline = time.monotonic() + request.timeout
        endpoint = self.endpoints[self._chosen]
        found = await self._connection(endpoint, deadline)
        if isinstance(found, Broken):
            raise BrokenStream(found)
        found.streaming = True
        events, whole = EventReader(), False
        try:
            waiter = found.ask(
                request_prefix(request.method, request.target, endpoint.fixed, request.body), request.body
            )
            while not whole:
                try:
                    whole = await asyncio.wait_for(waiter, max(0.001, deadline - time.monotonic()))
                except (OSError, BadAnswer, asyncio.TimeoutError) as error:
                    raise BrokenStream(_broken(error, found)) from error
                reader = found.reader
                if reader.status and reader.headers.get("content-type", "").startswith("text/event-stream"):
                    data = reader.take()
                    if not whole:
                        waiter = found.more()
                    for event in events.feed(data):
                        yield event
                elif whole:
                    yield (f"status {reader.status}", reader.take())
                else:
                    waiter = found.more()
        finally:
            found.streaming = False
            if whole and found.reader.keep_alive:
                found.rest()
                self._idle[endpoint].append(found)
            else:
                found.close()

    async def close(self) -> None:
        """Ends every idle connection; later calls fail."""
        self._closed = True
        for kept in self._idle.values():
            while kept:
                kept.pop().close()
        await asyncio.sleep(0)

    async def _one(self, request: Request, deadline: float, endpoint: Endpoint) -> Reply | Broken:
        connection = await self._connection(endpoint, deadline)
        if isinstance(connection, Broken):
            return connection
        loop = asyncio.get_running_loop()
        waiter = connection.ask(
            request_prefix(request.method, request.target, endpoint.fixed, request.body), request.body
        )
        # Cheaper than wait_for, which makes a task of its own in older Pythons.
        alarm = loop.call_later(max(0.0, deadline - time.monotonic()), _expire, waiter)
        whole = False
        try:
            whole = await waiter
        except (OSError, BadAnswer, _Late) as error:
            return _broken(error, connection)
        finally:
            alarm.cancel()
            if whole and connection.reader.keep_alive and not connection.lost and not self._closed:
                connection.rest()
                self._idle[endpoint].append(connection)
            else:
                connection.close()
        return connection.reader.reply()

    async def _hedged(self, request: Request, deadline: float, after: float) -> Reply | Broken:
        """Waits for the first of at most two answers; the other one is dropped."""
        first = asyncio.ensure_future(self._one(request, deadline, self.endpoints[self._chosen]))
        running: set[asyncio.Task[Reply | Broken]] = {first}
        try:
            done, _ = await asyncio.wait(running, timeout=after)
            if not done:
                request.hedged = True
                other = self.endpoints[(self._chosen + 1) % len(self.endpoints)]
                running.add(asyncio.ensure_future(self._one(request, deadline, other)))
            came: Reply | Broken = Broken("no answer", sent=True)
            while running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    came = task.result()
                    if isinstance(came, Reply):
                        return came
            return came
        finally:
            for task in running:
                task.cancel()

    async def _connection(self, endpoint: Endpoint, deadline: float) -> Connection | Broken:
        if self._closed:
            return Broken("the client is closed", sent=False)
        kept = self._idle[endpoint]
        while kept:
            connection = kept.pop()
            if not connection.lost and connection.transport and not connection.transport.is_closing():
                connection.fresh = False
                return connection
        wait = max(0.001, min(self._connect_timeout, deadline - time.monotonic()))
        tls = (self._tls or ssl.create_default_context()) if endpoint.tls else None
        opening = asyncio.get_running_loop().create_connection(
            Connection, endpoint.host, endpoint.port, ssl=tls, server_hostname=endpoint.host if tls else None
        )
        try:
            _, connection = await asyncio.wait_for(opening, wait)
        except (OSError, asyncio.TimeoutError) as error:
            self._chosen = (self.endpoints.index(endpoint) + 1) % len(self.endpoints)
            reason = "no connection in time" if isinstance(error, asyncio.TimeoutError) else _reason(error)
            return Broken(f"cannot reach {endpoint.url}: {reason}", sent=False)
        return connection


class _Late(Exception):
    """The deadline came first."""


def _expire(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_exception(_Late())


def _broken(error: BaseException, connection: Connection) -> Broken:
    if isinstance(error, (_Late, asyncio.TimeoutError)):
        return Broken("no answer in time", sent=True, timed_out=True)
    stale = not connection.fresh and not connection.reader.seen
    with contextlib.suppress(Exception):
        connection.close()
    return Broken(_reason(error) if isinstance(error, Exception) else "cancelled", sent=True, stale=stale)
