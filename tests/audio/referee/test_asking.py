"""Questions go to the model that is served, as requests of the caller."""

from typing import Any

import orjson
import pytest

from server.audio.referee.asking import Asking, asking
from server.audio.referee.choice import Chosen, choose
from server.audio.referee.model import Unasked
from server.audio.referee.service import refereed
from server.gateway.listing import listing
from server.gateway.model import ANYONE
from tests.audio.referee.made import TALK, conversation, knows
from tests.gateway.made import Running, served
from tests.gateway.running import ScriptedEngine, whole
from tests.swap.made import T0


def entry(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": name, "aliases": [], "parent": None, "kind": "llm", "state": "serving",
        "owned_by": "Acme",
    } | fields  # fmt: skip


TINY, CLOUD = entry("tiny", aliases=["small"]), entry("cloud", owned_by="service")
WHISPER = entry("whisper", kind="asr", owned_by="service")
LARGE = entry("large", state="available")
VARIANT = entry("tiny:fast", parent="tiny")
ALL = [WHISPER, CLOUD, VARIANT, TINY, LARGE]


@pytest.mark.parametrize(
    ("setting", "entries", "found"),
    [
        ("auto", ALL, Chosen("tiny", engine=True)),
        ("auto", [WHISPER, CLOUD], Chosen("cloud", engine=False)),
        ("small", ALL, Chosen("tiny", engine=True)),
        ("tiny:fast", ALL, Chosen("tiny:fast", engine=True)),
        ("cloud", ALL, Chosen("cloud", engine=False)),
    ],
)
def test_the_served_model_referees(
    setting: str, entries: list[dict[str, Any]], found: Chosen
) -> None:
    """An engine's before a service's; another one only when the settings name it."""
    assert choose(setting, entries, lambda _names: True) == found


@pytest.mark.parametrize(
    ("setting", "entries"),
    [("off", ALL), ("auto", [WHISPER, LARGE]), ("large", ALL), ("nobody", ALL), ("whisper", ALL)],
)
def test_nobody_is_asked_where_nobody_answers(setting: str, entries: list[dict[str, Any]]) -> None:
    """A model that would have to be loaded is not asked; the reason names the setting."""
    found = choose(setting, entries, lambda _names: True)
    assert isinstance(found, Unasked)


def test_a_caller_asks_only_models_that_it_may_use() -> None:
    """Its key says which."""
    assert choose("auto", ALL, lambda names: "cloud" in names) == Chosen("cloud", engine=False)
    assert isinstance(choose("tiny", ALL, lambda _names: False), Unasked)


def chat(content: Any) -> Any:
    return whole({"choices": [{"message": {"role": "assistant", "content": content}}]})


def asked_of(running: Running, setting: str = "auto") -> Asking | Unasked:
    entries = lambda: listing(running.catalog, running.layout(), (), T0)  # noqa: E731
    return asking(setting, entries, running.crew, ANYONE, "req-1")


async def test_a_question_is_a_chat_request_of_the_caller() -> None:
    """With the schema, no randomness, a bound, and no thinking."""
    engine = knows("Bob")
    async with served(engine) as running:
        ask = asked_of(running)
        done = await refereed(conversation(TALK), ask)
        passage = await running.passages.get()
    assert done.report.changed == 1
    assert (passage.route, passage.request_id) == ("/v1/chat/completions", "req-1.referee1")
    assert len(engine.calls) == 2
    body = engine.calls[0].body
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("tiny", 0, 332)
    assert body["response_format"]["json_schema"]["strict"] is True
    assert body["chat_template_kwargs"] == {"enable_thinking": False, "thinking": False}
    assert [one["role"] for one in body["messages"]] == ["system", "user"]


async def test_a_model_that_left_is_not_loaded_again() -> None:
    """Nor waited for: asking never starts a swap."""
    engine = ScriptedEngine(chat("{}"))
    async with served(engine, auto_swap=True) as running:
        ask = asked_of(running)
        assert isinstance(ask, Asking)
        running.serving = None
        done = await refereed(conversation(TALK), ask)
        assert isinstance(asked_of(running), Unasked)
    assert engine.calls == []
    assert (done.report.failed, done.report.reason) == (
        1, "the model could not be asked (unavailable)",
    )  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        chat(None),
        chat(["x"]),
        whole({"choices": []}),
        whole([1]),
        whole(b"{"),
        whole({"error": {"message": "SECRET WORDS"}}, 400),
        whole({"error": {"message": "SECRET WORDS"}}, 500),
    ],
)
async def test_an_engine_that_answers_nonsense_changes_nothing(answer: Any) -> None:
    """And none of it is repeated."""
    async with served(ScriptedEngine(answer)) as running:
        done = await refereed(conversation(TALK), asked_of(running))
    assert (done.report.failed, done.changes) == (1, ())
    assert "SECRET" not in orjson.dumps(done.to_dict()).decode()


def test_a_foreign_service_is_not_sent_what_only_engines_know() -> None:
    """It may refuse a field that it does not know."""
    from server.audio.referee.asking import body_of
    from server.audio.referee.doubt import Rules
    from server.audio.referee.question import plan

    (asked,) = plan(conversation(TALK), Rules()).asked
    assert "chat_template_kwargs" not in body_of(asked.question, Chosen("cloud", engine=False))
