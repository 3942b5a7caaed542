"""Against a real server. Each test has collections of its own."""

from __future__ import annotations

import threading
import time
import uuid

import numpy as np
import pytest

import vectron
from vectron import Client, PointInput, RetryPolicy

from conftest import Node

COLOURS = ["red", "green", "blue"]


@pytest.fixture
def name() -> str:
    return f"t-{uuid.uuid4().hex[:12]}"


def rows(count: int, dimension: int = 8) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, dimension)).astype(np.float32)


def test_a_collection_from_beginning_to_end(node: Node, connect, name: str) -> None:
    client = connect(node.url)
    assert client.ready()
    created = client.create_collection(name, 8, "cosine", shards=2)
    assert created.created
    assert not client.create_collection(name, 8, "cosine", shards=2).created
    with pytest.raises(vectron.AlreadyExists):
        client.create_collection(name, 9, "cosine")
    assert client.get_collection(name).dimension == 8
    assert client.collection_exists(name)
    vectors = rows(500)
    payloads = [{"colour": COLOURS[n % 3], "n": n, "big": 2**60 + n} for n in range(500)]
    result = client.upload(name, vectors, payloads=payloads, batch_rows=64)
    assert (result.upserted, result.failed) == (500, [])
    assert client.count(name) == 500
    assert client.count(name, filter={"colour": "red"}) == 167
    found = client.search(name, vectors[17], top_k=5, include_vector=True, exact=True)
    scores = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)) @ (vectors[17] / np.linalg.norm(vectors[17]))
    assert found.ids == [str(one) for one in np.argsort(-scores)[:5]]
    assert np.allclose(found.scores, np.sort(scores)[::-1][:5], atol=1e-5)
    assert isinstance(found[0].vector, np.ndarray)
    assert np.allclose(found[0].vector, vectors[17])
    assert found[0].payload == payloads[17]
    assert client.search(name, vectors[17].tolist(), top_k=5, exact=True).ids == found.ids
    filtered = client.search(name, vectors[17], top_k=3, filter={"n": {"$lt": 3}}, include_payload=False)
    assert {hit.id for hit in filtered} == {"0", "1", "2"}
    assert filtered[0].payload is None
    assert filtered.meta.degraded == ["filter_without_index"]
    assert filtered.meta.shards.total == 2
    assert client.create_index(name, "n", "integer")
    assert [index.field for index in client.list_indexes(name)] == ["n"]
    assert client.delete_index(name, "n")
    seen = [point.id for point in client.scroll_all(name, page_size=77)]
    assert seen == sorted(str(n) for n in range(500))
    page = client.scroll(name, limit=2, filter={"n": {"$gte": 498}}, include_vector=True)
    assert len(page) == 2
    assert isinstance(page[0].vector, np.ndarray)
    got = client.get_many(name, ["7", "no"], include_vector=True)
    assert (got.ids, got.missing) == (["7"], ["no"])
    assert client.get(name, 7).payload == payloads[7]
    events = list(client.search_stream(name, vectors[17], top_k=5, exact=True))
    assert events[-1].last
    assert events[-1].complete
    assert events[-1].ids == found.ids
    assert client.delete(name, ["7", "no"]).deleted == 1
    assert client.delete(name, filter={"colour": "red"}).deleted == 167
    with pytest.raises(vectron.NotFound):
        client.get(name, "7")
    status = client.collection_status(name)
    assert (status.points, len(status.shards)) == (332, 2)
    assert client.delete_collection(name)
    with pytest.raises(vectron.NotFound) as caught:
        client.count(name)
    assert caught.value.request_id


def test_explanations_print(node: Node, connect, name: str) -> None:
    client = connect(node.url)
    client.create_collection(name, 2, "dot")
    client.upsert(name, [("a", [1, 0], {"x": 1}), ("b", [0, 1], {"x": 2})])
    told = str(client.explain(name, [1, 1], filter={"x": 1}).explain)
    for word in ("shard", "plan", "stages:", "µs", "filter"):
        assert word in told, told


def test_refusals_have_their_cause(node: Node, connect, name: str) -> None:
    client = connect(node.url)
    client.create_collection(name, 3, "cosine")
    points = [(f"p{n}", [1, 0, 0]) for n in range(300)]
    points[290] = ("short", [1, 0])
    with pytest.raises(vectron.DimensionMismatch, match=r"points\[290\] 'short'") as caught:
        client.upsert(name, points, batch_rows=100)
    assert (caught.value.expected, caught.value.got) == (3, 2)
    assert caught.value.errors[0].field == "points[290].vector"
    with pytest.raises(vectron.DimensionMismatch):
        client.search(name, [1.0, 2.0])
    with pytest.raises(vectron.InvalidArgument, match="zeros"):
        client.upsert(name, [("z", [0, 0, 0])])
    with pytest.raises(vectron.InvalidArgument, match="finite"):
        client.upsert(name, [("z", [0, float("nan"), 0])])
    with pytest.raises(vectron.InvalidArgument, match="did you mean 'top_k'"):
        client.search(name, [1, 0, 0], topk=3)
    with pytest.raises(vectron.TooLarge):
        client.upsert(name, [("z", [1, 0, 0], {"x": "y" * 100_000})])
    mixed = [("ok", [1, 1, 1]), ("short", [1]), ("zero", [0, 0, 0]), ("wide", [1, 1, 1], {"x": "y" * 100_000})]
    result = client.upsert(name, mixed, skip_invalid=True)
    assert result.upserted == 1
    assert [result.outcome(row) for row in range(4)] == ["applied"] + ["not_applied"] * 3
    assert [failure.code for failure in result.failed] == ["invalid_argument", "invalid_argument", "too_large"]


def test_conditions(node: Node, connect, name: str) -> None:
    client = connect(node.url)
    client.create_collection(name, 2, "dot")
    client.upsert(name, [PointInput("a", [1, 0], if_version=0)])
    version = client.get(name, "a").version
    with pytest.raises(vectron.VersionMismatch) as caught:
        client.upsert(name, [PointInput("a", [2, 0], if_version=0)])
    assert caught.value.current_version == version
    result = client.upsert(name, [PointInput("a", [2, 0], if_version=version), PointInput("b", [2, 0], if_version=7)])
    assert (result.upserted, [failure.id for failure in result.failed]) == (1, ["b"])
    result = client.upsert(name, [("c", [1, 1])], idempotency_key="mine")
    again = client.upsert(name, [("c", [1, 1])], idempotency_key="mine")
    assert (result.replayed, again.replayed) == (0, 1)
    with pytest.raises(vectron.IdempotencyKeyReused):
        client.upsert(name, [("c", [1, 2])], idempotency_key="mine")


def test_ids_of_every_kind(node: Node, connect, name: str) -> None:
    client = connect(node.url)
    client.create_collection(name, 1, "dot")
    ids = ["a/b", "../x", "..", ".", "🦀", "with space", "q?x=1#y", "%2F", "a" * 512, str(2**70)]
    client.upsert(name, [(one, [1.0]) for one in ids])
    client.upsert(name, [(2**70, [2.0])])
    for one in ids:
        assert client.get(name, one).id == one
    assert client.get(name, 2**70, include_vector=True).vector.tolist() == [2.0]
    assert client.count(name) == len(ids)


@pytest.mark.parametrize("policy", ["eventual", {"level": "bounded", "max_staleness_ms": 60_000}])
def test_own_writes_are_read_under_a_weak_policy(node: Node, connect, name: str, policy) -> None:
    client = connect(node.url)
    client.create_collection(name, 1, "dot", shards=3, read_policy=policy)
    for number in range(30):
        client.upsert(name, [(f"p{number}", [1.0])])
        assert client.count(name) == number + 1
    # Where one token says all of it, another client can go by it.
    client.scroll(name, limit=1)
    token = client.session(name)
    assert token
    with Client(node.url) as other:
        session = {"level": "session", "token": token}
        assert other.count(name, consistency=session) == 30
        assert other.search(name, [1.0], consistency=session).meta.consistency.level == "session"
    # The same name anew.
    client.request("DELETE", f"/v1/collections/{name}")
    client.create_collection(name, 1, "dot", read_policy=policy)
    assert client.count(name) == 0


def test_threads_write_and_read(node: Node, name: str) -> None:
    with Client(node.url) as client:
        client.create_collection(name, 4, "cosine")
        failures: list[BaseException] = []

        def work(worker: int) -> None:
            try:
                for number in range(20):
                    ident = f"{worker}-{number}"
                    client.upsert(name, [(ident, [1, worker, number, 1])])
                    assert client.search(name, [1, worker, number, 1], top_k=200).ids.count(ident) == 1
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert client.count(name) == 120


def test_a_server_killed_and_restarted_during_an_upload(own_node: Node, connect, name: str) -> None:
    node, total = own_node, 6000
    client = connect(node.url)
    client.create_collection(name, 16, "cosine", shards=2)
    vectors = rows(total, 16)
    kills = [1500, 3500]
    progress: list[int] = []

    def told(done: int, of: int | None) -> None:
        progress.append(done)
        if kills and done >= kills[0]:
            kills.pop(0)
            node.kill()
            threading.Timer(0.3, node.start).start()

    result = client.upload(name, vectors, batch_rows=100, progress=told, retry=RetryPolicy.patient())
    assert kills == []
    assert (result.upserted, result.failed) == (total, [])
    assert all(result.outcome(row) == "applied" for row in range(total))
    assert client.count(name) == total
    assert [point.id for point in client.scroll_all(name)] == sorted(str(n) for n in range(total))
    # Nothing was written twice: each point has the version of one batch, and another run changes nothing.
    versions = {point.id: point.version for point in client.scroll_all(name)}
    again = client.upload(name, vectors, batch_rows=100, idempotency_key=result.key)
    assert again.replayed == again.batches == total // 100
    assert {point.id: point.version for point in client.scroll_all(name)} == versions


def test_an_impatient_upload_tells_what_it_knows(own_node: Node, connect, name: str) -> None:
    node, total = own_node, 3000
    client = connect(node.url)
    client.create_collection(name, 16, "cosine")
    vectors = rows(total, 16)

    def told(done: int, of: int | None) -> None:
        if done == 1000:
            node.kill()

    with pytest.raises((vectron.OutcomeUnknown, vectron.Unavailable)) as caught:
        client.upload(name, vectors, batch_rows=100, progress=told, retry=RetryPolicy(attempts=2, first_pause=0.01))
    result = caught.value.result
    assert result is not None
    outcomes = {row: result.outcome(row) for row in range(total)}
    assert sum(outcome == "applied" for outcome in outcomes.values()) == result.upserted >= 1000
    time.sleep(0.1)
    node.start()
    held = {int(point.id) for point in client.scroll_all(name)}
    for row, outcome in outcomes.items():
        if outcome != "unknown":
            assert (row in held) == (outcome == "applied"), (row, outcome)
    # Under the same key the rest goes in, and what is there stays.
    done = client.upload(name, vectors, batch_rows=100, idempotency_key=result.key)
    assert done.upserted == total
    assert client.count(name) == total
