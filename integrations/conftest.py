"""Real servers for the tests of all integrations: one node, and three with every point on each of them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from vectron import Client, NotFound

BINARY = Path(os.environ.get("VECTRON_BIN") or Path(__file__).parents[1] / "target/debug/vectron")


@dataclass
class Server:
    """A running server, and how collections are made on it."""

    url: str
    settings: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("VECTRON_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def started(*arguments: str) -> Iterator[dict[str, Any]]:
    if not BINARY.exists():
        pytest.fail(f"no server at {BINARY}: cargo build -p vectron, or set VECTRON_BIN")
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("wb") as log:
        command = [str(BINARY), "up", "--open", "--data-dir", f"{folder}/data", "--listen", "127.0.0.1:0", "-o", "json"]
        # The machine's disk may be full for a server's taste; these write next to nothing.
        settings = {**os.environ, "VECTRON_WORKER_DISK_FULL_PERCENT": "99"}
        process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=log, env=settings)
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            pytest.fail(Path(folder, "log").read_text())
        yield json.loads(line)
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="session")
def one_node() -> Iterator[Server]:
    for ready in started():
        yield Server(ready["rest"].removesuffix("/v1"))


@pytest.fixture(scope="session")
def three_nodes() -> Iterator[Server]:
    for ready in started("--nodes", "3"):
        yield Server(ready["nodes"][0]["addresses"]["rest"].removesuffix("/v1"), {"replication_factor": 3})


@pytest.fixture
def collection(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a collection that is not there yet, and is gone afterwards from whatever server it was made on."""
    name = f"t-{uuid.uuid4().hex[:12]}"
    yield name
    for one in ("one_node", "three_nodes"):
        if one in request.fixturenames:
            with Client(request.getfixturevalue(one).url) as client, contextlib.suppress(NotFound):
                client.delete_collection(name)


@pytest.fixture(scope="module")
def module_collection() -> str:
    return f"m-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def emptied(three_nodes: Server, module_collection: str) -> str:
    """One collection for all tests of a module, empty or not yet there: a new one in three copies takes seconds."""
    with Client(three_nodes.url) as client, contextlib.suppress(NotFound):
        client.delete(module_collection, filter={})
    return module_collection
