"""What reads and writes of points answer. Every object has the answer's JSON in ``raw``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, Union

import numpy as np
import numpy.typing as npt

from ._decode import decode_list
from ._encode import SparseVector, from_b64
from ._explain import Explain
from ._written import ItemFailure

if TYPE_CHECKING:
    import pandas
    import pyarrow

Float32Array: TypeAlias = npt.NDArray[np.float32]
VectorOut: TypeAlias = Union[Float32Array, SparseVector, "dict[str, Union[Float32Array, SparseVector]]"]
"""A vector as it was asked for: an array (two-dimensional for a multi-vector field), a sparse vector, or those by field
name."""
T = TypeVar("T")


@dataclass(slots=True)
class Consistency:
    """What a read delivered."""

    level: str
    """``linearizable``, ``session``, ``bounded`` or ``eventual``."""
    staleness_ms: int | None
    """How old the answer may be."""


@dataclass(slots=True)
class ShardFailure:
    """A shard that did not answer."""

    shard: int
    code: str
    detail: str


@dataclass(slots=True)
class Shards:
    """The shards behind an answer."""

    total: int
    answered: int
    failed: list[ShardFailure]


@dataclass(slots=True)
class Meta:
    """What an answer says about itself."""

    took_ms: float
    """Time in the server."""
    partial: bool
    """Whether shards are missing, which only happens when ``allow_partial`` was given."""
    degraded: list[str]
    """Why the answer may be less than what was asked for, such as ``filter_without_index``."""
    consistency: Consistency
    shards: Shards
    session: str
    """Token of what was read."""
    raw: dict[str, Any] = field(repr=False)


@dataclass(slots=True)
class Point:
    """A point that is there."""

    id: str
    version: int
    payload: dict[str, Any] | None
    """None when it was not asked for."""
    vector: VectorOut | None
    """None when it was not asked for."""
    raw: dict[str, Any] = field(repr=False)


@dataclass(slots=True)
class Hit:
    """A point that was found."""

    id: str
    score: float
    """Higher is better, for every distance."""
    version: int
    payload: dict[str, Any] | None
    vector: VectorOut | None
    raw: dict[str, Any] = field(repr=False)
    """All that the server said of it, ranks of a fused search included."""


@dataclass(slots=True)
class Rows(Generic[T]):
    """A list of points with what can be made of it."""

    points: list[T]
    meta: Meta
    raw: dict[str, Any] = field(repr=False)

    def __iter__(self) -> Iterator[T]:
        return iter(self.points)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, place: int) -> T:
        return self.points[place]

    @property
    def ids(self) -> list[str]:
        """The ids, in their order."""
        return [item.id for item in self.points]  # type: ignore[attr-defined]

    def to_arrow(self) -> pyarrow.Table:
        """A table with the columns id, score, version and vector where they are there, and one per payload field; a
        field of one of these names is ``payload.NAME``. Needs pyarrow."""
        from ._tables import to_arrow

        return to_arrow(self.points)

    def to_pandas(self) -> pandas.DataFrame:
        """The same as a dataframe. Needs pandas."""
        from ._tables import to_pandas

        return to_pandas(self.points)


@dataclass(slots=True)
class SearchAnswer(Rows[Hit]):
    """What a search found, best first."""

    search_id: str
    explain: Explain | None
    """How it was found, if asked for; prints readably."""

    @property
    def results(self) -> list[Hit]:
        """The hits."""
        return self.points

    @property
    def scores(self) -> Float32Array:
        """The scores, in their order."""
        return np.array([hit.score for hit in self.points], dtype=np.float32)


@dataclass(slots=True)
class SearchEvent(SearchAnswer):
    """The results so far, of a search that streams."""

    last: bool
    """Whether nothing follows."""
    complete: bool
    """Of the last: whether every shard answered in time."""


@dataclass(slots=True)
class PointsAnswer(Rows[Point]):
    """Points by id."""

    missing: list[str]
    """Ids that are not there."""


@dataclass(slots=True)
class Page(Rows[Point]):
    """A page of points."""

    next_cursor: str | None
    """Where the next page begins; None when there is none."""


@dataclass(slots=True)
class GetAnswer:
    """One point."""

    point: Point
    meta: Meta


@dataclass(slots=True)
class CountAnswer:
    """How many points there are."""

    count: int
    meta: Meta
    raw: dict[str, Any] = field(repr=False)

    def __int__(self) -> int:
        return self.count


@dataclass(slots=True)
class DeleteAnswer:
    """What a delete did."""

    deleted: int
    session: str
    """Token of the write."""
    replayed: bool
    """Whether this is the answer to an earlier attempt."""
    failed: list[ItemFailure]
    """Points that were not deleted because of a condition."""
    raw: dict[str, Any] = field(repr=False)


def vector_of(data: Mapping[str, Any]) -> VectorOut | None:
    """The vector of a point."""
    vector = data.get("vector")
    if vector is None:
        packed = data.get("vector_b64")
        if isinstance(packed, Mapping):
            return {name: from_b64(part) for name, part in packed.items()}
        return None if packed is None else from_b64(packed)
    if isinstance(vector, Mapping):
        if set(vector) == {"indices", "values"} and isinstance(vector["values"], list):
            return _one(vector)
        return {name: _one(part) for name, part in vector.items()}
    return _one(vector)


def _one(vector: Any) -> Float32Array | SparseVector:
    if isinstance(vector, Mapping):
        indices = np.array(vector["indices"], dtype=np.uint32)
        return SparseVector(indices, np.array(vector["values"], dtype=np.float32))
    if isinstance(vector, str):
        return from_b64(vector)
    return np.array(vector, dtype=np.float32)


def meta_of(data: Mapping[str, Any]) -> Meta:
    """What an answer says about itself."""
    meta = data.get("meta") or {}
    level = meta.get("consistency") or {}
    shards = meta.get("shards") or {}
    failed = shards.get("failed") or ()
    return Meta(
        meta.get("took_ms", 0.0),
        meta.get("partial", False),
        meta.get("degraded") or [],
        Consistency(level.get("level", ""), level.get("staleness_ms")),
        Shards(
            shards.get("total", 0),
            shards.get("answered", 0),
            [ShardFailure(item.get("shard", 0), item.get("code", ""), item.get("detail", "")) for item in failed],
        ),
        meta.get("session", ""),
        meta,
    )


def _has_vector(items: list[Any]) -> bool:
    return bool(items) and ("vector" in items[0] or "vector_b64" in items[0])


def hits_of(items: list[Any]) -> list[Hit]:
    """Points that were found."""
    if not _has_vector(items):
        return [
            Hit(item["id"], item["score"], item.get("version", 0), item.get("payload"), None, item) for item in items
        ]
    return [
        Hit(item["id"], item["score"], item.get("version", 0), item.get("payload"), vector_of(item), item)
        for item in items
    ]


def point_of(item: dict[str, Any]) -> Point:
    """A point."""
    return Point(item["id"], item.get("version", 0), item.get("payload"), vector_of(item), item)


def search_answer(data: dict[str, Any]) -> SearchAnswer:
    """A search's answer."""
    explain = data.get("explain")
    return SearchAnswer(
        hits_of(data.get("results") or []),
        meta_of(data),
        data,
        data.get("search_id", ""),
        None if explain is None else Explain(explain),
    )


def search_event(data: dict[str, Any]) -> SearchEvent:
    """One event of a search that streams."""
    found = search_answer(data)
    return SearchEvent(
        found.points,
        found.meta,
        data,
        found.search_id,
        found.explain,
        data.get("last", False),
        data.get("complete", False),
    )


def points_answer(data: dict[str, Any]) -> PointsAnswer:
    """Points by id."""
    points = [point_of(item) for item in data.get("points") or ()]
    return PointsAnswer(points, meta_of(data), data, data.get("missing") or [])


def page(data: dict[str, Any]) -> Page:
    """A page."""
    points = [point_of(item) for item in data.get("points") or ()]
    return Page(points, meta_of(data), data, data.get("next_cursor"))


def get_answer(data: dict[str, Any]) -> GetAnswer:
    """One point."""
    return GetAnswer(point_of(data["point"]), meta_of(data))


def count_answer(data: dict[str, Any]) -> CountAnswer:
    """A count."""
    return CountAnswer(int(data["count"]), meta_of(data), data)


def delete_answer(data: dict[str, Any]) -> DeleteAnswer:
    """What a delete did."""
    failed = decode_list(ItemFailure, data.get("failed"))
    return DeleteAnswer(int(data.get("deleted", 0)), data.get("session", ""), bool(data.get("replayed")), failed, data)
