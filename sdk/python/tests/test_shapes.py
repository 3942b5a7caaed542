"""What goes out and what comes in: vectors, payloads, addresses, tables, explanations."""

from __future__ import annotations

import datetime
import enum
import json
import subprocess
import sys
import uuid
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

import vectron
from vectron import Client, SparseVector
from vectron._encode import to_b64, to_json, vector_members
from vectron._wire import AnswerReader, BadAnswer, EventReader

from scripted import META, Say, Scripted

FOUND = {"search_id": "s", "results": [], "meta": META}


def test_dense_vectors_travel_packed_or_plain() -> None:
    for vector in ([1, 2.5], (1, 2.5), np.array([1, 2.5]), np.array([1, 0, 2.5], np.float32)[::2]):
        assert vector_members(vector, False) == {"vector_b64": to_b64(np.array([1, 2.5], "<f4"))}
        assert vector_members(vector, True) == {"vector": [1.0, 2.5]}
    with pytest.raises(vectron.InvalidArgument, match="finite"):
        vector_members([1.0, float("inf")], True)


def test_other_vectors_travel_by_name() -> None:
    sparse = SparseVector(np.array([3, 7]), [0.5, 1.5])
    spelled = {"indices": [3, 7], "values": [0.5, 1.5]}
    assert vector_members(sparse, False) == vector_members(spelled, False) == {"vector": spelled}
    assert vector_members([[1, 2], [3, 4]], False) == {"vector": [[1.0, 2.0], [3.0, 4.0]]}
    assert vector_members(np.ones((1, 2)), False) == {"vector": [[1.0, 1.0]]}
    packed = to_b64(np.array([1], "<f4"))
    assert vector_members({"title": [1], "body": [1]}, False) == {"vector_b64": {"title": packed, "body": packed}}
    mixed = {"title": [1], "terms": sparse}
    assert vector_members(mixed, False) == {"vector": {"title": [1.0], "terms": spelled}}
    for bad in (SparseVector([1], [1.0, 2.0]), SparseVector([1.5], [1.0]), "text", {"a": None}, [["a"]], [1, [2]]):
        with pytest.raises(vectron.InvalidArgument):
            vector_members(bad, False)


def test_payloads_keep_their_meaning() -> None:
    class Colour(enum.Enum):
        RED = "red"

    moment = datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.timezone.utc)
    given = {
        "big": 2**70,
        "text": "ü🦀",
        "numpy": np.int64(7),
        "array": np.array([1, 2]),
        "when": moment,
        "day": moment.date(),
        "id": uuid.UUID(int=5),
        "set": {2, 1},
        "colour": Colour.RED,
    }
    assert json.loads(to_json(given)) == {
        "big": 2**70,
        "text": "ü🦀",
        "numpy": 7,
        "array": [1, 2],
        "when": "2024-05-01T12:00:00+00:00",
        "day": "2024-05-01",
        "id": "00000000-0000-0000-0000-000000000005",
        "set": [1, 2],
        "colour": "red",
    }
    for bad in ({"x": float("nan")}, {"x": moment.replace(tzinfo=None)}, {"x": Decimal(1)}, {"x": b"bytes"}):
        with pytest.raises(vectron.InvalidArgument):
            print(to_json(bad))


def test_what_a_search_sends(scripted: Scripted, connect) -> None:
    client = connect(scripted.says(Say(FOUND)).url, vectors="json", key="secret-key")
    client.search("a/b", [1, 2], top_k=3, filter={"x": {"$in": np.array([1, 2])}}, ef=64, using="title", timeout=2)
    asked = scripted.asked[0]
    assert asked.path == "/v1/collections/a%2Fb/points/search"
    assert asked.headers["authorization"] == "Bearer secret-key"
    assert asked.body.pop("timeout_ms") in (1999, 2000)
    assert asked.body == {
        "vector": [1.0, 2.0],
        "top_k": 3,
        "filter": {"x": {"$in": [1, 2]}},
        "params": {"ef": 64},
        "using": "title",
    }
    client.search("c", text="some words", include_payload=False, include_vector=True, explain=True, anything=1)
    assert scripted.asked[1].body == {
        "text": "some words",
        "include_payload": False,
        "include_vector": True,
        "explain": True,
        "anything": 1,
    }
    with pytest.raises(vectron.InvalidArgument, match="a vector or a text"):
        client.search("c")
    assert "secret-key" not in repr(client)


def test_what_the_query_surface_sends(scripted: Scripted, connect) -> None:
    client = connect(scripted.says(Say(FOUND)).url, vectors="json")
    legs = [{"vector": np.array([1.0]), "limit": 5}, {"text": "words", "using": "long"}]
    client.query("c", prefetch=legs, fusion={"method": "rrf", "k": 60}, top_k=5)
    client.query("c", recommend={"positive": ["a"]})
    client.update_payload("c", ["a", 7], merge={"x": 1}, idempotency_key="k")
    client.update_payload("c", filter={"x": 1}, unset=["y.z"], idempotency_key="k")
    client.write_batch("c", [{"delete": {"ids": ["a"]}}], idempotency_key="k")
    client.set_alias("now", "c")
    client.update_collection("c", replication_factor=3)
    assert [(one.method, one.path.removeprefix("/v1/collections/c"), one.body) for one in scripted.asked] == [
        (
            "POST",
            "/points/query",
            {
                "prefetch": [{"vector": [1.0], "limit": 5}, {"text": "words", "using": "long"}],
                "fusion": {"method": "rrf", "k": 60},
                "top_k": 5,
            },
        ),
        ("POST", "/points/query", {"recommend": {"positive": ["a"]}}),
        ("POST", "/points/payload", {"merge": {"x": 1}, "ids": ["a", "7"], "idempotency_key": "k"}),
        ("POST", "/points/payload", {"unset": ["y.z"], "filter": {"x": 1}, "idempotency_key": "k"}),
        ("POST", "/points/batch", {"operations": [{"delete": {"ids": ["a"]}}], "idempotency_key": "k"}),
        ("POST", "/v1/aliases", {"actions": [{"set": {"alias": "now", "collection": "c"}}]}),
        ("PATCH", "", {"replication_factor": 3}),
    ]
    scripted.says(Say({"values": [{"value": "libs", "count": 3}], "meta": META}))
    assert client.facet("c", "section").to_dict() == {"libs": 3}
    scripted.says(Say({"verdict": "filtered", "clause": {"section": "libs"}, "value": "web"}))
    why = client.why_not("c", "a/b", [1.0], filter={"section": "libs"})
    assert scripted.asked[0].path.endswith("/points/a%2Fb/why-not")
    assert str(why).splitlines() == [
        "a/b: filtered, the filter does not hold for it",
        "  value web",
        "  clause",
        "    section libs",
    ]


def test_answers_as_objects(scripted: Scripted, connect) -> None:
    results = [
        {"id": "a", "score": 0.5, "version": 3, "payload": {"n": 2**60, "id": "x"}, "vector": [1.0, 2.0], "rank": 1},
        {"id": "b", "score": 0.25, "version": 4, "payload": {"m": [1]}, "vector": [3.0, 4.0]},
    ]
    meta = {**META, "degraded": ["filter_without_index"], "unheard_of": 1}
    client = connect(scripted.says(Say({**FOUND, "results": results, "meta": meta, "new": 1})).url)
    found = client.search("c", [1.0])
    assert found.ids == ["a", "b"]
    assert found[0].payload == {"n": 2**60, "id": "x"}
    assert found[0].raw["rank"] == 1
    assert found.raw["new"] == 1
    assert found.scores.dtype == np.float32
    assert isinstance(found[1].vector, np.ndarray)
    assert found[1].vector.tolist() == [3.0, 4.0]
    assert found.meta.degraded == ["filter_without_index"]
    pytest.importorskip("pyarrow")
    table = found.to_arrow()
    assert table.column_names == ["id", "score", "version", "vector", "n", "payload.id", "m"]
    assert table.to_pylist()[0] == {
        "id": "a",
        "score": 0.5,
        "version": 3,
        "vector": [1.0, 2.0],
        "n": 2**60,
        "payload.id": "x",
        "m": None,
    }
    pytest.importorskip("pandas")
    assert found.to_pandas()["payload.id"].tolist()[0] == "x"
    named = {"id": "a", "version": 1, "vector": {"t": [1.0], "s": {"indices": [1], "values": [2.0]}}}
    scripted.says(Say({"points": [named], "missing": [], "meta": META}))
    vector = client.get_many("c", ["a"], include_vector=True)[0].vector
    assert vector["t"].tolist() == [1.0]
    assert vector["s"].indices.tolist() == [1]


def test_fields_of_mixed_types_become_text() -> None:
    pytest.importorskip("pyarrow")
    point = vectron.Point("a", 1, {"x": 1}, None, {})
    other = vectron.Point("b", 1, {"x": "one"}, None, {})
    table = vectron.PointsAnswer([point, other], None, {}, []).to_arrow()  # type: ignore[arg-type]
    assert table.column("x").to_pylist() == ["1", '"one"']


def test_tables_of_every_kind(scripted: Scripted, connect, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    client = connect(scripted.says(Say({"upserted": 2, "failed": [], "session": ""})).url)
    rows = [
        {"key": "a", "v": [1.0, 2.0], "n": 1, "s": "x"},
        {"key": "b", "v": [3.0, 4.0], "n": None, "s": "y"},
    ]
    table = pa.Table.from_pylist(rows)
    parquet.write_table(table, tmp_path / "t.parquet")
    fixed = table.set_column(1, "v", pa.FixedSizeListArray.from_arrays(pa.array([1, 2, 3, 4], pa.float32()), 2))
    expected = [
        {"id": "a", "vector_b64": to_b64(np.array([1, 2], "<f4")), "payload": {"n": 1, "s": "x"}},
        {"id": "b", "vector_b64": to_b64(np.array([3, 4], "<f4")), "payload": {"s": "y"}},
    ]
    tables = [table, fixed, table.to_batches()[0], pa.RecordBatchReader.from_batches(table.schema, table.to_batches())]
    try:
        import pandas as pd

        tables.append(pd.DataFrame(rows))
    except ImportError:
        pass
    try:
        import polars as pl

        tables.append(pl.DataFrame(rows))
    except ImportError:
        pass
    for one in tables:
        scripted.asked.clear()
        assert client.upload_table("c", one, id="key", vector="v").upserted == 2
        assert scripted.asked[0].body["points"] == expected, type(one)
    scripted.asked.clear()
    client.upload_parquet("c", tmp_path / "t.parquet", id="key", vector="v")
    assert scripted.asked[0].body["points"] == expected
    client.upload_parquet("c", tmp_path / "t.parquet", id="key", vector="v", payload=["s"])
    assert scripted.asked[1].body["points"][0]["payload"] == {"s": "x"}
    structs = pa.table({"id": [1], "vector": [[1.0]], "p": [{"a": 1, "b": None}], "j": ['{"a": 12345678901234567890}']})
    client.upload_table("c", structs, payload="p")
    client.upload_table("c", structs, payload="j")
    assert [body["points"][0]["payload"] for body in scripted.bodies()[2:]] == [{"a": 1}, {"a": 12345678901234567890}]
    client.upload_table("c", pa.table({"id": ["a"], "x": [[1.0]], "y": [[2.0, 3.0]]}), vector=["x", "y"])
    assert set(scripted.asked[4].body["points"][0]["vector_b64"]) == {"x", "y"}
    with pytest.raises(vectron.InvalidArgument, match="no column 'id'; it has key, v"):
        client.upload_table("c", table)
    with pytest.raises(vectron.InvalidArgument, match="Arrow interface"):
        client.upload_table("c", [1, 2])
    nulls = pa.table({"id": ["a", None], "vector": [None, [1.0]]})
    result = client.upload_table("c", nulls, skip_invalid=True)
    assert [failure.row for failure in result.failed] == [0, 1]


def test_addresses_and_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert repr(Client()) == "Client(http://127.0.0.1:8080)"
    monkeypatch.setenv("VECTRON_URL", "http://a:1, https://b")
    assert repr(Client()) == "Client(http://a:1, https://b)"
    (tmp_path / "key").write_text("from-file\n")
    assert b"Bearer from-file\r\n" in Client(key_file=tmp_path / "key")._transport.endpoints[0].fixed  # type: ignore[attr-defined]
    monkeypatch.setenv("VECTRON_API_KEY_FILE", str(tmp_path / "key"))
    assert b"Bearer from-file\r\n" in Client()._transport.endpoints[0].fixed  # type: ignore[attr-defined]
    monkeypatch.setenv("VECTRON_API_KEY", "from-environment")
    assert b"Bearer from-environment\r\n" in Client()._transport.endpoints[0].fixed  # type: ignore[attr-defined]
    for bad in ("localhost:8080", "ftp://x", "http://", "http://x:y", "http://x/path", "", "http://u:p@x"):
        with pytest.raises(vectron.InvalidArgument):
            Client(bad or [])
    for more in ({"key": "a\nb"}, {"key": "a", "key_file": "b"}, {"key_file": tmp_path / "no"}, {"vectors": "x"}):
        with pytest.raises(vectron.InvalidArgument):
            Client("http://x", **more)


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch, scripted: Scripted) -> None:
    monkeypatch.setenv("http_proxy", scripted.says(Say(FOUND)).url)
    with Client("http://vectron.example:9") as client:
        assert client.search("c", [1.0]).search_id == "s"
    assert scripted.asked[0].headers["host"] == "vectron.example:9"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert type(Client("http://127.0.0.1:9")._transport).__name__ == "SyncTransport"


def test_answers_byte_by_byte() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: x\r\n"
    for raw, body in [
        (head + b"content-length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + head + b"content-length: 5\r\n\r\nhello", b"hello"),
        (head + b"transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nt: 1\r\n\r\n", b"hello"),
        (head + b"content-length: 0\r\n\r\n", b""),
    ]:
        for step in (1, 2, 3, 7, len(raw)):
            reader = AnswerReader()
            pieces = [raw[at : at + step] for at in range(0, len(raw), step)]
            done = [reader.feed(piece) for piece in pieces]
            assert done == [False] * (len(pieces) - 1) + [True], (raw, step)
            assert (reader.status, reader.reply().body) == (200, body)
    for bad in (b"SMTP hello\r\n\r\n", head + b"content-length: x\r\n\r\n", b"x" * 70_000):
        with pytest.raises(BadAnswer):
            AnswerReader().feed(bad)
    raw = b"event: results\ndata: {1}\n\nevent: last\r\ndata: a\r\ndata: b\r\n\r\n:ping\n\n"
    for step in (1, 2, 5, len(raw)):
        events, reader = [], EventReader()
        for at in range(0, len(raw), step):
            events += reader.feed(raw[at : at + step])
        assert events == [("results", b"{1}"), ("last", b"a\nb")], step


def test_the_asyncio_calls_are_made_from_the_blocking_ones() -> None:
    script = Path(__file__).parents[1] / "tools/make_async.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_asyncio_client_is_not_imported_unasked() -> None:
    code = (
        "import vectron, sys; assert 'asyncio' not in sys.modules and 'httpx' not in sys.modules; vectron.AsyncClient"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
