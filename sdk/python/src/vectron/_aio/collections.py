# Made by tools/make_async.py from _api/collections.py; change that one.
"""Awaited calls about collections, payload indexes and aliases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._catalog import Alias, alias_list, deleted_of, index_list, names_of
from .._collections import (
    Collection,
    CollectionStatus,
    Created,
    PayloadIndex,
    collection_of,
    created_of,
    status_of,
)
from .._connect_async import AsyncConnected
from .._core import ONCE, Call, in_path, post
from .._encode import object_start


class AsyncCollectionCalls(AsyncConnected):
    """Collections and what belongs to them."""

    async def create_collection(
        self,
        name: str,
        dimension: int | None = None,
        distance: str | None = None,
        *,
        vectors: Mapping[str, Mapping[str, Any]] | None = None,
        sparse_vectors: Mapping[str, Mapping[str, Any]] | None = None,
        multi_vectors: Mapping[str, Mapping[str, Any]] | None = None,
        text_fields: Mapping[str, Mapping[str, Any]] | None = None,
        shards: int | None = None,
        replication_factor: int | None = None,
        read_policy: Any = None,
        quantization: str | None = None,
        storage: str | None = None,
        index: Mapping[str, int] | None = None,
        ttl_ms: int | None = None,
        timeout: float | None = None,
        **settings: Any,
    ) -> Created:
        """Creates a collection; the same one again is fine and says ``created=False``.

        ``dimension`` and ``distance`` (``cosine``, ``dot``, ``euclidean``) are those of the unnamed vector field;
        ``vectors``, ``sparse_vectors`` and ``multi_vectors`` are fields by name. ``settings`` are further members of
        the request. Raises :class:`AlreadyExists` when the name is taken by another configuration.
        """
        fields = {
            "name": name,
            "dimension": dimension,
            "distance": distance,
            "vectors": vectors,
            "sparse_vectors": sparse_vectors,
            "multi_vectors": multi_vectors,
            "text_fields": text_fields,
            "shards": shards,
            "replication_factor": replication_factor,
            "read_policy": read_policy,
            "quantization": quantization,
            "storage": storage,
            "index": index,
            "ttl_ms": ttl_ms,
            **settings,
        }
        more: dict[str, Any] = {"repeat": ONCE, "timeout": timeout, "takes_timeout": False}
        return await self._run(post("/v1/collections", created_of, fields, **more))

    async def list_collections(self, *, timeout: float | None = None) -> list[Collection]:
        """Every collection."""
        return await self._run(_get("/v1/collections", names_of, timeout))

    async def get_collection(self, name: str, *, timeout: float | None = None) -> Collection:
        """A collection's settings."""
        return await self._run(_get(_path(name), collection_of, timeout))

    async def collection_exists(self, name: str, *, timeout: float | None = None) -> bool:
        """Whether there is such a collection."""
        return any(one.name == name for one in await self.list_collections(timeout=timeout))

    async def update_collection(self, name: str, *, timeout: float | None = None, **settings: Any) -> Collection:
        """Changes settings of a collection that can be changed (its ``changeable`` lists them), online. How far the
        change is stands in the status."""
        call = Call("PATCH", _path(name), collection_of, object_start(settings), repeat=ONCE)
        call.timeout, call.takes_timeout = timeout, False
        return await self._run(call)

    async def delete_collection(self, name: str, *, timeout: float | None = None) -> bool:
        """Deletes a collection in one step: afterwards no read succeeds and the name is free."""
        call = Call("DELETE", _path(name), deleted_of, repeat=ONCE, timeout=timeout, takes_timeout=False)
        deleted = await self._run(call)
        self._core.sessions.forget(name)
        return deleted

    async def collection_status(self, name: str, *, timeout: float | None = None) -> CollectionStatus:
        """What a collection holds and who serves it."""
        return await self._run(_get(f"{_path(name)}/status", status_of, timeout))

    async def create_index(
        self, collection: str, field: str, type: str, *, timeout: float | None = None, **settings: Any
    ) -> bool:
        """Adds a payload index, built in the background, of type ``keyword``, ``integer``, ``float``, ``bool``,
        ``datetime``, ``geo`` or ``text``. False when it was there already."""
        fields = {"field": field, "type": type, **settings}
        more: dict[str, Any] = {"timeout": timeout, "takes_timeout": False}
        return await self._run(post(f"{_path(collection)}/indexes", _was_created, fields, **more))

    async def list_indexes(self, collection: str, *, timeout: float | None = None) -> list[PayloadIndex]:
        """The payload indexes and how far they are."""
        return await self._run(_get(f"{_path(collection)}/indexes", index_list, timeout))

    async def delete_index(self, collection: str, field: str, *, timeout: float | None = None) -> bool:
        """Drops a payload index. Answers do not change, they only take longer."""
        path = f"{_path(collection)}/indexes/{in_path(field)}"
        return await self._run(Call("DELETE", path, deleted_of, repeat=ONCE, timeout=timeout, takes_timeout=False))

    async def list_aliases(self, *, timeout: float | None = None) -> list[Alias]:
        """Every alias."""
        return await self._run(_get("/v1/aliases", alias_list, timeout))

    async def change_aliases(self, actions: Sequence[Mapping[str, Any]], *, timeout: float | None = None) -> list[Alias]:
        """Changes aliases in one step: ``[{"set": {"alias": …, "collection": …}}, {"delete": {"alias": …}}]``."""
        more: dict[str, Any] = {"timeout": timeout, "takes_timeout": False}
        return await self._run(post("/v1/aliases", alias_list, {"actions": list(actions)}, **more))

    async def set_alias(self, alias: str, collection: str, *, timeout: float | None = None) -> list[Alias]:
        """Lets an alias mean a collection, whatever it meant before."""
        return await self.change_aliases([{"set": {"alias": alias, "collection": collection}}], timeout=timeout)

    async def delete_alias(self, alias: str, *, timeout: float | None = None) -> list[Alias]:
        """Drops an alias."""
        return await self.change_aliases([{"delete": {"alias": alias}}], timeout=timeout)


def _path(name: str) -> str:
    return f"/v1/collections/{in_path(name)}"


def _get(path: str, decode: Any, timeout: float | None) -> Call[Any]:
    return Call("GET", path, decode, timeout=timeout, takes_timeout=False)


def _was_created(data: dict[str, Any]) -> bool:
    return bool(data.get("created"))
