"""The JSON of an answer, whole or as server-sent events, in vLLM's shapes.

Owns what a client reads; refuses to decide what is said.
"""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Plan:
    """A request that was accepted: what to say and how."""

    ident: str
    chat: bool
    model: str
    prompt_tokens: int
    pieces: tuple[str, ...]
    thoughts: tuple[str, ...]
    finish: str
    stream: bool
    usage_at_end: bool
    tool: tuple[str, str] | None = None
    """name and JSON arguments of the function that is called instead of an answer"""


def usage(plan: Plan) -> dict[str, Any]:
    made = len(plan.pieces) + len(plan.thoughts)
    return {
        "prompt_tokens": plan.prompt_tokens,
        "total_tokens": plan.prompt_tokens + made,
        "completion_tokens": made,
        "prompt_tokens_details": None,
    }


def whole(plan: Plan) -> dict[str, Any]:
    text = "".join(plan.pieces)
    choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": plan.finish}
    choice["stop_reason"] = None
    if plan.chat:
        thought = "".join(plan.thoughts) or None
        choice["message"] = {
            "role": "assistant",
            "content": text if plan.tool is None else None,
            "refusal": None,
            "tool_calls": [_call(plan)] if plan.tool else [],
            "reasoning": thought,
            "reasoning_content": thought,
        }
    else:
        choice["text"] = text
    return {
        "id": plan.ident,
        "object": "chat.completion" if plan.chat else "text_completion",
        "created": int(time.time()),
        "model": plan.model,
        "choices": [choice],
        "usage": usage(plan),
        "system_fingerprint": "simulated",
    }


def _call(plan: Plan) -> dict[str, Any]:
    name, arguments = plan.tool or ("", "")
    function = {"name": name, "arguments": arguments}
    return {"id": f"call-{plan.ident}", "type": "function", "function": function}


def _delta(text: str, *, thought: bool) -> dict[str, Any]:
    return {"reasoning": text, "reasoning_content": text} if thought else {"content": text}


async def events(plan: Plan, pieces: AsyncIterator[tuple[str, bool]]) -> AsyncIterator[bytes]:
    """Server-sent events of a streamed answer, ended by `[DONE]`."""

    def event(choices: list[dict[str, Any]], used: dict[str, Any] | None = None) -> bytes:
        body: dict[str, Any] = {
            "id": plan.ident,
            "object": "chat.completion.chunk" if plan.chat else "text_completion",
            "created": created,
            "model": plan.model,
            "choices": choices,
        }
        if used is not None:
            body["usage"] = used
        return f"data: {json.dumps(body)}\n\n".encode()

    def choice(part: dict[str, Any] | str, finish: str | None = None) -> list[dict[str, Any]]:
        content = {"delta": part} if plan.chat else {"text": part}
        return [{"index": 0, **content, "logprobs": None, "finish_reason": finish}]

    created = int(time.time())
    opening = False
    async for text, thought in pieces:
        if plan.chat and not opening:
            yield event(choice({"role": "assistant", "content": ""}))
            opening = True
        yield event(choice(_delta(text, thought=thought) if plan.chat else text))
    if plan.chat and not opening:
        yield event(choice({"role": "assistant", "content": ""}))
    for part in [{"tool_calls": [{"index": 0, **_call(plan)}]}] if plan.tool else []:
        yield event(choice(part))
    yield event(choice({} if plan.chat else "", plan.finish))
    if plan.usage_at_end:
        yield event([], usage(plan))
    yield b"data: [DONE]\n\n"
