"""Points on their way in: the shapes that are accepted, and their JSON."""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, Union

import numpy as np

from ._encode import PointId, Vector, as_f32, checked_id, to_json, vector_members
from ._errors import FieldError, InvalidArgument


@dataclass(slots=True)
class PointInput:
    """A point to write."""

    id: PointId
    """Text of 1 to 512 bytes of UTF-8; an integer means its decimal text."""
    vector: Vector
    """As many numbers as the collection's dimension, or vectors by field name."""
    payload: Mapping[str, Any] | None = None
    """Any JSON object."""
    if_version: int | None = None
    """Write only over this version; 0 means that the point must not exist."""
    ttl_ms: int | None = None
    """Milliseconds after which the point ends by itself; 0 means never, None what the collection says."""
    expires_at_ms: int | None = None
    """In place of ``ttl_ms``: when it ends, in milliseconds since the Unix epoch."""
    if_filter: Mapping[str, Any] | None = None
    """Write only when the point that is there matches."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further members, for what this client does not know."""


Points: TypeAlias = Iterable[Union[PointInput, "Mapping[str, Any]", "tuple[Any, ...]", Any]]
"""Points as :class:`PointInput`, as dicts of the same members, as tuples ``(id, vector)`` or ``(id, vector, payload)``,
or as :class:`Point` from another collection."""


@dataclass(slots=True)
class Row:
    """A point as JSON, with its place among the points that were given."""

    row: int
    id: str
    json: bytes
    error: InvalidArgument | None = None
    """Why it cannot be sent."""


def rows_of(points: Points, plain: bool) -> Iterator[Row]:
    """Points of every accepted shape as JSON, in their order."""
    for number, point in enumerate(points):
        try:
            row = _row(number, point, plain)
        except InvalidArgument as error:
            row = _bad(number, getattr(point, "id", None) or _first(point), error)
        yield row


def _bad(number: int, ident: Any, error: InvalidArgument) -> Row:
    """A row that cannot be sent, with the reason as a server would put it."""
    shown = ident if isinstance(ident, str) else "" if ident is None else str(ident)
    detail = f"points[{number}] '{shown}': {error.detail}"
    return Row(number, shown, b"", InvalidArgument(detail, errors=(FieldError(f"points[{number}]", error.detail),)))


def _first(point: Any) -> Any:
    """The id of a point that may be none."""
    if isinstance(point, Mapping):
        return point.get("id")
    return point[0] if isinstance(point, tuple) and point else None


def _row(number: int, point: Any, plain: bool) -> Row:
    members = members_of(point, plain)
    return Row(number, members["id"], to_json(members))


def members_of(point: Any, plain: bool) -> dict[str, Any]:
    """A point of any accepted shape as the members of its JSON."""
    if isinstance(point, tuple):
        if not 2 <= len(point) <= 3:
            raise InvalidArgument("a tuple is (id, vector) or (id, vector, payload)")
        given = {"id": point[0], "vector": point[1], "payload": point[2] if len(point) == 3 else None}
    elif isinstance(point, Mapping):
        given = dict(point)
    elif hasattr(point, "id") and hasattr(point, "vector"):
        names = ("id", "vector", "payload", "if_version", "ttl_ms", "expires_at_ms", "if_filter")
        given = {name: getattr(point, name, None) for name in names}
        given.update(getattr(point, "extra", None) or {})
    else:
        raise InvalidArgument(f"a point is a PointInput, a dict or a tuple, not {type(point).__name__}")
    if "id" not in given:
        raise InvalidArgument("the point has no id")
    ident = checked_id(given.pop("id"))
    members: dict[str, Any] = {"id": ident}
    vector = given.pop("vector", None)
    if vector is not None:
        members.update(vector_members(vector, plain))
    payload = given.pop("payload", None)
    if payload is not None:
        members["payload"] = payload
    members.update((name, value) for name, value in given.items() if value is not None)
    return members


def rows_of_arrays(
    vectors: Any, ids: Iterable[Any] | None, payloads: Iterable[Mapping[str, Any] | None] | None, plain: bool
) -> Iterator[Row]:
    """Rows of a matrix with ids and payloads beside it. Without ids, the row numbers are the ids."""
    matrix = np.asarray(vectors)
    if matrix.ndim != 2:
        raise InvalidArgument(f"vectors are a matrix of rows, got {matrix.ndim} dimensions")
    beside: Any
    for name, beside in (("ids", ids), ("payloads", payloads)):
        if isinstance(beside, (Sequence, np.ndarray)) and len(beside) != len(matrix):
            raise InvalidArgument(f"{name} has {len(beside)} items for {len(matrix)} vectors")
    every_id = iter(range(len(matrix)) if ids is None else ids)
    every_payload = None if payloads is None else iter(payloads)
    for number, numbers in enumerate(_f32_rows(matrix)):
        try:
            ident = next(every_id)
            payload = None if every_payload is None else next(every_payload)
        except StopIteration:
            raise InvalidArgument(f"ids or payloads end before the vectors, at row {number}") from None
        try:
            ident = checked_id(ident)
            if plain:
                vector = to_json(vector_members(numbers, True))[1:-1]
            else:
                vector = b'"vector_b64":"%b"' % binascii.b2a_base64(numbers.data, newline=False)
            tail = b"}" if payload is None else b',"payload":%b}' % to_json(payload)
            row = Row(number, ident, b'{"id":%b,%b%b' % (to_json(ident), vector, tail))
        except InvalidArgument as error:
            row = _bad(number, ident, error)
        yield row


def _f32_rows(matrix: Any) -> Iterator[Any]:
    """The rows as 32-bit floats, converted a few at a time: the matrix may be mapped from a file."""
    step = 1024
    for start in range(0, len(matrix), step):
        yield from as_f32(matrix[start : start + step], 2)
