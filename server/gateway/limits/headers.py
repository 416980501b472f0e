"""The `x-ratelimit-*` headers, as OpenAI's clients and their wrappers read them. Pure."""

from server.gateway.limits.limiter import Account
from server.gateway.wire import Header


def headers_of(account: Account | None, now: float) -> list[Header]:
    """Of the limits by the minute that the key has; none for a key without. `now` is monotonic."""
    found: list[Header] = []
    if account is None:
        return found
    if (window := account.requests) is not None:
        found += _three(b"requests", window.limit, window.remaining(now), window.reset(now))
    if (bucket := account.tokens) is not None:
        level = max(0, int(bucket.level(now)))
        found += _three(b"tokens", int(bucket.limit), level, bucket.reset(now))
    return found


def _three(what: bytes, limit: int, remaining: int, reset: float) -> tuple[Header, Header, Header]:
    return (
        (b"x-ratelimit-limit-" + what, b"%d" % limit),
        (b"x-ratelimit-remaining-" + what, b"%d" % remaining),
        (b"x-ratelimit-reset-" + what, duration(reset).encode()),
    )


def duration(seconds: float) -> str:
    """`120ms`, `7.66s`, `6m0s`, `1h2m3s`, as Go writes durations, which is what OpenAI sends."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))}ms"
    if seconds < MINUTE_SECONDS:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + "s"
    minutes, rest = divmod(round(seconds), MINUTE_SECONDS)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + f"{minutes}m{rest}s"


MINUTE_SECONDS = 60
