"""Which model referees, out of those that answer now. Pure.

Owns the meaning of the setting `audio.referee`. Refuses to have a model loaded: what does not
answer now is not asked, whatever the setting says.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from server.audio.referee.model import Unasked

OFF, AUTO = "off", "auto"
_SERVICE = "service"


class Chosen(NamedTuple):
    """`engine`: it is one of ours, which takes what only engines know (`chat_template_kwargs`)."""

    model: str
    engine: bool


def choose(
    setting: str,
    entries: Iterable[Mapping[str, Any]],
    sees: Callable[[Sequence[str]], bool],
) -> Chosen | Unasked:
    """`entries` are those of `/v1/models`, what is served first; `sees` tells whether the caller
    may use something of these names. `auto` is the first language model of an engine, then of a
    service."""
    if setting == OFF:
        return Unasked("the referee is off (audio.referee)")
    answering = [one for one in entries if one["kind"] == "llm" and one["state"] == "serving"]
    if setting == AUTO:
        usable = [one for one in answering if one["parent"] is None and sees(_names(one))]
        usable.sort(key=lambda one: bool(one["owned_by"] == _SERVICE))
    else:
        usable = [one for one in answering if setting in _names(one) and sees(_names(one))]
    if usable:
        return Chosen(usable[0]["id"], usable[0]["owned_by"] != _SERVICE)
    wanted = "no language model is" if setting == AUTO else "the model of audio.referee is not"
    return Unasked(f"{wanted} being served to this caller")


def _names(entry: Mapping[str, Any]) -> list[str]:
    return [entry["id"], *entry["aliases"], *([entry["parent"]] if entry["parent"] else [])]
