"""What the store asks of the server, step by step, for both kinds of clients."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from haystack.dataclasses import Document
from haystack.document_stores.errors import DocumentStoreError, DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy

from vectron import AlreadyExists, Ask, NotFound, PointFailure, VersionMismatch

from .filters import payload_filter
from .points import EMBEDDED, document_of, point_of

T = TypeVar("T")
Plan: TypeAlias = Generator[Any, Any, T]
Filters: TypeAlias = "Mapping[str, Any] | None"

PAGE = 1000


@dataclass
class Layout:
    """The collection and how it is made."""

    collection: str
    dimension: int
    distance: str
    text_language: str | None
    scan_limit: int
    settings: dict[str, Any] = field(default_factory=dict)


def make(layout: Layout) -> Plan[None]:
    """Makes the collection."""
    text = {"content": {"language": layout.text_language}} if layout.text_language else None
    settings = {"text_fields": text, **layout.settings}
    # Should somebody else make it meanwhile, writes refuse what does not fit there.
    with contextlib.suppress(AlreadyExists):
        yield Ask("create_collection", layout.collection, layout.dimension, layout.distance, **settings)
    # Every search by vector asks for embedded documents; without an index it would read all payloads for that.
    with contextlib.suppress(AlreadyExists):
        yield Ask("create_index", layout.collection, EMBEDDED, "bool")


def made(layout: Layout, ask: Ask) -> Plan[Any]:
    """A call to the collection, which is made where it is missing."""
    try:
        return (yield ask)
    except NotFound:
        yield from make(layout)
        return (yield ask)


def write(layout: Layout, documents: Any, policy: DuplicatePolicy) -> Plan[int]:
    """Writes documents; how many."""
    if not isinstance(documents, list) or not all(isinstance(one, Document) for one in documents):
        raise ValueError("documents are a list of Document")
    points = [point_of(one, layout.dimension) for one in documents]
    if policy != DuplicatePolicy.OVERWRITE:
        # Decided by the server for each of them, so that two writers never overwrite each other.
        points = [{**point, "if_version": 0} for point in points]
    try:
        result = yield from made(layout, Ask("upsert", layout.collection, points))
    except VersionMismatch as error:
        # The only document was there.
        if error.result is None:
            raise
        result = error.result
    there: list[PointFailure] = [one for one in result.failed if one.code == "version_mismatch"]
    if len(there) < len(result.failed):
        first = next(one for one in result.failed if one.code != "version_mismatch")
        raise DocumentStoreError(f"document {first.id!r} was not written: {first.detail}")
    if there and policy != DuplicatePolicy.SKIP:
        names = ", ".join(repr(one.id) for one in there[:10]) + (", …" if len(there) > 10 else "")
        raise DuplicateDocumentError(
            f"{len(there)} of {len(points)} documents are there already, {names}; others are new"
        )
    return result.upserted


def count(layout: Layout, filters: Filters = None) -> Plan[int]:
    """How many documents match, exactly."""
    try:
        return (yield Ask("count", layout.collection, filter=payload_filter(filters)))
    except NotFound:
        return 0


def scan(layout: Layout, filters: Filters, with_vectors: bool, bounded: bool) -> Plan[list[Any]]:
    """All points that match, by pages; where ``bounded``, no more than the limit for work that is done here."""
    wanted = payload_filter(filters)
    found: list[Any] = []
    cursor: str | None = None
    while True:
        ask = Ask("scroll", layout.collection, filter=wanted, limit=PAGE, cursor=cursor, include_vector=with_vectors)
        try:
            page = yield ask
        except NotFound:
            return found
        found.extend(page)
        cursor = page.next_cursor
        if bounded and len(found) + (cursor is not None) > layout.scan_limit:
            raise DocumentStoreError(
                f"more than {layout.scan_limit} documents match, and this is worked out in the client: "
                "narrow the filter down, or raise scan_limit"
            )
        if cursor is None:
            return found


def payloads(layout: Layout, filters: Filters = None) -> Plan[list[dict[str, Any]]]:
    """The payloads of all documents that match, within the limit."""
    points = yield from scan(layout, filters, with_vectors=False, bounded=True)
    return [point.payload or {} for point in points]


def read(layout: Layout, filters: Filters) -> Plan[list[Document]]:
    """All documents that match, in the order of their ids."""
    points = yield from scan(layout, filters, with_vectors=True, bounded=False)
    return [document_of(point, with_embedding=True) for point in points]


def delete(layout: Layout, ids: Sequence[str]) -> Plan[None]:
    """Deletes by id."""
    if ids:
        with contextlib.suppress(NotFound):
            yield Ask("delete", layout.collection, list(ids))


def delete_matching(layout: Layout, filters: Filters) -> Plan[int]:
    """Deletes by filter; how many."""
    wanted = payload_filter(filters)
    try:
        answer = yield Ask("delete", layout.collection, filter=wanted)
    except NotFound:
        return 0
    return answer.deleted


def delete_all(layout: Layout, recreate: bool) -> Plan[None]:
    """Deletes every document, or the collection in their place."""
    with contextlib.suppress(NotFound):
        if not recreate:
            yield Ask("delete", layout.collection, filter={})
            return
        yield Ask("delete_collection", layout.collection)
    if recreate:
        yield from make(layout)


def update(layout: Layout, filters: Filters, meta: Mapping[str, Any]) -> Plan[int]:
    """Merges into the metadata of all that match; how many."""
    wanted = payload_filter(filters)
    try:
        answer = yield Ask("update_payload", layout.collection, filter=wanted, merge={"meta": dict(meta)})
    except NotFound:
        return 0
    if answer.failed:
        first, failed = answer.failed[0], len(answer.failed) + answer.failed_unlisted
        raise DocumentStoreError(
            f"{answer.updated} documents were updated, {failed} were not; {first.id!r}: {first.detail}"
        )
    return answer.updated


def by_embedding(
    layout: Layout, query: Sequence[float], filters: Filters, top_k: int, with_embedding: bool, options: Any
) -> Plan[list[Document]]:
    """The nearest documents that have an embedding."""
    wanted = payload_filter(filters)
    own: dict[str, Any] = {EMBEDDED: True}
    wanted = {"$and": [own, wanted]} if wanted else own
    ask = Ask("search", layout.collection, query, top_k=top_k, filter=wanted, include_vector=with_embedding, **options)
    return (yield from _found(ask, top_k, with_embedding))


def by_text(
    layout: Layout, query: str, filters: Filters, top_k: int, with_embedding: bool, options: Any
) -> Plan[list[Document]]:
    """The documents whose content matches the words best."""
    wanted = payload_filter(filters)
    # Punctuation would be the server's query language.
    words = "".join(letter if letter.isalnum() else " " for letter in query).split()
    if not words:
        return []
    using = {"text": " ".join(words), "using": "content", "include_vector": with_embedding}
    ask = Ask("search", layout.collection, top_k=top_k, filter=wanted, **using, **options)
    return (yield from _found(ask, top_k, with_embedding))


def _found(ask: Ask, top_k: int, with_embedding: bool) -> Plan[list[Document]]:
    if top_k <= 0:
        return []
    try:
        answer = yield ask
    except NotFound:
        return []
    return [document_of(hit, with_embedding, hit.score) for hit in answer]
