"""How the places of one queue are shared among clients. Pure.

Theory. A queue is bounded, so whoever fills it keeps everybody else out. Max-min fairness takes
that away: when one request too many waits, the client with the most loses its last one, unless the
newcomer's own client has as many, which then loses the newcomer. So

    (1) a full queue stays exactly full: one comes in, one goes;
    (2) a client that has fewer than (limit / clients) places always gets one more, for the heaviest
        has at least the mean, and the mean is more;
    (3) nobody is made heavier than whom it displaces, so two clients never take places from each
        other in turn, and a client that was displaced gains nothing by asking again at once.

The order of the queue stays as it is: priority says who goes first, not who may wait. A client is a
key, or an address without one.

Cost: each client stands in a bucket by its count. A request that comes or goes moves one client to
the next bucket, so the heaviest is known without a look at the others.
"""

from server.gateway.admission.line import Item, Line


class Shares:
    """Of those who wait in one queue. `add` and `remove` each of them once."""

    __slots__ = ("_buckets", "_lines", "_most")

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._buckets: dict[int, dict[str, None]] = {}
        self._most = 0

    def add(self, client: str, item: Item) -> None:
        line = self._lines.get(client)
        if line is None:
            line = self._lines[client] = Line()
        line.add(item)
        self._move(client, len(line) - 1, len(line))
        self._most = max(self._most, len(line))

    def remove(self, client: str, item: Item) -> None:
        line = self._lines[client]
        line.remove(item)
        self._move(client, len(line) + 1, len(line))
        if self._most not in self._buckets:
            # It was the only one there, and it is one below now.
            self._most = len(line)
        if not len(line):
            del self._lines[client]

    def count(self, client: str) -> int:
        line = self._lines.get(client)
        return 0 if line is None else len(line)

    def loser(self, client: str) -> int | None:
        """Now that one of `client` is one too many: whose place it takes, by ticket; None when it
        has to go itself. Of several who have the most it is who came to it last."""
        if self._most <= self.count(client):
            return None
        heaviest = next(reversed(self._buckets[self._most]))
        return self._lines[heaviest].last()[1]

    def _move(self, client: str, before: int, after: int) -> None:
        if before:
            bucket = self._buckets[before]
            del bucket[client]
            if not bucket:
                del self._buckets[before]
        if after:
            self._buckets.setdefault(after, {})[client] = None
