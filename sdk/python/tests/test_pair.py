"""One store called from threads and from event loops."""

from __future__ import annotations

import asyncio
import pickle
import uuid

import pytest

from vectron import Ask, AsyncClient, Client, ClientPair, NotFound

from conftest import Node


def written(name: str):
    """Writes where nothing is yet, which takes a failure to notice."""
    point = ("a", [1.0], {"x": 1})
    try:
        yield Ask("upsert", name, [point])
    except NotFound:
        yield Ask("create_collection", name, 1, "dot")
        yield Ask("upsert", name, [point])
    found, count = yield [Ask("search", name, [1.0]), Ask("count", name)]
    return found.ids, count


def test_a_plan_does_the_same_in_both_worlds(node: Node) -> None:
    pair = ClientPair(node.url)
    first, second = (f"w-{uuid.uuid4().hex[:12]}" for _ in range(2))
    assert pair.run(written(first)) == (["a"], 1)
    # Every run has a loop of its own, and a client of its own with it.
    assert asyncio.run(pair.arun(written(second))) == (["a"], 1)
    assert asyncio.run(pair.arun(written(first))) == (["a"], 1)
    assert pickle.loads(pickle.dumps(pair)).client.count(first) == 1
    with pytest.raises(NotFound):
        pair.run(iter_once(Ask("count", "nobody")))
    pair.close()
    assert pair.client.count(first) == 1, "a closed pair connects again"
    pair.close()


def iter_once(ask: Ask):
    return (yield ask)


def test_given_clients_are_used_and_left_open(node: Node) -> None:
    name = f"w-{uuid.uuid4().hex[:12]}"
    with Client(node.url) as client:
        pair = ClientPair(client=client)
        assert pair.run(written(name)) == (["a"], 1)
        with pytest.raises(ValueError, match="async_client="):
            asyncio.run(pair.arun(written(name)))
        pair.close()
        assert client.count(name) == 1

    async def awaited() -> None:
        async with AsyncClient(node.url) as client:
            pair = ClientPair(async_client=client)
            assert await pair.arun(written(name)) == (["a"], 1)
            await pair.aclose()
            assert await client.count(name) == 1

    asyncio.run(awaited())
    half = ClientPair(async_client=object())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=" client="):
        half.run(written(name))
