"""The blocking client."""

from __future__ import annotations

from ._api.collections import CollectionCalls
from ._api.operating import OperatorCalls
from ._api.reading import ReadCalls
from ._api.searching import SearchCalls
from ._api.writing import WriteCalls


class Client(CollectionCalls, WriteCalls, ReadCalls, SearchCalls, OperatorCalls):
    """A client of Vectron. Use it as a context, or close it when done; threads may share it.

    ``with Client("http://127.0.0.1:8080") as client: …``
    """
