"""Read your writes where a collection's read policy alone does not promise it.

Under the default policy (linearizable) a read finds every write that was acknowledged before it, whoever's. A session
token would only weaken that, so none is sent. Under a weaker policy reads carry the token of the client's own
writes. Tokens are made by the server alone: several writes to several shards give several tokens, and where no single
one says all of it, the next read asks for linearizable, whose answer's token does.
"""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass, field
from typing import Any

WEAK = ("eventual", "bounded")
_REMEMBERED_S = 60.0
_CHECK_BYTES = 6


@dataclass(slots=True)
class _Seen:
    """What this client wrote to one life of a collection."""

    incarnation: int
    need: dict[int, int] = field(default_factory=dict)
    token: str | None = None
    weak_until: float = 0.0


def read_token(token: str) -> tuple[int, dict[int, int]] | None:
    """Life of the collection and index by shard, out of a token; None when it has a form that is not known."""
    try:
        data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        return None
    if len(data) <= _CHECK_BYTES or data[0] != 1:
        return None
    numbers: list[int] = []
    value = shift = 0
    for byte in data[1:-_CHECK_BYTES]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            numbers.append(value)
            value = shift = 0
    if shift or len(numbers) < 2 or len(numbers) != 2 + 2 * numbers[1]:
        return None
    return numbers[0], dict(zip(numbers[2::2], numbers[3::2], strict=True))


class Sessions:
    """Tokens by collection; safe for threads."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._weak: dict[str, float] = {}
        self._lock = threading.Lock()

    def wrote(self, collection: str, token: str) -> None:
        """A write was acknowledged with this token."""
        parsed = read_token(token)
        with self._lock:
            seen = self._seen.get(collection)
            if parsed is None:
                # A form that is not known: no token can be compared with it any more.
                self._seen[collection] = _Seen(-1, {-1: 1})
                return
            incarnation, indexes = parsed
            if seen is None or seen.incarnation != incarnation:
                if seen is not None and seen.incarnation > incarnation:
                    return
                seen = self._seen[collection] = _Seen(incarnation)
            for shard, index in indexes.items():
                if index > seen.need.get(shard, 0):
                    seen.need[shard] = index
            if _covers(indexes, seen.need):
                seen.token = token
            elif seen.token is not None:
                held = read_token(seen.token)
                if held is None or not _covers(held[1], seen.need):
                    seen.token = None

    def read(self, collection: str, meta: Any) -> None:
        """A read was answered; its token may say all that is needed."""
        token = meta.get("session") if isinstance(meta, dict) else None
        parsed = read_token(token) if isinstance(token, str) else None
        if parsed is None:
            return
        with self._lock:
            seen = self._seen.get(collection)
            if seen and seen.incarnation == parsed[0] and _covers(parsed[1], seen.need):
                seen.need = parsed[1]
                seen.token = token

    def level(self, collection: str, now: float) -> Any:
        """The consistency that a read needs when it names none: None is the collection's own policy."""
        if self._weak.get(collection, 0.0) < now:
            return None
        seen = self._seen.get(collection)
        if seen is None:
            return None
        token = seen.token
        return "linearizable" if token is None else {"level": "session", "token": token}

    def weak(self, collection: str, now: float) -> bool:
        """A read under the collection's policy was answered with a weak level; True when it has to be repeated because
        this client wrote to the collection."""
        self._weak[collection] = now + _REMEMBERED_S
        return collection in self._seen

    def followed(self, collection: str) -> bool:
        """Whether the tokens of reads matter."""
        return collection in self._weak and collection in self._seen

    def forget(self, collection: str) -> None:
        """The collection is gone, or is another one now."""
        with self._lock:
            self._seen.pop(collection, None)
            self._weak.pop(collection, None)

    def token(self, collection: str) -> str | None:
        """The token to hand to another process, if one says all of this client's writes."""
        seen = self._seen.get(collection)
        return seen.token if seen else None


def _covers(indexes: dict[int, int], need: dict[int, int]) -> bool:
    return all(indexes.get(shard, 0) >= index for shard, index in need.items())
