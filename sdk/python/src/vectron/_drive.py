"""Driving the plans of the core with blocking calls and threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ._bulk import Batch, Bulk, Plan, Sent, UpsertResult
from ._core import Call, Core
from ._errors import VectronError
from ._wire import Broken, Reply, Request

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")


class Transport(Protocol):
    """Whatever takes a request and gives an answer."""

    def send(self, request: Request) -> Reply | Broken:
        """One attempt. Failures are values."""
        ...

    def close(self) -> None:
        """Ends its connections."""
        ...


def run(core: Core, transport: Transport, call: Call[T]) -> T:
    """Runs one call."""
    steps = core.steps(call)
    came: Reply | Broken | None = None
    try:
        while True:
            effect = steps.send(came)
            if isinstance(effect, Request):
                came = transport.send(effect)
            else:
                time.sleep(effect)
                came = None
    except StopIteration as stop:
        return stop.value


def run_bulk(send: Callable[[Call[dict[str, Any]]], dict[str, Any]], bulk: Bulk, plan: Plan) -> UpsertResult:
    """Runs a plan of many batches. A single batch is sent from this thread; more go to threads of their own."""

    def one(batch: Batch) -> Sent:
        try:
            return batch, send(batch.call)
        except VectronError as error:
            return batch, error

    if bulk.options.concurrency == 1:
        return _one_by_one(one, plan)
    from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

    held: Batch | None = None
    pool: ThreadPoolExecutor | None = None
    flying: set[Future[Sent]] = set()
    came: Sent | None = None
    try:
        while True:
            effect = plan.send(came)
            came = None
            if effect is not None:
                if pool is None and held is None:
                    held = effect
                    continue
                if pool is None:
                    pool = ThreadPoolExecutor(bulk.options.concurrency, thread_name_prefix="vectron-upsert")
                if held is not None:
                    flying.add(pool.submit(one, held))
                    held = None
                flying.add(pool.submit(one, effect))
            elif held is not None:
                came, held = one(held), None
            else:
                done, _ = wait(flying, return_when=FIRST_COMPLETED)
                first = done.pop()
                flying.discard(first)
                came = first.result()
    except StopIteration as stop:
        return stop.value
    finally:
        if pool:
            pool.shutdown(wait=True, cancel_futures=True)


def _one_by_one(one: Callable[[Batch], Sent], plan: Plan) -> UpsertResult:
    waiting: list[Batch] = []
    came: Sent | None = None
    try:
        while True:
            effect = plan.send(came)
            came = None
            if effect is not None:
                waiting.append(effect)
            else:
                came = one(waiting.pop(0))
    except StopIteration as stop:
        return stop.value
