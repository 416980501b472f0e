"""Long work is done by a process of its own, which never outlives its request."""

import asyncio
import os
from pathlib import Path

import orjson
import pytest

from server.audio import apart, merging
from server.audio.scrub import service as scrubbing
from server.audio.scrub.find import find
from server.audio.scrub.model import Wanted
from server.base.errors import InvalidValue, PayloadTooLarge
from server.gateway.client.here import Answered

LONG = "We met Anna at ten and spoke about the plan. " * 200


def never(_: bytes) -> Answered:
    raise AssertionError("this is not done here")


def children() -> set[int]:
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


async def test_a_long_text_is_scrubbed_by_another_process_with_the_same_answer() -> None:
    """Who asks cannot tell which of the two it was."""
    raw = orjson.dumps({"text": f"{LONG} ada@example.com", "reversible": True})
    found = await apart.done("scrub", raw, never)
    assert found == scrubbing.answered(raw)
    plain = f"{LONG} ada@example.com ü".encode()
    assert await apart.done("scrub-text", plain, never) == scrubbing.answered_text(plain)


async def test_long_transcripts_are_merged_by_another_process_with_the_same_answer() -> None:
    words = [{"word": "wörd", "start": i, "end": i + 0.5} for i in range(500)]
    raw = orjson.dumps({"mic": {"words": words}, "response_format": "srt"})
    assert await apart.done("label-merge", raw, never) == merging.answered(raw)


async def test_what_the_other_process_refuses_is_refused_with_its_words() -> None:
    """The field is named as well."""
    raw = orjson.dumps({"text": LONG, "region": "Utopia"})
    with pytest.raises(InvalidValue) as told:
        await apart.done("scrub", raw, never)
    assert (told.value.param, "region" in told.value.message) == ("region", True)


async def test_what_takes_too_long_is_given_up_and_its_process_is_gone() -> None:
    """No text can keep a core for itself, nor count against us: an open breaker shuts all out."""
    before = children()
    raw = orjson.dumps({"text": "one " + "7 " * 50_000})
    with pytest.raises(PayloadTooLarge):
        await apart.done("scrub", raw, never, seconds=0.2)
    assert children() <= before


async def test_a_caller_that_leaves_ends_the_process() -> None:
    before = children()
    raw = orjson.dumps({"text": "one " + "7 " * 50_000})
    task = asyncio.create_task(apart.done("scrub", raw, never))
    while not children() - before:  # noqa: ASYNC110 - the kernel tells, not the loop
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() <= before


@pytest.mark.parametrize("begun", ["eyJ-", "A.", "a-"])
def test_a_pattern_begins_at_the_first_letter_of_a_run_only(begun: str) -> None:
    """From every letter of it to its end would be a thousand times the work."""
    secret = "eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSMeKKF"
    assert [one.kind for one in find(secret, Wanted())] == ["secret"]
    assert find(begun * 10 + secret, Wanted(kinds=frozenset({"address"}))) == []
    assert find(f"-{secret}", Wanted()) == []
