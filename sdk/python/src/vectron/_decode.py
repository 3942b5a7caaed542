"""Answers as typed objects: members by name, those that are not known kept aside."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import lru_cache
from typing import Any, TypeVar, Union

T = TypeVar("T")


def decode(kind: type[T], data: Any) -> T:
    """An object of a dataclass out of JSON. Absent members take their default, or None; what the class does not know
    stays in its ``raw``, if it has one."""
    values: dict[str, Any] = {}
    for name, key, convert, default in _plan(kind):
        if key is None:
            values[name] = data
        elif data.get(key) is not None:
            values[name] = convert(data[key]) if convert else data[key]
        else:
            values[name] = default()
    return kind(**values)


def decode_list(kind: type[T], data: Any) -> list[T]:
    """A list of them."""
    return [decode(kind, item) for item in data or ()]


@lru_cache(maxsize=256)
def _plan(kind: type[Any]) -> list[tuple[str, str | None, Callable[[Any], Any] | None, Callable[[], Any]]]:
    hints = typing.get_type_hints(kind)
    plan: list[tuple[str, str | None, Callable[[Any], Any] | None, Callable[[], Any]]] = []
    for field in fields(kind):
        if field.name == "raw":
            plan.append((field.name, None, None, dict))
            continue
        if field.default_factory is not MISSING:
            default: Callable[[], Any] = field.default_factory
        elif field.default is not MISSING:
            default = _constant(field.default)
        else:
            default = _constant(None)
        key = str(field.metadata.get("key", field.name))
        plan.append((field.name, key, _converter(hints[field.name]), default))
    return plan


def _constant(value: Any) -> Callable[[], Any]:
    return lambda: value


def _converter(hint: Any) -> Callable[[Any], Any] | None:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        inner = [argument for argument in arguments if argument is not type(None)]
        return _converter(inner[0]) if len(inner) == 1 else None
    if origin in (list, tuple):
        item = _converter(arguments[0])
        if item is None:
            return None
        return lambda values: [item(value) for value in values]
    if origin is dict:
        item = _converter(arguments[1])
        if item is None:
            return None
        return lambda values: {name: item(value) for name, value in values.items()}
    if isinstance(hint, type) and hasattr(hint, "__dataclass_fields__"):
        return lambda value: decode(hint, value)
    return None
