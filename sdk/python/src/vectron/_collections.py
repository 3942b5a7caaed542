"""What calls about collections answer."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from ._decode import decode


@dataclass(slots=True)
class IndexSettings:
    """The shape of a graph."""

    degree: int
    ef_construction: int


@dataclass(slots=True)
class Collection:
    """A collection's settings."""

    name: str
    dimension: int
    """Numbers per vector of the unnamed field; 0 without one."""
    distance: str
    shards: int
    replication_factor: int
    read_policy: Any
    """Consistency of reads that name none."""
    quantization: str
    storage: str
    index: IndexSettings | None
    changeable: list[str]
    """Settings that can be changed."""
    vectors: dict[str, dict[str, Any]]
    """Named vector fields."""
    created_at_ms: int
    incarnation: int
    """Which life of the name this is."""
    raw: dict[str, Any] = dataclasses.field(repr=False)


@dataclass(slots=True)
class Created:
    """A collection that is there."""

    collection: Collection
    created: bool
    """False when the same one was there already."""
    raw: dict[str, Any] = dataclasses.field(repr=False)


@dataclass(slots=True)
class PayloadIndex:
    """A payload index and how far it is."""

    field: str
    type: str
    ready: bool
    points_indexed: int
    points_total: int
    bytes: int
    points_irregular: int
    """Points whose value is of another type; their payloads are looked at."""
    language: str | None
    """Of a text index."""
    stemming: bool | None
    """Of a text index."""
    raw: dict[str, Any] = dataclasses.field(repr=False)


@dataclass(slots=True)
class ShardStatus:
    """One shard of a collection."""

    id: int
    leader: int | None
    ready: bool
    points: int
    index_lag: int
    bytes: int
    memory_bytes: int
    applied_index: int
    raw: dict[str, Any] = dataclasses.field(repr=False)


@dataclass(slots=True)
class CollectionStatus:
    """What a collection holds and who serves it."""

    name: str
    points: int
    index_lag: int
    """Points that wait for the graph; until then they are scanned."""
    bytes: int
    memory_bytes: int
    bytes_per_point: float | None
    shards: list[ShardStatus] = dataclasses.field(default_factory=list)
    indexes: list[PayloadIndex] = dataclasses.field(default_factory=list)
    raw: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False)


def collection_of(data: dict[str, Any]) -> Collection:
    """A collection. PATCH and POST put it into ``collection``, GET does not."""
    found = decode(Collection, data.get("collection", data))
    found.vectors = found.vectors or {}
    found.changeable = found.changeable or []
    return found


def created_of(data: dict[str, Any]) -> Created:
    """A collection that was created or was there."""
    return Created(collection_of(data["collection"]), bool(data.get("created")), data)


def status_of(data: dict[str, Any]) -> CollectionStatus:
    """A status."""
    return decode(CollectionStatus, data)
