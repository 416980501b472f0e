"""A WebSocket on the simulated speech service: it tells how much it heard.

Owns the few frames of RFC 6455 that it needs, with the standard library alone, as everything that
runs inside a simulated container. Text messages are answered with their type, binary ones with the
number of bytes so far; `{"type": "close", "code": N, "reason": …}` closes with that code.
"""

import asyncio
import base64
import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
LONGEST = 1 << 24


def accept(head: bytes) -> bytes:
    """The answer to a handshake (RFC 6455, 4.2.2)."""
    key = b""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"sec-websocket-key":
            key = value.strip()
    digest = hashlib.sha1(key + GUID).digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )


def frame(opcode: int, data: bytes) -> bytes:
    """One whole, unmasked frame, as a server sends it."""
    size = len(data)
    if size < 126:
        return bytes((0x80 | opcode, size)) + data
    if size < 1 << 16:
        return bytes((0x80 | opcode, 126)) + struct.pack(">H", size) + data
    return bytes((0x80 | opcode, 127)) + struct.pack(">Q", size) + data


async def read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One message or control frame. Control frames between the parts of a message are lost."""
    message, kind = b"", 0
    while True:
        first, second = await reader.readexactly(2)
        opcode, size = first & 0x0F, second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", await reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", await reader.readexactly(8))
        if size > LONGEST:
            raise asyncio.IncompleteReadError(b"", size)
        mask = await reader.readexactly(4) if second & 0x80 else bytes(4)
        data = _unmasked(await reader.readexactly(size), mask)
        if opcode >= CLOSE:
            return opcode, data
        kind = opcode or kind
        message += data
        if first & 0x80:
            return kind, message


def _unmasked(data: bytes, mask: bytes) -> bytes:
    long_mask = (mask * (len(data) // 4 + 1))[: len(data)]
    number = int.from_bytes(data, "big") ^ int.from_bytes(long_mask, "big")
    return number.to_bytes(len(data), "big")


async def converse(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """From the handshake, whose bytes are `head`, to the end of the connection."""
    writer.write(accept(head))
    heard = 0
    while True:
        opcode, data = await read(reader)
        if opcode == CLOSE:
            writer.write(frame(CLOSE, data))
            break
        if opcode == PING:
            writer.write(frame(PONG, data))
        elif opcode == BINARY:
            heard += len(data)
            writer.write(_told(heard))
        elif opcode == TEXT:
            body = _object(data)
            if body.get("type") == "close":
                code = struct.pack(">H", int(body.get("code", 1000)))
                writer.write(frame(CLOSE, code + str(body.get("reason", "")).encode()))
                await read(reader)  # the other side's close
                break
            writer.write(_told(heard, of=body.get("type")))
        await writer.drain()
    await writer.drain()


def _told(heard: int, **more: Any) -> bytes:
    body = {"type": "heard", "bytes": heard, "simulated": True, **more}
    return frame(TEXT, json.dumps(body).encode())


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(data)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
