"""What counts of values answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ._models import Meta, meta_of


@dataclass(slots=True)
class FacetValue:
    """A value and how many points have it."""

    value: Any
    count: int


@dataclass(slots=True)
class FacetAnswer:
    """Values of a field, most frequent first."""

    values: list[FacetValue]
    meta: Meta
    raw: dict[str, Any] = field(repr=False)

    def __iter__(self) -> Iterator[FacetValue]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def to_dict(self) -> dict[Any, int]:
        """Counts by value."""
        return {item.value: item.count for item in self.values}


def facet_answer(data: dict[str, Any]) -> FacetAnswer:
    """Values of a field."""
    values = [FacetValue(item.get("value"), int(item.get("count", 0))) for item in data.get("values") or ()]
    return FacetAnswer(values, meta_of(data), data)
