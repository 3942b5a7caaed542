"""Explanations that print readably, whatever the server has to tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Explain:
    """How an answer was found. ``print(answer.explain)`` shows it; ``raw`` is the server's own structure."""

    raw: dict[str, Any] = field(repr=False)

    def __str__(self) -> str:
        return "\n".join(_object(self.raw, ""))


@dataclass(slots=True)
class WhyNot:
    """Why a point is not among the results of a search, or that it is. ``print`` shows the reasons."""

    id: str
    verdict: str
    """``present``, ``absent``, ``deleted``, ``expired``, ``filtered``, ``below_threshold``, ``approximate_miss``,
    ``fused_out``, ``grouped_out`` or ``reranked_out``."""
    raw: dict[str, Any] = field(repr=False)
    """The server's reasons."""

    def __str__(self) -> str:
        sentence = _VERDICTS.get(self.verdict, self.verdict)
        rest = {name: value for name, value in self.raw.items() if name not in ("verdict", "id", "meta")}
        return "\n".join([f"{self.id}: {self.verdict}, {sentence}", *_object(rest, "  ")])


_VERDICTS = {
    "present": "it is among the results",
    "absent": "there is no such point, and none is remembered",
    "deleted": "it was deleted",
    "expired": "its time was over",
    "filtered": "the filter does not hold for it",
    "below_threshold": "its score is below score_threshold",
    "approximate_miss": "the approximate search did not come by; a larger ef or exact finds it",
    "not_in_top_k": "better points fill the list; a larger top_k shows it",
    "fused_out": "other points are better once the legs are put together",
    "grouped_out": "its group has enough points, or is not among the groups",
    "reranked_out": "the reranker put it further down",
}


def _object(data: Mapping[str, Any], indent: str) -> list[str]:
    """Scalars on one line, then the rest, each under its name."""
    lines: list[str] = []
    scalars = [f"{name} {_scalar(value)}" for name, value in data.items() if _is_scalar(value) and value is not None]
    if scalars:
        lines.append(indent + ", ".join(scalars))
    for name, value in data.items():
        if _is_scalar(value):
            continue
        if _is_stages(value):
            lines.append(f"{indent}{name}: {_stages(value)}")
        elif isinstance(value, Mapping):
            if value:
                lines += [f"{indent}{name}", *_object(value, indent + "  ")]
        elif all(_is_scalar(item) for item in value):
            if value:
                lines.append(f"{indent}{name}: {', '.join(_scalar(item) for item in value)}")
        else:
            lines += _list(name, value, indent)
    return lines


def _list(name: str, items: Iterable[Any], indent: str) -> list[str]:
    lines: list[str] = []
    single = name[:-1] if name.endswith("s") else name
    for place, item in enumerate(items):
        if not isinstance(item, Mapping):
            lines.append(f"{indent}{single} {place}: {item}")
            continue
        label = next((key for key in (single, "name", "id") if _is_scalar(item.get(key)) and key in item), None)
        title = str(item[label]) if label else str(place)
        rest = {key: value for key, value in item.items() if key != label}
        lines += [f"{indent}{single} {title}", *_object(rest, indent + "  ")]
    return lines


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


def _is_stages(value: Any) -> bool:
    """A list of names with microseconds, and nothing below them."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, Mapping) and set(item) == {"name", "us"} for item in value)
    )


def _stages(stages: list[Mapping[str, Any]]) -> str:
    return ", ".join(f"{stage['name']} {_time(stage['us'])}" for stage in stages)


def _time(us: float) -> str:
    return f"{us / 1000:.1f} ms" if us >= 1000 else f"{us:g} µs"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)
