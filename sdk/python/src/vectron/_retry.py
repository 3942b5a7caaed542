"""Trying again: how often, how long, and which reads are sent twice."""

from __future__ import annotations

import random
from dataclasses import dataclass

_BUSY = ("overloaded", "rate_limited")


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long to try again. Only what the server calls retryable is, and a write whose outcome is
    unknown only when it carries an idempotency key."""

    attempts: int = 5
    """Attempts in all, the first included."""
    first_pause: float = 0.05
    """Longest pause before the second attempt, in seconds; it doubles from there."""
    longest_pause: float = 2.0
    """Longest pause between two attempts that the server named no time for, in seconds."""
    budget: float = 15.0
    """Seconds for all attempts and pauses. Time in which the server answers that it has too much to do does not
    count here."""
    overload_budget: float = 15.0
    """Seconds to wait in all for a server that is there and says that it has too much to do."""

    @staticmethod
    def never() -> RetryPolicy:
        """One attempt."""
        return RetryPolicy(attempts=1)

    @staticmethod
    def patient() -> RetryPolicy:
        """For bulk work: outlasts a restart, an election, and an index that has to catch up with its rows."""
        return RetryPolicy(attempts=1 << 31, first_pause=0.1, longest_pause=5.0, budget=120.0, overload_budget=1800.0)

    def pause(self, attempt: int, retry_after: float | None) -> float:
        """Seconds before the next attempt, after ``attempt`` of them: what the server asked for and up to a quarter
        more, or a random share of the doubled limit, so that clients which failed together do not return together."""
        if retry_after is not None:
            return retry_after * (1 + random.random() / 4)
        return random.random() * min(self.longest_pause, self.first_pause * 2 ** min(attempt - 1, 30))


class Patience:
    """One call's way through a policy."""

    __slots__ = ("attempt", "policy", "silent_since", "started")

    def __init__(self, policy: RetryPolicy, now: float) -> None:
        self.policy = policy
        self.attempt = 0
        self.started = self.silent_since = now

    def next_pause(self, code: str, retry_after: float | None, now: float) -> float | None:
        """Seconds to wait before another attempt, or None when this was the last one."""
        self.attempt += 1
        pause = self.policy.pause(self.attempt, retry_after)
        if code in _BUSY:
            self.silent_since = now
            spent, budget = now - self.started, self.policy.overload_budget
        else:
            spent, budget = now - self.silent_since, self.policy.budget
        if self.attempt >= self.policy.attempts or spent + pause > budget:
            return None
        return pause


@dataclass(frozen=True)
class Hedge:
    """Reads that take long are sent a second time, and the first answer counts. Writes never are."""

    after: float = 0.05
    """Seconds to wait for the first answer. Near the 95th percentile of your reads is a good choice."""
    share: float = 0.05
    """Most reads of all that are sent twice, so that hedging cannot double the load of a slow server."""


class HedgeBudget:
    """How many hedges the reads so far have earned."""

    __slots__ = ("_earned", "hedge", "sent")

    def __init__(self, hedge: Hedge) -> None:
        self.hedge = hedge
        self.sent = 0
        self._earned = 1.0

    def read(self) -> float | None:
        """Counts a read; gives the time after which it may be sent again, or None when none is left."""
        self._earned = min(self._earned + self.hedge.share, 10.0)
        return self.hedge.after if self._earned >= 1.0 else None

    def spent(self) -> None:
        """A read was sent again."""
        self.sent += 1
        self._earned -= 1.0
