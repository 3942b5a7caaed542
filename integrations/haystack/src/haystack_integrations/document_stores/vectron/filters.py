"""Haystack's filters as those of Vectron."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from haystack.errors import FilterError

# What a document has beside its metadata; other names are metadata, with or without "meta." in front.
OWN_FIELDS = ("id", "content", "blob")
ORDER = {">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"}


def payload_filter(filters: Mapping[str, Any] | None) -> dict[str, Any]:
    """A filter over payloads; the empty one for none. Raises :class:`FilterError` for what Haystack does not allow or
    Vectron cannot decide."""
    return _translated(filters) if filters else {}


def payload_field(name: str) -> str:
    """Where a field of a document is in the payload."""
    root = name.split(".", 1)[0]
    return name if root == "meta" or root in OWN_FIELDS else f"meta.{name}"


def _translated(node: Any) -> dict[str, Any]:
    if not isinstance(node, Mapping):
        raise FilterError(f"a filter is a dictionary, not {type(node).__name__}")
    if "operator" not in node:
        raise FilterError(f"'operator' is missing in {node}")
    if "field" in node:
        return _comparison(node)
    if "conditions" not in node:
        raise FilterError(f"'conditions' (or 'field') is missing in {node}")
    parts = [_translated(one) for one in node["conditions"]]
    if not parts:
        raise FilterError(f"'conditions' is empty in {node}")
    operator = node["operator"]
    if operator == "AND":
        return {"$and": parts}
    if operator == "OR":
        return {"$or": parts}
    if operator == "NOT":
        return {"$not": {"$and": parts}}
    raise FilterError(f"unknown logical operator {operator!r}: AND, OR and NOT are known")


def _comparison(node: Mapping[str, Any]) -> dict[str, Any]:
    if "value" not in node:
        raise FilterError(f"'value' is missing in {node}")
    field, operator, value = payload_field(str(node["field"])), node["operator"], node["value"]
    if operator == "==":
        return _missing(field) if value is None else {field: {"$eq": _scalar(value, operator)}}
    if operator == "!=":
        return {"$not": _missing(field)} if value is None else {field: {"$ne": _scalar(value, operator)}}
    if operator in ORDER:
        # Nothing is above or below None.
        return {field: {"$in": []}} if value is None else {field: {ORDER[operator]: _ordered(value, operator)}}
    if operator in ("in", "not in"):
        if not isinstance(value, list):
            raise FilterError(f"'{operator}' takes a list, got {type(value).__name__}")
        found: dict[str, Any] = {field: {"$in": [_scalar(one, operator) for one in value if one is not None]}}
        if None in value:
            found = {"$or": [found, _missing(field)]}
        return found if operator == "in" else {"$not": found}
    raise FilterError(f"unknown comparison operator {operator!r}")


def _missing(field: str) -> dict[str, Any]:
    """To Haystack a field that is not there is one that is None."""
    return {"$or": [{field: None}, {field: {"$exists": False}}]}


def _scalar(value: Any, operator: str) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (str, int, float, bool)):
        return value
    raise FilterError(f"'{operator}' compares with text, numbers and truth values here, not {type(value).__name__}")


def _ordered(value: Any, operator: str) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            raise FilterError(f"'{operator}' compares with numbers and ISO dates, not the text {value!r}") from None
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise FilterError(f"'{operator}' compares with numbers and ISO dates, not {type(value).__name__}")
