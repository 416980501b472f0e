"""The fields of one request to a service: a part of a recording is asked for here. Pure.

A part is asked for with everything that the whole needs, whatever the caller's format: words with
their times where the service has them. What nobody here knows is passed on as it came.
"""

from server.audio.front.dialect.traits import Traits
from server.audio.front.options import Options

Fields = list[tuple[str, str]]
_PROMPT_WORDS = 100
"""A vocabulary that is told as a prompt: recognisers read the last 200 tokens or so."""


def hearing(options: Options, traits: Traits, model: str | None) -> Fields:
    """For `transcriptions` and `translations`. `model` is what the caller named."""
    fields: Fields = []
    if model is not None:
        fields.append(("model", model))
    fields.append(("response_format", "verbose_json" if traits.verbose else "json"))
    if traits.verbose:
        fields += [("timestamp_granularities[]", grain) for grain in ("word", "segment")]
    language = options.language or (traits.language if traits.needs_language else None)
    if language:
        fields.append(("language", language))
    # One language is `language`; a list is only told by those who gave several.
    if len(options.languages) > 1:
        fields += [("languages[]", one) for one in options.languages]
    if options.temperature is not None:
        fields.append(("temperature", f"{options.temperature:g}"))
    return [*fields, *_vocabulary(options, traits), *options.others]


def _vocabulary(options: Options, traits: Traits) -> Fields:
    """The prompt, and the words to listen for in the way that the service knows."""
    words, fields = options.vocabulary, []
    prompt = options.prompt
    if words and traits.vocabulary == "prompt":
        prompt = f"{prompt} {', '.join(words[:_PROMPT_WORDS])}".strip()
    if prompt:
        fields.append(("prompt", prompt))
    if traits.vocabulary == "keywords":
        fields += [("keywords[]", word) for word in words]
    elif traits.vocabulary == "hotwords" and words:
        fields.append(("hotwords", ", ".join(words)))
    return fields


def diarizing(options: Options) -> Fields:
    """For `diarize-chunk` and `diarize`. Known speakers are found by their voices, here: a part
    does not tell who was meant in the one before."""
    if options.task != "diarize":
        return []
    fields: Fields = [] if options.model is None else [("model", options.model)]
    return [*fields, *options.others]
