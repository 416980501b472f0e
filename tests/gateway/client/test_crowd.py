"""Hundreds of callers on few connections: some leave before, some during, some are slow."""

import asyncio
import random

from server.gateway.client.pool import PooledUpstream
from tests.gateway.client.far import OK, ask, turns
from tests.gateway.running import raw_server, read_request

TIMES = 50


class Crowd:
    """Callers, each of whom must hear what it asked; and the upstream, which repeats it."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.pool = PooledUpstream()
        self.heard = 0
        self.url = ""

    async def talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int
    ) -> None:
        try:
            goes_on = True
            while goes_on:
                asked = (await read_request(reader)).partition(b"\r\n\r\n")[2] * TIMES
                await self.answer(writer, asked, chunked=self.rng.random() < 0.5)
                goes_on = self.rng.random() < 0.9
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    async def answer(self, writer: asyncio.StreamWriter, body: bytes, *, chunked: bool) -> None:
        framing = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % len(body)
        writer.write(OK + framing + b"\r\n\r\n")
        for start in range(0, len(body), 97):
            part = body[start : start + 97]
            writer.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
            await asyncio.sleep(0)
        if chunked:
            writer.write(b"0\r\n\r\n")

    async def call(self, number: int) -> None:
        body = b"<%06d>" % number
        response = await self.pool.open(ask(self.url, body=body))
        try:
            got = b""
            async for part in response.chunks():
                got += part
                assert (body * TIMES).startswith(got)
                if self.rng.random() < 0.1:
                    return
                await turns(self.rng.randrange(5))
            assert got == body * TIMES
            self.heard += 1
        finally:
            response.close()

    async def caller(self, first: int) -> None:
        for number in range(first, first + 40):
            task = asyncio.create_task(self.call(number))
            if self.rng.random() < 0.2:
                await turns(self.rng.randrange(20))
                task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()


async def test_no_answer_ever_goes_to_somebody_else() -> None:
    """What is heard is always the answer to what was asked; every connection is accounted for."""
    crowd = Crowd(7)
    async with raw_server(crowd.talk) as crowd.url:
        await asyncio.gather(*(crowd.caller(first) for first in range(0, 1000, 100)))
        assert crowd.heard > 100
        await crowd.pool.close()
    assert not crowd.pool._open
    assert not any(crowd.pool._idle.values())
