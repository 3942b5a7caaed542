"""The vector store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from vectron import AsyncClient, Client, ClientPair

from . import _plans as plans
from ._plans import Layout, Scored


class VectronVectorStore(VectorStore):
    """Documents in a collection of Vectron.

    ``url`` and ``connection`` (``key``, ``timeout``, …) are those of :class:`vectron.Client`; clients of your own can
    take their place. The first write makes the collection, of the dimension that the embeddings have and with
    ``distance`` and ``collection_settings`` (``shards``, ``replication_factor``, …); until then searches find nothing.
    With ``create_collection=False`` a collection that is not there is an error. ``text_language`` (``"english"``,
    ``"none"`` for words as they are, …) gives a new collection a text index, which :meth:`hybrid_search` needs.

    A document's text and metadata are the payload's members ``text_key`` and ``metadata_key``. Filters are those of
    Vectron over metadata: ``{"color": "red", "year": {"$gte": 2020}, "$or": […]}``. Every search takes ``filter`` and,
    as further arguments, those of :meth:`vectron.Client.search` (``recall_target``, ``exact``, ``consistency``, …).
    """

    def __init__(
        self,
        embedding: Embeddings,
        collection: str = "langchain",
        *,
        url: str | Sequence[str] | None = None,
        client: Client | None = None,
        async_client: AsyncClient | None = None,
        connection: Mapping[str, Any] | None = None,
        distance: str = "cosine",
        text_language: str | None = None,
        text_key: str = "text",
        metadata_key: str = "metadata",
        create_collection: bool = True,
        collection_settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._embedding = embedding
        self._layout = Layout(
            collection,
            distance,
            text_key,
            metadata_key,
            text_language,
            create_collection,
            dict(collection_settings or {}),
        )
        self._pair = ClientPair(url, client=client, async_client=async_client, **(connection or {}))

    @property
    def embeddings(self) -> Embeddings:
        """What turns texts into vectors."""
        return self._embedding

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

    def add_documents(
        self,
        documents: list[Document],
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int = 256,
        **options: Any,
    ) -> list[str]:
        """Writes documents, or writes them anew, under ``ids``, their own ids or new ones; returns the ids.
        ``batch_size`` is how many go in one request; ``options`` are further ones of :meth:`vectron.Client.upsert`."""
        names = plans.ids_of(documents, ids)
        if documents:
            vectors = self._embedding.embed_documents([document.page_content for document in documents])
            more = {"batch_rows": batch_size, **options}
            self._pair.run(plans.add(self._layout, documents, names, vectors, more))
        return names

    async def aadd_documents(
        self,
        documents: list[Document],
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int = 256,
        **options: Any,
    ) -> list[str]:
        """:meth:`add_documents`, awaited."""
        names = plans.ids_of(documents, ids)
        if documents:
            vectors = await self._embedding.aembed_documents([document.page_content for document in documents])
            more = {"batch_rows": batch_size, **options}
            await self._pair.arun(plans.add(self._layout, documents, names, vectors, more))
        return names

    def delete(
        self, ids: list[str] | None = None, *, filter: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> bool | None:
        """Deletes documents by id, by filter, or, given neither, all. Ids that are not there are fine."""
        _nothing(kwargs)
        self._pair.run(plans.delete(self._layout, ids, filter))
        return True

    async def adelete(
        self, ids: list[str] | None = None, *, filter: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> bool | None:
        """:meth:`delete`, awaited."""
        _nothing(kwargs)
        await self._pair.arun(plans.delete(self._layout, ids, filter))
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents that are there, in the order of the ids."""
        return self._pair.run(plans.get(self._layout, ids))

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """:meth:`get_by_ids`, awaited."""
        return await self._pair.arun(plans.get(self._layout, ids))

    def similarity_search_with_score_by_vector(
        self, embedding: Sequence[float], k: int = 4, *, filter: Mapping[str, Any] | None = None, **options: Any
    ) -> Scored:
        """The nearest documents to a vector with the server's scores: higher is better, for every distance."""
        return self._pair.run(plans.search(self._layout, embedding, k, filter, options))

    async def asimilarity_search_with_score_by_vector(
        self, embedding: Sequence[float], k: int = 4, *, filter: Mapping[str, Any] | None = None, **options: Any
    ) -> Scored:
        """:meth:`similarity_search_with_score_by_vector`, awaited."""
        return await self._pair.arun(plans.search(self._layout, embedding, k, filter, options))

    def similarity_search_with_score(self, query: str, k: int = 4, **options: Any) -> Scored:  # type: ignore[override]
        """The nearest documents to a text with the server's scores."""
        return self.similarity_search_with_score_by_vector(self._embedding.embed_query(query), k, **options)

    async def asimilarity_search_with_score(  # type: ignore[override]
        self, query: str, k: int = 4, **options: Any
    ) -> Scored:
        """:meth:`similarity_search_with_score`, awaited."""
        vector = await self._embedding.aembed_query(query)
        return await self.asimilarity_search_with_score_by_vector(vector, k, **options)

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The nearest documents to a text."""
        return _documents(self.similarity_search_with_score(query, k, **kwargs))

    async def asimilarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """:meth:`similarity_search`, awaited."""
        return _documents(await self.asimilarity_search_with_score(query, k, **kwargs))

    def similarity_search_by_vector(self, embedding: list[float], k: int = 4, **kwargs: Any) -> list[Document]:
        """The nearest documents to a vector."""
        return _documents(self.similarity_search_with_score_by_vector(embedding, k, **kwargs))

    async def asimilarity_search_by_vector(self, embedding: list[float], k: int = 4, **kwargs: Any) -> list[Document]:
        """:meth:`similarity_search_by_vector`, awaited."""
        return _documents(await self.asimilarity_search_with_score_by_vector(embedding, k, **kwargs))

    def max_marginal_relevance_search_by_vector(
        self, embedding: list[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Of the ``fetch_k`` nearest documents ``k`` that are near the vector (``lambda_mult`` 1) and unlike each other
        (0). The choice is made here, from the vectors that the server returns."""
        filter = kwargs.pop("filter", None)
        plan = plans.diverse(self._layout, embedding, k, fetch_k, lambda_mult, filter, kwargs)
        return self._pair.run(plan)

    async def amax_marginal_relevance_search_by_vector(
        self, embedding: list[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """:meth:`max_marginal_relevance_search_by_vector`, awaited."""
        filter = kwargs.pop("filter", None)
        plan = plans.diverse(self._layout, embedding, k, fetch_k, lambda_mult, filter, kwargs)
        return await self._pair.arun(plan)

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """The same for a text."""
        vector = self._embedding.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, **kwargs)

    async def amax_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """:meth:`max_marginal_relevance_search`, awaited."""
        vector = await self._embedding.aembed_query(query)
        return await self.amax_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, **kwargs)

    def hybrid_search_with_score(
        self,
        query: str,
        k: int = 4,
        *,
        fetch_k: int = 50,
        vector_weight: float = 0.5,
        filter: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Scored:
        """The best ``fetch_k`` by vector and the best ``fetch_k`` by words (BM25), put together by their ranks
        (reciprocal rank fusion, ``vector_weight`` for the first). Both searches are exact about their own ranking; the
        fusion is made here. Scores are those of the fusion. Needs a text index on ``text_key``."""
        vector = self._embedding.embed_query(query)
        plan = plans.hybrid(self._layout, query, vector, k, fetch_k, vector_weight, filter, options)
        return self._pair.run(plan)

    async def ahybrid_search_with_score(
        self,
        query: str,
        k: int = 4,
        *,
        fetch_k: int = 50,
        vector_weight: float = 0.5,
        filter: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Scored:
        """:meth:`hybrid_search_with_score`, awaited."""
        vector = await self._embedding.aembed_query(query)
        plan = plans.hybrid(self._layout, query, vector, k, fetch_k, vector_weight, filter, options)
        return await self._pair.arun(plan)

    def hybrid_search(self, query: str, k: int = 4, **options: Any) -> list[Document]:
        """:meth:`hybrid_search_with_score` without the scores."""
        return _documents(self.hybrid_search_with_score(query, k, **options))

    async def ahybrid_search(self, query: str, k: int = 4, **options: Any) -> list[Document]:
        """:meth:`hybrid_search`, awaited."""
        return _documents(await self.ahybrid_search_with_score(query, k, **options))

    def _similarity_search_with_relevance_scores(self, query: str, k: int = 4, **kwargs: Any) -> Scored:
        found = self.similarity_search_with_score(query, k, **kwargs)
        distance = self._layout.distance
        return [(document, plans.relevance(distance, score)) for document, score in found]

    async def _asimilarity_search_with_relevance_scores(self, query: str, k: int = 4, **kwargs: Any) -> Scored:
        found = await self.asimilarity_search_with_score(query, k, **kwargs)
        distance = self._layout.distance
        return [(document, plans.relevance(distance, score)) for document, score in found]

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> VectronVectorStore:
        """A store with these texts in it; ``kwargs`` are the constructor's."""
        store = cls(embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    async def afrom_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> VectronVectorStore:
        """:meth:`from_texts`, awaited."""
        store = cls(embedding, **kwargs)
        await store.aadd_texts(texts, metadatas, ids=ids)
        return store


def _documents(found: Scored) -> list[Document]:
    return [document for document, _ in found]


def _nothing(options: Mapping[str, Any]) -> None:
    """Arguments that the interface allows and nothing here would heed."""
    if options:
        raise TypeError(f"unknown arguments: {', '.join(sorted(options))}")
