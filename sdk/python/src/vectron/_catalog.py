"""Small answers about the catalog."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ._collections import Collection, PayloadIndex, collection_of
from ._decode import decode_list


@dataclass(slots=True)
class Alias:
    """Another name of a collection."""

    alias: str
    collection: str
    raw: dict[str, Any] = field(repr=False)


def names_of(data: dict[str, Any]) -> list[Collection]:
    """Collections."""
    return [collection_of(item) for item in data.get("collections") or ()]


def index_list(data: dict[str, Any]) -> list[PayloadIndex]:
    """Payload indexes."""
    return decode_list(PayloadIndex, data.get("indexes"))


def alias_list(data: dict[str, Any]) -> list[Alias]:
    """Aliases."""
    return decode_list(Alias, data.get("aliases"))


def deleted_of(data: dict[str, Any]) -> bool:
    """Whether something was deleted."""
    return bool(data.get("deleted"))
