"""The blocking transport: a pool of kept connections per server, safe for threads and forks."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Iterator

from ._endpoints import Endpoint
from ._wire import AnswerReader, BadAnswer, Broken, BrokenStream, EventReader, Reply, Request, request_prefix

_PIECE = 256 * 1024


class Connection:
    """One kept connection."""

    __slots__ = ("fresh", "idle_since", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.fresh = True
        self.idle_since = 0.0

    def ended(self) -> bool:
        """Whether the other side closed it (or said something unasked) while it was idle."""
        try:
            poll = select.poll()
            poll.register(self.sock, select.POLLIN)
            return bool(poll.poll(0))
        except (AttributeError, OSError, ValueError):
            return False

    def close(self) -> None:
        """Ends it."""
        with contextlib.suppress(OSError):
            self.sock.close()


class SyncTransport:
    """Sends requests over kept connections. Several servers are several gateways of one cluster: the first that works
    is used until it does not."""

    def __init__(
        self, endpoints: list[Endpoint], tls: ssl.SSLContext | None, connect_timeout: float, connections: int
    ) -> None:
        self.endpoints = endpoints
        self._tls = tls
        self._connect_timeout = connect_timeout
        self._places = threading.BoundedSemaphore(connections)
        self._idle: dict[Endpoint, list[Connection]] = {endpoint: [] for endpoint in endpoints}
        self._chosen = 0
        self._closed = False
        _ALIVE.add(self)

    def send(self, request: Request) -> Reply | Broken:
        """One attempt."""
        deadline = time.monotonic() + request.timeout
        if not self._places.acquire(timeout=max(0.0, request.timeout)):
            return Broken("no connection of the pool became free in time", sent=False, timed_out=True)
        try:
            if request.hedge_after is None:
                return self._plain(request, deadline)
            return self._hedged(request, deadline, request.hedge_after)
        finally:
            self._places.release()

    def stream(self, request: Request) -> Iterator[tuple[str, bytes]]:
        """The events of an answer as they come. The first item is ``("", body)`` when it is no stream but a refusal,
        after ``status``."""
        deadline = time.monotonic() + request.timeout
        connection = self._begin(request, deadline)
        if isinstance(connection, Broken):
            raise BrokenStream(connection)
        reader, events, whole = AnswerReader(), EventReader(), False
        try:
            while not whole:
                try:
                    whole = _receive(connection, reader, deadline)
                except (OSError, BadAnswer) as error:
                    raise BrokenStream(_broken(error, connection, reader)) from error
                if reader.status and reader.headers.get("content-type", "").startswith("text/event-stream"):
                    yield from events.feed(reader.take())
                elif whole:
                    yield (f"status {reader.status}", reader.take())
        finally:
            if whole and reader.keep_alive:
                self._keep(self.endpoints[self._chosen], connection)
            else:
                connection.close()

    def close(self) -> None:
        """Ends every idle connection; later calls fail."""
        self._closed = True
        self.drop_idle()

    def drop_idle(self) -> None:
        """Forgets kept connections."""
        for kept in self._idle.values():
            while kept:
                kept.pop().close()

    def forget(self) -> None:
        """In the child of a fork: the connections are the parent's."""
        self._idle = {endpoint: [] for endpoint in self.endpoints}

    def _plain(self, request: Request, deadline: float) -> Reply | Broken:
        endpoint = self.endpoints[self._chosen]
        connection = self._begin(request, deadline)
        if isinstance(connection, Broken):
            return connection
        reader = AnswerReader()
        try:
            while not _receive(connection, reader, deadline):
                pass
        except (OSError, BadAnswer) as error:
            connection.close()
            return _broken(error, connection, reader)
        return self._done(endpoint, connection, reader)

    def _hedged(self, request: Request, deadline: float, after: float) -> Reply | Broken:
        """Waits for the first of at most two answers; the other connection is closed."""
        endpoint = self.endpoints[self._chosen]
        connection = self._begin(request, deadline)
        if isinstance(connection, Broken):
            return connection
        runners = [(connection, AnswerReader(), endpoint)]
        alarm, failure = time.monotonic() + after, Broken("no answer", sent=True)
        try:
            while runners:
                now = time.monotonic()
                if now >= deadline:
                    return Broken("no answer in time", sent=True, timed_out=True)
                until = deadline if request.hedged else min(alarm, deadline)
                ready, _, _ = select.select([runner[0].sock for runner in runners], [], [], max(0.0, until - now))
                for runner in [runner for runner in runners if runner[0].sock in ready]:
                    connection, reader, endpoint = runner
                    try:
                        if not _receive(connection, reader, deadline):
                            continue
                    except (OSError, BadAnswer) as error:
                        failure = _broken(error, connection, reader)
                        connection.close()
                        runners.remove(runner)
                        continue
                    runners.remove(runner)
                    return self._done(endpoint, connection, reader)
                if not ready and not request.hedged and time.monotonic() >= alarm:
                    request.hedged = True
                    other = self.endpoints[(self._chosen + 1) % len(self.endpoints)]
                    second = self._begin(request, deadline, other)
                    if isinstance(second, Connection):
                        runners.append((second, AnswerReader(), other))
            return failure
        finally:
            for connection, _, _ in runners:
                connection.close()

    def _begin(self, request: Request, deadline: float, endpoint: Endpoint | None = None) -> Connection | Broken:
        """A connection with the request on it."""
        if self._closed:
            return Broken("the client is closed", sent=False)
        endpoint = endpoint or self.endpoints[self._chosen]
        head = request_prefix(request.method, request.target, endpoint.fixed, request.body)
        body = request.body or b""
        while True:
            try:
                connection = self._connection(endpoint, deadline)
            except OSError as error:
                self._chosen = (self.endpoints.index(endpoint) + 1) % len(self.endpoints)
                return Broken(f"cannot reach {endpoint.url}: {_reason(error)}", sent=False)
            try:
                connection.sock.settimeout(max(0.001, deadline - time.monotonic()))
                if len(body) < 65_536:
                    connection.sock.sendall(head + body)
                else:
                    connection.sock.sendall(head)
                    connection.sock.sendall(body)
                return connection
            except TimeoutError as error:
                connection.close()
                return _broken(error, connection, None)
            except OSError as error:
                # A server that refuses early may have answered before it closed; that answer is worth reading.
                if not connection.fresh and isinstance(error, (BrokenPipeError, ConnectionResetError)):
                    connection.close()
                    return Broken(_reason(error), sent=True, stale=True)
                return connection

    def _connection(self, endpoint: Endpoint, deadline: float) -> Connection:
        kept = self._idle[endpoint]
        while kept:
            try:
                connection = kept.pop()
            except IndexError:  # another thread was faster
                break
            if not connection.ended():
                connection.fresh = False
                return connection
            connection.close()
        wait = max(0.001, min(self._connect_timeout, deadline - time.monotonic()))
        sock = socket.create_connection((endpoint.host, endpoint.port), timeout=wait)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if endpoint.tls:
            context = self._tls or ssl.create_default_context()
            sock = context.wrap_socket(sock, server_hostname=endpoint.host)
        return Connection(sock)

    def _done(self, endpoint: Endpoint, connection: Connection, reader: AnswerReader) -> Reply:
        if reader.keep_alive:
            self._keep(endpoint, connection)
        else:
            connection.close()
        return reader.reply()

    def _keep(self, endpoint: Endpoint, connection: Connection) -> None:
        if self._closed:
            connection.close()
        else:
            self._idle[endpoint].append(connection)


def _receive(connection: Connection, reader: AnswerReader, deadline: float) -> bool:
    """Reads once; True when the answer is whole."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.sock.settimeout(left)
    data = connection.sock.recv(_PIECE if reader.missing() > 65_536 else 65_536)
    if data:
        return reader.feed(data)
    if reader.closed():
        return True
    raise ConnectionResetError("the connection was closed before the answer was whole")


def _broken(error: Exception, connection: Connection, reader: AnswerReader | None) -> Broken:
    timed_out = isinstance(error, TimeoutError)
    stale = not timed_out and not connection.fresh and reader is not None and not reader.seen
    detail = "no answer in time" if timed_out else _reason(error)
    return Broken(detail, sent=True, timed_out=timed_out, stale=stale)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no connection in time"
    if isinstance(error, OSError) and error.errno and error.errno > 0 and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__


_ALIVE: weakref.WeakSet[SyncTransport] = weakref.WeakSet()


def _after_fork() -> None:
    for transport in list(_ALIVE):
        transport.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
