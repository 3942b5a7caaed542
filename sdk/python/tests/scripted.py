"""An HTTP server that answers as a test says, and remembers what it was asked."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import Any

META = {
    "took_ms": 0.1,
    "partial": False,
    "degraded": [],
    "consistency": {"level": "linearizable", "staleness_ms": 0},
    "shards": {"total": 1, "answered": 1, "failed": []},
    "session": "",
}


@dataclass
class Say:
    """One answer. ``close`` ends the connection after it, ``hang_up`` instead of it, ``cut`` in the middle of it."""

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    after: float = 0.0
    close: bool = False
    hang_up: bool = False
    cut: bool = False
    chunked: bool = False


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    connection: int


def problem(code: str, status: int, **more: Any) -> Say:
    retryable = code in (
        "rate_limited",
        "overloaded",
        "unavailable",
        "deadline_exceeded",
        "staleness_unmet",
        "disk_full",
    )
    headers = more.pop("headers", {})
    body = {
        "type": f"https://vectron.dev/problems/{code}",
        "title": code,
        "status": status,
        "detail": f"it is {code}",
        "code": code,
        "outcome": "not_applied",
        "retryable": retryable,
        "retry_after_ms": None,
        "errors": [],
        "request_id": "r-1",
        **more,
    }
    return Say(body, status, {"content-type": "application/problem+json", **headers})


class Scripted:
    """Answers in the order of the script, whichever connection asks; the last answer is repeated."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.script: list[Say] = []
        self.asked: list[Asked] = []
        self._lock = threading.Lock()
        self._connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def says(self, *script: Say) -> Scripted:
        self.script = list(script)
        self.asked.clear()
        return self

    def bodies(self) -> list[Any]:
        return [one.body for one in self.asked]

    def stop(self) -> None:
        # A listener that somebody waits on is only closed when that one stops waiting.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection, self._connections), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            file = connection.makefile("rb")
            while line := file.readline():
                method, path, _ = line.decode().split(" ", 2)
                headers = {}
                while (header := file.readline().decode().strip()) != "":
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                length = int(headers.get("content-length", 0))
                body = json.loads(file.read(length)) if length else None
                with self._lock:
                    self.asked.append(Asked(method, path, headers, body, number))
                    say = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                if not self._answer(connection, say):
                    break
        except OSError:
            pass
        finally:
            connection.close()

    def _answer(self, connection: socket.socket, say: Say) -> bool:
        time.sleep(say.after)
        if say.hang_up:
            connection.shutdown(socket.SHUT_RDWR)
            return False
        body = say.body if isinstance(say.body, bytes) else json.dumps(say.body).encode()
        headers = {"content-type": "application/json", **say.headers}
        if say.close:
            headers["connection"] = "close"
        if say.chunked:
            headers["transfer-encoding"] = "chunked"
            pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
            framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        else:
            headers["content-length"] = str(len(body))
            framed = body
        head = f"HTTP/1.1 {say.status} Said\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers.items()) + "\r\n"
        whole = head.encode() + framed
        if say.cut:
            connection.sendall(whole[: len(whole) - len(framed) // 2 - 1])
            connection.shutdown(socket.SHUT_RDWR)
            return False
        connection.sendall(whole)
        return not say.close
