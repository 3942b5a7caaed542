"""Against three real nodes: every point on each of them, a node killed under an upload, reads from followers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vectron import Client, Hedge

from conftest import BINARY, needs_binary


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[dict]]:
    needs_binary()
    with tempfile.TemporaryDirectory() as folder:
        command = [str(BINARY), "up", "--open", "--nodes", "3", "--data-dir", f"{folder}/data"]
        log = Path(folder, "log").open("wb")  # noqa: SIM115
        process = subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0", "-o", "json"], stdout=subprocess.PIPE, stderr=log
        )
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            pytest.fail(Path(folder, "log").read_text())
        yield json.loads(line)["nodes"]
        process.terminate()
        process.wait(30)
        log.close()


@pytest.fixture
def name() -> str:
    return f"c-{uuid.uuid4().hex[:12]}"


def urls(nodes: list[dict]) -> list[str]:
    return [node["addresses"]["rest"] for node in nodes]


@pytest.mark.parametrize("policy", ["linearizable", "eventual"])
def test_own_writes_are_read_through_any_gateway(nodes: list[dict], connect, name: str, policy: str) -> None:
    clients = [connect(url) for url in urls(nodes)]
    clients[0].create_collection(name, 2, "dot", shards=2, replication_factor=3, read_policy=policy)
    for number in range(30):
        writer = clients[number % 3]
        writer.upsert(name, [(f"p{number}", [1, number])])
        assert writer.get(name, f"p{number}").id == f"p{number}"
        assert f"p{number}" in writer.search(name, [1, 1], top_k=100).ids
    assert clients[0].count(name, consistency="linearizable") == 30


def test_hedged_reads_give_the_same(nodes: list[dict], connect, name: str) -> None:
    client = connect(urls(nodes), hedge=Hedge(after=0.0, share=1.0))
    client.create_collection(name, 2, "dot", replication_factor=3)
    client.upsert(name, [(f"p{number}", [1, number]) for number in range(50)])
    assert {tuple(client.search(name, [1, 1], top_k=5).ids) for _ in range(20)} == {("p49", "p48", "p47", "p46", "p45")}
    assert client._core.settings.hedge.sent > 0


def test_a_node_killed_under_an_upload(nodes: list[dict], name: str) -> None:
    """The last test: the cluster has two nodes afterwards."""
    total, killed = 3000, []
    vectors = np.random.default_rng(2).normal(size=(total, 8)).astype(np.float32)

    def told(done: int, of: int | None) -> None:
        if done >= 1000 and not killed:
            killed.append(nodes[0]["pid"])
            os.kill(nodes[0]["pid"], signal.SIGKILL)

    with Client(urls(nodes)) as client:
        client.create_collection(name, 8, "cosine", shards=2, replication_factor=3)
        result = client.upload(name, vectors, batch_rows=100, progress=told)
        assert killed
        assert (result.upserted, result.failed) == (total, [])
        assert client.count(name) == total
