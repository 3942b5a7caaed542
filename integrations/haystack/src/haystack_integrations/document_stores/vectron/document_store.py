"""The document store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from haystack import default_from_dict, default_to_dict
from haystack.dataclasses import Document
from haystack.document_stores.types import DuplicatePolicy
from haystack.utils import Secret, deserialize_secrets_inplace

from vectron import ClientPair

from . import plans, points
from .filters import payload_field
from .plans import Layout

Answer = dict[str, Any]


class VectronDocumentStore:
    """Documents in a collection of Vectron, which the first write makes.

    A document's ``id``, ``content``, ``meta`` and ``blob`` are the payload's members, its embedding the vector; a
    document without an embedding is found by filters and text only. ``==`` holds for a list if some element is equal,
    and there is no equality of whole lists and objects. Embeddings come back as 32-bit floats.

    The server counts, filters, deletes and updates. Unique values, their counts, smallest and largest values and the
    fields' types it does not know yet: the documents that match are read for them, up to ``scan_limit``, and more than
    that is an error rather than a wrong answer.
    """

    def __init__(
        self,
        collection: str = "documents",
        *,
        url: str | Sequence[str] | None = None,
        key: Secret | None = None,
        dimension: int = 768,
        distance: str = "cosine",
        text_language: str | None = None,
        scan_limit: int = 100_000,
        connection: dict[str, Any] | None = None,
        collection_settings: dict[str, Any] | None = None,
    ) -> None:
        """``url`` and ``connection`` are those of :class:`vectron.Client`. A new collection has ``dimension``,
        ``distance``, ``collection_settings`` (``shards``, ``replication_factor``, …), and with ``text_language``
        (``"english"``, ``"none"``, …) a text index of ``content``."""
        self.collection = collection
        self.url = url
        self.key = key
        self.dimension = dimension
        self.distance = distance
        self.text_language = text_language
        self.scan_limit = scan_limit
        self.connection = connection or {}
        self.collection_settings = collection_settings or {}
        self._layout = Layout(collection, dimension, distance, text_language, scan_limit, self.collection_settings)
        resolved = {"key": key.resolve_value()} if key is not None else {}
        self._pair = ClientPair(url, **{**self.connection, **resolved})

    def to_dict(self) -> Answer:
        """The store as a dictionary, the key as where it comes from."""
        return default_to_dict(
            self,
            collection=self.collection,
            url=self.url,
            key=self.key.to_dict() if self.key is not None else None,
            dimension=self.dimension,
            distance=self.distance,
            text_language=self.text_language,
            scan_limit=self.scan_limit,
            connection=self.connection,
            collection_settings=self.collection_settings,
        )

    @classmethod
    def from_dict(cls, data: Answer) -> VectronDocumentStore:
        """The store of such a dictionary."""
        deserialize_secrets_inplace(data["init_parameters"], keys=["key"])
        return default_from_dict(cls, data)

    def close(self) -> None:
        """Closes the connections of blocking calls."""
        self._pair.close()

    async def close_async(self) -> None:
        """Closes the connections of the running event loop."""
        await self._pair.aclose()

    def count_documents(self) -> int:
        """How many documents there are."""
        return self._pair.run(plans.count(self._layout))

    async def count_documents_async(self) -> int:
        """:meth:`count_documents`, awaited."""
        return await self._pair.arun(plans.count(self._layout))

    def filter_documents(self, filters: Answer | None = None) -> list[Document]:
        """Every document that matches, in the order of their ids."""
        return self._pair.run(plans.read(self._layout, filters))

    async def filter_documents_async(self, filters: Answer | None = None) -> list[Document]:
        """:meth:`filter_documents`, awaited."""
        return await self._pair.arun(plans.read(self._layout, filters))

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """Writes documents and says how many. With ``FAIL``, which is also what ``NONE`` means, documents that are
        there raise :class:`DuplicateDocumentError`, and the others are written; ``SKIP`` leaves them, ``OVERWRITE``
        replaces them."""
        return self._pair.run(plans.write(self._layout, documents, policy))

    async def write_documents_async(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """:meth:`write_documents`, awaited."""
        return await self._pair.arun(plans.write(self._layout, documents, policy))

    def delete_documents(self, document_ids: list[str]) -> None:
        """Deletes documents; ids that are not there are fine."""
        self._pair.run(plans.delete(self._layout, document_ids))

    async def delete_documents_async(self, document_ids: list[str]) -> None:
        """:meth:`delete_documents`, awaited."""
        await self._pair.arun(plans.delete(self._layout, document_ids))

    def delete_all_documents(self, recreate_collection: bool = False) -> None:
        """Deletes every document; with ``recreate_collection`` by way of the collection, with its settings anew."""
        self._pair.run(plans.delete_all(self._layout, recreate_collection))

    async def delete_all_documents_async(self, recreate_collection: bool = False) -> None:
        """:meth:`delete_all_documents`, awaited."""
        await self._pair.arun(plans.delete_all(self._layout, recreate_collection))

    def delete_by_filter(self, filters: Answer) -> int:
        """Deletes what matches and says how many that were. An empty filter is everything."""
        return self._pair.run(plans.delete_matching(self._layout, filters))

    async def delete_by_filter_async(self, filters: Answer) -> int:
        """:meth:`delete_by_filter`, awaited."""
        return await self._pair.arun(plans.delete_matching(self._layout, filters))

    def update_by_filter(self, filters: Answer, meta: Answer) -> int:
        """Merges ``meta`` into the metadata of what matches and says of how many. A member that is None is removed, an
        object is merged into the one that is there."""
        return self._pair.run(plans.update(self._layout, filters, meta))

    async def update_by_filter_async(self, filters: Answer, meta: Answer) -> int:
        """:meth:`update_by_filter`, awaited."""
        return await self._pair.arun(plans.update(self._layout, filters, meta))

    def count_documents_by_filter(self, filters: Answer) -> int:
        """How many documents match."""
        return self._pair.run(plans.count(self._layout, filters))

    async def count_documents_by_filter_async(self, filters: Answer) -> int:
        """:meth:`count_documents_by_filter`, awaited."""
        return await self._pair.arun(plans.count(self._layout, filters))

    def count_unique_metadata_by_filter(self, filters: Answer, metadata_fields: list[str]) -> dict[str, int]:
        """How many different values each field has among what matches. Reads what matches."""
        return _unique_counts(self._pair.run(plans.payloads(self._layout, filters)), metadata_fields)

    async def count_unique_metadata_by_filter_async(
        self, filters: Answer, metadata_fields: list[str]
    ) -> dict[str, int]:
        """:meth:`count_unique_metadata_by_filter`, awaited."""
        return _unique_counts(await self._pair.arun(plans.payloads(self._layout, filters)), metadata_fields)

    def get_metadata_fields_info(self) -> dict[str, dict[str, str]]:
        """The metadata fields with their types. Reads all documents."""
        return points.kinds_of(self._pair.run(plans.payloads(self._layout)))

    async def get_metadata_fields_info_async(self) -> dict[str, dict[str, str]]:
        """:meth:`get_metadata_fields_info`, awaited."""
        return points.kinds_of(await self._pair.arun(plans.payloads(self._layout)))

    def get_metadata_field_min_max(self, metadata_field: str) -> Answer:
        """``{"min", "max"}`` of a field's numbers, or of its texts where it has no numbers. Reads the documents that
        have it."""
        return _ends(self._pair.run(plans.payloads(self._layout, _having(metadata_field))), metadata_field)

    async def get_metadata_field_min_max_async(self, metadata_field: str) -> Answer:
        """:meth:`get_metadata_field_min_max`, awaited."""
        return _ends(await self._pair.arun(plans.payloads(self._layout, _having(metadata_field))), metadata_field)

    def get_metadata_field_unique_values(
        self,
        metadata_field: str,
        search_term: str | None = None,
        from_: int = 0,
        size: int | None = 10,
        filters: Answer | None = None,
    ) -> tuple[list[Any], int]:
        """A page of a field's different values (those that have ``search_term`` in them, whatever its case) and how
        many there are. Reads what matches."""
        found = self._pair.run(plans.payloads(self._layout, filters))
        return _values(found, metadata_field, search_term, from_, size)

    async def get_metadata_field_unique_values_async(
        self,
        metadata_field: str,
        search_term: str | None = None,
        from_: int = 0,
        size: int | None = 10,
        filters: Answer | None = None,
    ) -> tuple[list[Any], int]:
        """:meth:`get_metadata_field_unique_values`, awaited."""
        found = await self._pair.arun(plans.payloads(self._layout, filters))
        return _values(found, metadata_field, search_term, from_, size)

    def embedding_retrieval(
        self,
        query_embedding: list[float],
        filters: Answer | None = None,
        top_k: int = 10,
        return_embedding: bool = False,
        **options: Any,
    ) -> list[Document]:
        """The documents nearest to an embedding, with the server's scores: higher is better, for every distance.
        ``options`` are further ones of :meth:`vectron.Client.search` (``recall_target``, ``exact``, …)."""
        plan = plans.by_embedding(self._layout, query_embedding, filters, top_k, return_embedding, options)
        return self._pair.run(plan)

    async def embedding_retrieval_async(
        self,
        query_embedding: list[float],
        filters: Answer | None = None,
        top_k: int = 10,
        return_embedding: bool = False,
        **options: Any,
    ) -> list[Document]:
        """:meth:`embedding_retrieval`, awaited."""
        plan = plans.by_embedding(self._layout, query_embedding, filters, top_k, return_embedding, options)
        return await self._pair.arun(plan)

    def bm25_retrieval(
        self,
        query: str,
        filters: Answer | None = None,
        top_k: int = 10,
        return_embedding: bool = False,
        **options: Any,
    ) -> list[Document]:
        """The documents whose content matches the words of a query best. Needs a text index of ``content``."""
        return self._pair.run(plans.by_text(self._layout, query, filters, top_k, return_embedding, options))

    async def bm25_retrieval_async(
        self,
        query: str,
        filters: Answer | None = None,
        top_k: int = 10,
        return_embedding: bool = False,
        **options: Any,
    ) -> list[Document]:
        """:meth:`bm25_retrieval`, awaited."""
        return await self._pair.arun(plans.by_text(self._layout, query, filters, top_k, return_embedding, options))


def _having(field: str) -> Answer:
    return {"field": payload_field(field), "operator": "!=", "value": None}


def _ends(payloads: list[Answer], field: str) -> Answer:
    return points.ends_of(points.values_of(payloads, payload_field(field)))


def _unique_counts(payloads: list[Answer], fields: list[str]) -> dict[str, int]:
    return {field: len(points.values_of(payloads, payload_field(field))) for field in fields}


def _values(
    payloads: list[Answer], field: str, search_term: str | None, start: int, size: int | None
) -> tuple[list[Any], int]:
    found = points.in_order(points.values_of(payloads, payload_field(field)))
    if search_term:
        found = [one for one in found if search_term.lower() in str(one).lower()]
    end = None if size is None else start + size
    return found[start:end], len(found)
