"""Calls that find points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .._connect import Connected
from .._core import Call, in_path, post
from .._encode import Filter, PointId, Vector, checked_id, vector_members
from .._errors import InvalidArgument
from .._explain import WhyNot
from .._models import SearchAnswer, SearchEvent, search_answer, search_event


class SearchCalls(Connected):
    """Finding points."""

    def search(
        self,
        collection: str,
        vector: Vector | None = None,
        *,
        text: str | None = None,
        using: str | None = None,
        top_k: int | None = None,
        filter: Filter | None = None,
        include_payload: bool = True,
        include_vector: bool = False,
        score_threshold: float | None = None,
        recall_target: float | None = None,
        ef: int | None = None,
        exact: bool | None = None,
        params: Mapping[str, Any] | None = None,
        allow_partial: bool | None = None,
        explain: bool | None = None,
        consistency: Any = None,
        timeout: float | None = None,
        **more: Any,
    ) -> SearchAnswer:
        """The ``top_k`` (10) nearest points to a vector, best first; or, given ``text``, those that match it best.

        ``using`` names the field. ``recall_target`` (0.95), ``ef`` or ``exact`` say how thorough to be; ``params`` has
        further members of the kind, such as ``operator`` of a text search. What was written before is found, unless
        ``consistency`` says otherwise: ``"linearizable"``, ``"eventual"``,
        ``{"level": "bounded", "max_staleness_ms": 500}`` or ``{"level": "session", "token": "…"}``. ``more`` are
        further members of the request.
        """
        fields = self._searched(vector, text)
        fields.update(
            using=using,
            top_k=top_k,
            filter=filter,
            include_payload=None if include_payload else False,
            include_vector=include_vector or None,
            score_threshold=score_threshold,
            params=_params(recall_target, ef, exact, params),
            allow_partial=allow_partial,
            explain=explain,
            **more,
        )
        return self._run(_find(collection, "search", fields, consistency, timeout))

    def search_stream(
        self,
        collection: str,
        vector: Vector | None = None,
        *,
        text: str | None = None,
        using: str | None = None,
        top_k: int | None = None,
        filter: Filter | None = None,
        include_payload: bool = True,
        include_vector: bool = False,
        score_threshold: float | None = None,
        recall_target: float | None = None,
        ef: int | None = None,
        exact: bool | None = None,
        params: Mapping[str, Any] | None = None,
        consistency: Any = None,
        timeout: float | None = None,
        **more: Any,
    ) -> Iterator[SearchEvent]:
        """The same search, answer by answer: each has the best so far, and the last one says whether every shard
        answered in time."""
        fields = self._searched(vector, text)
        fields.update(
            using=using,
            top_k=top_k,
            filter=filter,
            include_payload=None if include_payload else False,
            include_vector=include_vector or None,
            score_threshold=score_threshold,
            params=_params(recall_target, ef, exact, params),
            **more,
        )
        call = post(_points(collection, "search/stream"), search_event, fields)
        call.collection, call.reads_points, call.consistency, call.timeout = (
            collection,
            True,
            consistency,
            timeout,
        )
        for event in self._events(call):
            yield event

    def query(
        self,
        collection: str,
        *,
        prefetch: Sequence[Mapping[str, Any]] | None = None,
        fusion: Mapping[str, Any] | None = None,
        formula: Mapping[str, Any] | None = None,
        recommend: Mapping[str, Any] | None = None,
        mmr: Mapping[str, Any] | None = None,
        group_by: Mapping[str, Any] | None = None,
        filter: Filter | None = None,
        top_k: int | None = None,
        include_payload: bool = True,
        include_vector: bool = False,
        explain: bool | None = None,
        consistency: Any = None,
        timeout: float | None = None,
        **more: Any,
    ) -> SearchAnswer:
        """Several searches in one: the legs of ``prefetch`` (each with ``vector`` or ``text``, ``using``, ``filter``,
        ``limit``), put together by ``fusion`` or ``formula``, made diverse by ``mmr``, grouped by ``group_by``; or
        points like examples, by ``recommend``. Vectors in it are as :meth:`search` takes them."""
        plain = self._core.settings.plain
        legs = None if prefetch is None else [_leg(leg, plain) for leg in prefetch]
        fields = {
            "prefetch": legs,
            "fusion": fusion,
            "formula": formula,
            "recommend": recommend,
            "mmr": mmr,
            "group_by": group_by,
            "filter": filter,
            "top_k": top_k,
            "include_payload": None if include_payload else False,
            "include_vector": include_vector or None,
            "explain": explain,
            **more,
        }
        return self._run(_find(collection, "query", fields, consistency, timeout))

    def explain(self, collection: str, vector: Vector | None = None, **search: Any) -> SearchAnswer:
        """A search with its explanation: ``print(client.explain("docs", vector).explain)``."""
        return self.search(collection, vector, explain=True, **search)

    def why_not(
        self,
        collection: str,
        id: PointId,
        vector: Vector | None = None,
        *,
        text: str | None = None,
        using: str | None = None,
        top_k: int | None = None,
        filter: Filter | None = None,
        score_threshold: float | None = None,
        recall_target: float | None = None,
        ef: int | None = None,
        exact: bool | None = None,
        params: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        **more: Any,
    ) -> WhyNot:
        """Why a point is not among the results of a search; ``print`` shows the reasons."""
        ident = checked_id(id)
        fields = self._searched(vector, text)
        fields.update(using=using, top_k=top_k, filter=filter, score_threshold=score_threshold)
        fields.update(params=_params(recall_target, ef, exact, params), **more)
        path = _points(collection, f"{in_path(ident)}/why-not")

        def decode(data: dict[str, Any]) -> WhyNot:
            return WhyNot(ident, str(data.get("verdict", "")), data)

        return self._run(post(path, decode, fields, collection=collection, timeout=timeout, reads_points=True))

    def _searched(self, vector: Vector | None, text: str | None) -> dict[str, Any]:
        if (vector is None) == (text is None):
            raise InvalidArgument("give a vector or a text, one of them")
        if vector is None:
            return {"text": text}
        return vector_members(vector, self._core.settings.plain)


def _params(
    recall_target: float | None, ef: int | None, exact: bool | None, params: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    given = {"recall_target": recall_target, "ef": ef, "exact": exact, **(params or {})}
    return {name: value for name, value in given.items() if value is not None} or None


def _leg(leg: Mapping[str, Any], plain: bool) -> dict[str, Any]:
    fields = dict(leg)
    vector = fields.pop("vector", None)
    return fields if vector is None else {**vector_members(vector, plain), **fields}


def _find(
    collection: str, name: str, fields: Mapping[str, Any], consistency: Any, timeout: float | None
) -> Call[SearchAnswer]:
    call = post(_points(collection, name), search_answer, fields)
    call.collection, call.reads_points, call.consistency, call.timeout = (
        collection,
        True,
        consistency,
        timeout,
    )
    return call


def _points(collection: str, call: str) -> str:
    return f"/v1/collections/{in_path(collection)}/points/{call}"
