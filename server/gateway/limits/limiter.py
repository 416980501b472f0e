"""Whether a caller may send one more request, and what its answers have cost. Pure.

A request is counted when it is let in. Tokens and audio are charged when an answer has told them,
so the answer that goes over a limit is still given, and what follows waits until that is made up.
"""

from typing import NamedTuple

from server.base.errors import RateLimited
from server.gateway.limits.model import Limits
from server.gateway.limits.window import Bucket, Day, Window
from server.gateway.model import NOTHING, Operation, Used


class Moment(NamedTuple):
    """`monotonic` for minutes, `wall` (seconds since the epoch) for days."""

    monotonic: float
    wall: float


class Account:
    """The reckoning of one caller."""

    __slots__ = ("audio", "audio_day", "limits", "requests", "tokens", "tokens_day")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        requests, tokens = limits.requests_per_minute, limits.tokens_per_minute
        self.requests = None if requests is None else Window(requests)
        self.tokens = None if tokens is None else Bucket(tokens)
        audio = limits.audio_seconds_per_minute
        self.audio = None if audio is None else Bucket(audio)
        # Both sums are kept without a limit as well: one may be set in the middle of a day.
        self.tokens_day = Day(_bound(limits.tokens_per_day))
        self.audio_day = Day(_bound(limits.audio_seconds_per_day))

    def change(self, limits: Limits) -> None:
        """New limits; what was used today stays used."""
        fresh = Account(limits)
        if limits.requests_per_minute != self.limits.requests_per_minute:
            self.requests = fresh.requests
        if limits.tokens_per_minute != self.limits.tokens_per_minute:
            self.tokens = fresh.tokens
        if limits.audio_seconds_per_minute != self.limits.audio_seconds_per_minute:
            self.audio = fresh.audio
        self.tokens_day.limit = fresh.tokens_day.limit
        self.audio_day.limit = fresh.audio_day.limit
        self.limits = limits

    def obstacle(
        self, operation: Operation, at: Moment, *, anew: bool = True
    ) -> tuple[str, float] | None:
        """What is used up, in words, and in how many seconds it is not. `anew`: for one more
        request; else for one that goes on."""
        found: list[tuple[str, float]] = []
        limits = self.limits
        if anew and self.requests is not None and (wait := self.requests.wait(at.monotonic)):
            found.append((f"{limits.requests_per_minute} requests a minute", wait))
        if _speaks(operation) or _may_be_anything(operation):
            if self.audio is not None and (wait := self.audio.wait(at.monotonic)):
                minute = limits.audio_seconds_per_minute
                found.append((f"{minute:g} seconds of audio a minute", wait))
            if wait := self.audio_day.wait(at.wall):
                found.append((f"{limits.audio_seconds_per_day:g} seconds of audio a day", wait))
        if _thinks(operation):
            if self.tokens is not None and (wait := self.tokens.wait(at.monotonic)):
                found.append((f"{limits.tokens_per_minute} tokens a minute", wait))
            if wait := self.tokens_day.wait(at.wall):
                found.append((f"{limits.tokens_per_day} tokens a day", wait))
        return max(found, key=lambda one: one[1], default=None)

    def check(self, who: str, operation: Operation, at: Moment) -> RateLimited | None:
        """None: it may, and is counted. `who` begins the sentence."""
        refusal = self.refusal(who, operation, at)
        if refusal is None and self.limits and self.requests is not None:
            self.requests.take(at.monotonic)
        return refusal

    def refusal(
        self, who: str, operation: Operation, at: Moment, *, anew: bool = True
    ) -> RateLimited | None:
        """As `check`, but nothing is counted."""
        obstacle = self.obstacle(operation, at, anew=anew) if self.limits else None
        if obstacle is None:
            return None
        what, wait = obstacle
        return RateLimited(
            f"{who} has used up its {what}.",
            advice="Retry-After has the seconds until there is more.",
            retry_after=wait,
        )

    def spend(self, used: Used, at: Moment, charged: Used = NOTHING) -> None:
        """What an answer has cost, once it is known, less what was `charged` of it already."""
        audio = (used.audio_seconds or 0.0) - (charged.audio_seconds or 0.0)
        self.charge(_tokens(used) - _tokens(charged), max(0.0, audio), at)

    def charge(self, tokens: float, audio: float, at: Moment) -> None:
        if tokens:
            self.tokens_day.take(at.wall, tokens)
            if self.tokens is not None:
                self.tokens.take(at.monotonic, tokens)
        if audio:
            self.audio_day.take(at.wall, audio)
            if self.audio is not None:
                self.audio.take(at.monotonic, audio)


class Limiter:
    """One `Account` for each key that has limits, by the id of the key."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self.account = self._accounts.get

    def set(self, key_id: str, limits: Limits) -> None:
        account = self._accounts.get(key_id)
        if account is None:
            self._accounts[key_id] = Account(limits)
        elif account.limits != limits:
            account.change(limits)

    def forget(self, key_id: str) -> None:
        self._accounts.pop(key_id, None)

    def restore(self, key_id: str, tokens: float, audio: float, wall: float) -> None:
        """What was used today before a restart."""
        account = self._accounts.get(key_id)
        if account is not None:
            account.tokens_day.take(wall, tokens)
            account.audio_day.take(wall, audio)


def _tokens(used: Used) -> int:
    return (used.prompt_tokens or 0) + (used.completion_tokens or 0)


def _bound(limit: float | None) -> float:
    return float("inf") if limit is None else limit


def _speaks(operation: Operation) -> bool:
    return operation.path.startswith("/v1/audio/")


def _may_be_anything(operation: Operation) -> bool:
    """`/upstream/…` is the way to a service of speech as well, and must not be the way around."""
    return operation.named or operation.path == "/v1/realtime"


def _thinks(operation: Operation) -> bool:
    """Whether answers cost tokens. What is passed on under any path might."""
    return operation.kinds != ("qdrant",) and not _speaks(operation)
