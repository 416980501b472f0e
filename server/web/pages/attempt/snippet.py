"""The `curl` command and the Python that ask exactly what a form asks. Pure.

Python uses the `openai` client, `curl` nothing but the shell. Both read the key from `SPARK_KEY`;
it is never written here.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from server.web.pages.attempt.ask import Ask, ChatAsk, CompareAsk, HearAsk, SpeakAsk
from server.web.pages.attempt.quoted import call, curl, form_file, json_text, python_text

LONGEST_ARGUMENT = 100_000
"""Linux takes 128 KiB in one word of a command."""
_HEAD = """\
import os

from openai import OpenAI

"""
_STREAMED = """
for chunk in answer:
    if chunk.choices:
        print(chunk.choices[0].delta.content or '', end='', flush=True)
print()
"""
_COMPARED = """
first, second = (one.embedding for one in answer.data)
dot = sum(a * b for a, b in zip(first, second))
print(dot / (sum(a * a for a in first) * sum(b * b for b in second)) ** 0.5)
"""


@dataclass(frozen=True, slots=True)
class Code:
    """`wrong` says, instead, what of the form must be mended first."""

    template: ClassVar[str] = "try/code.html"
    kept: ClassVar[bool] = False

    kind: str
    curl: str = ""
    python: str = ""
    wrong: tuple[str, ...] = ()


def code(kind: str, ask: Ask, base: str) -> Code:
    """`base` is the address of this app, such as `http://box:9999`."""
    head = _HEAD + _client(base)
    match ask:
        case ChatAsk():
            body = ask.body(stream=True)
            url = f"{base}/v1/chat/completions"
            return Code(kind, _curl_json(url, body, "-N"), head + _chat(body))
        case SpeakAsk():
            name = f"speech.{ask.format}"
            asked = _curl_json(f"{base}/v1/audio/speech", ask.body, "-o", name)
            return Code(kind, asked, head + _speak(ask.body, name))
        case CompareAsk():
            asked = _curl_json(f"{base}/v1/embeddings", ask.body)
            python = head + f"answer = {call('client.embeddings.create', _named(ask.body))}"
            return Code(kind, asked, python + _COMPARED)
        case HearAsk():
            return Code(kind, _curl_form(base, ask), head + _hear(ask))


def _client(base: str) -> str:
    arguments = {
        "base_url": repr(f"{base}/v1"),
        "api_key": "os.environ.get('SPARK_KEY') or 'none'",
    }
    return f"client = {call('OpenAI', arguments)}\n"


def _curl_json(url: str, body: dict[str, Any], flag: str = "", value: str = "") -> str:
    options = [("-H", "Content-Type: application/json")]
    options += [(flag, value)] if flag else []
    text = json_text(body)
    if len(text.encode()) > LONGEST_ARGUMENT:
        return f"{curl(url, [*options, ('-d', '@-')])} <<'END'\n{text}\nEND"
    return curl(url, [*options, ("-d", text)])


def _curl_form(base: str, ask: HearAsk) -> str:
    options: list[tuple[str, str]] = []
    for name, value in ask.fields.items():
        if isinstance(value, str):
            options.append(("--form-string", f"{name}={value}"))
        else:
            options += [("--form-string", f"{name}[]={one}") for one in value]
    files = [("-F", form_file(name, field)) for field, name in ask.files]
    return curl(f"{base}/v1/audio/{ask.task}", [*options, *files])


def _named(body: dict[str, Any]) -> dict[str, str]:
    return {name: python_text(value, 4) for name, value in body.items()}


def _chat(body: dict[str, Any]) -> str:
    return f"answer = {call('client.chat.completions.create', _named(body))}{_STREAMED}"


def _speak(body: dict[str, Any], name: str) -> str:
    asked = call("client.audio.speech.with_streaming_response.create", _named(body))
    return f"with {asked} as answer:\n    answer.stream_to_file({name!r})\n"


def _hear(ask: HearAsk) -> str:
    opened = {field: f"open({name!r}, 'rb')" for field, name in ask.files}
    if ask.task in {"diarize", "label-merge"}:
        # Not among OpenAI's own routes.
        files = ", ".join(f"{field!r}: {one}" for field, one in opened.items())
        asked = (
            f"client.post(\n    '/audio/{ask.task}',\n    cast_to=object,\n"
            f"    body={ask.fields!r},\n"
            f"    files={{{files}}},\n"
            "    options={'headers': {'Content-Type': 'multipart/form-data'}},\n)"
        )
    else:
        given = {name: repr(value) for name, value in ask.fields.items() if name != "diarize"}
        ours = {"extra_body": "{'diarize': 'true'}"} if ask.diarize else {}
        asked = call(f"client.audio.{ask.task}.create", opened | given | ours)
    return f"answer = {asked}\nprint(answer)\n"
