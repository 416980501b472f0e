"""uvicorn's WebSocket connection, with pings that tell a host that is gone from one that is busy.

Owns the pong that is waited for: it stays out as well while this side reads nothing (its upstream
is slow) or the other side takes nothing, and then only the kernel knows (`gone`). Whatever comes in
after a ping answers it. A part of this program may send a ping of its own (`PING` in the scope's
extensions), and may take binary messages as they come (`DIRECT`): a task that wakes up for each of
ten thousand frames a second costs more than what is done with them.
"""

from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import OPEN

from server.gateway.sockets.waiting import DIRECT, PING, TAKE
from server.web.frames import Frames

PING_SECONDS = 15.0
PONG_SECONDS = 20.0
"""A client that is gone is noticed after both."""


class Attended(WebSocketsSansIOProtocol):
    _heard = 0.0
    _direct: dict[str, Any] | None = None
    _frames: Frames | None = None
    _looked = False

    def data_received(self, data: bytes) -> None:
        self._heard = self.loop.time()
        frames = self._frames
        if frames is not None and self._direct:
            take = self._direct.get(TAKE)
            if take is not None and self._between():
                payload = frames.whole(data)
                if payload is not None and take(payload):
                    return
        if frames is not None:
            frames.passed(data)
        super().data_received(data)
        if frames is None and self._direct is not None and not self._looked:
            # The handshake; who sends on without waiting for the answer goes the usual way.
            self._looked = True
            self._frames = Frames() if data.endswith(b"\r\n\r\n") else None

    def _between(self) -> bool:
        """Whether no message is under way, and none waits to be received."""
        conn = self.conn
        return (
            self.queue.empty()
            and not self.close_sent
            and conn.state is OPEN
            and conn.current_size is None
        )

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions = cast("dict[str, Any]", self.scope["extensions"])
            extensions[PING] = {}
            extensions[DIRECT] = self._direct = {}

    def send_receive_event_to_app(self) -> None:
        """What waits to be received comes first."""
        take = self._direct.get(TAKE) if self._direct else None
        if take is not None and self.curr_msg_data_type == "bytes" and self.queue.empty():
            frames = self.frames
            if not self.close_sent and take(frames[0] if len(frames) == 1 else b"".join(frames)):
                self.frames = []
                return
        super().send_receive_event_to_app()

    async def send(self, message: Any) -> None:
        if message["type"] != PING:
            await super().send(message)
        elif self.handshake_complete and not (self.close_sent or self.transport.is_closing()):
            self.conn.send_ping(message["bytes"])
            self.transport.write(b"".join(self.conn.data_to_send()))

    def keepalive_timeout(self) -> None:
        busy = self.read_paused or not self.writable.is_set()
        if not busy and self._heard <= self.ping_sent_at:
            super().keepalive_timeout()
            return
        self.pong_timer = None
        self.pending_ping_payload = None
        self.schedule_ping()
