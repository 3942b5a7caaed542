"""The asyncio client."""

from __future__ import annotations

from ._aio.collections import AsyncCollectionCalls
from ._aio.operating import AsyncOperatorCalls
from ._aio.reading import AsyncReadCalls
from ._aio.searching import AsyncSearchCalls
from ._aio.writing import AsyncWriteCalls


class AsyncClient(AsyncCollectionCalls, AsyncWriteCalls, AsyncReadCalls, AsyncSearchCalls, AsyncOperatorCalls):
    """The client of Vectron for asyncio: the calls of :class:`Client`, awaited. For one event loop.

    ``async with AsyncClient("http://127.0.0.1:8080") as client: …``
    """
