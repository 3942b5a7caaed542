"""Components that retrieve documents by embedding and by words."""

from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.document_stores.types import FilterPolicy, apply_filter_policy

from haystack_integrations.document_stores.vectron import VectronDocumentStore


class _Retriever:
    """What both have in common."""

    def __init__(
        self,
        document_store: VectronDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        return_embedding: bool = False,
        filter_policy: FilterPolicy = FilterPolicy.REPLACE,
        search_options: dict[str, Any] | None = None,
    ) -> None:
        """``filters`` hold for every run unless ``filter_policy`` lets a run's own take their place;
        ``search_options`` go to :meth:`vectron.Client.search`."""
        if not isinstance(document_store, VectronDocumentStore):
            raise TypeError(f"document_store is a VectronDocumentStore, not {type(document_store).__name__}")
        if top_k <= 0:
            raise ValueError(f"top_k is at least 1, not {top_k}")
        self.document_store = document_store
        self.filters = filters
        self.top_k = top_k
        self.return_embedding = return_embedding
        self.filter_policy = filter_policy
        self.search_options = search_options or {}

    def to_dict(self) -> dict[str, Any]:
        """The component as a dictionary."""
        return default_to_dict(
            self,
            document_store=self.document_store.to_dict(),
            filters=self.filters,
            top_k=self.top_k,
            return_embedding=self.return_embedding,
            filter_policy=self.filter_policy.value,
            search_options=self.search_options,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        """The component of such a dictionary."""
        given = data["init_parameters"]
        if isinstance(given.get("document_store"), dict):
            given["document_store"] = VectronDocumentStore.from_dict(given["document_store"])
        if "filter_policy" in given:
            given["filter_policy"] = FilterPolicy.from_str(given["filter_policy"])
        return default_from_dict(cls, data)

    def _options(
        self, filters: dict[str, Any] | None, top_k: int | None, return_embedding: bool | None
    ) -> dict[str, Any]:
        return {
            "filters": apply_filter_policy(self.filter_policy, self.filters, filters),
            "top_k": self.top_k if top_k is None else top_k,
            "return_embedding": self.return_embedding if return_embedding is None else return_embedding,
            **self.search_options,
        }


@component
class VectronEmbeddingRetriever(_Retriever):
    """Retrieves the documents nearest to an embedding."""

    @component.output_types(documents=list[Document])
    def run(
        self,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
        return_embedding: bool | None = None,
    ) -> dict[str, list[Document]]:
        """``{"documents"}``, nearest first."""
        options = self._options(filters, top_k, return_embedding)
        return {"documents": self.document_store.embedding_retrieval(query_embedding, **options)}

    @component.output_types(documents=list[Document])
    async def run_async(
        self,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
        return_embedding: bool | None = None,
    ) -> dict[str, list[Document]]:
        """:meth:`run`, awaited."""
        options = self._options(filters, top_k, return_embedding)
        return {"documents": await self.document_store.embedding_retrieval_async(query_embedding, **options)}


@component
class VectronBM25Retriever(_Retriever):
    """Retrieves the documents whose content matches the words of a query best."""

    @component.output_types(documents=list[Document])
    def run(
        self,
        query: str,
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
        return_embedding: bool | None = None,
    ) -> dict[str, list[Document]]:
        """``{"documents"}``, best first."""
        options = self._options(filters, top_k, return_embedding)
        return {"documents": self.document_store.bm25_retrieval(query, **options)}

    @component.output_types(documents=list[Document])
    async def run_async(
        self,
        query: str,
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
        return_embedding: bool | None = None,
    ) -> dict[str, list[Document]]:
        """:meth:`run`, awaited."""
        options = self._options(filters, top_k, return_embedding)
        return {"documents": await self.document_store.bm25_retrieval_async(query, **options)}
