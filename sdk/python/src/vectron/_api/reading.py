"""Calls that read points."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .._connect import Connected
from .._core import Call, in_path, post
from .._encode import Filter, PointId, checked_id
from .._facts import FacetAnswer, facet_answer
from .._models import (
    CountAnswer,
    GetAnswer,
    Page,
    Point,
    PointsAnswer,
    count_answer,
    get_answer,
    page,
    points_answer,
)


class ReadCalls(Connected):
    """Reading points that are there."""

    def get(
        self,
        collection: str,
        id: PointId,
        *,
        include_payload: bool = True,
        include_vector: bool = False,
        consistency: Any = None,
        timeout: float | None = None,
    ) -> Point:
        """One point. Raises :class:`NotFound` when it is not there."""
        query = {"include_payload": include_payload, "include_vector": include_vector}
        call: Call[GetAnswer] = Call("GET", _points(collection, in_path(checked_id(id))), get_answer, query=query)
        answer = self._run(_read(call, collection, consistency, timeout))
        return answer.point

    def get_many(
        self,
        collection: str,
        ids: Iterable[PointId],
        *,
        include_payload: bool = True,
        include_vector: bool = False,
        consistency: Any = None,
        timeout: float | None = None,
    ) -> PointsAnswer:
        """Several points by id, and which are not there."""
        fields = {
            "ids": [checked_id(one) for one in ids],
            "include_payload": include_payload,
            "include_vector": include_vector,
        }
        call = post(_points(collection, "get"), points_answer, fields)
        return self._run(_read(call, collection, consistency, timeout))

    def scroll(
        self,
        collection: str,
        *,
        filter: Filter | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        order_by: Any = None,
        include_payload: bool = True,
        include_vector: bool = False,
        consistency: Any = None,
        timeout: float | None = None,
    ) -> Page:
        """A page of points in id order (or as ``order_by`` says); ``next_cursor`` leads to the next one."""
        fields = {
            "filter": filter,
            "limit": limit,
            "cursor": cursor,
            "order_by": order_by,
            "include_payload": include_payload,
            "include_vector": include_vector,
        }
        call = post(_points(collection, "scroll"), page, fields)
        return self._run(_read(call, collection, consistency, timeout))

    def scroll_all(
        self,
        collection: str,
        *,
        filter: Filter | None = None,
        page_size: int = 1000,
        order_by: Any = None,
        include_payload: bool = True,
        include_vector: bool = False,
        consistency: Any = None,
        timeout: float | None = None,
    ) -> Iterator[Point]:
        """Every point that matches, page by page. ``timeout`` is for one page."""
        cursor: str | None = None
        while True:
            found = self.scroll(
                collection,
                filter=filter,
                limit=page_size,
                cursor=cursor,
                order_by=order_by,
                include_payload=include_payload,
                include_vector=include_vector,
                consistency=consistency,
                timeout=timeout,
            )
            for point in found.points:
                yield point
            cursor = found.next_cursor
            if cursor is None:
                return

    def count(
        self,
        collection: str,
        *,
        filter: Filter | None = None,
        exact: bool | None = None,
        consistency: Any = None,
        timeout: float | None = None,
    ) -> int:
        """How many points match; exactly, unless ``exact`` is False."""
        call: Call[CountAnswer] = post(_points(collection, "count"), count_answer, {"filter": filter, "exact": exact})
        answer = self._run(_read(call, collection, consistency, timeout))
        return answer.count

    def facet(
        self,
        collection: str,
        field: str,
        *,
        filter: Filter | None = None,
        limit: int | None = None,
        consistency: Any = None,
        timeout: float | None = None,
    ) -> FacetAnswer:
        """The values of a payload field with how many points have each, most frequent first."""
        fields = {"field": field, "filter": filter, "limit": limit}
        call = post(_points(collection, "facet"), facet_answer, fields)
        return self._run(_read(call, collection, consistency, timeout))


def _read(call: Call[Any], collection: str, consistency: Any, timeout: float | None) -> Call[Any]:
    call.collection, call.reads_points, call.consistency, call.timeout = (
        collection,
        True,
        consistency,
        timeout,
    )
    return call


def _points(collection: str, call: str) -> str:
    return f"/v1/collections/{in_path(collection)}/points/{call}"
