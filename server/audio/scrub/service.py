"""`POST /scrub`: a text, or a transcript's words, without what tells who somebody is.

Owns the shape of the request and of the answer. Works beside the loop, since a long text takes
seconds. Refuses to put a word of the text into a log or an error.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from phonenumbers import SUPPORTED_REGIONS
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.audio import apart
from server.audio.scrub.find import detectors
from server.audio.scrub.model import KINDS, LANGUAGES, Kind, Language, Scrubbed, Wanted
from server.audio.scrub.people import people
from server.audio.scrub.replace import scrub
from server.base.errors import InvalidValue, UnsupportedMediaType
from server.gateway.client.here import Answered, whole
from server.gateway.model import UpstreamRequest
from server.gateway.wire import header

LARGEST = 4 << 20
LETTERS = 1_000_000
_Name = Annotated[str, Field(min_length=1, max_length=200)]
Listed = Annotated[list[_Name], Field(max_length=1000)]


class Body(BaseModel):
    """What may be asked. `text` is the document; `find_names` has names looked for that nobody
    listed; `reversible` adds what each placeholder stands for to the answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str = Field(max_length=LETTERS)
    kinds: list[Kind] = Field(default=list(KINDS), min_length=1)
    languages: list[Language] = Field(default=list(LANGUAGES))
    region: str = "US"
    names: Listed = []
    custom: Listed = []
    find_names: bool = False
    reversible: bool = False


async def answer(request: UpstreamRequest) -> Answered:
    """JSON for JSON, and `text/plain` for `text/plain`, with everything looked for."""
    kind = (header(request.headers, b"content-type") or b"").partition(b";")[0].strip().lower()
    if kind == b"text/plain":
        return await apart.done("scrub-text", await whole(request, LARGEST), answered_text)
    if kind != b"application/json":
        raise UnsupportedMediaType(
            "/scrub takes application/json or text/plain.", advice='Send {"text": "…"}.'
        )
    raw = await whole(request, LARGEST)
    # What knows names takes more memory than we have for it: never in this process.
    always = len(raw) <= apart.SMALL and _body(raw).find_names
    return await apart.done("scrub", raw, answered, always=always)


def answered(raw: bytes) -> Answered:
    body = _body(raw)
    wanted = _wanted(body)
    names = people(body.text) if looks_for_people(wanted) else ()
    done = scrub(body.text, wanted, names)
    return Answered(orjson.dumps(shown(done, wanted, reversible=body.reversible)))


def looks_for_people(wanted: Wanted) -> bool:
    return wanted.find_names and "name" in wanted.kinds


def answered_text(raw: bytes) -> Answered:
    done = scrub(_decoded(raw), Wanted())
    return Answered(done.text.encode(), "text/plain; charset=utf-8")


def shown(done: Scrubbed, wanted: Wanted, *, reversible: bool) -> Mapping[str, Any]:
    """`start` and `end` are of the given text, `placed_start` and `placed_end` of the new one; both
    count Unicode code points. Without `reversible` nothing of the given text is in it."""
    spans = [
        {
            "kind": span.kind,
            "start": span.start,
            "end": span.end,
            "placeholder": name,
            "placed_start": start,
            "placed_end": end,
        }
        for span, (start, end, name) in zip(done.spans, done.placed, strict=True)
    ]
    answer: dict[str, Any] = {
        "text": done.text,
        "spans": spans,
        "detectors": detectors(wanted),
        "languages": wanted.languages,
    }
    if reversible:
        answer["values"] = dict(done.values)
    return answer


def _decoded(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise InvalidValue("The text is not UTF-8.") from None
    if len(text) > LETTERS:
        raise InvalidValue(f"The text has more than {LETTERS} letters.", param="text")
    return text


def _body(raw: bytes) -> Body:
    try:
        body = Body.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise InvalidValue(f"{field or 'body'}: {first['msg']}", param=field or None) from None
    if body.region not in SUPPORTED_REGIONS:
        raise InvalidValue("region: use a country's two capital letters, like US", param="region")
    return body


def _wanted(body: Body) -> Wanted:
    return Wanted(
        kinds=frozenset(body.kinds),
        languages=tuple(body.languages),
        region=body.region,
        names=tuple(body.names),
        custom=tuple(body.custom),
        find_names=body.find_names,
    )
