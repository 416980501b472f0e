"""A WebSocket on the simulated speech service: it tells how much it heard.

Owns the frames, by the sans-IO protocol of `websockets`. Text messages are answered with their
type, binary ones with the number of bytes so far; `{"type": "close", "code": N}` closes with N.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.http11 import Request as Handshake
from websockets.server import ServerProtocol

READ = 64 * 1024


async def converse(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """From the handshake, whose bytes are `head`, to the end of the connection."""
    protocol = ServerProtocol()
    protocol.receive_data(head)
    heard = Heard()
    while True:
        for event in protocol.events_received():
            if isinstance(event, Handshake):
                protocol.send_response(protocol.accept(event))
            elif isinstance(event, Frame):
                _answer(protocol, event, heard)
        for data in protocol.data_to_send():
            if data:
                writer.write(data)
            elif writer.can_write_eof():
                writer.write_eof()
        await writer.drain()
        if reader.at_eof():
            return
        received = await reader.read(READ)
        if received:
            protocol.receive_data(received)
        else:
            protocol.receive_eof()
            return


class Heard:
    """What one connection was sent so far."""

    def __init__(self) -> None:
        self.size = 0

    def told(self, message: str | bytes) -> dict[str, Any]:
        if isinstance(message, bytes):
            self.size += len(message)
            return {"type": "heard", "bytes": self.size, "simulated": True}
        body = _read(message)
        return {"type": "heard", "of": body.get("type"), "bytes": self.size, "simulated": True}


def _read(message: str) -> Mapping[str, Any]:
    try:
        body = json.loads(message)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _answer(protocol: ServerProtocol, frame: Frame, heard: Heard) -> None:
    if frame.opcode is Opcode.BINARY:
        reply = heard.told(bytes(frame.data))
    elif frame.opcode is Opcode.TEXT:
        text = bytes(frame.data).decode()
        body = _read(text)
        if body.get("type") == "close":
            protocol.send_close(int(body.get("code", 1000)), str(body.get("reason", "")))
            return
        reply = heard.told(text)
    else:
        return  # pings and closes are answered by the protocol itself
    protocol.send_text(json.dumps(reply).encode())
