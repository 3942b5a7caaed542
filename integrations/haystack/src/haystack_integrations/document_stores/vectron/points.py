"""Documents as points and back, and what is worked out of metadata that was read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from haystack.dataclasses import Document

from vectron import Hit, Point

# Whether the vector is the document's own, or stands in for one that it has not. Beside the document's own members, so
# that no metadata can be it.
EMBEDDED = "embedded"


def point_of(document: Document, dimension: int) -> dict[str, Any]:
    """A document as a point."""
    payload = {
        name: value
        for name, value in document.to_dict(flatten=False).items()
        if name not in ("embedding", "score") and value is not None
    }
    payload[EMBEDDED] = document.embedding is not None
    # A collection has a vector for each point. This one is never looked for: searches are of embedded points.
    vector = document.embedding if document.embedding is not None else [1.0] + [0.0] * (dimension - 1)
    return {"id": document.id, "vector": vector, "payload": payload}


def document_of(point: Point | Hit, with_embedding: bool, score: float | None = None) -> Document:
    """The document of a point, also of one that something else wrote."""
    payload = dict(point.payload or {})
    embedded = payload.pop(EMBEDDED, True)
    known = {name: payload[name] for name in ("content", "blob", "meta", "sparse_embedding") if name in payload}
    embedding = None
    if with_embedding and embedded and point.vector is not None:
        embedding = np.asarray(point.vector).tolist()
    return Document.from_dict({**known, "id": point.id, "embedding": embedding, "score": score})


def values_of(payloads: Iterable[Mapping[str, Any]], field: str) -> list[Any]:
    """The different values of a payload field, None aside: 1, 1.0, True and "1" are four."""
    found: dict[tuple[type, str], Any] = {}
    for payload in payloads:
        value: Any = payload
        for step in field.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        if value is not None:
            found.setdefault((type(value), json.dumps(value, sort_keys=True)), value)
    return list(found.values())


def in_order(values: Iterable[Any]) -> list[Any]:
    """Numbers by size, then texts, then the rest, the same each time."""

    def place(value: Any) -> tuple[int, float, str, str]:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return (0, value, type(value).__name__, "")
        if isinstance(value, str):
            return (1, 0.0, "str", value)
        return (2, 0.0, type(value).__name__, json.dumps(value, sort_keys=True))

    return sorted(values, key=place)


def ends_of(values: Iterable[Any]) -> dict[str, Any]:
    """The smallest and the largest of numbers, or where there are none, of texts (such as dates)."""
    every = list(values)
    numbers = [one for one in every if isinstance(one, (int, float)) and not isinstance(one, bool)]
    comparable: list[Any] = numbers or [one for one in every if isinstance(one, str)]
    return {"min": min(comparable, default=None), "max": max(comparable, default=None)}


def kinds_of(payloads: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """The metadata fields with their types: ``keyword``, ``integer``, ``float``, ``boolean``, ``list``, ``object``, or
    ``mixed`` where documents differ."""
    names = {str: "keyword", bool: "boolean", int: "integer", float: "float", list: "list", dict: "object"}
    kinds: dict[str, str] = {}
    for payload in payloads:
        for name, value in (payload.get("meta") or {}).items():
            if value is not None:
                kind = names[type(value)]
                kinds[name] = kind if kinds.get(name, kind) == kind else "mixed"
    return {name: {"type": kinds[name]} for name in sorted(kinds)}
