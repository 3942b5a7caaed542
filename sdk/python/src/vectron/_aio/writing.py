# Made by tools/make_async.py from _api/writing.py; change that one.
"""Awaited calls that write points."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._bulk import Bulk, BulkOptions, Progress, UpsertResult, progress_of, unfinished_of
from .._connect_async import AsyncConnected
from .._core import KEYED, fresh_key, in_path, post
from .._encode import Filter, PointId, checked_id
from .._errors import InvalidArgument
from .._models import DeleteAnswer, delete_answer
from .._points import Points, Row, members_of, rows_of, rows_of_arrays
from .._retry import RetryPolicy
from .._tables import rows_of_parquet, rows_of_table
from .._written import BatchAnswer, PayloadAnswer, batch_answer, payload_answer


class AsyncWriteCalls(AsyncConnected):
    """Writing points, changing payloads, deleting."""

    async def upsert(
        self,
        collection: str,
        points: Points,
        *,
        batch_rows: int = 256,
        batch_bytes: int = 4 << 20,
        concurrency: int = 4,
        idempotency_key: str | None = None,
        skip_invalid: bool = False,
        progress: Progress | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
    ) -> UpsertResult:
        """Inserts or replaces points: any iterable of :class:`PointInput`, dicts ``{"id", "vector", "payload"}`` or
        tuples ``(id, vector, payload)``.

        They are cut into batches by count and bytes, ``concurrency`` of which are on their way at once. Each has an
        idempotency key, so what is tried again applies once. The result tells each point's outcome; points that were
        not written because of a condition (``if_version``) are in its ``failed``. A point that is wrong raises
        (:class:`DimensionMismatch`, …) and ends the run, or with ``skip_invalid`` is left out and reported in
        ``failed``. An error that ends a run has the result so far in ``error.result``; the same points under the same
        ``idempotency_key`` (``result.key``) go on without writing anything twice.

        ``timeout`` is for one batch with all its retries.
        """
        options = BulkOptions(batch_rows, batch_bytes, concurrency, idempotency_key, skip_invalid, timeout, retry)
        total = len(points) if isinstance(points, Sequence) else None
        return await self._upsert(collection, rows_of(points, self._core.settings.plain), options, progress, total)

    async def upload(
        self,
        collection: str,
        vectors: Any,
        *,
        ids: Iterable[PointId] | None = None,
        payloads: Iterable[Mapping[str, Any] | None] | None = None,
        batch_rows: int = 512,
        batch_bytes: int = 4 << 20,
        concurrency: int = 4,
        idempotency_key: str | None = None,
        skip_invalid: bool = False,
        progress: Progress | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
    ) -> UpsertResult:
        """Writes the rows of a matrix with ids and payloads beside it; without ids, the row numbers are the ids. The
        matrix may be of any numeric type and mapped from a file. Retries outlast a restart of the server; the rest is
        as :meth:`upsert` has it."""
        rows = rows_of_arrays(vectors, ids, payloads, self._core.settings.plain)
        total = len(vectors) if hasattr(vectors, "__len__") else None
        patient = retry or RetryPolicy.patient()
        options = BulkOptions(batch_rows, batch_bytes, concurrency, idempotency_key, skip_invalid, timeout, patient)
        return await self._upsert(collection, rows, options, progress, total)

    async def upload_table(
        self,
        collection: str,
        table: Any,
        *,
        id: str = "id",
        vector: str | Sequence[str] = "vector",
        payload: str | Sequence[str] | None = None,
        batch_rows: int = 512,
        batch_bytes: int = 4 << 20,
        concurrency: int = 4,
        idempotency_key: str | None = None,
        skip_invalid: bool = False,
        progress: Progress | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
    ) -> UpsertResult:
        """Writes the rows of an Arrow table, a pandas or Polars dataframe, a record batch reader, or anything else with
        the Arrow interface (``__arrow_c_stream__``). ``id`` and ``vector`` name columns; several vector columns are
        fields by name. ``payload`` is a list of columns, or one column of structs or JSON text that is the payload
        itself; by default every other column. Nulls are left out. Needs pyarrow."""
        rows = rows_of_table(table, id, vector, payload, self._core.settings.plain)
        total = len(table) if hasattr(table, "__len__") else None
        patient = retry or RetryPolicy.patient()
        options = BulkOptions(batch_rows, batch_bytes, concurrency, idempotency_key, skip_invalid, timeout, patient)
        return await self._upsert(collection, rows, options, progress, total)

    async def upload_parquet(
        self,
        collection: str,
        path: str | os.PathLike[str],
        *,
        id: str = "id",
        vector: str | Sequence[str] = "vector",
        payload: str | Sequence[str] | None = None,
        batch_rows: int = 512,
        batch_bytes: int = 4 << 20,
        concurrency: int = 4,
        idempotency_key: str | None = None,
        skip_invalid: bool = False,
        progress: Progress | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
    ) -> UpsertResult:
        """Writes the rows of a Parquet file, a piece of it in memory at a time. The columns are those of
        :meth:`upload_table`. Needs pyarrow."""
        rows, total = rows_of_parquet(path, id, vector, payload, self._core.settings.plain)
        patient = retry or RetryPolicy.patient()
        options = BulkOptions(batch_rows, batch_bytes, concurrency, idempotency_key, skip_invalid, timeout, patient)
        return await self._upsert(collection, rows, options, progress, total)

    async def _upsert(
        self,
        collection: str,
        rows: Iterable[Row],
        options: BulkOptions,
        progress: Progress | None,
        total: int | None,
    ) -> UpsertResult:
        tell, end = progress_of(progress, total)
        bulk = Bulk(collection, options, tell)
        try:
            return await self._run_bulk(bulk, bulk.plan(rows))
        finally:
            end()

    async def delete(
        self,
        collection: str,
        ids: PointId | Iterable[PointId] | None = None,
        *,
        points: Iterable[Mapping[str, Any]] | None = None,
        filter: Filter | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> DeleteAnswer:
        """Deletes points: by id (one or many), under conditions (``points`` of ``id``, ``if_version``, ``if_filter``),
        or by filter. What is not there counts 0."""
        chosen = _chosen(ids, points, filter)
        more = _keyed(collection, timeout)
        fields = {**chosen, "idempotency_key": idempotency_key or fresh_key()}
        return await self._run(post(_points(collection, "delete"), delete_answer, fields, **more))

    async def update_payload(
        self,
        collection: str,
        ids: PointId | Iterable[PointId] | None = None,
        *,
        points: Iterable[Mapping[str, Any]] | None = None,
        filter: Filter | None = None,
        merge: Mapping[str, Any] | None = None,
        replace: Mapping[str, Any] | None = None,
        unset: Sequence[str] | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> PayloadAnswer:
        """Changes payloads without sending vectors, of points by id, under conditions or by filter: ``merge`` members
        into them (one that is None is removed), ``replace`` them, or ``unset`` what dotted paths lead to."""
        chosen = _chosen(ids, points, filter)
        if sum(change is not None for change in (merge, replace, unset)) != 1:
            raise InvalidArgument("give one of merge, replace and unset")
        fields = {
            "merge": merge,
            "replace": replace,
            "unset": None if unset is None else list(unset),
            **chosen,
            "idempotency_key": idempotency_key or fresh_key(),
        }
        more = _keyed(collection, timeout)
        return await self._run(post(_points(collection, "payload"), payload_answer, fields, **more))

    async def write_batch(
        self,
        collection: str,
        operations: Sequence[Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> BatchAnswer:
        """Writes of several kinds in order, atomic per shard: ``[{"upsert": point}, {"delete": {"id", …}}, {"payload":
        {"id", "merge", …}}]``. Points are as :meth:`upsert` takes them; the others may have ``if_version`` and
        ``if_filter``."""
        plain = self._core.settings.plain
        spelled = [
            {"upsert": members_of(one["upsert"], plain)} if set(one) == {"upsert"} else dict(one) for one in operations
        ]
        fields = {"operations": spelled, "idempotency_key": idempotency_key or fresh_key()}
        more = _keyed(collection, timeout)
        return await self._run(post(_points(collection, "batch"), batch_answer, fields, **more))


def id_list(ids: PointId | Iterable[PointId] | None) -> list[str] | None:
    """One id or many as a list."""
    if ids is None:
        return None
    if isinstance(ids, (str, int)):
        return [checked_id(ids)]
    return [checked_id(one) for one in ids]


def _chosen(
    ids: PointId | Iterable[PointId] | None, points: Iterable[Mapping[str, Any]] | None, filter: Filter | None
) -> dict[str, Any]:
    """Which points a write is about."""
    if sum(given is not None for given in (ids, points, filter)) != 1:
        raise InvalidArgument("give one of ids, points and filter")
    return {"ids": id_list(ids), "points": None if points is None else list(points), "filter": filter}


def _keyed(collection: str, timeout: float | None) -> dict[str, Any]:
    return {"repeat": KEYED, "collection": collection, "timeout": timeout, "unfinished": unfinished_of}


def _points(collection: str, call: str) -> str:
    return f"/v1/collections/{in_path(collection)}/points/{call}"
