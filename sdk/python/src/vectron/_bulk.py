"""Writing many points: cut into batches by count and bytes, several in flight, each point's outcome in one result.

The plan is a generator, so that threads and tasks can drive the same one: it asks for a batch to be sent or for one to
be finished, and is told what came of it. A row that repeats an id which is still on its way waits for it, so the last
row wins as if the rows were sent one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias, Union

from ._core import KEYED, Call, fresh_key, in_path
from ._encode import to_json
from ._errors import CODES, RETRYABLE, FieldError, InvalidArgument, Unavailable, VectronError
from ._points import Row
from ._retry import RetryPolicy

Progress: TypeAlias = Union[bool, Callable[[int, "int | None"], None]]
"""True for a bar (if tqdm is installed), or a function that is told how many points are decided, and of how many."""

_UNSENT, _APPLIED, _REFUSED, _UNKNOWN = range(4)
_OUTCOMES = ("not_applied", "applied", "not_applied", "unknown")


@dataclass(slots=True)
class PointFailure:
    """A point that was not written, or may not have been."""

    row: int
    """Its place among the points that were given, from 0."""
    id: str
    code: str
    detail: str
    outcome: str
    """``not_applied``, or ``unknown``."""
    current_version: int | None = None
    """Of ``version_mismatch``: what was found."""


@dataclass(slots=True)
class UpsertResult:
    """What became of every point."""

    upserted: int = 0
    """Points written."""
    failed: list[PointFailure] = field(default_factory=list)
    """Points that were not, or may not have been, each with the reason."""
    session: str | None = None
    """Token of the last batch."""
    batches: int = 0
    """Batches acknowledged."""
    replayed: int = 0
    """Batches that turned out to have been written by an earlier attempt."""
    key: str = ""
    """Names the run. The same points under the same ``idempotency_key`` apply no batch twice."""
    _states: bytearray = field(default_factory=bytearray, repr=False)

    def outcome(self, row: int) -> str:
        """What became of the point at this place: ``applied``, ``not_applied`` or ``unknown``."""
        if row < 0:
            raise IndexError(row)
        return _OUTCOMES[self._states[row]] if row < len(self._states) else "not_applied"

    def raise_for_failures(self) -> UpsertResult:
        """Raises the first failure, if there is one."""
        if self.failed:
            first = self.failed[0]
            error = CODES.get(first.code, VectronError)(
                f"{len(self.failed)} points were not written, the first is points[{first.row}] '{first.id}': "
                f"{first.detail}",
                code=first.code,
                outcome=first.outcome,
                current_version=first.current_version,
            )
            error.result = self
            raise error
        return self

    def _set(self, row: int, state: int) -> None:
        if row >= len(self._states):
            self._states.extend(bytes(row + 1 - len(self._states)))
        self._states[row] = state


@dataclass(slots=True)
class Batch:
    """Rows on their way under one key."""

    rows: list[Row]
    key: str
    call: Call[dict[str, Any]]


Await = None
Sent = tuple[Batch, Union["dict[str, Any]", VectronError]]
Plan = Generator[Union[Batch, None], Union[Sent, None], UpsertResult]


@dataclass(frozen=True)
class BulkOptions:
    """How to cut and send."""

    batch_rows: int
    batch_bytes: int
    concurrency: int
    key: str | None
    skip_invalid: bool
    timeout: float | None
    retry: RetryPolicy | None


class Bulk:
    """One run of writing points."""

    def __init__(self, collection: str, options: BulkOptions, progress: Callable[[int], None] | None) -> None:
        if options.batch_rows < 1 or options.batch_bytes < 1 or options.concurrency < 1:
            raise InvalidArgument("batch_rows, batch_bytes and concurrency are at least 1")
        self._collection = collection
        self._path = f"/v1/collections/{in_path(collection)}/points"
        self.options = options
        self._progress = progress
        self.result = UpsertResult(key=options.key or fresh_key())
        self._decided = 0
        self._total = 0
        self._flying: set[str] = set()
        self._in_flight = 0
        self._end: VectronError | None = None
        self._mismatch: VectronError | None = None

    def plan(self, rows: Iterable[Row]) -> Plan:
        """Runs until every row is decided. Raises what is about more than some rows, with the result in it."""
        pending: list[Row] = []
        ids: set[str] = set()
        size = 0
        options = self.options
        try:
            for row in rows:
                self._total += 1
                if row.error is not None:
                    if not options.skip_invalid:
                        self._end = self._end or row.error
                        break
                    self._refuse(row, "invalid_argument", row.error.detail)
                    continue
                full = len(pending) >= options.batch_rows or size + len(row.json) > options.batch_bytes
                if pending and (full or row.id in ids):
                    yield from self._launch(pending, ids)
                    pending, ids, size = [], set(), 0
                    if self._end:
                        break
                pending.append(row)
                ids.add(row.id)
                size += len(row.json) + 1
        except VectronError as error:
            self._end = self._end or error
        if pending and not self._end:
            yield from self._launch(pending, ids)
        while self._in_flight:
            yield from self._settle((yield Await))
        if self._end:
            self._end.result = self.result
            raise self._end
        if self._total == 1 and self._mismatch:
            self._mismatch.result = self.result
            raise self._mismatch
        self.result.failed.sort(key=lambda failure: failure.row)
        return self.result

    def _launch(self, rows: list[Row], ids: set[str]) -> Generator[Any, Any, None]:
        while self._in_flight and (self._in_flight >= self.options.concurrency or not self._flying.isdisjoint(ids)):
            yield from self._settle((yield Await))
        if self._end:
            return
        self._flying |= ids
        self._in_flight += 1
        yield self._batch(rows, f"{self.result.key}.{rows[0].row}-{rows[-1].row}")

    def _batch(self, rows: list[Row], key: str) -> Batch:
        body = b'{"idempotency_key":%b,"points":[%b]' % (to_json(key), b",".join([row.json for row in rows]))
        call: Call[dict[str, Any]] = Call(
            "POST",
            self._path,
            _same,
            body,
            repeat=KEYED,
            collection=self._collection,
            timeout=self.options.timeout,
            retry=self.options.retry,
            unfinished=_unfinished,
        )
        return Batch(rows, key, call)

    def _settle(self, sent: Sent | None) -> Generator[Any, Any, None]:
        """Books what came of a batch. One that was refused because of some of its rows goes out again without them."""
        if sent is None:
            return
        batch, came = sent
        self._in_flight -= 1
        if isinstance(came, dict):
            self._book(batch, came)
            return
        refused = _refused_rows(came, len(batch.rows))
        if came.code == "version_mismatch" and len(batch.rows) == 1:
            self._mismatch = came
            self._decide(batch.rows)
            self._refuse(batch.rows[0], came.code, came.detail, came.current_version)
        elif refused is None or not self.options.skip_invalid or came.outcome == "unknown":
            self._fail(batch, came)
        elif refused:
            self._decide([batch.rows[place] for place in refused])
            for place, reason in refused.items():
                self._refuse(batch.rows[place], came.code, reason)
            yield from self._again([row for place, row in enumerate(batch.rows) if place not in refused], batch)
        elif len(batch.rows) == 1:
            self._decide(batch.rows)
            self._refuse(batch.rows[0], came.code, came.detail)
        else:
            middle = len(batch.rows) // 2
            yield from self._again(batch.rows[:middle], batch)
            yield from self._again(batch.rows[middle:], batch)

    def _again(self, rows: list[Row], batch: Batch) -> Generator[Any, Any, None]:
        """Sends a part of a batch. Its key depends on the batch alone, so that a run which is taken up again under the
        same key and is refused the same rows repeats it."""
        if not rows:
            return
        if self._end:
            return
        self._in_flight += 1
        yield self._batch(rows, f"{batch.key.split('x')[0]}x{rows[0].row}-{rows[-1].row}.{len(rows)}")

    def _book(self, batch: Batch, answer: dict[str, Any]) -> None:
        result = self.result
        failed = {item.get("id"): item for item in answer.get("failed") or ()}
        result.batches += 1
        result.replayed += bool(answer.get("replayed"))
        result.session = answer.get("session") or result.session
        self._decide(batch.rows)
        for row in batch.rows:
            item = failed.get(row.id) if failed else None
            if item is None:
                result._set(row.row, _APPLIED)
                result.upserted += 1
                continue
            code, detail = item.get("code", ""), item.get("detail", "")
            if code in RETRYABLE:
                self._doubt(row, code, detail)
            else:
                self._refuse(row, code, detail, item.get("current_version"))
        undecided = _unfinished(answer)
        if undecided and not self._end:
            from ._errors import unknown

            self._end = unknown(undecided)

    def _fail(self, batch: Batch, error: VectronError) -> None:
        """Ends the run: it is about more than some rows, or rows are not to be left out."""
        for row in batch.rows:
            if error.outcome == "not_applied":
                self.result.failed.append(PointFailure(row.row, row.id, error.code, error.detail, "not_applied"))
                self.result._set(row.row, _REFUSED)
            else:
                self._doubt(row, error.code, error.detail)
        self._decide(batch.rows)
        if self._end is None or self._end.outcome == "not_applied":
            self._end = _in_rows(error, batch.rows)

    def _refuse(self, row: Row, code: str, detail: str, version: int | None = None) -> None:
        self.result._set(row.row, _REFUSED)
        self.result.failed.append(PointFailure(row.row, row.id, code, detail, "not_applied", version))

    def _doubt(self, row: Row, code: str, detail: str) -> None:
        self.result._set(row.row, _UNKNOWN)
        self.result.failed.append(PointFailure(row.row, row.id, code, detail, "unknown"))

    def _decide(self, rows: list[Row]) -> None:
        self._decided += len(rows)
        self._flying.difference_update([row.id for row in rows])
        if self._progress:
            self._progress(self._decided)


def _same(data: dict[str, Any]) -> dict[str, Any]:
    return data


def unfinished_of(answer: Any) -> VectronError | None:
    """The same of an answer that is an object already."""
    return _unfinished(answer.raw)


def _unfinished(answer: dict[str, Any]) -> VectronError | None:
    """Why an answer is not the last word: points in it can be tried again under the same key."""
    items = answer.get("failed") or answer.get("results") or ()
    waiting = [item for item in items if item.get("code") in RETRYABLE]
    if not waiting:
        return None
    first = waiting[0]
    detail = f"{len(waiting)} points of a batch could not be written: {first.get('detail', '')}"
    return CODES.get(first["code"], Unavailable)(detail, code=first["code"], outcome="unknown")


_PLACE = re.compile(r"points\[(\d+)\]")


def _refused_rows(error: VectronError, rows: int) -> dict[int, str] | None:
    """The rows that an error is about, with its reasons; empty when it is about some without saying which, None when
    it is about more."""
    if error.code not in ("invalid_argument", "too_large"):
        return None
    named: dict[int, str] = {}
    for item in error.errors:
        match = _PLACE.match(item.field)
        if match and int(match[1]) < rows:
            path = item.field[match.end() :].lstrip(".")
            named[int(match[1])] = f"{path} {item.reason}" if path and not item.reason.startswith(path) else item.reason
    if named or error.code == "too_large":
        return named
    return None


def _in_rows(error: VectronError, rows: list[Row]) -> VectronError:
    """The error with places counted among all points in place of those of the batch."""

    def place(match: re.Match[str]) -> str:
        local = int(match[1])
        return f"points[{rows[local].row if local < len(rows) else local}]"

    error.detail = _PLACE.sub(place, error.detail)
    error.errors = tuple(FieldError(_PLACE.sub(place, item.field), item.reason) for item in error.errors)
    return error


def progress_of(
    progress: Progress | None, total: int | None
) -> tuple[Callable[[int], None] | None, Callable[[], None]]:
    """What tells of progress, and what ends it."""
    if progress is None or progress is False:
        return None, _nothing
    if progress is not True:
        tell = progress
        return (lambda decided: tell(decided, total)), _nothing
    try:
        from tqdm.auto import tqdm  # type: ignore[import-not-found, import-untyped]
    except ImportError:
        return None, _nothing
    bar: Any = tqdm(total=total, unit=" points", unit_scale=True)
    return (lambda decided: bar.update(decided - bar.n)), bar.close


def _nothing() -> None:
    return None
