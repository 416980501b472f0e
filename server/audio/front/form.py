"""The fields of a form as `Options`: the transcription API of OpenAI, and what we add to it. Pure.

Owns the names of the fields and which of them exclude each other. A list may be sent with `[]`
behind its name or without. Fields that nobody here knows go to the engine as they came. An error
names the field (`param`) and never what was in it.
"""

from collections.abc import Iterable, Mapping
from math import isfinite

import orjson
from phonenumbers import SUPPORTED_REGIONS

from server.audio.front.options import FORMATS, GRAINS, Grain, Options, Scrubbing, Task
from server.audio.scrub.model import KINDS, LANGUAGES, Kind, Language, Wanted
from server.base.errors import InvalidRequest

Fields = Iterable[tuple[str, str]]

OURS = frozenset(
    {
        "diarize",
        "progress",
        "referee",
        "scrub",
        "scrub_custom",
        "scrub_find_names",
        "scrub_kinds",
        "scrub_languages",
        "scrub_names",
        "scrub_region",
        "scrub_reversible",
    }
)
"""No engine is told of these."""
_KNOWN = OURS | {
    "chunking_strategy",
    "hotwords",
    "include",
    "keywords",
    "known_speaker_names",
    "known_speaker_references",
    "language",
    "languages",
    "model",
    "prompt",
    "response_format",
    "stream",
    "temperature",
    "timestamp_granularities",
}
_LISTS = frozenset(
    {
        "include",
        "keywords",
        "known_speaker_names",
        "known_speaker_references",
        "languages",
        "scrub_custom",
        "scrub_kinds",
        "scrub_languages",
        "scrub_names",
        "timestamp_granularities",
    }
)
_YES, _NO = frozenset({"true", "1", "on", "yes"}), frozenset({"false", "0", "off", "no", ""})
KNOWN_SPEAKERS = 4
"""As many as the API of OpenAI takes."""
WORDS, LETTERS = 1000, 200
"""Of a vocabulary or a list of names: how many, and how long each."""
PROMPT_LETTERS = 10_000


def read(task: Task, fields: Fields) -> Options:
    """Raises `InvalidRequest` with the field's name."""
    given = _Given(fields)
    scrub = _scrubbing(given)
    options = Options(
        task=task,
        model=given.one("model") or None,
        languages=tuple(filter(None, (given.one("language"), *given.many("languages", limit=20)))),
        prompt=given.one("prompt", PROMPT_LETTERS),
        vocabulary=(*given.many("keywords"), *_split(given.one("hotwords", WORDS * 20))),
        format=given.one("response_format", 40).strip().lower() or "json",
        format_told=bool(given.one("response_format", 40).strip()),
        grains=_grains(given.many("timestamp_granularities")),
        temperature=_temperature(given.one("temperature")),
        stream=given.truth("stream"),
        logprobs="logprobs" in given.many("include"),
        diarize=given.truth("diarize"),
        names=given.many("known_speaker_names", limit=KNOWN_SPEAKERS),
        references=given.many("known_speaker_references", limit=KNOWN_SPEAKERS, letters=1 << 21),
        scrub=scrub,
        referee=given.truth("referee") if given.has("referee") else None,
        progress=given.truth("progress"),
        others=given.others,
    )
    _chunking(given.one("chunking_strategy", 1000))
    _agree(options)
    return options


def _agree(options: Options) -> None:
    """What the API of OpenAI does not take together."""
    if options.format == "diarized_json":
        for told, param in (
            (options.prompt, "prompt"),
            (options.logprobs, "include"),
            (options.grains, "timestamp_granularities"),
        ):
            if told:
                raise InvalidRequest(
                    f"{param} cannot be asked for together with response_format=diarized_json.",
                    param=param,
                    advice="Use response_format=verbose_json with diarize=true for words and "
                    "speakers in one answer.",
                )
    if options.grains and options.format != "verbose_json":
        raise InvalidRequest(
            "timestamp_granularities needs response_format=verbose_json.",
            param="timestamp_granularities",
        )
    if options.references and len(options.references) != len(options.names):
        raise InvalidRequest(
            "known_speaker_references needs one recording for each name of known_speaker_names.",
            param="known_speaker_references",
        )
    if len(set(options.names)) != len(options.names):
        raise InvalidRequest("A name is given twice.", param="known_speaker_names")


class _Given:
    """The fields by name, without the `[]` behind it."""

    def __init__(self, fields: Fields) -> None:
        self._values: dict[str, list[str]] = {}
        others: list[tuple[str, str]] = []
        for name, value in fields:
            bare = name.removesuffix("[]")
            if bare in _KNOWN:
                self._values.setdefault(bare, []).append(value)
            else:
                others.append((name, value))
        self.others = tuple(others)
        for name, values in self._values.items():
            if name not in _LISTS and len(values) > 1:
                raise InvalidRequest(f"The form has the field `{name}` twice.", param=name)

    def has(self, name: str) -> bool:
        return name in self._values

    def one(self, name: str, letters: int = 512) -> str:
        value = self._values.get(name, [""])[0]
        if len(value) > letters:
            raise InvalidRequest(f"{name} is longer than {letters} letters.", param=name)
        return value

    def many(self, name: str, *, limit: int = WORDS, letters: int = LETTERS) -> tuple[str, ...]:
        values = [value for value in self._values.get(name, ()) if value.strip()]
        if len(values) > limit:
            raise InvalidRequest(f"{name} has more than {limit} entries.", param=name)
        if any(len(value) > letters for value in values):
            raise InvalidRequest(f"{name} has an entry of more than {letters} letters.", param=name)
        return tuple(values)

    def truth(self, name: str) -> bool:
        value = self.one(name).strip().lower()
        if value not in _YES | _NO:
            raise InvalidRequest(f"{name} is true or false.", param=name)
        return value in _YES


def _split(text: str) -> tuple[str, ...]:
    """`hotwords` is one text, of words with commas or spaces between them."""
    parts = text.split(",") if "," in text else text.split()
    return tuple(filter(None, (part.strip() for part in parts)))[:WORDS]


def _grains(given: Iterable[str]) -> frozenset[Grain]:
    asked = {part.strip().lower() for value in given for part in value.split(",")}
    found: frozenset[Grain] = frozenset(grain for grain in GRAINS if grain in asked)
    if len(found) != len(asked):
        raise InvalidRequest(
            "timestamp_granularities holds `word`, `segment` or both.",
            param="timestamp_granularities",
        )
    return found


def _temperature(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value) or not 0 <= value <= 1:
        raise InvalidRequest("temperature is a number from 0 to 1.", param="temperature")
    return value


def _chunking(text: str) -> None:
    """How the engine cuts is its own affair; that the value is none is told here, once."""
    if text in {"", "auto"}:
        return
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, Mapping) or parsed.get("type") != "server_vad":
        raise InvalidRequest(
            'chunking_strategy is `auto`, or an object like {"type": "server_vad"}.',
            param="chunking_strategy",
        )


# ---- scrubbing


def _scrubbing(given: _Given) -> Scrubbing | None:
    wanted = Wanted(
        kinds=_kinds(_commas(given.many("scrub_kinds"))),
        languages=_languages(_commas(given.many("scrub_languages"))),
        region=_region(given.one("scrub_region")),
        names=given.many("scrub_names"),
        custom=given.many("scrub_custom"),
        find_names=given.truth("scrub_find_names"),
    )
    reversible = given.truth("scrub_reversible")
    return Scrubbing(wanted, reversible) if given.truth("scrub") else None


def _commas(values: Iterable[str]) -> frozenset[str]:
    return frozenset(filter(None, (part.strip() for one in values for part in one.split(","))))


def _kinds(asked: frozenset[str]) -> frozenset[Kind]:
    found: frozenset[Kind] = frozenset(kind for kind in KINDS if kind in asked)
    if len(found) != len(asked):
        raise InvalidRequest(f"scrub_kinds are {', '.join(KINDS)}.", param="scrub_kinds")
    return found or frozenset(KINDS)


def _languages(asked: frozenset[str]) -> tuple[Language, ...]:
    found: tuple[Language, ...] = tuple(one for one in LANGUAGES if one in asked)
    if len(found) != len(asked):
        raise InvalidRequest(
            f"scrub_languages are {', '.join(LANGUAGES)}.", param="scrub_languages"
        )
    return found or LANGUAGES


def _region(text: str) -> str:
    region = text.strip() or "US"
    if region not in SUPPORTED_REGIONS:
        raise InvalidRequest(
            "scrub_region is a country's two capital letters, like US.", param="scrub_region"
        )
    return region


def spoken_format(format_: str) -> bool:
    """Whether it is one that we can write ourselves."""
    return format_ in FORMATS
