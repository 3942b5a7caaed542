from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vectron import AsyncClient, Client

from scripted import Scripted

BINARY = Path(os.environ.get("VECTRON_BIN") or Path(__file__).parents[3] / "target/debug/vectron")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name in ("VECTRON_URL", "VECTRON_API_KEY", "VECTRON_API_KEY_FILE") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


class Awaited:
    """An asyncio client with blocking methods, so that one test holds for both clients."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = AsyncClient(*arguments, **options)
        self._core = self._client._core

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            result = method(*arguments, **options)
            if inspect.isasyncgen(result):
                return iter(self._loop.run_until_complete(_collect(result)))
            if inspect.isawaitable(result):
                return self._loop.run_until_complete(result)
            return result

        return call

    def end(self) -> None:
        self._loop.run_until_complete(self._client.close())
        self._loop.close()


async def _collect(items: Any) -> list[Any]:
    return [item async for item in items]


Connect = Callable[..., Any]


@pytest.fixture(params=["blocking", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Makes clients of either kind."""
    made: list[Any] = []

    def one(*arguments: Any, **options: Any) -> Any:
        kind = Client if request.param == "blocking" else Awaited
        made.append(kind(*arguments, **options))
        return made[-1]

    yield one
    for client in made:
        client.close() if isinstance(client, Client) else client.end()


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.stop()


class Node:
    """A real server, which can be killed and started again."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.arguments = arguments
        self.listen = "127.0.0.1:0"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        command = [str(BINARY), "up", "--open", "--data-dir", str(self.folder), "--listen", self.listen, "-o", "json"]
        with (self.folder.parent / "log").open("ab") as log:
            self.process = subprocess.Popen([*command, *self.arguments], stdout=subprocess.PIPE, stderr=log)
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            pytest.fail((self.folder.parent / "log").read_text())
        self.ready = json.loads(line)
        self.url = self.ready["rest"].removesuffix("/v1")
        self.listen = self.ready["address"]

    def kill(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)


def needs_binary() -> None:
    if not BINARY.exists():
        if "VECTRON_BIN" in os.environ:
            pytest.fail(f"VECTRON_BIN={BINARY} is not there")
        pytest.skip(f"no server at {BINARY}: cargo build -p vectron, or set VECTRON_BIN")


def start_node(*arguments: str) -> Iterator[Node]:
    needs_binary()
    with tempfile.TemporaryDirectory() as folder:
        node = Node(Path(folder) / "data", *arguments)
        yield node
        node.stop()


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    yield from start_node()


@pytest.fixture
def own_node() -> Iterator[Node]:
    yield from start_node()
