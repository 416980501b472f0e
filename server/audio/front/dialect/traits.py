"""What services of a dialect can do. Pure, one table.

`auto` is what nothing is known of: it is taken for a server of the OpenAI API with everything but
speakers, and what it turns out not to do is remembered (`learned`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from server.audio.front.options import FORMATS

Dialect = Literal["auto", "openai", "speaches", "parakeet", "nim", "kokoro"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
Vocabulary = Literal["keywords", "hotwords", "prompt", "none"]


@dataclass(frozen=True, slots=True)
class Traits:
    """`formats`: what it writes itself. `verbose`: it can be asked for `verbose_json` with the
    times of words. `streams`: with `stream` it answers in SSE. `containers`: those it opens, None
    for all; `not_containers` those it was seen to refuse. `needs_language`: it refuses a request
    without one, and is then sent `language`. `vocabulary`: how words to listen for are told.
    `chunks`: it answers `/v1/audio/diarize-chunk`. `diarize_path`: where it diarizes, when that is
    not the path we have.
    """

    formats: frozenset[str]
    verbose: bool = True
    streams: bool = True
    containers: frozenset[str] | None = None
    not_containers: frozenset[str] = frozenset()
    needs_language: bool = False
    language: str | None = None
    vocabulary: Vocabulary = "prompt"
    chunks: bool = True
    diarize_path: str | None = None

    def opens(self, container: str) -> bool:
        if container in self.not_containers:
            return False
        return self.containers is None or container in self.containers


_WRITTEN = frozenset(FORMATS) - {"diarized_json"}

_TABLE: dict[Dialect, Traits] = {
    "auto": Traits(_WRITTEN),
    "openai": Traits(_WRITTEN, vocabulary="keywords"),
    "speaches": Traits(_WRITTEN, vocabulary="hotwords", diarize_path="/v1/audio/diarization"),
    # Its containers answer JSON, whatever is asked, and put the times of words under `timestamp`.
    "parakeet": Traits(frozenset({"json"}), streams=False, vocabulary="none"),
    "nim": Traits(
        frozenset({"json", "text"}),
        verbose=False,
        streams=False,
        containers=frozenset({"wav", "flac", "ogg"}),
        needs_language=True,
        language="en-US",
        vocabulary="none",
        chunks=False,
    ),
    "kokoro": Traits(frozenset(), verbose=False),
}


def traits_of(dialect: Dialect) -> Traits:
    return _TABLE[dialect]


def shared(found: Iterable[Traits]) -> Traits:
    """What all of several can do: replicas answer the same request, whoever is free. Of none at
    all: what nothing is known of."""
    listed = list(found)
    if not listed:
        return _TABLE["auto"]
    both = listed[0]
    for one in listed[1:]:
        both = _common(both, one)
    return both


def _common(one: Traits, other: Traits) -> Traits:
    if one == other:
        return one
    containers = one.containers
    if other.containers is not None:
        containers = other.containers if containers is None else containers & other.containers
    return replace(
        one,
        formats=one.formats & other.formats,
        verbose=one.verbose and other.verbose,
        streams=one.streams and other.streams,
        containers=containers,
        not_containers=one.not_containers | other.not_containers,
        needs_language=one.needs_language or other.needs_language,
        language=one.language or other.language,
        vocabulary=one.vocabulary if one.vocabulary == other.vocabulary else "none",
        chunks=one.chunks and other.chunks,
        diarize_path=one.diarize_path if one.diarize_path == other.diarize_path else None,
    )
