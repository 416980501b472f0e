"""How a call uses the cache."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.types import Message

from server.gateway.intake.body import Upload
from server.gateway.intake.request import Taken
from server.gateway.kept import Keeping
from server.gateway.model import Passage
from server.gateway.relay import Answer
from server.gateway.wire import header
from tests.gateway.cache.test_cache import BODY, EMBED, JSON, ROUTE, House


async def nobody(_message: Message) -> None:
    raise AssertionError("nothing is answered here")


async def no_source(_upload: Upload) -> None:
    raise AssertionError("this is no upload")


@pytest.mark.parametrize(("query", "mark"), [(b"", b"miss"), (b"normalize=false", b"bypass")])
async def test_what_is_asked_in_the_query_is_not_answered_from_the_cache(
    query: bytes, mark: bytes, tmp_path: Path
) -> None:
    """It goes to the service, which may listen to it: others would be given its odd answer."""
    passage = Passage("r", datetime.now(UTC), time.monotonic(), EMBED.path)
    answer = Answer(nobody, passage, named=False)
    keeping = Keeping(House(tmp_path).cache, EMBED, passage, answer, JSON, query=query)
    asked = []

    async def attempts() -> None:
        asked.append(1)

    await keeping.go(ROUTE, Taken(BODY, "minilm"), no_source, attempts)  # type: ignore[arg-type]
    assert asked == [1]
    assert header(answer.extra, b"x-spark-cache") == mark
