"""What a store asks of the server, step by step, for both kinds of clients."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import numpy as np
from langchain_core.documents import Document
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from vectron import AlreadyExists, Ask, Hit, InvalidArgument, NotFound, Point, SearchAnswer

T = TypeVar("T")
Plan: TypeAlias = Generator[Any, Any, T]
Scored: TypeAlias = "list[tuple[Document, float]]"

# Of reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009): damps the lead of the first ranks.
RANK_CONSTANT = 60
# Ids of one read.
PAGE = 1000


@dataclass
class Layout:
    """Where a document's parts are in a point, and how the collection is made if it is not there."""

    collection: str
    distance: str
    text_key: str
    metadata_key: str
    text_language: str | None
    create: bool
    settings: dict[str, Any] = field(default_factory=dict)

    def payload(self, document: Document) -> dict[str, Any]:
        """A document as a payload."""
        return {self.text_key: document.page_content, self.metadata_key: document.metadata}

    def document(self, point: Point | Hit) -> Document:
        """The document of a point, also of one that something else wrote."""
        payload = point.payload or {}
        metadata = payload.get(self.metadata_key)
        text = payload.get(self.text_key)
        return Document(
            id=point.id,
            page_content=text if isinstance(text, str) else "",
            metadata=metadata if isinstance(metadata, dict) else {},
        )

    def filter(self, given: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """A filter over metadata as one over payloads."""
        if not given:
            return None
        spelled: dict[str, Any] = {}
        for name, test in given.items():
            if name in ("$and", "$or"):
                spelled[name] = [self.filter(one) or {} for one in test]
            elif name == "$not":
                spelled[name] = self.filter(test) or {}
            else:
                spelled[f"{self.metadata_key}.{name}"] = test
        return spelled


def add(layout: Layout, documents: Sequence[Document], ids: Sequence[str], vectors: Any, options: Any) -> Plan[None]:
    """Writes documents with their vectors; the first write makes the collection."""
    rows = [
        (ident, vector, layout.payload(document))
        for ident, vector, document in zip(ids, vectors, documents, strict=True)
    ]
    write = Ask("upsert", layout.collection, rows, **options)
    try:
        result = yield write
    except NotFound:
        if not layout.create:
            raise
        text = {layout.text_key: {"language": layout.text_language}} if layout.text_language else None
        # Should somebody else make it meanwhile, the write refuses what does not fit there.
        with contextlib.suppress(AlreadyExists):
            settings = {"text_fields": text, **layout.settings}
            yield Ask("create_collection", layout.collection, len(vectors[0]), layout.distance, **settings)
        result = yield write
    if result.failed:
        first = result.failed[0]
        raise InvalidArgument(f"{len(result.failed)} documents were not written; {first.id!r}: {first.detail}")


def delete(layout: Layout, ids: Sequence[str] | None, filter: Mapping[str, Any] | None) -> Plan[None]:
    """Deletes by ids, by filter, or everything."""
    try:
        if ids is None:
            yield Ask("delete", layout.collection, filter=layout.filter(filter) or {})
        elif ids:
            yield Ask("delete", layout.collection, list(ids))
    except NotFound:
        if not layout.create:
            raise


def get(layout: Layout, ids: Sequence[str]) -> Plan[list[Document]]:
    """The documents that are there, of those asked for."""
    wanted = list(dict.fromkeys(ids))
    found: dict[str, Document] = {}
    try:
        for start in range(0, len(wanted), PAGE):
            page = yield Ask("get_many", layout.collection, wanted[start : start + PAGE])
            found.update((point.id, layout.document(point)) for point in page)
    except NotFound:
        if not layout.create:
            raise
    return [found[one] for one in wanted if one in found]


def search(layout: Layout, vector: Any, k: int, filter: Mapping[str, Any] | None, options: Any) -> Plan[Scored]:
    """The nearest documents with their scores, best first."""
    ask = Ask("search", layout.collection, vector, top_k=k, filter=layout.filter(filter), **options)
    answer = yield from _found(layout, ask)
    return [] if answer is None else [(layout.document(hit), hit.score) for hit in answer]


def diverse(
    layout: Layout, vector: Any, k: int, fetch_k: int, weight: float, filter: Mapping[str, Any] | None, options: Any
) -> Plan[list[Document]]:
    """The nearest ``fetch_k``, and of these ``k`` that are near and unlike each other."""
    more = {**options, "include_vector": True}
    ask = Ask("search", layout.collection, vector, top_k=max(k, fetch_k), filter=layout.filter(filter), **more)
    answer = yield from _found(layout, ask)
    if not answer:
        return []
    near: Any = [np.asarray(hit.vector, dtype=np.float32) for hit in answer]
    chosen = maximal_marginal_relevance(np.asarray(vector, dtype=np.float32), near, lambda_mult=weight, k=k)
    return [layout.document(answer[place]) for place in chosen]


def hybrid(
    layout: Layout,
    text: str,
    vector: Any,
    k: int,
    fetch_k: int,
    weight: float,
    filter: Mapping[str, Any] | None,
    options: Any,
) -> Plan[Scored]:
    """The nearest ``fetch_k`` and the ``fetch_k`` that match the words best, put together by their ranks."""
    wanted, depth = layout.filter(filter), max(k, fetch_k)
    # A question mark alone is no word, and what a user typed is no phrase of the server's language.
    words = "".join(letter if letter.isalnum() else " " for letter in text).split()
    asks = [Ask("search", layout.collection, vector, top_k=depth, filter=wanted, **options)]
    if words:
        using = {"text": " ".join(words), "using": layout.text_key}
        asks.append(Ask("search", layout.collection, top_k=depth, filter=wanted, **using))
    try:
        legs = yield asks
    except NotFound:
        if not layout.create:
            raise
        return []
    shares = (weight, 1.0 - weight)
    scores: dict[str, float] = {}
    hits: dict[str, Hit] = {}
    for share, leg in zip(shares, legs, strict=False):
        for rank, hit in enumerate(leg, 1):
            scores[hit.id] = scores.get(hit.id, 0.0) + share / (RANK_CONSTANT + rank)
            hits[hit.id] = hit
    best = sorted(scores, key=lambda one: (-scores[one], one))[:k]
    return [(layout.document(hits[one]), scores[one]) for one in best]


def _found(layout: Layout, ask: Ask) -> Plan[SearchAnswer | None]:
    try:
        return (yield ask)
    except NotFound:
        # The first write makes the collection; until then there is nothing in it.
        if not layout.create:
            raise
        return None


def relevance(distance: str, score: float) -> float:
    """A server's score (higher is better) as LangChain's relevance from 0 to 1. Dot products are taken for those of
    vectors of length 1."""
    if distance == "euclidean":
        return 1.0 / (1.0 - score)
    return min(1.0, max(0.0, (1.0 + score) / 2.0))


def ids_of(documents: Sequence[Document], ids: Sequence[str | None] | None) -> list[str]:
    """The ids to write under: those given, the documents' own, or new ones."""
    if ids is not None and len(ids) != len(documents):
        raise ValueError(f"{len(ids)} ids for {len(documents)} documents")
    given = [document.id for document in documents] if ids is None else ids
    return [str(uuid.uuid4()) if one is None else one for one in given]
