"""For frameworks that call one store from threads and from event loops: a client for each, and steps written once.

A plan is a generator that yields calls and is sent their answers, so that what it decides is the same in both worlds:

>>> def emptied(collection):
...     count = yield Ask("count", collection)
...     yield Ask("delete", collection, filter={})
...     return count
>>> ClientPair("http://127.0.0.1:8080").run(emptied("docs"))
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar

from ._client import Client

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from ._aio_client import AsyncClient

T = TypeVar("T")


class Ask:
    """A call of a client: the method's name and its arguments."""

    __slots__ = ("arguments", "method", "options")

    method: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]

    def __init__(self, method: str, *arguments: Any, **options: Any) -> None:
        self.method = method
        self.arguments = arguments
        self.options = options

    def of(self, client: Any) -> Any:
        """What the client's method gives: an answer, or from an asyncio client what is to be awaited."""
        return getattr(client, self.method)(*self.arguments, **self.options)


class ClientPair:
    """A blocking client and one asyncio client for each event loop, all with the same settings and made when they are
    first needed. A client of one's own takes the place of ours and is left open by :meth:`close`."""

    def __init__(
        self,
        url: Any = None,
        *,
        client: Client | None = None,
        async_client: AsyncClient | None = None,
        **settings: Any,
    ) -> None:
        """``url`` and ``settings`` are the arguments of :class:`Client`."""
        self._url = url
        self._settings = settings
        self._given = client
        self._given_async = async_client
        self._made: Client | None = None
        self._by_loop: weakref.WeakKeyDictionary[AbstractEventLoop, AsyncClient] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Settings only: a copy connects by itself."""
        return {"url": self._url, "client": self._given, "async_client": self._given_async, **self._settings}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)

    @property
    def client(self) -> Client:
        """The blocking client."""
        if self._given is not None:
            return self._given
        self._refuse_half(self._given_async, "client")
        with self._lock:
            if self._made is None:
                self._made = Client(self._url, **self._settings)
            return self._made

    @property
    def async_client(self) -> AsyncClient:
        """The asyncio client of the running event loop."""
        if self._given_async is not None:
            return self._given_async
        self._refuse_half(self._given, "async_client")
        from asyncio import get_running_loop

        from ._aio_client import AsyncClient

        loop = get_running_loop()
        with self._lock:
            found = self._by_loop.get(loop)
            if found is None:
                found = self._by_loop[loop] = AsyncClient(self._url, **self._settings)
            return found

    def _refuse_half(self, other: Any, missing: str) -> None:
        """One given client does not tell where another one should connect."""
        if other is not None and self._url is None and not self._settings:
            raise ValueError(f"this call needs another kind of client: give {missing}= too, or url= in place of both")

    def run(self, plan: Generator[Any, Any, T]) -> T:
        """Goes through a plan with the blocking client. Calls that are yielded as a list are made in turn."""
        client = self.client
        answer: Any = None
        failure: Exception | None = None
        while True:
            try:
                step = plan.send(answer) if failure is None else plan.throw(failure)
            except StopIteration as end:
                return end.value
            answer, failure = None, None
            try:
                answer = [one.of(client) for one in step] if isinstance(step, list) else step.of(client)
            except Exception as error:
                failure = error

    async def arun(self, plan: Generator[Any, Any, T]) -> T:
        """Goes through a plan with the asyncio client. Calls that are yielded as a list are made at once."""
        from asyncio import gather

        client = self.async_client
        answer: Any = None
        failure: Exception | None = None
        while True:
            try:
                step = plan.send(answer) if failure is None else plan.throw(failure)
            except StopIteration as end:
                return end.value
            answer, failure = None, None
            try:
                if isinstance(step, list):
                    answer = await gather(*(one.of(client) for one in step))
                else:
                    answer = await step.of(client)
            except Exception as error:
                failure = error

    def close(self) -> None:
        """Closes the blocking client, if it was made here."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.close()

    async def aclose(self) -> None:
        """Closes the running event loop's asyncio client, if it was made here."""
        from asyncio import get_running_loop

        with self._lock:
            made = self._by_loop.pop(get_running_loop(), None)
        if made is not None:
            await made.close()
