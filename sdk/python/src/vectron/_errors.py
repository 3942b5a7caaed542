"""What a call that failed says, as a tree by cause.

``VectronError`` is the root. Catch a branch (``RequestError``, ``AccessError``, ``Conflict``, ``LimitError``,
``NotNow``) or a leaf (``DimensionMismatch``). A write of which nobody knows whether it happened is always an
``OutcomeUnknown``, whatever stopped it; its ``code`` and ``__cause__`` say what that was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._bulk import UpsertResult


@dataclass(frozen=True)
class FieldError:
    """One wrong field: where it is, and what was expected, what was got, the fix."""

    field: str
    """A path such as ``points[7].vector``."""
    reason: str
    """A sentence."""


class VectronError(Exception):
    """A call that failed."""

    default_code: str = "internal"

    code: str
    """Code of the contract, such as ``invalid_argument``; stable."""
    detail: str
    """A sentence for people."""
    retryable: bool
    """Whether the same request may succeed later without a change."""
    outcome: str
    """What became of a write: ``applied``, ``not_applied`` (and never will be) or ``unknown``."""
    retry_after: float | None
    """Seconds after which the server thinks that a retry makes sense."""
    errors: tuple[FieldError, ...]
    """The fields at fault, if the request is."""
    request_id: str | None
    """The server's id of the request, to quote in a report."""
    status: int | None
    """HTTP status; None when no answer came."""
    current_version: int | None
    """The version found, of ``version_mismatch``."""
    attempts: int
    """How often the call was tried."""
    result: UpsertResult | None
    """Of an upsert of many points: what became of each of them until this happened."""

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        retryable: bool | None = None,
        outcome: str = "not_applied",
        retry_after: float | None = None,
        errors: tuple[FieldError, ...] = (),
        request_id: str | None = None,
        status: int | None = None,
        current_version: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code or self.default_code
        self.detail = detail
        self.retryable = self.code in RETRYABLE if retryable is None else retryable
        self.outcome = outcome
        self.retry_after = retry_after
        self.errors = errors
        self.request_id = request_id
        self.status = status
        self.current_version = current_version
        self.attempts = 1
        self.result = None

    def __str__(self) -> str:
        known = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.code}: {self.detail}{known}"


class RequestError(VectronError):
    """The request is wrong; change it."""

    default_code = "invalid_argument"


class InvalidArgument(RequestError):
    """A value is refused; ``errors`` names the fields."""


class DimensionMismatch(InvalidArgument):
    """A vector has another length than the collection's."""

    expected: int | None = None
    """Numbers that the collection expects."""
    got: int | None = None
    """Numbers that the vector has."""


class IdempotencyKeyReused(RequestError):
    """The idempotency key came back with another body."""

    default_code = "idempotency_key_reused"


class AccessError(VectronError):
    """Credentials are missing or not enough."""

    default_code = "forbidden"


class Unauthenticated(AccessError):
    """No key, or one that proves nothing."""

    default_code = "unauthenticated"


class Forbidden(AccessError):
    """A known caller who may not do this."""


class NotFound(VectronError):
    """The collection, point or key is not there, or you may not know that it is."""

    default_code = "not_found"


class Conflict(VectronError):
    """Somebody else's write or configuration is in the way."""

    default_code = "already_exists"


class AlreadyExists(Conflict):
    """The name is taken by something with another configuration."""


class VersionMismatch(Conflict):
    """A condition on the point's version (or content) did not hold; ``current_version`` is what was found."""

    default_code = "version_mismatch"


class UnsafeOperation(Conflict):
    """The change would lose the last good copy of something."""

    default_code = "unsafe_operation"


class LimitError(VectronError):
    """A limit on size, rate or space."""

    default_code = "too_large"


class TooLarge(LimitError):
    """The body, the batch, a payload or the answer is too large."""


class RateLimited(LimitError):
    """Too many calls; ``retry_after`` says when to come again."""

    default_code = "rate_limited"


class DiskFull(LimitError):
    """A node has no room for more data; reads and deletes go on."""

    default_code = "disk_full"


class NotNow(VectronError):
    """The same request may succeed later."""

    default_code = "unavailable"


class Unavailable(NotNow):
    """A shard has no leader or no quorum, or the server cannot be reached."""


class Overloaded(NotNow):
    """The server has no room for more work now."""

    default_code = "overloaded"


class DeadlineExceeded(NotNow):
    """The deadline came first."""

    default_code = "deadline_exceeded"


class StalenessUnmet(NotNow):
    """No replica can prove the freshness that was asked for."""

    default_code = "staleness_unmet"


class OutcomeUnknown(VectronError):
    """A write that may have happened, or may yet, at most once. ``code`` and ``__cause__`` say what stopped it.

    The same write under the same idempotency key is safe, and tells.
    """

    default_code = "unavailable"


class InternalError(VectronError):
    """The server made a mistake; quote ``request_id``."""


RETRYABLE = frozenset(
    ("rate_limited", "overloaded", "unavailable", "deadline_exceeded", "staleness_unmet", "disk_full")
)

CODES: dict[str, type[VectronError]] = {
    kind.default_code: kind
    for kind in (
        InvalidArgument,
        IdempotencyKeyReused,
        Unauthenticated,
        Forbidden,
        NotFound,
        AlreadyExists,
        VersionMismatch,
        UnsafeOperation,
        TooLarge,
        RateLimited,
        DiskFull,
        Unavailable,
        Overloaded,
        DeadlineExceeded,
        StalenessUnmet,
        InternalError,
    )
}

# For answers of proxies, which know nothing of the contract.
_BY_STATUS = {
    400: "invalid_argument",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "invalid_argument",
    408: "deadline_exceeded",
    409: "already_exists",
    412: "version_mismatch",
    413: "too_large",
    415: "invalid_argument",
    422: "invalid_argument",
    429: "rate_limited",
    502: "unavailable",
    503: "unavailable",
    504: "deadline_exceeded",
    507: "disk_full",
}

_LENGTHS = re.compile(r"(?:has (\d+) numbers?|is empty)\b.*\bexpects (\d+)")


def from_answer(status: int, headers: Mapping[str, str], body: bytes) -> VectronError:
    """The error in an answer that is not a success."""
    problem = _object(body)
    code = problem.get("code")
    if not isinstance(code, str):
        return _foreign(status, headers, body)
    errors = tuple(
        FieldError(str(item.get("field", "")), str(item.get("reason", "")))
        for item in problem.get("errors") or ()
        if isinstance(item, dict)
    )
    kind = CODES.get(code, VectronError)
    lengths = None
    if code == "invalid_argument":
        found = (_LENGTHS.search(error.reason) for error in errors)
        lengths = next((match for match in found if match), None)
    if lengths:
        kind = DimensionMismatch
    retryable = problem.get("retryable")
    error = kind(
        str(problem.get("detail") or problem.get("title") or code),
        code=code,
        retryable=retryable if isinstance(retryable, bool) else None,
        outcome=str(problem.get("outcome") or "unknown"),
        retry_after=_pause(problem.get("retry_after_ms"), headers),
        errors=errors,
        request_id=problem.get("request_id") or headers.get("x-request-id"),
        status=status,
        current_version=problem.get("current_version"),
    )
    if lengths and isinstance(error, DimensionMismatch):
        error.got, error.expected = int(lengths[1] or 0), int(lengths[2])
    return error


def _foreign(status: int, headers: Mapping[str, str], body: bytes) -> VectronError:
    code = _BY_STATUS.get(status, "internal")
    text = body[:200].decode("utf-8", "replace").strip()
    return CODES[code](
        f"HTTP {status}, not in the words of a Vectron server: {text or 'no text'}",
        # Whoever answered, nobody said what became of the request behind it.
        outcome="unknown",
        retry_after=_pause(None, headers),
        request_id=headers.get("x-request-id"),
        status=status,
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _pause(ms: Any, headers: Mapping[str, str]) -> float | None:
    """Seconds to wait. The problem's milliseconds are finer than the header's seconds."""
    if isinstance(ms, (int, float)) and ms >= 0:
        return ms / 1000
    after = headers.get("retry-after", "").strip()
    if not after:
        return None
    if after.isdigit():
        return float(after)
    from datetime import datetime, timezone
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(after)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - datetime.now(timezone.utc)).total_seconds())


def unknown(error: VectronError) -> OutcomeUnknown:
    """The same failure of a write that may have happened."""
    doubt = OutcomeUnknown(
        f"{error.detail}; the write may have happened, or may yet",
        code=error.code,
        retryable=error.retryable,
        outcome="unknown",
        retry_after=error.retry_after,
        errors=error.errors,
        request_id=error.request_id,
        status=error.status,
        current_version=error.current_version,
    )
    doubt.attempts = error.attempts
    doubt.__cause__ = error
    return doubt
