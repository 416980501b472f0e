"""A transcript's words without what tells who somebody is, beside the loop.

Owns the way of the words to the process that looks for it and back (`server.audio.apart`). Refuses
to log or repeat a word of them.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from server.audio import apart
from server.audio.formats import segments
from server.audio.model import Said, Word
from server.audio.scrub.model import Wanted
from server.audio.scrub.people import people
from server.audio.scrub.segments import NOTHING, Gone, nobody, scrubbed
from server.gateway.client.here import Answered

SECONDS = 900.0
"""Looking for names in a day of speech takes minutes; without them it is a second."""


async def scrubbed_words(
    said: Iterable[Said], wanted: Wanted, *, reversible: bool = False, gone: Gone = NOTHING
) -> tuple[tuple[Said, ...], dict[str, Any]]:
    """The words, and the report that the answer holds. `gone` are words that were taken out before:
    they say what those that are left were part of. Raises `InvalidValue` where names are to be
    found by who is not installed: ask `people.required` before a recording is heard for hours."""
    raw = orjson.dumps(
        {
            "words": [_flat(one) for one in said],
            "kinds": sorted(wanted.kinds),
            "languages": wanted.languages,
            "region": wanted.region,
            "names": wanted.names,
            "custom": wanted.custom,
            "find_names": wanted.find_names,
            "reversible": reversible,
            "gone": [gone.channel, [[*one] for one in gone.words]],
        }
    )
    done = await apart.done("scrub-words", raw, answered, SECONDS, always=wanted.find_names)
    found = orjson.loads(done.body)
    return tuple(_said(one) for one in found["words"]), found["report"]


def answered(raw: bytes) -> Answered:
    """What `scrubbed_words` sent; nobody else sends here."""
    given = orjson.loads(raw)
    wanted = Wanted(
        kinds=frozenset(given["kinds"]),
        languages=tuple(given["languages"]),
        region=given["region"],
        names=tuple(given["names"]),
        custom=tuple(given["custom"]),
        find_names=given["find_names"],
    )
    looks = wanted.find_names and "name" in wanted.kinds
    before = segments(_said(one) for one in given["words"])
    channel, gone = given["gone"]
    without = Gone(channel, tuple(Word(*one) for one in gone))
    clean, report = scrubbed(before, wanted, people if looks else nobody, without)
    words = [_flat(said) for one in clean for said in one.words]
    shape = {"words": words, "report": report.to_dict(reversible=given["reversible"])}
    return Answered(orjson.dumps(shape))


def _flat(one: Said) -> list[Any]:
    return [*one.word, *one[1:]]


def _said(flat: list[Any]) -> Said:
    return Said(Word(*flat[:4]), *flat[4:])
