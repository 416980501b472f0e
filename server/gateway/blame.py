"""How an upstream did, by the status of its answer or of the error that came in its place. Pure.

Owns what counts against an upstream: enough of it opens its breaker and takes it away from all
callers. So what a caller can bring about by what it sends must never count.
"""

from server.gateway.model import Outcome

_ABOUT_THE_REQUEST = frozenset({501, 505})
"""It does not know the method or the version."""


def so_far(status: int) -> Outcome:
    """When the head of its answer is here: a caller that leaves now has left a good one."""
    return "failed" if status >= 500 and status not in _ABOUT_THE_REQUEST else "left"


def broken_off(status: int, *, answered: bool) -> Outcome:
    """When the request ended with an error. `answered`: `status` is that of the upstream's answer;
    else of our error, and below 500 it says what is wrong with the request (a path with dots)."""
    if answered and (400 <= status < 500 or status in _ABOUT_THE_REQUEST):
        return "answered"
    return "failed" if answered or status >= 500 else "left"
