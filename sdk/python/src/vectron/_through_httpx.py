"""Sending through httpx: for proxies, HTTP/2, or a client that the caller has set up. Costs more per call than our own
transport, does more, and hedges nothing."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx

from ._wire import VERSION, Broken, BrokenStream, EventReader, Reply, Request


def _headers(key: str | None) -> dict[str, str]:
    headers = {"user-agent": f"vectron-python/{VERSION}", "accept": "application/json"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    return headers


def _limits(connections: int) -> httpx.Limits:
    return httpx.Limits(max_connections=connections, max_keepalive_connections=connections)


def _broken(error: httpx.HTTPError) -> Broken:
    early = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError))
    timed_out = isinstance(error, (httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout))
    return Broken(str(error) or type(error).__name__, sent=not early, timed_out=timed_out)


class _Shared:
    def __init__(self, url: str, key: str | None, connect_timeout: float) -> None:
        self._url = url
        self._headers = _headers(key)
        self._connect_timeout = connect_timeout

    def _asked(self, request: Request) -> dict[str, Any]:
        headers = dict(self._headers)
        if request.body is not None:
            headers["content-type"] = "application/json"
        return {
            "method": request.method,
            "url": self._url + request.target,
            "content": request.body,
            "headers": headers,
            "timeout": httpx.Timeout(request.timeout, connect=min(self._connect_timeout, request.timeout)),
        }


class HttpxTransport(_Shared):
    """The blocking one."""

    def __init__(
        self,
        url: str,
        key: str | None,
        tls: ssl.SSLContext | None,
        connect_timeout: float,
        connections: int,
        client: httpx.Client | None,
    ) -> None:
        super().__init__(url, key, connect_timeout)
        self._owned = client is None
        self._client = client or httpx.Client(verify=tls or True, limits=_limits(connections))

    def send(self, request: Request) -> Reply | Broken:
        """One attempt."""
        try:
            answer = self._client.request(**self._asked(request))
        except httpx.HTTPError as error:
            return _broken(error)
        return Reply(answer.status_code, answer.headers, answer.content)

    def stream(self, request: Request) -> Iterator[tuple[str, bytes]]:
        """The events of an answer as they come."""
        events = EventReader()
        try:
            with self._client.stream(**self._asked(request)) as answer:
                if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                    yield (f"status {answer.status_code}", answer.read())
                    return
                for piece in answer.iter_bytes():
                    yield from events.feed(piece)
        except httpx.HTTPError as error:
            raise BrokenStream(_broken(error)) from error

    def close(self) -> None:
        """Ends its connections, unless they are the caller's."""
        if self._owned:
            self._client.close()


class AsyncHttpxTransport(_Shared):
    """The asyncio one."""

    def __init__(
        self,
        url: str,
        key: str | None,
        tls: ssl.SSLContext | None,
        connect_timeout: float,
        connections: int,
        client: httpx.AsyncClient | None,
    ) -> None:
        super().__init__(url, key, connect_timeout)
        self._owned = client is None
        self._client = client or httpx.AsyncClient(verify=tls or True, limits=_limits(connections))

    async def send(self, request: Request) -> Reply | Broken:
        """One attempt."""
        try:
            answer = await self._client.request(**self._asked(request))
        except httpx.HTTPError as error:
            return _broken(error)
        return Reply(answer.status_code, answer.headers, answer.content)

    async def stream(self, request: Request) -> AsyncIterator[tuple[str, bytes]]:
        """The events of an answer as they come."""
        events = EventReader()
        try:
            async with self._client.stream(**self._asked(request)) as answer:
                if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                    yield (f"status {answer.status_code}", await answer.aread())
                    return
                async for piece in answer.aiter_bytes():
                    for event in events.feed(piece):
                        yield event
        except httpx.HTTPError as error:
            raise BrokenStream(_broken(error)) from error

    async def close(self) -> None:
        """Ends its connections, unless they are the caller's."""
        if self._owned:
            await self._client.aclose()
