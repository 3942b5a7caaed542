# Made by tools/make_async.py from _api/operating.py; change that one.
"""Awaited calls for operators, and the one for whatever has no method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import _errors as errors
from .._connect_async import AsyncConnected
from .._core import ONCE, READ, Call
from .._encode import object_start


class AsyncOperatorCalls(AsyncConnected):
    """The state of the system and of the cluster. Answers are the server's JSON."""

    async def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        repeat: bool | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Any call of the REST API: ``client.request("GET", "/v1/admin/shards")``. ``repeat`` says whether it may be
        sent again when nobody knows what became of it; by default only a GET is."""
        again = method == "GET" if repeat is None else repeat
        call = Call(
            method,
            path,
            _same,
            None if body is None else object_start(body),
            dict(query) if query else None,
            repeat=READ if again else ONCE,
            timeout=timeout,
            takes_timeout=False,
        )
        return await self._run(call)

    async def ready(self) -> bool:
        """Whether the server takes calls now."""
        try:
            await self.request("GET", "/v1/system/health")
        except (errors.NotNow, errors.LimitError):
            return False
        return True

    async def health(self) -> dict[str, Any]:
        """What the server says of itself."""
        return await self.request("GET", "/v1/system/health")

    async def workers(self) -> dict[str, Any]:
        """The workers of the cluster."""
        return await self.request("GET", "/v1/admin/workers")

    async def shards(self) -> dict[str, Any]:
        """The shards with their replicas."""
        return await self.request("GET", "/v1/admin/shards")

    async def moves(self) -> dict[str, Any]:
        """The moves under way."""
        return await self.request("GET", "/v1/admin/moves")

    async def drain(self, worker: int) -> dict[str, Any]:
        """Lets a worker give its replicas away; it serves until they are gone."""
        return await self.request("POST", f"/v1/admin/workers/{worker:d}/drain", {})

    async def undrain(self, worker: int) -> dict[str, Any]:
        """Lets a worker take replicas again."""
        return await self.request("POST", f"/v1/admin/workers/{worker:d}/undrain", {})

    async def rebalance(self, *, dry_run: bool = False) -> dict[str, Any]:
        """Spreads replicas evenly, or says what it would move."""
        return await self.request("POST", "/v1/admin/rebalance", {"dry_run": dry_run})

    async def alerts(self) -> dict[str, Any]:
        """What needs attention."""
        return await self.request("GET", "/v1/alerts")


def _same(data: dict[str, Any]) -> dict[str, Any]:
    return data
