"""Calls for operators, and the one for whatever has no method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import _errors as errors
from .._connect import Connected
from .._core import ONCE, READ, Call
from .._encode import object_start


class OperatorCalls(Connected):
    """The state of the system and of the cluster. Answers are the server's JSON."""

    def request(
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
        return self._run(call)

    def ready(self) -> bool:
        """Whether the server takes calls now."""
        try:
            self.request("GET", "/v1/system/health")
        except (errors.NotNow, errors.LimitError):
            return False
        return True

    def health(self) -> dict[str, Any]:
        """What the server says of itself."""
        return self.request("GET", "/v1/system/health")

    def workers(self) -> dict[str, Any]:
        """The workers of the cluster."""
        return self.request("GET", "/v1/admin/workers")

    def shards(self) -> dict[str, Any]:
        """The shards with their replicas."""
        return self.request("GET", "/v1/admin/shards")

    def moves(self) -> dict[str, Any]:
        """The moves under way."""
        return self.request("GET", "/v1/admin/moves")

    def drain(self, worker: int) -> dict[str, Any]:
        """Lets a worker give its replicas away; it serves until they are gone."""
        return self.request("POST", f"/v1/admin/workers/{worker:d}/drain", {})

    def undrain(self, worker: int) -> dict[str, Any]:
        """Lets a worker take replicas again."""
        return self.request("POST", f"/v1/admin/workers/{worker:d}/undrain", {})

    def rebalance(self, *, dry_run: bool = False) -> dict[str, Any]:
        """Spreads replicas evenly, or says what it would move."""
        return self.request("POST", "/v1/admin/rebalance", {"dry_run": dry_run})

    def alerts(self) -> dict[str, Any]:
        """What needs attention."""
        return self.request("GET", "/v1/alerts")


def _same(data: dict[str, Any]) -> dict[str, Any]:
    return data
