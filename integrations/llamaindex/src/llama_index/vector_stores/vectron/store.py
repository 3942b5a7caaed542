"""The vector store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryResult,
)

from vectron import AsyncClient, Client, ClientPair

from . import plans
from .plans import Layout
from .points import DOCUMENT


class VectronVectorStore(BasePydanticVectorStore):
    """Nodes in a collection of Vectron, which the first :meth:`add` makes.

    Query modes: ``default``, ``mmr``, ``text_search`` and ``sparse`` (BM25), ``hybrid`` (both, put together by ranks in
    the client; ``alpha`` is the share of the vectors). Words need a text index: ``text_language`` at the collection's
    creation. Filters are over metadata; on lists they mean some element, and ``text_match`` means that every word
    occurs, whatever its case. Scores are the server's: higher is better, for every distance.
    """

    stores_text: bool = True
    flat_metadata: bool = False

    collection: str = "llama_index"
    url: str | list[str] | None = None
    distance: str = "cosine"
    text_language: str | None = None
    collection_settings: dict[str, Any] = Field(default_factory=dict)

    _pair: ClientPair = PrivateAttr()
    _layout: Layout = PrivateAttr()

    def __init__(
        self,
        collection: str = "llama_index",
        *,
        url: str | list[str] | None = None,
        client: Client | None = None,
        async_client: AsyncClient | None = None,
        connection: dict[str, Any] | None = None,
        distance: str = "cosine",
        text_language: str | None = None,
        collection_settings: dict[str, Any] | None = None,
        **base: Any,
    ) -> None:
        """``url`` and ``connection`` (``key``, ``timeout``, …) are those of :class:`vectron.Client`; clients of your
        own can take their place. A new collection has ``distance`` and ``collection_settings``. The connection is not
        part of what is written down."""
        settings = collection_settings or {}
        fields: dict[str, Any] = {
            "collection": collection,
            "url": url,
            "distance": distance,
            "text_language": text_language,
            "collection_settings": settings,
        }
        super().__init__(**fields, **base)
        self._pair = ClientPair(url, client=client, async_client=async_client, **(connection or {}))
        self._layout = Layout(collection, distance, text_language, settings)

    @classmethod
    def class_name(cls) -> str:
        """The name under which it is written down."""
        return "VectronVectorStore"

    @property
    def client(self) -> Client:
        """The blocking client."""
        return self._pair.client

    @property
    def async_client(self) -> AsyncClient:
        """The asyncio client of the running event loop."""
        return self._pair.async_client

    def close(self) -> None:
        """Closes the blocking client, if it was made here."""
        self._pair.close()

    async def aclose(self) -> None:
        """Closes the asyncio client of the running event loop, if it was made here."""
        await self._pair.aclose()

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Writes nodes with their embeddings and returns their ids; ``kwargs`` go to :meth:`vectron.Client.upsert`."""
        return self._pair.run(plans.add(self._layout, nodes, kwargs))

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """:meth:`add`, awaited."""
        return await self._pair.arun(plans.add(self._layout, nodes, kwargs))

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Deletes all nodes of a document."""
        self._pair.run(plans.delete(self._layout, {DOCUMENT: ref_doc_id}))

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """:meth:`delete`, awaited."""
        await self._pair.arun(plans.delete(self._layout, {DOCUMENT: ref_doc_id}))

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Deletes nodes by id, by filter, or those of the ids that pass the filter."""
        self._pair.run(plans.delete_nodes(self._layout, node_ids, filters))

    async def adelete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """:meth:`delete_nodes`, awaited."""
        await self._pair.arun(plans.delete_nodes(self._layout, node_ids, filters))

    def clear(self) -> None:
        """Deletes every node."""
        self._pair.run(plans.delete(self._layout, {}))

    async def aclear(self) -> None:
        """:meth:`clear`, awaited."""
        await self._pair.arun(plans.delete(self._layout, {}))

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """Nodes by id, by filter, or all, in the order of their ids."""
        return self._pair.run(plans.read(self._layout, node_ids, filters))

    async def aget_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """:meth:`get_nodes`, awaited."""
        return await self._pair.arun(plans.read(self._layout, node_ids, filters))

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """What a query finds, best first; ``kwargs`` go to :meth:`vectron.Client.search` (``recall_target``, …), in
        mode ``mmr`` also ``mmr_threshold`` and ``mmr_prefetch_k``."""
        return self._pair.run(plans.query(self._layout, query, kwargs))

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """:meth:`query`, awaited."""
        return await self._pair.arun(plans.query(self._layout, query, kwargs))
