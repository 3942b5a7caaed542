"""The retriever."""

from __future__ import annotations

from typing import Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field

from ._store import VectronVectorStore


class VectronRetriever(BaseRetriever):
    """Documents of a store for a text. Beside what ``store.as_retriever()`` gives, it knows hybrid search."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    store: VectronVectorStore
    k: int = 4
    """Documents to return."""
    mode: Literal["similarity", "mmr", "hybrid"] = "similarity"
    """How they are chosen."""
    filter: dict[str, Any] | None = None
    """A filter over metadata."""
    search_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the store's method."""

    def _options(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"k": self.k, "filter": self.filter, **self.search_kwargs, **given}

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        options = self._options(kwargs)
        if self.mode == "mmr":
            return self.store.max_marginal_relevance_search(query, **options)
        if self.mode == "hybrid":
            return self.store.hybrid_search(query, **options)
        return self.store.similarity_search(query, **options)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        options = self._options(kwargs)
        if self.mode == "mmr":
            return await self.store.amax_marginal_relevance_search(query, **options)
        if self.mode == "hybrid":
            return await self.store.ahybrid_search(query, **options)
        return await self.store.asimilarity_search(query, **options)
