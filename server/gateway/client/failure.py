"""What a caller is told when the way to an upstream breaks. Pure.

Owns the sentences, so that both clients and the tunnel say the same. Class names, addresses and
texts of a transport never leave this room.
"""

from server.base.errors import InvalidRequest, Unavailable, UpstreamError, UpstreamTimeout

_RETRY_AFTER = 5.0


def unreachable(name: str) -> Unavailable:
    """Nothing listens, or nothing answered the connection in time."""
    return Unavailable(
        f"The engine of {name} does not accept connections.",
        advice="It may have died or be restarting; see GET /api/v1/swaps/current.",
        retry_after=_RETRY_AFTER,
        source=name,
    )


def broke(name: str) -> UpstreamError:
    return UpstreamError(
        f"The engine of {name} closed the connection before its answer was complete.", source=name
    )


def malformed(name: str) -> UpstreamError:
    """It said something that is not HTTP, or that two readers could take for two things."""
    return UpstreamError(f"The engine of {name} sent an answer that is not HTTP.", source=name)


def too_slow(name: str) -> UpstreamTimeout:
    return UpstreamTimeout(f"The engine of {name} sent nothing for too long.", source=name)


def no_answer(name: str, seconds: float) -> UpstreamTimeout:
    """It took the request, and nothing came."""
    return UpstreamTimeout(
        f"The engine of {name} began no answer within {seconds:g} s.",
        advice="It may hang. How long it may take is said by gateway.head_seconds and, for streams "
        "and quick answers, gateway.stream_head_seconds.",
        source=name,
    )


def unsendable(what: str) -> InvalidRequest:
    """A header or a path that would be read as more than it is."""
    return InvalidRequest(f"The {what} has characters that HTTP does not allow there.")


def wrong_length() -> InvalidRequest:
    return InvalidRequest("The body of the request is not as long as its Content-Length says.")


def no_address(name: str) -> UpstreamError:
    return UpstreamError(
        f"The address of {name} is not one that can be asked.",
        advice="It must look like http://host:port.",
        source=name,
    )
