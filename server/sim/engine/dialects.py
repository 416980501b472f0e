"""The answers of an engine in the other two dialects that vLLM speaks: OpenAI's Responses and
Anthropic's Messages, whole or as named server-sent events.

Owns what a client of these reads; refuses to decide what is said.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from server.sim.engine.shapes import Plan

Pieces = AsyncIterator[tuple[str, bool]]
Body = dict[str, Any]


def as_chat(body: Mapping[str, Any], path: str) -> Body:
    """A request of either dialect as the chat request that means the same."""
    if path == "/v1/responses":
        given = body.get("input")
        messages = [{"role": "user", "content": given}] if isinstance(given, str) else given
        system, limit = body.get("instructions"), body.get("max_output_tokens")
    else:
        messages, system, limit = body.get("messages"), body.get("system"), body.get("max_tokens")
    if system and isinstance(messages, list):
        messages = [{"role": "system", "content": system}, *messages]
    return {**body, "messages": messages, "max_tokens": limit, "tools": None}


def _named(name: str, body: Body) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **body})}\n\n".encode()


# ---- Responses


def response(plan: Plan, text: str, status: str) -> Body:
    message = {
        "type": "message",
        "id": f"msg-{plan.ident}",
        "role": "assistant",
        "status": status,
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }
    made = len(plan.pieces) + len(plan.thoughts)
    return {
        "id": f"resp-{plan.ident}",
        "object": "response",
        "created_at": 0,
        "status": status,
        "model": plan.model,
        "output": [message] if status == "completed" else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": plan.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": made,
            "output_tokens_details": {"reasoning_tokens": len(plan.thoughts)},
            "total_tokens": plan.prompt_tokens + made,
        }
        if status == "completed"
        else None,
    }


def whole_response(plan: Plan) -> Body:
    return response(plan, "".join(plan.pieces), "completed")


async def response_events(plan: Plan, pieces: Pieces) -> AsyncIterator[bytes]:
    number = 0

    def event(name: str, body: Body) -> bytes:
        nonlocal number
        number += 1
        return _named(name, {"sequence_number": number, **body})

    where = {"item_id": f"msg-{plan.ident}", "output_index": 0, "content_index": 0}
    yield event("response.created", {"response": response(plan, "", "in_progress")})
    async for text, thought in pieces:
        if not thought:
            yield event("response.output_text.delta", {**where, "delta": text, "logprobs": []})
    text = "".join(plan.pieces)
    yield event("response.output_text.done", {**where, "text": text, "logprobs": []})
    yield event("response.completed", {"response": response(plan, text, "completed")})


# ---- Messages


def _message(plan: Plan, content: list[Body], stop: str | None, made: int) -> Body:
    return {
        "id": f"msg-{plan.ident}",
        "type": "message",
        "role": "assistant",
        "model": plan.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": plan.prompt_tokens, "output_tokens": made},
    }


def _stop(plan: Plan) -> str:
    return "end_turn" if plan.finish == "stop" else "max_tokens"


def whole_message(plan: Plan) -> Body:
    text = "".join(plan.pieces)
    made = len(plan.pieces) + len(plan.thoughts)
    return _message(plan, [{"type": "text", "text": text}], _stop(plan), made)


async def message_events(plan: Plan, pieces: Pieces) -> AsyncIterator[bytes]:
    yield _named("message_start", {"message": _message(plan, [], None, 0)})
    block = {"index": 0, "content_block": {"type": "text", "text": ""}}
    yield _named("content_block_start", block)
    made = 0
    async for text, thought in pieces:
        made += 1
        if not thought:
            delta = {"type": "text_delta", "text": text}
            yield _named("content_block_delta", {"index": 0, "delta": delta})
    yield _named("content_block_stop", {"index": 0})
    end = {"stop_reason": _stop(plan), "stop_sequence": None}
    yield _named("message_delta", {"delta": end, "usage": {"output_tokens": made}})
    yield _named("message_stop", {})


Whole = Callable[[Plan], Body]
Events = Callable[[Plan, Pieces], AsyncIterator[bytes]]

DIALECTS: Mapping[str, tuple[Whole, Events]] = {
    "/v1/responses": (whole_response, response_events),
    "/v1/messages": (whole_message, message_events),
}
