"""What an engine says an answer has cost, in any of the dialects. Pure; odd values count as none.

OpenAI      prompt_tokens, completion_tokens, prompt_tokens_details.cached_tokens
Responses   input_tokens, output_tokens, input_tokens_details.cached_tokens, under `response`
Realtime    the same, but for `input_token_details`
Anthropic   input_tokens beside cache_read_input_tokens and cache_creation_input_tokens, which are
            parts of the prompt as well; of a stream under `message` first, then by itself
Audio       usage of type `duration` with seconds; or `duration` of a verbose answer
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from server.gateway.model import Used

N = TypeVar("N", int, float)

_MOST = 10**12


def used_of(body: Any, *, audio: bool = False) -> Used:
    """Of a whole answer, or of one event of a stream."""
    if not isinstance(body, dict):
        return Used()
    usage = body.get("usage")
    for wrapper in ("response", "message"):
        inner = body.get(wrapper)
        if not isinstance(usage, dict) and isinstance(inner, dict):
            usage = inner.get("usage")
    found = of_usage(usage) if isinstance(usage, dict) else Used()
    if audio and found.audio_seconds is None:
        found = merged(found, Used(audio_seconds=_seconds(body.get("duration"))))
    return found


def of_usage(usage: Mapping[str, Any]) -> Used:
    """Of the `usage` object itself."""
    prompt = _count(usage.get("prompt_tokens"))
    completion = _count(usage.get("completion_tokens"))
    details = usage.get("prompt_tokens_details")
    if prompt is None:
        prompt = _count(usage.get("input_tokens"))
        for name in ("input_tokens_details", "input_token_details"):
            details = usage.get(name) if details is None else details
    if completion is None:
        completion = _count(usage.get("output_tokens"))
    if prompt is None and (total := _count(usage.get("total_tokens"))) is not None:
        prompt = max(0, total - (completion or 0))
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    read = _count(usage.get("cache_read_input_tokens"))
    written = _count(usage.get("cache_creation_input_tokens"))
    if read is not None or written is not None:
        prompt = (prompt or 0) + (read or 0) + (written or 0)
        cached = read if cached is None else cached
    seconds = usage.get("seconds", usage.get("duration"))
    return Used(prompt, completion, cached, _seconds(seconds))


def merged(one: Used, other: Used) -> Used:
    """The events of a stream tell sums so far, so of each figure the larger one is the newer."""
    return Used(
        _larger(one.prompt_tokens, other.prompt_tokens),
        _larger(one.completion_tokens, other.completion_tokens),
        _larger(one.cached_tokens, other.cached_tokens),
        _larger(one.audio_seconds, other.audio_seconds),
    )


def _larger(one: N | None, other: N | None) -> N | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < _MOST else None


def _seconds(value: Any) -> float | None:
    """Some engines write the duration as text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    good = type(value) in {int, float} and 0 <= value < _MOST
    return float(value) if good else None
