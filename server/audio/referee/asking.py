"""A question goes to the served model the way of every chat request, under the caller's name.

Owns the body of that request and the way to the text of its answer. It is let in under the caps,
waits in the line, is counted and charged to the caller. It never starts a swap. Refuses to log or
repeat what is asked or answered.
"""

from dataclasses import replace
from typing import Any

import orjson

from server.audio.referee.choice import Chosen, choose
from server.audio.referee.model import Question, Unasked
from server.base.errors import UpstreamError
from server.gateway.listing import Entries
from server.gateway.model import Caller
from server.gateway.operations import OPERATIONS
from server.gateway.way import Crew
from server.gateway.within import Inner, ask

_CHAT = OPERATIONS["/v1/chat/completions"]


class Asking:
    """Asks one model for one caller. Awaited with a question it gives the model's text."""

    def __init__(self, crew: Crew, caller: Caller, request_id: str, chosen: Chosen) -> None:
        self._crew = crew
        self._caller = replace(caller, swap="never")
        self._request_id = request_id
        self._chosen = chosen

    @property
    def model(self) -> str:
        return self._chosen.model

    async def __call__(self, question: Question) -> str:
        body = orjson.dumps(body_of(question, self._chosen))
        name = f"{self._request_id}.referee{question.number}"
        got = await ask(self._crew, Inner(_CHAT, self._caller, name, "application/json", body))
        return text_of(got.body, got.upstream)


def asking(
    setting: str, entries: Entries, crew: Crew, caller: Caller, request_id: str
) -> Asking | Unasked:
    """`setting` is `audio.referee`, or what the request says instead of it."""
    chosen = choose(setting, entries(), lambda names: crew.gatekeeper.sees(caller, names))
    if isinstance(chosen, Unasked):
        return chosen
    return Asking(crew, caller, request_id, chosen)


def body_of(question: Question, chosen: Chosen) -> dict[str, Any]:
    """Thinking is switched off where the model knows one of the words for it; an engine ignores
    them elsewhere, a foreign service may refuse them."""
    body: dict[str, Any] = {
        "model": chosen.model,
        "messages": [{"role": one.role, "content": one.content} for one in question.messages],
        "temperature": 0,
        "max_tokens": question.answer_tokens,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": question.name, "strict": True, "schema": question.schema},
        },
    }
    if chosen.engine:
        body["chat_template_kwargs"] = {"enable_thinking": False, "thinking": False}
        body["reasoning_effort"] = "low"
    return body


def text_of(raw: bytes, upstream: str) -> str:
    """Raises `UpstreamError` when there is none."""
    try:
        answer = orjson.loads(raw)
        content = answer["choices"][0]["message"]["content"]
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
        raise _without(upstream) from None
    if not isinstance(content, str):
        raise _without(upstream)
    return content


def _without(upstream: str) -> UpstreamError:
    return UpstreamError(f"The answer of {upstream} holds no text.", source=upstream)
