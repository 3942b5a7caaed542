"""The blocking client's road to the server."""

from __future__ import annotations

import json
import os
import ssl
import time
from collections.abc import Generator, Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

from . import _errors as errors
from ._bulk import Bulk, Plan, UpsertResult
from ._core import Call, Core, settings_of
from ._drive import Transport, run, run_bulk
from ._endpoints import find_endpoint, find_key, find_tls, find_urls, proxied
from ._retry import Hedge, RetryPolicy
from ._sync import SyncTransport
from ._wire import BrokenStream, Reply, Request

T = TypeVar("T")


class Connected:
    """Settings, connections, and the one road that every call takes. Safe to use from several threads."""

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
        """A client. Nothing is sent before the first call.

        ``url`` is an address such as ``http://127.0.0.1:8080``, or several of gateways of one cluster, of which the
        first that works is used; without it ``VECTRON_URL``, else a local node. ``key`` (or the first line of
        ``key_file``, ``VECTRON_API_KEY``, the file that ``VECTRON_API_KEY_FILE`` names) goes along with every call.

        ``timeout`` is for one attempt of a call that names no deadline, ``retry`` says how often and how long to try
        again, ``hedge`` sends slow reads a second time. ``consistency`` is the default of reads in place of the
        collections' own; ``read_your_writes`` keeps reads from missing this client's writes where that default is
        weaker. ``vectors="json"`` sends lists of numbers in place of packed ones.

        For ``https`` addresses ``verify`` is True, a file or folder of roots, or a context; ``certificate`` is the
        client's own (certificate file, key file). ``transport`` is an ``httpx.Client`` to send through (proxies,
        HTTP/2); proxies of the environment are found without it.
        """
        self._core = Core(settings_of(timeout, retry, vectors, read_your_writes, consistency, hedge))
        found = find_key(key, key_file)
        endpoints = [find_endpoint(one, found) for one in find_urls(url)]
        self._urls = [endpoint.url for endpoint in endpoints]
        tls = find_tls(verify, certificate) if any(endpoint.tls for endpoint in endpoints) else None
        self._transport: Transport
        if transport is not None or proxied(endpoints):
            from ._through_httpx import HttpxTransport

            self._transport = HttpxTransport(endpoints[0].url, found, tls, connect_timeout, connections, transport)
        else:
            self._transport = SyncTransport(endpoints, tls, connect_timeout, connections)

    def close(self) -> None:
        """Ends the connections. Later calls fail."""
        self._transport.close()

    def __enter__(self: T) -> T:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._urls)})"

    def session(self, collection: str) -> str | None:
        """Token of this client's writes to a collection, to hand to another process: there, read with
        ``consistency={"level": "session", "token": token}``. None when nothing was written, or when no single token
        says all of it."""
        return self._core.sessions.token(collection)

    def _run(self, call: Call[T]) -> T:
        return run(self._core, self._transport, call)

    def _run_bulk(self, bulk: Bulk, plan: Plan) -> UpsertResult:
        return run_bulk(self._run, bulk, plan)

    def _events(self, call: Call[T]) -> Iterator[T]:
        """The answers of a call that streams. It is tried again until the first of them has come."""
        began = False
        steps = self._core.steps(call)
        came: Any = None
        while True:
            effect = _next_effect(steps, came)
            if not isinstance(effect, Request):
                time.sleep(effect)
                came = None
                continue
            try:
                for name, data in self._transport.stream(effect):  # type: ignore[attr-defined]
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


def _next_effect(steps: Generator[Request | float, Any, Any], came: Any) -> Request | float:
    try:
        return steps.send(came)
    except StopIteration:
        raise errors.InternalError("the answer to a streaming call was no stream") from None
