from __future__ import annotations

import base64

import pytest

import vectron
from vectron._session import Sessions, read_token

from scripted import META, Say, Scripted, problem


def token(incarnation: int, **shards: int) -> str:
    """A token as the server makes them, but for the check, which only the server knows."""
    data = bytearray([1])
    numbers = [incarnation, len(shards)]
    for name, index in shards.items():
        numbers += [int(name[1:]), index]
    for number in numbers:
        while number >= 0x80:
            data.append(number & 0x7F | 0x80)
            number >>= 7
        data.append(number)
    return base64.urlsafe_b64encode(bytes(data) + b"check!").decode().rstrip("=")


def wrote(session: str) -> Say:
    return Say({"upserted": 1, "failed": [], "session": session, "replayed": False})


def found(level: str, session: str = "") -> Say:
    meta = {**META, "consistency": {"level": level, "staleness_ms": 5}, "session": session}
    return Say({"search_id": level, "results": [], "meta": meta})


POINT = [("a", [1.0])]
ONE = token(1, s1=300)


def test_tokens_are_read_not_made() -> None:
    assert read_token(token(7, s1=900, s300=1 << 40)) == (7, {1: 900, 300: 1 << 40})
    for other in ("", "!", "AAAA", "AQEBARGnc2Y", token(7, s1=9)[:-3]):
        parsed = read_token(other)
        assert parsed is None or parsed[1] != {1: 9}


def test_a_strict_policy_is_not_weakened(scripted: Scripted, connect) -> None:
    client = connect(scripted.says(wrote(ONE), found("linearizable")).url)
    client.upsert("c", POINT)
    client.search("c", [1.0])
    client.search("c", [1.0])
    assert ["consistency" in body for body in scripted.bodies()] == [False] * 3
    assert client.session("c") == ONE


@pytest.mark.parametrize("weak", ["eventual", "bounded"])
def test_a_weak_policy_is_read_with_the_token_of_our_writes(scripted: Scripted, connect, weak: str) -> None:
    client = connect(scripted.says(wrote(ONE), found(weak), found("session")).url)
    client.upsert("c", POINT)
    # The first answer may miss the write, so it is asked for again; from then on at once.
    assert client.search("c", [1.0]).search_id == "session"
    client.search("c", [1.0])
    client.get_many("c", ["a"])
    wanted = {"level": "session", "token": ONE}
    assert [body.get("consistency") for body in scripted.bodies()[1:]] == [None, wanted, wanted, wanted]
    # Other collections and plain readers are left alone.
    client.search("other", [1.0])
    assert "consistency" not in scripted.asked[-1].body


def test_reads_of_one_point_carry_it_in_the_path(scripted: Scripted, connect) -> None:
    got = Say({"point": {"id": "a", "version": 1}, "meta": META})
    client = connect(scripted.says(wrote(ONE), found("eventual"), found("session"), got).url)
    client.upsert("c", POINT)
    client.search("c", [1.0])
    client.get("c", "a/b?")
    path, _, query = scripted.asked[-1].path.partition("?")
    assert path == "/v1/collections/c/points/a%2Fb%3F"
    assert f"consistency=session&token={ONE}" in query


def test_told_otherwise(scripted: Scripted, connect) -> None:
    client = connect(scripted.says(wrote(ONE), found("eventual")).url, read_your_writes=False)
    client.upsert("c", POINT)
    assert client.search("c", [1.0]).search_id == "eventual"
    assert len(scripted.asked) == 2
    bound = {"level": "bounded", "max_staleness_ms": 5}
    client.search("c", [1.0], consistency=bound)
    assert scripted.asked[-1].body["consistency"] == bound
    client = connect(scripted.says(wrote(ONE), found("eventual")).url, consistency="eventual")
    client.upsert("c", POINT)
    client.search("c", [1.0])
    client.search("c", [1.0], consistency="linearizable")
    assert [body.get("consistency") for body in scripted.bodies()] == [None, "eventual", "linearizable"]


def test_no_token_says_all_of_writes_to_several_shards(scripted: Scripted, connect) -> None:
    first, second, both = token(1, s1=5), token(1, s2=9), token(1, s1=6, s2=9)
    script = [wrote(first), wrote(second), found("eventual"), found("linearizable", both), found("session")]
    client = connect(scripted.says(*script).url)
    client.upsert("c", POINT)
    client.upsert("c", [("b", [1.0])])
    assert client.session("c") is None
    # Linearizable is more than enough, and its answer has a token that says it all.
    client.search("c", [1.0])
    client.search("c", [1.0])
    wanted = {"level": "session", "token": both}
    assert [body.get("consistency") for body in scripted.bodies()[2:]] == [None, "linearizable", wanted]
    assert client.session("c") == both


def test_tokens_of_late_answers_do_not_move_back() -> None:
    sessions = Sessions()
    sessions.wrote("c", token(1, s1=9))
    sessions.wrote("c", token(1, s1=5))
    assert sessions.token("c") == token(1, s1=9)
    sessions.wrote("c", token(2, s4=1))
    sessions.wrote("c", token(1, s1=99))
    assert sessions.token("c") == token(2, s4=1)


def test_a_token_of_another_form_asks_for_more(scripted: Scripted, connect) -> None:
    client = connect(scripted.says(wrote("newer-form"), found("eventual"), found("linearizable")).url)
    client.upsert("c", POINT)
    client.search("c", [1.0])
    assert scripted.asked[-1].body["consistency"] == "linearizable"


def test_a_token_of_a_collection_that_was_made_anew_is_dropped(scripted: Scripted, connect) -> None:
    errors = [{"field": "consistency.token", "reason": "belongs to another collection"}]
    refused = problem("invalid_argument", 400, errors=errors)
    script = [wrote(ONE), found("eventual"), found("session"), refused, found("eventual")]
    client = connect(scripted.says(*script).url)
    client.upsert("c", POINT)
    client.search("c", [1.0])
    assert client.search("c", [1.0]).search_id == "eventual"
    assert "consistency" not in scripted.asked[-1].body
    # A token that the caller gave is the caller's.
    scripted.says(refused)
    with pytest.raises(vectron.InvalidArgument):
        client.search("c", [1.0], consistency={"level": "session", "token": ONE})
