"""What goes over a connection: requests, answers, and the HTTP/1.1 text of both.

Knows bytes, not sockets: the blocking and the asyncio transport share it. It is our own because it is most of what a
call costs in Python: 20 µs against 200 (httpcore) to 400 µs (httpx), measured on searches of a local server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

VERSION = "0.1.0"
MAX_HEAD_BYTES = 64 * 1024


@dataclass(slots=True)
class Request:
    """One attempt of one call."""

    method: str
    target: str
    """Path and query, percent-encoded."""
    body: bytes | None
    timeout: float
    """Seconds for all of it."""
    hedge_after: float | None = None
    """Seconds after which it may be sent a second time; only reads have it."""
    hedged: bool = False
    """Set by the transport when it was."""


@dataclass(slots=True)
class Reply:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(slots=True)
class Broken:
    """No answer came."""

    detail: str
    sent: bool
    """Whether the server may have got the request."""
    timed_out: bool = False
    stale: bool = False
    """A kept connection was closed before a byte of the answer: most likely it had been idle for too long."""


class BrokenStream(Exception):
    """No answer, or no rest of an answer, of a stream."""

    def __init__(self, broken: Broken) -> None:
        super().__init__(broken.detail)
        self.broken = broken


def request_prefix(method: str, target: str, fixed: bytes, body: bytes | None) -> bytes:
    """The head of a request."""
    line = f"{method} {target} HTTP/1.1\r\n".encode("ascii")
    if body is None:
        return line + fixed + b"\r\n"
    return b"%b%bcontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (line, fixed, len(body))


def fixed_headers(host: str, key: str | None, accept: str = "application/json") -> bytes:
    """The headers that every request to one server has."""
    for text in (host, key or ""):
        if any(ord(character) < 33 or ord(character) > 126 for character in text):
            raise ValueError("holds characters that cannot travel in a header")
    lines = [f"host: {host}", f"user-agent: vectron-python/{VERSION}", f"accept: {accept}"]
    if key:
        lines.append(f"authorization: Bearer {key}")
    return ("\r\n".join(lines) + "\r\n").encode("ascii")


class BadAnswer(Exception):
    """Bytes that are not HTTP/1.1."""


class AnswerReader:
    """Takes the bytes of one answer as they come."""

    __slots__ = ("_body", "_chunked", "_head", "_left", "headers", "keep_alive", "seen", "status")

    def __init__(self) -> None:
        self._head = b""
        self._body = bytearray()
        self._chunked: _Chunks | None = None
        self._left: int | None = None
        self.headers: dict[str, str] = {}
        self.status = 0
        self.keep_alive = True
        self.seen = False

    def feed(self, data: bytes) -> bool:
        """Takes bytes; True when the answer is whole."""
        self.seen = True
        while not self.status:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                if len(self._head) > MAX_HEAD_BYTES:
                    raise BadAnswer("the head of the answer has no end")
                return False
            head, data = self._head[:end], self._head[end + 4 :]
            self._head = b""
            self._parse(head)
            if 100 <= self.status < 200:
                self.status = 0
        if self._chunked:
            return self._chunked.feed(data, self._body)
        self._body += data
        return self._left is not None and len(self._body) >= self._left

    def closed(self) -> bool:
        """The connection ended; True when that makes the answer whole."""
        self.keep_alive = False
        return bool(self.status) and self._left is None and not self._chunked

    def take(self) -> bytes:
        """What has come of the body since the last time."""
        body = bytes(self._body)
        self._body.clear()
        return body

    def reply(self) -> Reply:
        """The whole answer."""
        return Reply(self.status, self.headers, bytes(self._body))

    def missing(self) -> int:
        """Bytes of the body that are still to come, as far as is known."""
        return 0 if self._left is None else max(0, self._left - len(self._body))

    def _parse(self, head: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        first = lines[0]
        if not first.startswith("HTTP/1.") or not first[9:12].isdigit():
            raise BadAnswer("the answer is not HTTP/1.1")
        self.status = int(first[9:12])
        headers = self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("connection", "").lower() == "close" or first.startswith("HTTP/1.0"):
            self.keep_alive = False
        length = headers.get("content-length")
        if self.status in (204, 304):
            self._left = 0
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            self._chunked = _Chunks()
        elif length is not None:
            if not length.isdigit():
                raise BadAnswer("the length of the answer is not a number")
            self._left = int(length)


class _Chunks:
    """The pieces of a chunked body."""

    __slots__ = ("_buffer", "_left", "_trailer")

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0
        self._trailer = False

    def feed(self, data: bytes, body: bytearray) -> bool:
        buffer = self._buffer + data
        while True:
            if self._left > 2:
                taken = buffer[: self._left - 2]
                body += taken
                self._left -= len(taken)
                buffer = buffer[len(taken) :]
            if 0 < self._left <= 2:
                if len(buffer) < self._left:
                    break
                buffer, self._left = buffer[self._left :], 0
            if self._left:
                break
            line, found, rest = buffer.partition(b"\r\n")
            if not found:
                if len(buffer) > MAX_HEAD_BYTES:
                    raise BadAnswer("a piece of the answer has no length")
                break
            buffer = rest
            if self._trailer:
                if not line:
                    return True
                continue
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError:
                raise BadAnswer("the length of a piece of the answer is not a number") from None
            if size == 0:
                self._trailer = True
            else:
                self._left = size + 2
        self._buffer = buffer
        return False


class EventReader:
    """Server-sent events out of text as it comes."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[tuple[str, bytes]]:
        """The events that are whole now, each with its name."""
        self._buffer = (self._buffer + data).replace(b"\r\n", b"\n")
        *whole, self._buffer = self._buffer.split(b"\n\n")
        events: list[tuple[str, bytes]] = []
        for block in whole:
            name, lines = "message", []
            for line in block.split(b"\n"):
                field, _, value = line.partition(b":")
                value = value[1:] if value.startswith(b" ") else value
                if field == b"event":
                    name = value.decode("utf-8", "replace")
                elif field == b"data":
                    lines.append(value)
            if lines:
                events.append((name, b"\n".join(lines)))
        return events
