"""What the store asks of the server, step by step, for both kinds of clients."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import numpy as np
from llama_index.core.indices.query.embedding_utils import get_top_k_mmr_embeddings
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import (
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)

from vectron import AlreadyExists, Ask, Hit, InvalidArgument, NotFound

from .filters import every, payload_filter
from .points import DOCUMENT, NODE, TEXT, node_of, point_of

T = TypeVar("T")
Plan: TypeAlias = Generator[Any, Any, T]
Mode = VectorStoreQueryMode

PAGE = 1000
# Of reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009): damps the lead of the first ranks.
RANK_CONSTANT = 60
# From how many of the nearest MMR chooses, per node that it returns.
MMR_DEPTH = 4


@dataclass
class Layout:
    """The collection and how it is made."""

    collection: str
    distance: str
    text_language: str | None
    settings: dict[str, Any] = field(default_factory=dict)


def add(layout: Layout, nodes: Sequence[BaseNode], options: Any) -> Plan[list[str]]:
    """Writes nodes; the first write makes the collection."""
    points = [point_of(node) for node in nodes]
    if not points:
        return []
    write = Ask("upsert", layout.collection, points, **options)
    try:
        result = yield write
    except NotFound:
        text = {TEXT: {"language": layout.text_language}} if layout.text_language else None
        settings = {"text_fields": text, **layout.settings}
        # Should somebody else make it meanwhile, the write refuses what does not fit there.
        with contextlib.suppress(AlreadyExists):
            yield Ask("create_collection", layout.collection, len(points[0]["vector"]), layout.distance, **settings)
        # Deleting a document looks for its nodes by this.
        with contextlib.suppress(AlreadyExists):
            yield Ask("create_index", layout.collection, DOCUMENT, "keyword")
        result = yield write
    if result.failed:
        first = result.failed[0]
        raise InvalidArgument(f"{len(result.failed)} nodes were not written; {first.id!r}: {first.detail}")
    return [point["id"] for point in points]


def delete(layout: Layout, filter: dict[str, Any]) -> Plan[None]:
    """Deletes by filter."""
    with contextlib.suppress(NotFound):
        yield Ask("delete", layout.collection, filter=filter)


def delete_nodes(layout: Layout, ids: Sequence[str] | None, filters: MetadataFilters | None) -> Plan[None]:
    """Deletes nodes that have one of the ids and pass the filters, as far as either is given."""
    wanted = chosen(ids, filters)
    if wanted is None:
        raise ValueError("give node_ids or filters; clear() deletes everything")
    yield from delete(layout, wanted)


def chosen(ids: Sequence[str] | None, filters: MetadataFilters | None) -> dict[str, Any] | None:
    """Ids and filters as one filter."""
    return every(None if ids is None else {NODE: {"$in": list(ids)}}, payload_filter(filters))


def read(layout: Layout, ids: Sequence[str] | None, filters: MetadataFilters | None) -> Plan[list[BaseNode]]:
    """Nodes by ids, filters, or all, in the order of their ids."""
    found: list[BaseNode] = []
    cursor: str | None = None
    while True:
        wanted = chosen(ids, filters)
        try:
            page = yield Ask("scroll", layout.collection, filter=wanted, limit=PAGE, cursor=cursor)
        except NotFound:
            return found
        found.extend(node_of(point) for point in page)
        cursor = page.next_cursor
        if cursor is None:
            return found


def query(layout: Layout, asked: VectorStoreQuery, options: Any) -> Plan[VectorStoreQueryResult]:
    """What a query finds, best first."""
    # An index that keeps no texts of its own asks with empty lists, and means no restriction.
    documents = {DOCUMENT: {"$in": list(asked.doc_ids)}} if asked.doc_ids else None
    wanted = every(documents, chosen(asked.node_ids or None, asked.filters))
    try:
        if asked.mode == Mode.DEFAULT:
            answer = yield near(layout, asked, asked.similarity_top_k, wanted, options)
            return _result([(hit, hit.score) for hit in answer])
        if asked.mode in (Mode.TEXT_SEARCH, Mode.SPARSE):
            depth = (asked.sparse_top_k if asked.mode == Mode.SPARSE else None) or asked.similarity_top_k
            leg = words(layout, asked, depth, wanted)
            answer = [] if leg is None else (yield leg)
            return _result([(hit, hit.score) for hit in answer])
        if asked.mode == Mode.MMR:
            return (yield from _diverse(layout, asked, wanted, options))
        if asked.mode == Mode.HYBRID:
            return (yield from _hybrid(layout, asked, wanted, options))
    except NotFound:
        return _result([])
    raise ValueError(f"query mode {asked.mode.value!r} is not one of default, text_search, sparse, hybrid, mmr")


def near(layout: Layout, asked: VectorStoreQuery, depth: int, wanted: Any, options: Any) -> Ask:
    """The search by vector of a query."""
    if asked.query_embedding is None:
        raise ValueError(f"query mode {asked.mode.value!r} needs query_embedding")
    return Ask("search", layout.collection, asked.query_embedding, top_k=depth, filter=wanted, **options)


def words(layout: Layout, asked: VectorStoreQuery, depth: int, wanted: Any) -> Ask | None:
    """The search by words (BM25) of a query; None without a word."""
    if asked.query_str is None:
        raise ValueError(f"query mode {asked.mode.value!r} needs query_str")
    # Punctuation would be the server's query language.
    plain = "".join(letter if letter.isalnum() else " " for letter in asked.query_str).split()
    if not plain:
        return None
    return Ask("search", layout.collection, text=" ".join(plain), using=TEXT, top_k=depth, filter=wanted)


def _diverse(layout: Layout, asked: VectorStoreQuery, wanted: Any, options: Any) -> Plan[VectorStoreQueryResult]:
    depth = options.pop("mmr_prefetch_k", MMR_DEPTH * asked.similarity_top_k)
    threshold = options.pop("mmr_threshold", asked.mmr_threshold)
    more = {**options, "include_vector": True}
    answer = yield near(layout, asked, max(depth, asked.similarity_top_k), wanted, more)
    vectors = [np.asarray(hit.vector).tolist() for hit in answer]
    scores, places = get_top_k_mmr_embeddings(
        asked.query_embedding or [], vectors, similarity_top_k=asked.similarity_top_k, mmr_threshold=threshold
    )
    return _result([(answer[place], float(score)) for place, score in zip(places, scores, strict=True)])


def _hybrid(layout: Layout, asked: VectorStoreQuery, wanted: Any, options: Any) -> Plan[VectorStoreQueryResult]:
    weight = 0.5 if asked.alpha is None else asked.alpha
    asks = [near(layout, asked, asked.similarity_top_k, wanted, options)]
    leg = words(layout, asked, asked.sparse_top_k or asked.similarity_top_k, wanted)
    if leg is not None:
        asks.append(leg)
    scores: dict[str, float] = {}
    hits: dict[str, Hit] = {}
    for share, answer in zip((weight, 1.0 - weight), (yield asks), strict=False):
        for rank, hit in enumerate(answer, 1):
            scores[hit.id] = scores.get(hit.id, 0.0) + share / (RANK_CONSTANT + rank)
            hits[hit.id] = hit
    best = sorted(scores, key=lambda one: (-scores[one], one))[: asked.hybrid_top_k or asked.similarity_top_k]
    return _result([(hits[one], scores[one]) for one in best])


def _result(found: Sequence[tuple[Hit, float]]) -> VectorStoreQueryResult:
    return VectorStoreQueryResult(
        nodes=[node_of(hit) for hit, _ in found],
        similarities=[score for _, score in found],
        ids=[hit.id for hit, _ in found],
    )
