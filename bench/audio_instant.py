"""A recogniser that answers at once: `python -m bench.audio_instant PORT`.

A process of its own, so that a thousand streams do not wait for it. Words come in a steady measure
from the begin of what it is sent, as long as that is; nothing of it is kept.
"""

import asyncio
import json
import re
import sys

WORDS_A_SECOND = 2.5
BYTES_A_SECOND = 32_000
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHAT = {"role": "assistant", "content": "hello"}
_CHOICES = [{"index": 0, "message": _CHAT, "finish_reason": "stop"}]


def answer(path: bytes, size: int) -> bytes:
    if b"transcriptions" not in path:
        shape: object = {"id": "x", "object": "chat.completion", "choices": _CHOICES}
    else:
        each = 1 / WORDS_A_SECOND
        words = [
            {"word": f"w{at}", "start": at * each, "end": at * each + 0.3, "probability": 0.9}
            for at in range(int(size / BYTES_A_SECOND * WORDS_A_SECOND))
        ]
        shape = {"text": "", "words": words}
    body = json.dumps(shape).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


class Answering(asyncio.Protocol):
    """One connection. A body with a length is counted, and dropped as it comes."""

    def __init__(self) -> None:
        self._head = b""
        self._left = self._size = 0
        self._path = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        while data:
            if not self._left:
                self._head += data
                head, found, data = self._head.partition(b"\r\n\r\n")
                if not found:
                    return
                self._head = b""
                length = _LENGTH.search(head)
                self._left = self._size = int(length[1]) if length else 0
                self._path = head.split(b" ", 2)[1]
            taken = min(self._left, len(data))
            self._left -= taken
            data = data[taken:]
            if not self._left and self._transport is not None:
                self._transport.write(answer(self._path, self._size))


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
