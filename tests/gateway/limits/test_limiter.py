"""What a key may still do, what it is told, and what it has cost."""

from typing import Any

import pytest

from server.gateway.limits.headers import duration, headers_of
from server.gateway.limits.limiter import Limiter, Moment
from server.gateway.limits.model import NO_LIMITS, Limits
from server.gateway.limits.strangers import Strangers
from server.gateway.limits.window import DAY
from server.gateway.model import Operation, Used
from server.gateway.operations import OPERATIONS

CHAT = OPERATIONS["/v1/chat/completions"]
SPEECH_IN = OPERATIONS["/v1/audio/transcriptions"]
QDRANT = OPERATIONS["/qdrant"]
UPSTREAM = OPERATIONS["/upstream"]
REALTIME = OPERATIONS["/v1/realtime"]
NOON = Moment(1000.0, 20_000 * DAY + DAY / 2)


def later(seconds: float) -> Moment:
    return Moment(NOON.monotonic + seconds, NOON.wall + seconds)


def limiter(**limits: float) -> Limiter:
    made = Limiter()
    made.set("k1", Limits(**limits))  # type: ignore[arg-type]
    return made


def check(made: Limiter, key: str, name: str, operation: Operation, at: Moment) -> Any:
    account = made.account(key)
    return None if account is None else account.check(f"The key {name!r}", operation, at)


def charge(made: Limiter, key: str, used: Used, at: Moment) -> None:
    account = made.account(key)
    assert account is not None
    account.spend(used, at)


def test_an_address_without_a_key_has_an_account_of_its_own() -> None:
    """Kept while it asks; of too many the one that was seen longest ago is forgotten."""
    strangers, two = Strangers(addresses=2), Limits(requests_per_minute=2)

    def ask(address: str, limits: Limits = two) -> bool:
        account = strangers.account(address, limits)
        return account is None or account.check(address, CHAT, NOON) is None

    assert [ask("a"), ask("b"), ask("a"), ask("a"), ask("b")] == [True, True, True, False, True]
    assert ask("c")
    assert not ask("b")
    assert ask("a")  # it was forgotten for c
    assert ask("b", NO_LIMITS)
    assert ask("b")


def test_changed_limits_of_strangers_hold_at_once() -> None:
    """What was used stays used, where the limit is by the day."""
    strangers = Strangers()
    account = strangers.account("a", Limits(tokens_per_day=10))
    assert account is not None
    account.spend(Used(20, 0), NOON)
    for limit, free in ((30, True), (15, False)):
        account = strangers.account("a", Limits(tokens_per_day=limit))
        assert account is not None
        assert (account.check("a", CHAT, NOON) is None) is free


def test_a_key_without_limits_is_never_held_up() -> None:
    """Nor one that is not known."""
    made = limiter()
    for _ in range(1000):
        assert check(made, "k1", "anna", CHAT, NOON) is None
        assert check(made, "k2", "bert", CHAT, NOON) is None


def test_requests_are_counted_when_they_come() -> None:
    """The one too many is told what is used up, and when there is more."""
    made = limiter(requests_per_minute=2)
    assert check(made, "k1", "anna", CHAT, NOON) is None
    assert check(made, "k1", "anna", QDRANT, NOON) is None
    error = check(made, "k1", "anna", CHAT, later(10))
    assert error is not None
    assert "'anna' has used up its 2 requests a minute" in error.message
    assert error.retry_after == 51
    assert check(made, "k1", "anna", CHAT, later(61)) is None


def test_a_refused_request_costs_nothing() -> None:
    """Asking again and again does not put off the end."""
    made = limiter(requests_per_minute=1)
    assert check(made, "k1", "anna", CHAT, NOON) is None
    for second in range(60):
        assert check(made, "k1", "anna", CHAT, later(second)) is not None
    assert check(made, "k1", "anna", CHAT, later(61)) is None


def test_tokens_are_charged_at_the_end_and_their_debt_holds_up_the_next() -> None:
    """The answer that goes over is given."""
    made = limiter(tokens_per_minute=600)
    assert check(made, "k1", "anna", CHAT, NOON) is None
    charge(made, "k1", Used(prompt_tokens=500, completion_tokens=700), NOON)
    error = check(made, "k1", "anna", CHAT, NOON)
    assert error is not None
    assert error.retry_after == pytest.approx(60.1)
    assert check(made, "k1", "anna", CHAT, later(60.2)) is None


def test_audio_of_a_minute_is_made_up_like_tokens() -> None:
    """A recording of an hour holds up the next one; a voice without a pause holds up nothing."""
    made = limiter(audio_seconds_per_minute=60)
    for second in range(300):
        assert check(made, "k1", "anna", SPEECH_IN, later(second)) is None
        charge(made, "k1", Used(audio_seconds=1.0), later(second))
    made = limiter(audio_seconds_per_minute=120)
    charge(made, "k1", Used(audio_seconds=3600.0), NOON)
    error = check(made, "k1", "anna", SPEECH_IN, NOON)
    assert error is not None
    assert "120 seconds of audio a minute" in error.message
    assert error.retry_after == pytest.approx((3600 - 120 + 1) / 2)
    assert check(made, "k1", "anna", CHAT, NOON) is None


def test_audio_and_tokens_do_not_hold_up_each_other() -> None:
    """Nor what costs neither."""
    made = limiter(tokens_per_day=10, audio_seconds_per_day=60)
    charge(made, "k1", Used(audio_seconds=60.0), NOON)
    assert check(made, "k1", "anna", CHAT, NOON) is None
    error = check(made, "k1", "anna", SPEECH_IN, NOON)
    assert error is not None
    assert "60 seconds of audio a day" in error.message
    assert error.retry_after == DAY / 2
    charge(made, "k1", Used(10, 0), NOON)
    assert check(made, "k1", "anna", CHAT, NOON) is not None
    assert check(made, "k1", "anna", QDRANT, NOON) is None


def test_what_was_used_today_counts_after_a_restart() -> None:
    """A restart is no way around the limit of a day."""
    made = limiter(tokens_per_day=1000)
    made.restore("k1", 1000, 0.0, NOON.wall)
    assert check(made, "k1", "anna", CHAT, NOON) is not None
    assert check(made, "k1", "anna", CHAT, later(DAY / 2)) is None


def test_changed_limits_keep_what_was_used() -> None:
    """Of the day always; of the minute where the limit is the same."""
    made = limiter(requests_per_minute=1, tokens_per_day=100)
    check(made, "k1", "anna", CHAT, NOON)
    charge(made, "k1", Used(50, 50), NOON)
    made.set("k1", Limits(requests_per_minute=1, tokens_per_day=200))
    error = check(made, "k1", "anna", CHAT, NOON)
    assert error is not None
    assert "requests" in error.message
    assert check(made, "k1", "anna", CHAT, later(61)) is None
    made.set("k1", Limits(tokens_per_day=100))
    assert check(made, "k1", "anna", CHAT, later(62)) is not None
    made.forget("k1")
    assert check(made, "k1", "anna", CHAT, later(62)) is None


def test_of_several_limits_the_longest_wait_is_told() -> None:
    """Who waits that long is not sent away again."""
    made = limiter(requests_per_minute=1, tokens_per_day=1)
    check(made, "k1", "anna", CHAT, NOON)
    charge(made, "k1", Used(1, 0), NOON)
    error = check(made, "k1", "anna", CHAT, NOON)
    assert error is not None
    assert error.retry_after == DAY / 2


def test_the_headers_tell_the_limits_by_the_minute() -> None:
    """As OpenAI writes them; none for a key without."""
    made = limiter(requests_per_minute=10, tokens_per_minute=600)
    check(made, "k1", "anna", CHAT, NOON)
    charge(made, "k1", Used(60, 0), NOON)
    told = dict(headers_of(made.account("k1"), NOON.monotonic))
    assert told == {
        b"x-ratelimit-limit-requests": b"10",
        b"x-ratelimit-remaining-requests": b"9",
        b"x-ratelimit-reset-requests": b"1m1s",
        b"x-ratelimit-limit-tokens": b"600",
        b"x-ratelimit-remaining-tokens": b"540",
        b"x-ratelimit-reset-tokens": b"6s",
    }
    assert headers_of(made.account("k2"), 0.0) == []
    assert headers_of(limiter(tokens_per_day=1).account("k1"), 0.0) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.1204, "120ms"),
        (7.66, "7.66s"),
        (59.999, "60s"),
        (360, "6m0s"),
        (3723, "1h2m3s"),
    ],
)
def test_durations_are_written_as_openai_does(seconds: float, text: str) -> None:
    """Wrappers parse them."""
    assert duration(seconds) == text


def test_audio_that_is_used_up_is_not_to_be_had_by_another_path() -> None:
    """`/upstream/<service>/v1/audio/transcriptions` is the same work."""
    made = limiter(audio_seconds_per_day=60)
    charge(made, "k1", Used(audio_seconds=60), NOON)
    for operation in (SPEECH_IN, UPSTREAM, REALTIME):
        error = check(made, "k1", "anna", operation, NOON)
        assert error is not None
        assert "audio" in error.message
    assert check(made, "k1", "anna", CHAT, NOON) is None
    assert check(made, "k1", "anna", QDRANT, NOON) is None
