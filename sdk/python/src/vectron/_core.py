"""What a call goes through, without a socket: attempts, pauses, freshness, errors.

Both clients drive the same generator: it asks for a request to be sent or for a pause, is told what came of it, and
returns the answer.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar, Union
from urllib.parse import quote, urlencode

from . import _errors as errors
from ._encode import milliseconds, object_end, object_start
from ._retry import Hedge, HedgeBudget, Patience, RetryPolicy
from ._session import WEAK, Sessions
from ._wire import Broken, Reply, Request

T = TypeVar("T")

READ = 0
"""May be repeated: it changes nothing, or the same again comes to the same."""
KEYED = 1
"""A write with an idempotency key; may be repeated."""
ONCE = 2
"""A write that is repeated only when it certainly had no effect."""

Effect: TypeAlias = Union[Request, float]
Steps: TypeAlias = Generator[Effect, Union[Reply, Broken, None], T]

# Beyond the server's own deadline, so that its answer says what became of the request.
_GRACE_S = 1.0
_STALE_MOST = 8


@dataclass(slots=True)
class Call(Generic[T]):
    """One call."""

    method: str
    path: str
    decode: Callable[[dict[str, Any]], T]
    body: bytes | None = None
    """A JSON object without its end."""
    query: dict[str, Any] | None = None
    """Parameters, of calls without a body."""
    repeat: int = READ
    collection: str | None = None
    """Whose session is concerned."""
    reads_points: bool = False
    """Whether it takes a consistency."""
    consistency: Any = None
    timeout: float | None = None
    """Seconds for the whole call."""
    takes_timeout: bool = True
    """Whether the server takes ``timeout_ms``."""
    retry: RetryPolicy | None = None
    unfinished: Callable[[T], errors.VectronError | None] | None = None
    """Why an answer is not the last word yet."""


@dataclass(slots=True)
class Settings:
    """How a client behaves."""

    timeout: float
    retry: RetryPolicy
    plain: bool
    read_your_writes: bool
    consistency: Any
    hedge: HedgeBudget | None


def settings_of(
    timeout: float,
    retry: RetryPolicy | None,
    vectors: str,
    read_your_writes: bool,
    consistency: Any,
    hedge: Hedge | None,
) -> Settings:
    """Checked settings."""
    if vectors not in ("b64", "json"):
        raise errors.InvalidArgument(f"vectors is 'b64' or 'json', not {vectors!r}")
    milliseconds(timeout)
    budget = HedgeBudget(hedge) if hedge else None
    return Settings(timeout, retry or RetryPolicy(), vectors == "json", read_your_writes, consistency, budget)


def in_path(name: str) -> str:
    """A name or id as one part of a path."""
    return quote(name, safe="").replace(".", "%2E") if name in (".", "..") else quote(name, safe="")


def fresh_key() -> str:
    """A fresh idempotency key."""
    return uuid.uuid4().hex


def post(path: str, decode: Callable[[dict[str, Any]], T], fields: Mapping[str, Any], **more: Any) -> Call[T]:
    """A call with a body; members that are None are left out."""
    return Call("POST", path, decode, object_start(fields), **more)


class Core:
    """What both clients share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.sessions = Sessions()

    def steps(self, call: Call[T]) -> Steps[T]:
        """Runs one call."""
        clock, settings = time.monotonic, self.settings
        now = clock()
        deadline = None if call.timeout is None else now + call.timeout
        patience = Patience(call.retry or settings.retry, now)
        in_doubt, stale = False, 0
        while True:
            level = self._level(call, now)
            request = self._request(call, level, deadline, now)
            came = yield request
            now = clock()
            if request.hedged and settings.hedge:
                settings.hedge.spent()
            answer: T | None = None
            if type(came) is Reply and 200 <= came.status < 300:
                data = _parsed(came)
                if level is None and self._too_weak(call, data, now):
                    continue
                answer = call.decode(data)
                self._book(call, data)
                error = call.unfinished(answer) if call.unfinished else None
                if error is None:
                    return answer
            elif type(came) is Reply:
                error = errors.from_answer(came.status, came.headers, came.body)
                if self._lost_session(call, level, error):
                    continue
            else:
                assert isinstance(came, Broken)
                if came.stale and call.repeat != ONCE and stale < _STALE_MOST:
                    stale += 1
                    in_doubt = in_doubt or call.repeat != READ
                    continue
                error = _from_broken(came)
            pause = patience.next_pause(error.code, error.retry_after, now)
            error.attempts = patience.attempt
            again = error.retryable and (call.repeat != ONCE or error.outcome == "not_applied")
            if pause is not None and deadline is not None and now + pause >= deadline:
                pause = None
            if pause is None or not again:
                if answer is not None:
                    return answer
                raise _last(call, error, in_doubt)
            in_doubt = in_doubt or error.outcome != "not_applied"
            yield pause
            now = clock()

    def _request(self, call: Call[Any], level: Any, deadline: float | None, now: float) -> Request:
        settings = self.settings
        more: dict[str, Any] = {}
        wait = settings.timeout
        if deadline is not None:
            left = max(0.001, deadline - now)
            wait = left + _GRACE_S
            if call.takes_timeout:
                more["timeout_ms"] = milliseconds(left)
        hedge = None
        if settings.hedge and call.repeat == READ and call.reads_points:
            hedge = settings.hedge.read()
        if call.body is not None:
            if level is not None:
                more["consistency"] = level
            body = object_end(call.body, more)
            return Request(call.method, call.path, body, wait, hedge)
        query = {**(call.query or {}), **more, **_flat(level)}
        spelled = {name: _parameter(value) for name, value in query.items() if value is not None}
        target = f"{call.path}?{urlencode(spelled)}" if spelled else call.path
        return Request(call.method, target, None, wait, hedge)

    def _level(self, call: Call[Any], now: float) -> Any:
        """The consistency to ask for; None is the collection's own."""
        if not call.reads_points or call.collection is None:
            return None
        if call.consistency is not None:
            return call.consistency
        settings = self.settings
        if settings.consistency is not None:
            return settings.consistency
        return self.sessions.level(call.collection, now) if settings.read_your_writes else None

    def _too_weak(self, call: Call[Any], data: dict[str, Any], now: float) -> bool:
        """Whether an answer under the collection's policy may miss this client's writes."""
        if not (call.reads_points and call.collection and self.settings.read_your_writes):
            return False
        meta = data.get("meta")
        delivered = meta.get("consistency") if isinstance(meta, dict) else None
        if not isinstance(delivered, dict) or delivered.get("level") not in WEAK:
            return False
        return self.sessions.weak(call.collection, now) and self.sessions.level(call.collection, now) is not None

    def _lost_session(self, call: Call[Any], level: Any, error: errors.VectronError) -> bool:
        """Whether a token of ours was refused: the collection was made anew, and nothing of ours is in it."""
        if call.consistency is not None or self.settings.consistency is not None or not call.collection:
            return False
        if not isinstance(level, dict) or error.code != "invalid_argument":
            return False
        if not any(field.field == "consistency.token" for field in error.errors):
            return False
        self.sessions.forget(call.collection)
        return True

    def _book(self, call: Call[Any], data: dict[str, Any]) -> None:
        if call.collection is None:
            return
        if call.reads_points:
            if self.sessions.followed(call.collection):
                self.sessions.read(call.collection, data.get("meta"))
        else:
            token = data.get("session")
            if isinstance(token, str) and token:
                self.sessions.wrote(call.collection, token)


def _parsed(reply: Reply) -> dict[str, Any]:
    if not reply.body:
        return {}
    try:
        data = json.loads(reply.body)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise errors.InternalError(
            "the answer is not a JSON object; is there a Vectron server at this address?",
            outcome="unknown",
            status=reply.status,
            request_id=reply.headers.get("x-request-id"),
        )
    return data


def _from_broken(broken: Broken) -> errors.VectronError:
    outcome = "unknown" if broken.sent else "not_applied"
    if broken.timed_out:
        return errors.DeadlineExceeded(broken.detail, outcome=outcome)
    hint = "" if broken.sent else "; is `vectron up` running there?"
    return errors.Unavailable(f"{broken.detail}{hint}", outcome=outcome)


def _last(call: Call[Any], error: errors.VectronError, in_doubt: bool) -> errors.VectronError:
    """The error that ends a call. After an attempt that may have had an effect, a refusal does not say that nothing
    was done; but a condition under a key is decided once, whichever attempt brought it there."""
    if call.repeat == READ:
        return error
    decided = call.repeat == KEYED and error.code == "version_mismatch"
    if error.outcome == "unknown" or (in_doubt and error.outcome == "not_applied" and not decided):
        return errors.unknown(error)
    return error


def _flat(level: Any) -> dict[str, Any]:
    """A consistency as parameters."""
    if level is None:
        return {}
    if isinstance(level, str):
        return {"consistency": level}
    return {("consistency" if name == "level" else name): value for name, value in level.items()}


def _parameter(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
