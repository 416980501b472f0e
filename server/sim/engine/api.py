"""The OpenAI-compatible face of a simulated engine, with vLLM's shapes and error texts.

Owns parsing of requests, streaming, usage and `/metrics`. A request with tools calls the first of
them. Refuses images and everything else that would need a model.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from server.sim.engine import words
from server.sim.engine.dialects import DIALECTS, as_chat
from server.sim.engine.directory import ModelDirectory
from server.sim.engine.server import Request, Response
from server.sim.engine.shapes import Plan, events, whole
from server.sim.scenario import Scenario

VERSION = "0.11.2+simulated"


@dataclass(slots=True)
class Counters:
    """What `/metrics` tells."""

    running: int = 0
    prompt_tokens: int = 0
    generation_tokens: int = 0
    success: dict[str, int] = field(default_factory=lambda: {"stop": 0, "length": 0, "abort": 0})


@dataclass(frozen=True, slots=True)
class Served:
    """What is being served. `names` are all that `model` may be in a request."""

    names: tuple[str, ...]
    directory: ModelDirectory
    root: str
    max_model_len: int
    kv_tokens: int
    reasoning: bool
    api_keys: tuple[str, ...]


class ApiError(Exception):
    """Answered with an error in vLLM's shape."""

    def __init__(self, status: int, message: str, kind: str, param: str | None = None) -> None:
        super().__init__(message)
        self.response = Response.of(
            {"error": {"message": message, "type": kind, "param": param, "code": status}}, status
        )


class Api:
    """Handles one engine's requests. `scenario` is asked again for each of them."""

    def __init__(
        self, served: Served, scenario: Callable[[], Scenario], busy: Callable[[bool], None]
    ) -> None:
        self._served = served
        self._scenario = scenario
        self._busy = busy
        self._count = 0
        self._started = time.time()
        self.counters = Counters()
        self.dead = False

    async def __call__(self, request: Request) -> Response:
        try:
            return await self._route(request)
        except ApiError as refusal:
            return refusal.response

    async def _route(self, request: Request) -> Response:
        gets: dict[str, Callable[[], Response]] = {
            "/health": self._health,
            "/ping": self._health,
            "/version": lambda: Response.of({"version": VERSION}),
            "/metrics": self._metrics,
            "/v1/models": self._models,
        }
        posts = {
            "/v1/chat/completions": self._complete,
            "/v1/completions": self._complete,
            "/v1/responses": self._complete,
            "/v1/messages": self._complete,
            "/v1/messages/count_tokens": self._count_tokens,
            "/tokenize": self._tokenize,
            "/detokenize": self._detokenize,
        }
        if request.path.startswith("/v1/"):
            self._authorise(request)
        if request.path in gets:
            if request.method not in ("GET", "HEAD"):
                raise ApiError(405, "Method Not Allowed", "MethodNotAllowed")
            return gets[request.path]()
        if request.path in posts:
            if request.method != "POST":
                raise ApiError(405, "Method Not Allowed", "MethodNotAllowed")
            return await posts[request.path](request)
        raise ApiError(404, "Not Found", "NotFoundError")

    def _authorise(self, request: Request) -> None:
        keys = self._served.api_keys
        if keys and request.headers.get("authorization", "") not in {f"Bearer {k}" for k in keys}:
            raise ApiError(401, "Unauthorized", "Unauthorized")

    def _health(self) -> Response:
        return Response(503 if self.dead else 200)

    def _models(self) -> Response:
        rows: list[dict[str, Any]] = [
            {
                "id": name,
                "object": "model",
                "created": int(self._started),
                "owned_by": "vllm",
                "root": self._served.root,
                "parent": None,
                "max_model_len": self._served.max_model_len,
                "permission": [],
            }
            for name in self._served.names
        ]
        return Response.of({"object": "list", "data": rows})

    def _metrics(self) -> Response:
        label = f'engine="0",model_name="{self._served.names[0]}"'
        seen = self.counters
        used = min(1.0, seen.running * 256 / max(1, self._served.kv_tokens))
        rows: list[tuple[str, str, str, float]] = [
            ("gauge", "vllm:num_requests_running", label, seen.running),
            ("gauge", "vllm:num_requests_waiting", label, 0),
            ("gauge", "vllm:kv_cache_usage_perc", label, used),
            ("counter", "vllm:prompt_tokens_total", label, seen.prompt_tokens),
            ("counter", "vllm:generation_tokens_total", label, seen.generation_tokens),
        ]
        lines: list[str] = []
        for kind, name, labels, value in rows:
            lines += [f"# HELP {name} Simulated.", f"# TYPE {name} {kind}"]
            lines.append(f"{name}{{{labels}}} {float(value)}")
        lines += ["# HELP vllm:request_success_total Simulated."]
        lines += ["# TYPE vllm:request_success_total counter"]
        for reason, count in seen.success.items():
            lines.append(
                f'vllm:request_success_total{{{label},finished_reason="{reason}"}} {float(count)}'
            )
        body = "\n".join(lines).encode() + b"\n"
        return Response(body=body, content_type="text/plain; version=0.0.4; charset=utf-8")

    async def _tokenize(self, request: Request) -> Response:
        body = _object(request)
        text = body.get("prompt")
        if not isinstance(text, str):
            text = _conversation(body.get("messages"))
        parts = words.tokens(text)
        ids = self._served.directory.token_ids
        return Response.of(
            {
                "count": len(parts),
                "max_model_len": self._served.max_model_len,
                "tokens": [ids.get(part, 0) for part in parts],
                "token_strs": None,
            }
        )

    async def _detokenize(self, request: Request) -> Response:
        known = {number: word for word, number in self._served.directory.token_ids.items()}
        numbers = _object(request).get("tokens", [])
        return Response.of({"prompt": " ".join(known.get(number, "<unk>") for number in numbers)})

    async def _count_tokens(self, request: Request) -> Response:
        body = as_chat(_object(request), "/v1/messages")
        return Response.of({"input_tokens": len(words.tokens(_conversation(body["messages"]))) + 4})

    async def _complete(self, request: Request) -> Response:
        body = _object(request)
        told = self._scenario()
        dialect = DIALECTS.get(request.path)
        if dialect is not None:
            body = as_chat(body, request.path)
        plan = self._plan(body, told, chat=request.path != "/v1/completions")
        if self.dead or told.answer == "error":
            raise ApiError(
                500,
                "EngineCore encountered an issue. See stack trace (above) for the root cause.",
                "InternalServerError",
            )
        if told.answer == "hang":
            await asyncio.Event().wait()
        pieces = self._generate(plan, told)
        draw_whole, draw_events = dialect or (whole, events)
        if plan.stream:
            stream = draw_events(plan, pieces)
            return Response(content_type="text/event-stream; charset=utf-8", stream=stream)
        async for _ in pieces:
            pass
        return Response.of(draw_whole(plan))

    def _plan(self, body: dict[str, Any], told: Scenario, *, chat: bool) -> Plan:
        served = self._served
        model = body.get("model") or served.names[0]
        if model not in served.names:
            raise ApiError(404, f"The model `{model}` does not exist.", "NotFoundError", "model")
        prompt = _conversation(body.get("messages")) if chat else _prompt(body.get("prompt"))
        count = len(words.tokens(prompt)) + (4 if chat else 0)
        if count >= served.max_model_len:
            raise ApiError(
                400,
                f"This model's maximum context length is {served.max_model_len} tokens. However, "
                f"your request has {count} input tokens. Please reduce the length of the input "
                "messages.",
                "BadRequestError",
                "input_tokens",
            )
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise ApiError(400, f"max_tokens must be at least 1, got {limit}.", "BadRequestError")
        natural = words.natural_length(prompt)
        room = min(limit or natural, natural, served.max_model_len - count)
        text = words.answer(model, prompt, served.directory.vocabulary, int(body.get("seed") or 0))
        thoughts: tuple[str, ...] = ()
        if chat and served.reasoning and told.answer == "ok":
            thoughts = tuple(islice(_thinking(model), room))
        pieces = tuple(islice(text, room - len(thoughts))) if told.answer != "empty" else ()
        tool = _called(body) if chat and told.answer == "ok" else None
        finish = "stop" if room == natural or told.answer == "empty" else "length"
        self._count += 1
        options = body.get("stream_options") or {}
        return Plan(
            ident=f"{'chatcmpl' if chat else 'cmpl'}-simulated-{self._count:08d}",
            chat=chat,
            model=model,
            prompt_tokens=count,
            pieces=() if tool else pieces,
            thoughts=thoughts,
            finish="tool_calls" if tool else finish,
            stream=bool(body.get("stream")),
            usage_at_end=bool(options.get("include_usage")),
            tool=tool,
        )

    async def _generate(self, plan: Plan, told: Scenario) -> AsyncIterator[tuple[str, bool]]:
        """Each piece at its time, as (text, is it a thought)."""
        seen = self.counters
        seen.running += 1
        self._busy(True)
        reason = "abort"
        try:
            await asyncio.sleep(told.first_token_delay)
            seen.prompt_tokens += plan.prompt_tokens
            all_pieces = [(text, True) for text in plan.thoughts]
            all_pieces += [(text, False) for text in plan.pieces]
            for piece in all_pieces:
                seen.generation_tokens += 1
                yield piece
                await asyncio.sleep(told.token_delay)
            reason = "length" if plan.finish == "length" else "stop"
        finally:
            seen.success[reason] += 1
            seen.running -= 1
            self._busy(seen.running > 0)


def _thinking(model: str) -> Iterator[str]:
    yield from ("[simulated]", " No", " thought", " is", " needed", f" for {model}.")


def _called(body: dict[str, Any]) -> tuple[str, str] | None:
    """The first function offered, with a word for every required argument."""
    tools = body.get("tools") or []
    if not tools or body.get("tool_choice") == "none":
        return None
    function = tools[0].get("function", {})
    required = function.get("parameters", {}).get("required", [])
    return str(function.get("name")), json.dumps(dict.fromkeys(required, "simulated"))


def _object(request: Request) -> dict[str, Any]:
    try:
        body = request.json()
    except ValueError as error:
        raise ApiError(
            400, f"There was an error parsing the body: {error}", "BadRequestError"
        ) from None
    if not isinstance(body, dict):
        raise ApiError(400, "The body must be a JSON object.", "BadRequestError")
    return body


def _prompt(prompt: object) -> str:
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, list) and prompt:
        return " ".join(str(part) for part in prompt)
    raise ApiError(400, "prompt: Field required", "BadRequestError", "prompt")


def _conversation(messages: object) -> str:
    if not isinstance(messages, list) or not messages:
        raise ApiError(400, "messages: Field required", "BadRequestError", "messages")
    lines = []
    for message in messages:
        if not isinstance(message, dict) or "role" not in message:
            raise ApiError(
                400, "messages: every message needs a role", "BadRequestError", "messages"
            )
        content = message.get("content")
        if isinstance(content, list):
            parts = (part.get("text", "") for part in content if isinstance(part, dict))
            content = " ".join(str(part) for part in parts)
        lines.append(f"{message['role']}: {content or ''}")
    return "\n".join(lines)
