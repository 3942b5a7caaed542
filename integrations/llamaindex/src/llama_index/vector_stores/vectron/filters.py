"""LlamaIndex's metadata filters as those of Vectron."""

from __future__ import annotations

from typing import Any

from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

SAME = {
    FilterOperator.EQ: "$eq",
    FilterOperator.NE: "$ne",
    FilterOperator.GT: "$gt",
    FilterOperator.GTE: "$gte",
    FilterOperator.LT: "$lt",
    FilterOperator.LTE: "$lte",
    FilterOperator.IN: "$in",
    FilterOperator.NIN: "$nin",
    # Of a list, any element is meant by all of these.
    FilterOperator.ANY: "$in",
    FilterOperator.CONTAINS: "$eq",
    FilterOperator.TEXT_MATCH: "$match",
    FilterOperator.TEXT_MATCH_INSENSITIVE: "$match",
}
LISTS = (FilterOperator.IN, FilterOperator.NIN, FilterOperator.ANY, FilterOperator.ALL)


def payload_filter(filters: MetadataFilters | None) -> dict[str, Any] | None:
    """A filter over payloads; None for one that says nothing."""
    if filters is None or not filters.filters:
        return None
    parts = [_nested(one) if isinstance(one, MetadataFilters) else _test(one) for one in filters.filters]
    if filters.condition == FilterCondition.OR:
        return {"$or": parts}
    if filters.condition == FilterCondition.NOT:
        # None of them may hold.
        return {"$not": {"$or": parts}}
    return {"$and": parts}


def every(*filters: dict[str, Any] | None) -> dict[str, Any] | None:
    """What passes all of them."""
    given = [one for one in filters if one is not None]
    return {"$and": given} if len(given) > 1 else given[0] if given else None


def _nested(filters: MetadataFilters) -> dict[str, Any]:
    return payload_filter(filters) or {}


def _test(test: MetadataFilter) -> dict[str, Any]:
    field, operator, value = f"metadata.{test.key}", test.operator, test.value
    if operator == FilterOperator.IS_EMPTY:
        # Empty lists are not among what is filtered by, see points.py.
        return {"$or": [{field: {"$in": [None, ""]}}, {field: {"$exists": False}}]}
    if (operator in LISTS) != isinstance(value, list):
        raise ValueError(f"'{operator.value}' of {test.key!r} takes {'a list' if operator in LISTS else 'one value'}")
    if operator == FilterOperator.ALL and isinstance(value, list):
        return {"$and": [{field: {"$eq": one}} for one in value]} if value else {}
    return {field: {SAME[operator]: value}}
