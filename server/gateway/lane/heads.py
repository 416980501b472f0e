"""What heads of answers are made of, kept from one answer to the next.

Owns the memory of the lane: the last shape that each upstream answered in, and the lines that the
server and the outermost layer put around it. All of it is made anew when it is another one.
"""

from collections.abc import Sequence

from server.gateway.lane.head import Shape, lines, shape
from server.gateway.lane.model import Watch
from server.gateway.wire import Header

_MOST = 256


class Heads:
    """One per lane. `watch` says what every answer has in its head."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._shapes: dict[str, Shape] = {}
        self._default: Sequence[Header] = ()
        self._ours = b""

    def like(self, name: str, headers: list[Header]) -> Shape:
        """The shape of a head from the upstream `name`. Raises `NotPlain`."""
        known = self._shapes.get(name)
        if known is None or not known.fits(headers):
            if len(self._shapes) >= _MOST:
                self._shapes.clear()
            known = self._shapes[name] = shape(headers)
        return known

    def ours(self, default: Sequence[Header]) -> bytes:
        """The lines of the server: it makes another list each second."""
        if default is not self._default:
            self._default, self._ours = default, lines(default)
        return self._ours

    def more(self, request_id: str, extra: Sequence[Header]) -> bytes:
        """Raises `NotPlain`."""
        always = b"".join([b"%b: %b\r\n" % pair for pair in self.watch.always(request_id)])
        return lines(extra) + always if extra else always
