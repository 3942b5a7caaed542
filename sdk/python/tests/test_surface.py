"""The calls of the query surface, against a real server that has them; one that has not is skipped by name."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest

import vectron
from vectron import Client, PointInput

from conftest import Node


@pytest.fixture
def name() -> str:
    return f"s-{uuid.uuid4().hex[:12]}"


def described(node: Node) -> dict[str, Any]:
    with Client(node.url) as client:
        return client.request("GET", "/openapi.json")


def needs_path(node: Node, path: str) -> None:
    if path not in described(node)["paths"]:
        pytest.skip(f"the server has no {path}")


def needs_member(node: Node, schema: str, member: str) -> None:
    if member not in described(node)["components"]["schemas"].get(schema, {}).get("properties", {}):
        pytest.skip(f"the server's {schema} has no {member}")


POINTS = "/v1/collections/{collection}/points"


def test_payloads_change_without_vectors(node: Node, connect, name: str) -> None:
    needs_path(node, f"{POINTS}/payload")
    client = connect(node.url)
    client.create_collection(name, 1, "dot")
    client.upsert(name, [("a", [1], {"x": 1, "big": 2**60, "y": {"z": 1}}), ("b", [1], {"x": 2})])
    changed = client.update_payload(name, ["a", "no"], merge={"x": None, "new": [1]})
    assert (changed.updated, changed.missing) == (1, ["no"])
    assert client.get(name, "a").payload == {"big": 2**60, "y": {"z": 1}, "new": [1]}
    assert client.update_payload(name, filter={"x": 2}, replace={"all": True}).updated == 1
    assert client.update_payload(name, "a", unset=["y.z"]).updated == 1
    assert client.get(name, "a").payload["y"] == {}
    condition = {"id": "b", "if_filter": {"all": False}}
    with pytest.raises(vectron.VersionMismatch, match="if_filter"):
        client.update_payload(name, points=[condition], merge={"x": 1})
    changed = client.update_payload(name, points=[condition, {"id": "a"}], merge={"x": 1})
    assert (changed.updated, changed.failed[0].code) == (1, "version_mismatch")
    deleted = client.delete(name, points=[condition, {"id": "a"}])
    assert (deleted.deleted, [item.id for item in deleted.failed]) == (1, ["b"])


def test_operations_in_order(node: Node, connect, name: str) -> None:
    needs_path(node, f"{POINTS}/batch")
    client = connect(node.url)
    client.create_collection(name, 1, "dot")
    operations = [
        {"upsert": ("a", [1.0], {"x": 1})},
        {"payload": {"id": "a", "merge": {"y": 2}}},
        {"upsert": PointInput("b", [2.0])},
        {"delete": {"id": "b"}},
        {"delete": {"id": "c"}},
    ]
    done = client.write_batch(name, operations)
    assert [one.status for one in done.results] == ["applied", "applied", "applied", "applied", "missing"]
    assert client.get(name, "a").payload == {"x": 1, "y": 2}
    assert client.count(name) == 1


def test_points_end_by_themselves(node: Node, connect, name: str) -> None:
    needs_member(node, "PointInput", "ttl_ms")
    client = connect(node.url)
    client.create_collection(name, 1, "dot", ttl_ms=3_600_000)
    client.upsert(name, [PointInput("a", [1], ttl_ms=100), ("b", [1])])
    end = time.monotonic() + 20
    while client.count(name) == 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert client.get_many(name, ["a", "b"]).ids == ["b"]


def test_words_are_found(node: Node, connect, name: str) -> None:
    needs_member(node, "SearchRequest", "text")
    client = connect(node.url)
    client.create_collection(name, 1, "dot", text_fields={"about": {"language": "english"}})
    client.upsert(name, [("a", [1], {"about": "fast libraries"}), ("b", [1], {"about": "a slow library"})])
    assert set(client.search(name, text="library", using="about").ids) == {"a", "b"}
    assert client.search(name, text="slow library", params={"operator": "and"}).ids == ["b"]


def test_fields_by_name(node: Node, connect, name: str) -> None:
    needs_member(node, "CreateCollectionRequest", "vectors")
    client = connect(node.url)
    fields = {"title": {"dimension": 2, "distance": "cosine"}, "body": {"dimension": 3, "distance": "dot"}}
    client.create_collection(name, vectors=fields)
    client.upsert(name, [("a", {"title": [1, 0], "body": [1, 2, 3]}), ("b", {"title": [0, 1]})])
    found = client.search(name, [0, 1], using="title", include_vector=True)
    assert found.ids == ["b", "a"]
    assert found[1].vector["body"].tolist() == [1, 2, 3]
    assert client.search(name, [1, 1, 1], using="body").ids == ["a"]


def test_facets_and_reasons(node: Node, connect, name: str) -> None:
    needs_path(node, f"{POINTS}/facet")
    client = connect(node.url)
    client.create_collection(name, 1, "dot")
    client.upsert(name, [(n, [1], {"x": n % 2}) for n in range(5)])
    assert client.facet(name, "x").to_dict() == {0: 3, 1: 2}


def test_why_not(node: Node, connect, name: str) -> None:
    needs_path(node, f"{POINTS}/{{id}}/why-not")
    client = connect(node.url)
    client.create_collection(name, 1, "dot")
    client.upsert(name, [("a", [1], {"x": 1})])
    assert client.why_not(name, "a", [1.0]).verdict == "present"
    why = client.why_not(name, "a", [1.0], filter={"x": 2})
    assert why.verdict == "filtered"
    assert "x" in str(why)


def test_aliases(node: Node, connect, name: str) -> None:
    needs_path(node, "/v1/aliases")
    client = connect(node.url)
    client.create_collection(name, 1, "dot")
    client.set_alias(f"{name}-now", name)
    client.upsert(f"{name}-now", [("a", [1])])
    assert client.count(name) == 1
    assert any(one.alias == f"{name}-now" for one in client.list_aliases())
    client.delete_alias(f"{name}-now")
    with pytest.raises(vectron.NotFound):
        client.count(f"{name}-now")
