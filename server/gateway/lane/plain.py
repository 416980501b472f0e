"""Whether the head of a request is plain: nothing in it asks for more than to be passed on. Pure.

Owns the list of what keeps a request off the fast lane. Refuses nothing: what is not plain goes the
ordinary way, which knows what to say. The framing was checked by the parser already; here it is
only looked at whether there is any besides one length.
"""

from dataclasses import dataclass

from server.base.errors import InvalidRequest
from server.gateway.client.request import lines_of
from server.gateway.intake.head import MAX_HEADER_BYTES, MAX_HEADERS
from server.gateway.keys.token import presented
from server.gateway.model import Caller, Operation
from server.gateway.operations import OPERATIONS
from server.gateway.wire import JSON, Header, header, passed_on

LONGEST = 64 * 1024
"""A larger body takes its time anyway, and its connection may have to be slowed down."""

_LENGTH = b"content-length"
_PLAIN = {
    operation.path.encode(): operation
    for operation in OPERATIONS.values()
    if operation.body == "json" and operation.methods == ("POST",) and not operation.prefix
}
_NEVER = frozenset({b"expect", b"transfer-encoding", b"upgrade", b"trailer", b"te"})


@dataclass(slots=True)
class Plain:
    """A plain head. `at` is where its length stands among `headers`, `key` what it presents,
    `given` the id that it gives itself, `lines` what the upstream is told of it.

    Clients send the same head again and again: it is kept for as long as its connection does, and
    with it who was recognised by the key, in which `edition` of what is known.
    """

    operation: Operation
    url: bytes
    headers: list[Header]
    at: int
    key: str | None
    given: bytes | None
    lines: bytes
    caller: Caller | None = None
    edition: int = 0

    def is_again(self, url: bytes, headers: list[Header]) -> bool:
        """Whether this is the same head but for the length of the body."""
        at, mine = self.at, self.headers
        return (
            url == self.url
            and len(headers) == len(mine)
            and headers[at][0] == _LENGTH
            and fits(headers[at][1])
            and headers[:at] == mine[:at]
            and headers[at + 1 :] == mine[at + 1 :]
        )


def read(url: bytes, headers: list[Header]) -> Plain | None:
    """The head of a POST; None when it is not plain. Names of headers are lower case."""
    operation = _PLAIN.get(url)
    if operation is None or not _is_plain(headers):
        return None
    at = next(at for at, (name, _) in enumerate(headers) if name == _LENGTH)
    try:
        lines = lines_of(passed_on(headers))
    except InvalidRequest:
        return None
    given = header(headers, b"x-request-id")
    return Plain(operation, url, headers, at, presented(headers), given, lines)


def _is_plain(headers: list[Header]) -> bool:
    lengths = [value for name, value in headers if name == _LENGTH]
    kinds = [value for name, value in headers if name == b"content-type"]
    size = sum(len(name) + len(value) for name, value in headers)
    return (
        len(lengths) == 1
        and fits(lengths[0])
        and kinds == [JSON]
        and len(headers) <= MAX_HEADERS
        and size <= MAX_HEADER_BYTES
        and not any(_bars(name, value) for name, value in headers)
    )


def _bars(name: bytes, value: bytes) -> bool:
    return name in _NEVER or (name == b"connection" and value.lower() != b"keep-alive")


def fits(length: bytes) -> bool:
    return length.isdigit() and len(length) < 9 and 0 < int(length) <= LONGEST
