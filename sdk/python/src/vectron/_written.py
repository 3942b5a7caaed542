"""What writes other than upserts answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ._decode import decode


@dataclass(slots=True)
class ItemFailure:
    """A point that was not changed."""

    id: str
    code: str
    detail: str
    current_version: int | None
    raw: dict[str, Any] = field(repr=False)


@dataclass(slots=True)
class PayloadAnswer:
    """What a change of payloads did."""

    updated: int
    """Points changed."""
    failed: list[ItemFailure] = field(default_factory=list)
    failed_unlisted: int = 0
    """By filter a shard lists its first 100 failures; how many more there are."""
    missing: list[str] = field(default_factory=list)
    """Ids that are not there."""
    session: str = ""
    replayed: bool = False
    raw: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class OperationResult:
    """What became of one operation."""

    id: str
    status: str
    """``applied``, ``missing`` (nothing to delete or change) or ``failed``."""
    version: int | None
    code: str | None
    detail: str | None
    current_version: int | None
    raw: dict[str, Any] = field(repr=False)


@dataclass(slots=True)
class BatchAnswer:
    """What became of operations, in their order."""

    results: list[OperationResult] = field(default_factory=list)
    session: str = ""
    replayed: bool = False
    raw: dict[str, Any] = field(default_factory=dict, repr=False)


def payload_answer(data: dict[str, Any]) -> PayloadAnswer:
    """What a change of payloads did."""
    return decode(PayloadAnswer, data)


def batch_answer(data: dict[str, Any]) -> BatchAnswer:
    """What became of operations."""
    return decode(BatchAnswer, data)
