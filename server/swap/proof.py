"""The proof: one real streamed answer, whatever kind of model it is.

A reasoning model may spend its first tokens thinking, so a reasoning delta counts; a model without
a chat template answers `completions`; an embedding model answers `embeddings`, one that only scores
answers `rerank`.
"""

import json
from typing import Any

import httpx

from server.base.errors import UpstreamError

QUESTION = "Answer with one word: ready?"
MAX_TOKENS = 64
NOT_THIS_KIND = frozenset({400, 404, 405, 422, 501})
LINE_LIMIT = 1 << 20


async def first_token(http: httpx.AsyncClient, base_url: str, model: str) -> None:
    """Return when the first piece of an answer has come. Raises UpstreamError with what was said.

    The stream is closed then, so that the engine does not go on for nobody.
    """
    refusals = []
    attempts: tuple[tuple[str, dict[str, Any]], ...] = (
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": MAX_TOKENS},
        ),
        ("/v1/completions", {"prompt": QUESTION, "max_tokens": MAX_TOKENS}),
    )
    for path, body in attempts:
        request = {"model": model, "stream": True, "temperature": 0, **body}
        refusal = await _streamed(http, base_url + path, request)
        if refusal is None:
            return
        refusals.append(f"{path}: {refusal}")
    for path, body, result in (
        ("/v1/embeddings", {"input": "ready"}, "data"),
        ("/v1/rerank", {"query": "ready", "documents": ["ready"]}, "results"),
    ):
        answer = await http.post(base_url + path, json={"model": model, **body}, timeout=None)
        if _holds(answer, result):
            return
        refusals.append(f"{path}: HTTP {answer.status_code}")
    raise UpstreamError(f"no endpoint answered ({'; '.join(refusals)})", source="engine")


def _holds(answer: httpx.Response, name: str) -> bool:
    try:
        body = answer.json()
    except ValueError:
        return False
    return answer.status_code == 200 and isinstance(body, dict) and bool(body.get(name))


async def _streamed(http: httpx.AsyncClient, url: str, body: dict[str, Any]) -> str | None:
    """None when a token came; a short refusal when this endpoint is not for this model."""
    async with http.stream("POST", url, json=body, timeout=None) as answer:
        if answer.status_code in NOT_THIS_KIND:
            return f"HTTP {answer.status_code}"
        if answer.status_code != 200:
            raise UpstreamError(f"HTTP {answer.status_code} from the engine", source="engine")
        async for line in answer.aiter_lines():
            if len(line) > LINE_LIMIT:
                raise UpstreamError("the engine sent an endless line", source="engine")
            if said(line):
                return None
    raise UpstreamError("the engine's answer was empty", source="engine")


def said(line: str) -> bool:
    """Whether an SSE line carries a piece of an answer. An error frame raises UpstreamError."""
    if not line.startswith("data:"):
        return False
    payload = line.removeprefix("data:").strip()
    if payload == "[DONE]":
        return False
    try:
        frame = json.loads(payload)
    except json.JSONDecodeError:
        return False
    if not isinstance(frame, dict):
        return False
    if frame.get("error"):
        raise UpstreamError("the engine sent an error instead of an answer", source="engine")
    choices = frame.get("choices")
    return any(_piece(choice) for choice in choices) if isinstance(choices, list) else False


def _piece(choice: Any) -> bool:
    if not isinstance(choice, dict):
        return False
    delta = choice.get("delta")
    parts = delta if isinstance(delta, dict) else {}
    spoken = (parts.get("content"), parts.get("reasoning_content"), parts.get("reasoning"))
    return any(spoken) or bool(parts.get("tool_calls")) or bool(choice.get("text"))
