from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import time
from pathlib import Path

import pytest

import vectron
from vectron import Client, Hedge, RetryPolicy

from scripted import META, Say, Scripted, problem

FOUND = Say({"search_id": "s", "results": [], "meta": META})
WRITTEN = Say({"upserted": 1, "failed": [], "session": "", "replayed": False})
QUICK = RetryPolicy(first_pause=0.001)
POINT = [("a", [1.0, 2.0])]


def test_what_is_retryable_is_tried_again(scripted: Scripted, connect) -> None:
    client = connect(scripted.says(problem("unavailable", 503), problem("overloaded", 503), FOUND).url, retry=QUICK)
    assert client.search("c", [1.0]).ids == []
    assert len(scripted.asked) == 3
    assert scripted.asked[0].body == scripted.asked[2].body
    assert len({one.connection for one in scripted.asked}) == 1


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("invalid_argument", 400, vectron.InvalidArgument),
        ("unauthenticated", 401, vectron.Unauthenticated),
        ("forbidden", 403, vectron.Forbidden),
        ("not_found", 404, vectron.NotFound),
        ("already_exists", 409, vectron.AlreadyExists),
        ("version_mismatch", 412, vectron.VersionMismatch),
        ("idempotency_key_reused", 422, vectron.IdempotencyKeyReused),
        ("unsafe_operation", 409, vectron.UnsafeOperation),
        ("too_large", 413, vectron.TooLarge),
        ("internal", 500, vectron.InternalError),
        ("something_new", 418, vectron.VectronError),
    ],
)
def test_what_is_not_is_raised_by_cause(scripted: Scripted, connect, code: str, status: int, kind: type) -> None:
    client = connect(scripted.says(problem(code, status), FOUND).url, retry=QUICK)
    with pytest.raises(kind) as caught:
        client.search("c", [1.0])
    error = caught.value
    assert type(error) is kind
    assert (error.code, error.status, error.request_id, error.retryable) == (code, status, "r-1", False)
    assert error.outcome == "not_applied"
    assert len(scripted.asked) == 1


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("rate_limited", 429, vectron.RateLimited),
        ("overloaded", 503, vectron.Overloaded),
        ("unavailable", 503, vectron.Unavailable),
        ("deadline_exceeded", 504, vectron.DeadlineExceeded),
        ("staleness_unmet", 503, vectron.StalenessUnmet),
        ("disk_full", 507, vectron.DiskFull),
    ],
)
def test_retries_end(scripted: Scripted, connect, code: str, status: int, kind: type) -> None:
    client = connect(scripted.says(problem(code, status)).url, retry=RetryPolicy(attempts=3, first_pause=0.001))
    with pytest.raises(kind) as caught:
        client.search("c", [1.0])
    assert caught.value.retryable
    assert caught.value.attempts == len(scripted.asked) == 3


@pytest.mark.parametrize("by_header", [False, True])
def test_retry_after_is_honoured(scripted: Scripted, connect, by_header: bool) -> None:
    more = {"headers": {"retry-after": "1"}} if by_header else {"retry_after_ms": 300}
    least = 1.0 if by_header else 0.3
    client = connect(scripted.says(problem("rate_limited", 429, **more), FOUND).url, retry=QUICK)
    start = time.monotonic()
    client.search("c", [1.0])
    assert time.monotonic() - start >= least


def test_a_pause_past_the_budget_is_not_taken(scripted: Scripted, connect) -> None:
    client = connect(scripted.says(problem("rate_limited", 429, retry_after_ms=60_000), FOUND).url)
    with pytest.raises(vectron.RateLimited) as caught:
        client.search("c", [1.0])
    assert caught.value.retry_after == 60
    assert len(scripted.asked) == 1


def test_a_pause_past_the_deadline_is_not_taken(scripted: Scripted, connect) -> None:
    client = connect(scripted.says(problem("unavailable", 503, retry_after_ms=2000), FOUND).url)
    with pytest.raises(vectron.Unavailable):
        client.search("c", [1.0], timeout=1.0)
    assert 1 <= scripted.asked[0].body["timeout_ms"] <= 1000
    assert len(scripted.asked) == 1


def test_a_busy_server_is_given_its_own_budget() -> None:
    policy = RetryPolicy(attempts=100, budget=0.0, overload_budget=60.0, first_pause=0.0)
    from vectron._retry import Patience

    patience = Patience(policy, 0.0)
    for second in range(20):
        assert patience.next_pause("overloaded", None, second + 0.5) is not None
    assert patience.next_pause("unavailable", 1.0, 20.0) is None


def test_pauses_grow_to_a_limit_and_scatter() -> None:
    policy = RetryPolicy()
    for attempt in range(1, 50):
        assert 0 <= policy.pause(attempt, None) <= min(policy.longest_pause, policy.first_pause * 2 ** (attempt - 1))
        assert 0.7 <= policy.pause(attempt, 0.7) <= 0.7 * 1.25
    assert len({policy.pause(9, None) for _ in range(10)}) > 1


def test_writes_carry_one_key_over_all_attempts(scripted: Scripted, connect) -> None:
    client = connect(scripted.says(problem("unavailable", 503), Say(hang_up=True), WRITTEN).url, retry=QUICK)
    assert client.upsert("c", POINT).upserted == 1
    keys = {body["idempotency_key"] for body in scripted.bodies()}
    assert len(keys) == 1
    assert len(scripted.asked) == 3
    scripted.says(Say(hang_up=True), Say({"deleted": 1, "session": "", "replayed": True}))
    assert client.delete("c", "a").replayed
    assert len({body["idempotency_key"] for body in scripted.bodies()}) == 1


def test_a_write_in_doubt_is_an_outcome_unknown(scripted: Scripted, connect) -> None:
    never = RetryPolicy.never()
    client = connect(scripted.says(Say(hang_up=True)).url, retry=never)
    with pytest.raises(vectron.OutcomeUnknown) as caught:
        client.upsert("c", POINT)
    assert caught.value.outcome == "unknown"
    assert caught.value.code == "unavailable"
    assert isinstance(caught.value.__cause__, vectron.Unavailable)
    assert caught.value.result is not None
    assert caught.value.result.outcome(0) == "unknown"
    scripted.says(problem("deadline_exceeded", 504, outcome="unknown"))
    with pytest.raises(vectron.OutcomeUnknown):
        client.delete("c", "a")
    # Reads have no outcome.
    with pytest.raises(vectron.DeadlineExceeded):
        client.search("c", [1.0])


def test_doubt_stays_after_a_later_refusal(scripted: Scripted, connect) -> None:
    client = connect(scripted.says(Say(hang_up=True), problem("not_found", 404)).url, retry=QUICK)
    with pytest.raises(vectron.OutcomeUnknown) as caught:
        client.upsert("c", POINT)
    assert caught.value.code == "not_found"
    # But a condition under a key is decided once, whichever attempt brought it.
    scripted.says(Say(hang_up=True), problem("version_mismatch", 412, current_version=7))
    with pytest.raises(vectron.VersionMismatch) as decided:
        client.upsert("c", [{"id": "a", "vector": [1.0], "if_version": 3}])
    assert decided.value.current_version == 7


def test_a_write_without_a_key_is_not_repeated_in_doubt(scripted: Scripted, connect) -> None:
    client = connect(scripted.says(Say(hang_up=True)).url, retry=QUICK)
    with pytest.raises(vectron.OutcomeUnknown):
        client.create_collection("c", 3, "cosine")
    assert len(scripted.asked) == 1
    # Certainly without effect: it is.
    scripted.says(problem("unavailable", 503), Say({"collection": {"name": "c"}, "created": True}))
    assert client.create_collection("c", 3, "cosine").created
    assert len(scripted.asked) == 2


def test_a_connection_that_idled_too_long_costs_no_attempt(scripted: Scripted, connect) -> None:
    client = connect(scripted.says(FOUND, Say(hang_up=True), FOUND).url, retry=RetryPolicy.never())
    client.search("c", [1.0])
    client.search("c", [1.0])
    assert len(scripted.asked) == 3


def test_half_an_answer_is_none(scripted: Scripted, connect) -> None:
    client = connect(scripted.says(Say({"x": "y" * 100}, cut=True), FOUND).url, retry=QUICK)
    assert client.search("c", [1.0]).ids == []
    assert len(scripted.asked) == 2


def test_nobody_there(connect) -> None:
    server = Scripted()
    server.stop()
    client = connect(server.url, retry=RetryPolicy(attempts=2, first_pause=0.001))
    with pytest.raises(vectron.Unavailable, match=r"refused.*vectron up") as caught:
        client.upsert("c", POINT)
    assert caught.value.outcome == "not_applied"
    assert caught.value.attempts == 2


def test_another_gateway_takes_over(scripted: Scripted, connect) -> None:
    dead = Scripted()
    dead.stop()
    client = connect([dead.url, scripted.says(FOUND).url], retry=QUICK)
    client.search("c", [1.0])
    client.search("c", [1.0])
    assert len(scripted.asked) == 2


def test_time_ends_at_the_client_too(scripted: Scripted, connect) -> None:
    client = connect(scripted.says(Say(after=5)).url, timeout=0.2, retry=RetryPolicy.never())
    start = time.monotonic()
    with pytest.raises(vectron.DeadlineExceeded):
        client.search("c", [1.0])
    assert time.monotonic() - start < 4


def test_a_slow_read_is_sent_again(scripted: Scripted, connect) -> None:
    slow = Say({**FOUND.body, "search_id": "slow"}, after=3)
    client = connect(scripted.says(slow, FOUND).url, hedge=Hedge(after=0.05, share=0.5))
    start = time.monotonic()
    assert client.search("c", [1.0]).search_id == "s"
    assert time.monotonic() - start < 2.5
    assert len(scripted.asked) == 2
    assert client._core.settings.hedge.sent == 1
    # The loser's late answer is nobody's.
    scripted.says(Say({**FOUND.body, "search_id": "next"}))
    assert client.search("c", [1.0]).search_id == "next"


def test_hedges_have_a_budget_and_writes_have_none(scripted: Scripted, connect) -> None:
    client = connect(scripted.says(Say(FOUND.body, after=0.1)).url, hedge=Hedge(after=0.01, share=0.05))
    for _ in range(6):
        client.search("c", [1.0])
    assert len(scripted.asked) == 7
    client = connect(scripted.says(Say(WRITTEN.body, after=0.1)).url, hedge=Hedge(after=0.01, share=1.0))
    client.upsert("c", POINT)
    assert len(scripted.asked) == 1


def test_a_proxys_refusal_is_told_apart(scripted: Scripted, connect) -> None:
    client = connect(scripted.says(Say(b"<html>bad gateway", 502)).url, retry=RetryPolicy.never())
    with pytest.raises(vectron.Unavailable, match="HTTP 502"):
        client.search("c", [1.0])
    with pytest.raises(vectron.OutcomeUnknown):
        client.upsert("c", POINT)
    client = connect(scripted.says(Say(b"<html>hello")).url)
    with pytest.raises(vectron.InternalError, match="not a JSON object"):
        client.search("c", [1.0])


def test_answers_in_pieces(scripted: Scripted, connect) -> None:
    said = {**FOUND.body, "search_id": "s" * 1000}
    client = connect(scripted.says(Say(said, chunked=True), Say(said, close=True), FOUND).url)
    assert client.search("c", [1.0]).search_id == "s" * 1000
    assert client.search("c", [1.0]).search_id == "s" * 1000
    assert client.search("c", [1.0]).search_id == "s"
    assert [one.connection for one in scripted.asked] == [1, 1, 2]


def test_through_httpx(scripted: Scripted) -> None:
    import httpx

    with httpx.Client() as inner, Client(scripted.says(FOUND).url, transport=inner, key="k1", retry=QUICK) as client:
        assert client.search("c", [1.0]).search_id == "s"
        assert scripted.asked[0].headers["authorization"] == "Bearer k1"
        scripted.says(Say(hang_up=True), WRITTEN)
        assert client.upsert("c", POINT).upserted == 1


def test_a_client_that_is_closed_says_so(scripted: Scripted) -> None:
    client = Client(scripted.says(FOUND).url, retry=RetryPolicy.never())
    client.close()
    with pytest.raises(vectron.Unavailable, match="closed"):
        client.search("c", [1.0])


def test_threads_share_a_client(scripted: Scripted) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with Client(scripted.says(FOUND).url, connections=4) as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: client.search("c", [float(number)]), range(64)))
    assert len(answers) == len(scripted.asked) == 64
    assert len({one.connection for one in scripted.asked}) <= 4


def test_tls(tmp_path: Path, connect) -> None:
    """Roots are checked, and a file of them is enough."""
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate")
    made = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem"), "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-nodes", "-newkey", "rsa:2048"]
    subprocess.run(["openssl", "req", "-x509", *names, *made], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server = Scripted(context)
    url = server.says(Say({**FOUND.body, "search_id": "s" * 100_000})).url
    for options in ({"verify": tmp_path / "cert.pem"}, {"verify": False}):
        client = connect(url, **options)
        server.asked.clear()
        for _ in range(3):
            assert client.search("c", [1.0]).search_id == "s" * 100_000
        assert len({one.connection for one in server.asked}) == 1
    with pytest.raises(vectron.Unavailable, match="certificate") as caught:
        connect(url, retry=QUICK).search("c", [1.0])
    assert caught.value.outcome == "not_applied"
    server.stop()


def test_a_fork_has_connections_of_its_own(scripted: Scripted) -> None:
    with Client(scripted.says(FOUND).url) as client:
        client.search("c", [1.0])
        child = os.fork()
        if child == 0:
            os._exit(0 if client.search("c", [1.0]).search_id == "s" else 1)
        assert os.waitpid(child, 0)[1] == 0
        client.search("c", [1.0])
    assert [one.connection for one in scripted.asked] == [1, 2, 1]
