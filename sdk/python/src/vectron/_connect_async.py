"""The asyncio client's road to the server."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

from . import _errors as errors
from ._async import AsyncTransport
from ._bulk import Batch, Bulk, Plan, Sent, UpsertResult
from ._connect import _next_effect
from ._core import Call, Core, settings_of
from ._endpoints import find_endpoint, find_key, find_tls, find_urls, proxied
from ._retry import Hedge, RetryPolicy
from ._wire import Broken, BrokenStream, Reply, Request

T = TypeVar("T")


class AsyncConnected:
    """Settings, connections, and the one road that every call takes. For one event loop."""

    def __init__(
        self,
        url: str | Sequence[str] | None = None,
        *,
        key: str | None = None,
        key_file: str | os.PathLike[str] | None = None,
        timeout: float = 30.0,
        connect_timeout: float = 5.0,
        connections: int = 64,
        retry: RetryPolicy | None = None,
        hedge: Hedge | None = None,
        read_your_writes: bool = True,
        consistency: Any = None,
        vectors: str = "b64",
        verify: bool | str | os.PathLike[str] | ssl.SSLContext = True,
        certificate: tuple[str, str] | None = None,
        transport: Any = None,
    ) -> None:
        """A client. Nothing is sent before the first call. The arguments are those of :class:`Client`;
        ``transport`` is an ``httpx.AsyncClient``."""
        self._core = Core(settings_of(timeout, retry, vectors, read_your_writes, consistency, hedge))
        found = find_key(key, key_file)
        endpoints = [find_endpoint(one, found) for one in find_urls(url)]
        self._urls = [endpoint.url for endpoint in endpoints]
        tls = find_tls(verify, certificate) if any(endpoint.tls for endpoint in endpoints) else None
        self._transport: Any
        if transport is not None or proxied(endpoints):
            from ._through_httpx import AsyncHttpxTransport

            self._transport = AsyncHttpxTransport(endpoints[0].url, found, tls, connect_timeout, connections, transport)
        else:
            self._transport = AsyncTransport(endpoints, tls, connect_timeout, connections)

    async def close(self) -> None:
        """Ends the connections. Later calls fail."""
        await self._transport.close()

    async def __aenter__(self: T) -> T:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._urls)})"

    def session(self, collection: str) -> str | None:
        """Token of this client's writes to a collection, to hand to another process: there, read with
        ``consistency={"level": "session", "token": token}``. None when nothing was written, or when no single token
        says all of it."""
        return self._core.sessions.token(collection)

    async def _run(self, call: Call[T]) -> T:
        steps = self._core.steps(call)
        came: Reply | Broken | None = None
        try:
            while True:
                effect = steps.send(came)
                if isinstance(effect, Request):
                    came = await self._transport.send(effect)
                else:
                    await asyncio.sleep(effect)
                    came = None
        except StopIteration as stop:
            return stop.value

    async def _run_bulk(self, bulk: Bulk, plan: Plan) -> UpsertResult:
        async def one(batch: Batch) -> Sent:
            try:
                return batch, await self._run(batch.call)
            except errors.VectronError as error:
                return batch, error

        flying: set[asyncio.Task[Sent]] = set()
        came: Sent | None = None
        try:
            while True:
                effect = plan.send(came)
                came = None
                if effect is not None:
                    flying.add(asyncio.ensure_future(one(effect)))
                    await asyncio.sleep(0)  # lets it go out before the next one is made
                    continue
                done, _ = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
                first = done.pop()
                flying.discard(first)
                came = first.result()
        except StopIteration as stop:
            return stop.value
        finally:
            for task in flying:
                task.cancel()

    async def _events(self, call: Call[T]) -> AsyncIterator[T]:
        """The answers of a call that streams. It is tried again until the first of them has come."""
        began = False
        steps = self._core.steps(call)
        came: Any = None
        while True:
            effect = _next_effect(steps, came)
            if not isinstance(effect, Request):
                await asyncio.sleep(effect)
                came = None
                continue
            try:
                async for name, data in self._transport.stream(effect):
                    if name.startswith("status "):
                        came = Reply(int(name[7:]), {}, data)
                        break
                    if name == "error":
                        raise errors.from_answer(200, {}, data)
                    began = True
                    yield call.decode(json.loads(data))
                else:
                    return
            except BrokenStream as error:
                if began:
                    raise errors.Unavailable(f"the stream of answers broke: {error.broken.detail}") from error
                came = error.broken
