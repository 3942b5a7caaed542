from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import vectron
from vectron import PointInput, RetryPolicy
from vectron._bulk import Batch, Bulk, BulkOptions
from vectron._points import rows_of

from scripted import Say, Scripted, problem

QUICK = RetryPolicy(first_pause=0.001)


def options(**more: Any) -> BulkOptions:
    given = {"batch_rows": 3, "batch_bytes": 1 << 20, "concurrency": 2, "key": "k", "skip_invalid": False}
    return BulkOptions(**{**given, "timeout": None, "retry": None, **more})


class Store:
    """Applies batches like a server: whole or not at all, once per key."""

    def __init__(self, refuse: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        self.points: dict[str, int] = {}
        self.keys: dict[str, dict[str, Any]] = {}
        self.refuse = refuse
        self.sent: list[Batch] = []

    def answer(self, batch: Batch) -> dict[str, Any] | vectron.VectronError:
        self.sent.append(batch)
        if batch.key in self.keys:
            return {**self.keys[batch.key], "replayed": True}
        bad = [place for place, row in enumerate(batch.rows) if row.id in self.refuse]
        if bad:
            errors = tuple(vectron.FieldError(f"points[{place}].vector", "is bad") for place in bad)
            return vectron.InvalidArgument(f"points[{bad[0]}]: vector is bad", errors=errors)
        for row in batch.rows:
            self.points[row.id] = row.row
        self.keys[batch.key] = {"upserted": len(batch.rows), "failed": [], "session": "", "replayed": False}
        return self.keys[batch.key]


def drive(bulk: Bulk, rows: Any, store: Store, order: random.Random) -> vectron.UpsertResult:
    plan, flying, came = bulk.plan(rows), [], None
    try:
        while True:
            effect = plan.send(came)
            came = None
            if effect is not None:
                ids = [row.id for batch in [*flying, effect] for row in batch.rows]
                assert len(ids) == len(set(ids)), "an id twice on its way"
                assert len(flying) < bulk.options.concurrency
                flying.append(effect)
            else:
                batch = flying.pop(order.randrange(len(flying)))
                came = (batch, store.answer(batch))
    except StopIteration as stop:
        return stop.value


@pytest.mark.parametrize("seed", range(40))
def test_every_row_is_decided_once_and_the_last_one_wins(seed: int) -> None:
    order = random.Random(seed)
    ids = [f"p{order.randrange(25)}" for _ in range(order.randrange(1, 60))]
    refuse = {f"p{number}" for number in range(25) if order.random() < 0.2}
    store = Store(refuse)
    asked = options(batch_rows=order.randrange(1, 6), concurrency=order.randrange(1, 4), skip_invalid=True)
    result = drive(Bulk("c", asked, None), rows_of([(one, [1.0]) for one in ids], False), store, order)
    expected = {one: row for row, one in enumerate(ids) if one not in refuse}
    assert store.points == expected
    assert result.upserted == sum(one not in refuse for one in ids)
    assert sorted(failure.row for failure in result.failed) == [row for row, one in enumerate(ids) if one in refuse]
    outcomes = [result.outcome(row) for row in range(len(ids))]
    assert outcomes == ["not_applied" if one in refuse else "applied" for one in ids]


def test_a_run_taken_up_again_writes_nothing_twice() -> None:
    store = Store({"p4"})
    points = [(f"p{number}", [1.0]) for number in range(20)]
    for repeat in range(2):
        bulk = Bulk("c", options(skip_invalid=True), None)
        result = drive(bulk, rows_of(points, False), store, random.Random(repeat))
        assert result.upserted == 19
        assert result.replayed == (0 if repeat == 0 else result.batches)


def test_a_bad_point_ends_the_run_with_its_place() -> None:
    bulk = Bulk("c", options(concurrency=1), None)
    points = [(f"p{number}", [1.0]) for number in range(20)]
    with pytest.raises(vectron.InvalidArgument, match=r"points\[7\]: vector") as caught:
        drive(bulk, rows_of(points, False), Store({"p7"}), random.Random(0))
    error = caught.value
    assert error.errors[0].field == "points[7].vector"
    assert error.result is not None
    assert error.result.upserted == 6
    assert [error.result.outcome(row) for row in (5, 6, 7, 15)] == ["applied"] + ["not_applied"] * 3


def test_what_cannot_be_sent_is_found_here(scripted: Scripted, connect) -> None:
    client = connect(scripted.says(Say({"upserted": 1, "failed": [], "session": ""})).url)
    for point, words in [
        (("a", "text"), "list of numbers"),
        (("a", [1.0], {"x": float("nan")}), "JSON"),
        ((None, [1.0]), "an id is"),
        ((1.5, [1.0]), "an id is"),
        (("a", [1.0], {"x": "\ud800"}), "half of a character"),
        (7, "a point is"),
        (("a",), "a tuple is"),
        (("a", np.ones((2, 2, 2))), "dimensions"),
    ]:
        with pytest.raises(vectron.InvalidArgument, match=words) as caught:
            client.upsert("c", [("fine", [1.0]), point])
        assert caught.value.errors[0].field == "points[1]"
    result = client.upsert("c", [("fine", [1.0]), ("a", "text")], skip_invalid=True)
    assert (result.upserted, result.failed[0].row, result.failed[0].id) == (1, 1, "a")


def test_batches_by_bytes_and_count(scripted: Scripted, connect) -> None:
    client = connect(scripted.says(Say({"upserted": 1, "failed": [], "session": ""})).url)
    vector = np.ones(100, np.float32)
    client.upsert("c", [(number, vector) for number in range(10)], batch_bytes=1500)
    assert sorted(len(body["points"]) for body in scripted.bodies()) == [2, 2, 2, 2, 2]
    scripted.asked.clear()
    told: list[tuple[int, int | None]] = []
    points = [(number, vector) for number in range(10)]
    client.upsert("c", points, batch_rows=4, progress=lambda done, total: told.append((done, total)))
    assert sorted(len(body["points"]) for body in scripted.bodies()) == [2, 4, 4]
    assert told[-1] == (10, 10)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_batch_too_large_is_halved(scripted: Scripted, connect) -> None:
    answer = Say({"upserted": 2, "failed": [], "session": ""})
    client = connect(scripted.says(problem("too_large", 413), answer).url)
    result = client.upsert("c", [(number, [1.0]) for number in range(4)], skip_invalid=True)
    assert result.upserted == 4
    assert [len(body["points"]) for body in scripted.bodies()] == [4, 2, 2]


def test_points_that_could_be_tried_again_are(scripted: Scripted, connect) -> None:
    busy = {"id": "b", "code": "overloaded", "detail": "shard 2 is busy"}
    once = Say({"upserted": 1, "failed": [busy], "session": ""})
    done = Say({"upserted": 2, "failed": [], "session": "", "replayed": True})
    client = connect(scripted.says(once, done).url, retry=QUICK)
    assert client.upsert("c", [("a", [1.0]), ("b", [1.0])]).upserted == 2
    assert scripted.asked[0].body == scripted.asked[1].body
    # And when patience ends, nobody pretends to know.
    scripted.says(once)
    with pytest.raises(vectron.OutcomeUnknown) as caught:
        client.upsert("c", [("a", [1.0]), ("b", [1.0])])
    result = caught.value.result
    assert result is not None
    assert [result.outcome(0), result.outcome(1)] == ["applied", "unknown"]


def test_conditions_that_fail_are_in_the_result(scripted: Scripted, connect) -> None:
    failed = {"id": "b", "code": "version_mismatch", "detail": "no", "current_version": 9}
    client = connect(scripted.says(Say({"upserted": 1, "failed": [failed], "session": ""})).url)
    result = client.upsert("c", [PointInput("a", [1.0]), PointInput("b", [1.0], if_version=3)])
    assert (result.failed[0].row, result.failed[0].current_version) == (1, 9)
    assert scripted.asked[0].body["points"][1]["if_version"] == 3
    with pytest.raises(vectron.VersionMismatch):
        result.raise_for_failures()


def test_nothing_is_fine(scripted: Scripted, connect) -> None:
    client = connect(scripted.says(Say({})).url)
    assert client.upsert("c", []).upserted == 0
    assert client.upload("c", np.empty((0, 3))).upserted == 0
    assert scripted.asked == []


def test_matrices_of_any_type(scripted: Scripted, connect) -> None:
    client = connect(scripted.says(Say({"upserted": 1, "failed": [], "session": ""})).url)
    for kind in ("f2", "f4", ">f4", "f8", "i4"):
        scripted.asked.clear()
        matrix = np.arange(12).reshape(4, 3).astype(kind)
        client.upload("c", matrix[:, ::-1], ids=["a", "b", 3, 4], payloads=({"n": n} for n in range(4)))
        points = scripted.asked[0].body["points"]
        assert [point["id"] for point in points] == ["a", "b", "3", "4"]
        assert [point["payload"]["n"] for point in points] == [0, 1, 2, 3]
        packed = [vectron._encode.from_b64(point["vector_b64"]).tolist() for point in points]
        assert packed == matrix[:, ::-1].astype(float).tolist()
    for ids in (["a"], iter(["a"])):
        with pytest.raises(vectron.InvalidArgument, match="ids"):
            client.upload("c", np.zeros((2, 3)), ids=ids)
    with pytest.raises(vectron.InvalidArgument, match="matrix"):
        client.upload("c", np.zeros(3))
