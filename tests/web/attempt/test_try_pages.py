"""The pages under `/try`: who can be asked, forms without JavaScript, and what is told when not."""

import html
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server.base.health import Verdict
from server.fleet.model import ServiceStatus
from server.swap.model import State
from tests.swap.made import record
from tests.web.attempt.made import Try, serve, trying

PAGES = ("/try", "/try/transcribe", "/try/speak", "/try/compare")
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\u202e"
CONFIG = """\
hosts: [{name: spark-1, address: 192.0.2.11}]
engine: {model_roots: [/srv/models]}
services:
  - {name: parakeet, kind: asr, host: spark-1, port: 8001}
  - {name: who, kind: diarize, host: spark-1, port: 8003}
  - {name: kokoro, kind: tts, host: spark-1, port: 8880}
  - {name: embeddings, kind: embeddings, host: spark-1, port: 8002, models: [bge-m3]}
"""


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Try]:
    async with trying(tmp_path, config=CONFIG) as made:
        yield made


def words(page: str) -> str:
    """The text of a page, as a person reads it."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def history(page: str) -> Any:
    found = re.search(r'name="history" value="([^"]*)"', page)
    assert found is not None
    return json.loads(html.unescape(found[1]))


@pytest.mark.parametrize("path", PAGES)
async def test_opening_a_page_asks_nobody(one: Try, path: str) -> None:
    """A GET causes no work elsewhere; the policy of each page allows what it needs and no more."""
    got = await one.client.get(path)
    assert got.status_code == 200, got.text
    assert not one.gateway.scopes
    policy = got.headers["content-security-policy"]
    assert ("blob:" in policy) is (path in {"/try/transcribe", "/try/speak"})
    assert "unsafe" not in policy
    microphone = "microphone=(self)" in got.headers["permissions-policy"]
    assert microphone is (path == "/try/transcribe")


async def test_what_is_missing_is_told_with_the_lines_to_add(tmp_path: Path) -> None:
    """Each page works by itself."""
    async with trying(tmp_path, config="hosts: []\n") as one:
        for path, kind in zip(PAGES[1:], ("asr", "tts", "embeddings"), strict=True):
            page = words((await one.client.get(path)).text)
            assert "No service for this" in page
            assert f"kind: {kind}, host:" in page


async def test_models_stand_under_what_asking_for_them_means(one: Try) -> None:
    """A person sees before sending that a swap would start."""
    page = (await one.client.get("/try?model=large")).text
    assert '<optgroup label="Not loaded: asking starts a swap"' in page
    assert re.search(r'value="large"[^>]* selected', page)
    serve(one)
    one.web.swaps.running = record(model="large").with_(state=State.LOADING)
    page = (await one.client.get("/try")).text
    assert page.index('label="Loaded"') < page.index('value="tiny"') < page.index('label="Loading"')
    assert re.search(r'value="tiny"[^>]* selected', page)
    now = (await one.client.get("/ui/try/now")).text
    assert 'data-served="tiny"' in now
    assert "large" in now


async def test_services_are_offered_by_the_names_they_answer_to(one: Try) -> None:
    """With how they are; what tells who spoke is chosen with a script only."""
    at = one.web.parts.clock.now()
    one.web.fleet.probes = (ServiceStatus("embeddings", Verdict.up(), at),)
    assert "bge-m3 (up)" in (await one.client.get("/try/compare")).text
    page = (await one.client.get("/try/transcribe")).text
    assert 'label="Who spoke when" data-kind="diarize" disabled' in page


async def test_a_chat_without_javascript_is_answered_and_goes_on(one: Try) -> None:
    """The page carries the conversation; what comes back is text and never HTML."""
    message = {"role": "assistant", "content": HOSTILE, "reasoning_content": HOSTILE}
    usage = {"prompt_tokens": 5, "completion_tokens": 7}
    one.gateway.says({"choices": [{"message": message}], "usage": usage})
    got = await one.client.post("/ui/try/chat", data={"model": "tiny", "message": "a\r\nb"})
    assert got.status_code == 200
    assert one.gateway.asked == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "a\nb"}],
    }
    assert "<script>alert" not in got.text
    assert "<img src=x" not in got.text
    assert "7 tokens, 5 prompt tokens" in words(got.text)
    kept = history(got.text)
    assert kept == [{"role": "user", "content": "a\nb"}, {"role": "assistant", "content": HOSTILE}]
    form = {"model": "tiny", "message": "c", "history": json.dumps(kept), "system": "Be kind."}
    await one.client.post("/ui/try/chat", data=form)
    roles = [each["role"] for each in one.gateway.asked["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


async def test_a_wrong_field_is_told_beside_it_and_nothing_is_lost(one: Try) -> None:
    """And nobody is asked."""
    kept = json.dumps(
        [{"role": "user", "content": "before"}, {"role": "assistant", "content": "y"}]
    )
    form = {"model": "tiny", "message": "my words", "temperature": "hot", "history": kept}
    got = await one.client.post("/ui/try/chat", data=form)
    assert got.status_code == 422
    assert "my words" in got.text
    assert "use a number from 0 to 2" in got.text
    assert history(got.text)[0]["content"] == "before"
    assert not one.gateway.scopes


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/ui/try/chat", {"model": "tiny", "message": "kept words"}),
        ("/ui/try/speak", {"model": "kokoro", "voice": "af", "text": "kept words"}),
        ("/ui/try/compare", {"model": "bge-m3", "first": "kept words", "second": "b"}),
    ],
)
async def test_an_error_is_told_in_words_with_its_request(
    one: Try, path: str, form: dict[str, str]
) -> None:
    """With its status; what was typed is still there."""
    error = {"message": "The engine <b>failed</b>.", "advice": "Look.", "request_id": "req-77"}
    one.gateway.says({"error": error}, 502)
    got = await one.client.post(path, data=form)
    assert got.status_code == 502
    assert "The engine <b>failed</b>. Look. Request req-77" in words(got.text)
    assert "<b>failed" not in got.text
    assert "kept words" in got.text


async def test_an_answer_that_breaks_off_is_not_shown_as_whole(one: Try) -> None:
    """Nor one that is larger than a page can be."""
    one.gateway.complete = False
    got = await one.client.post("/ui/try/chat", data={"model": "tiny", "message": "x"})
    assert got.status_code == 502
    assert "broke off" in got.text
    one.gateway.complete, one.gateway.body = True, b"[" + b" " * (9 << 20) + b"]"
    got = await one.client.post("/ui/try/chat", data={"model": "tiny", "message": "x"})
    assert "8 MiB" in got.text


async def test_a_text_is_said_as_a_file(one: Try) -> None:
    """Whatever the service says that it is, it is no page of ours."""
    one.gateway.headers = {"content-type": "audio/wav", "set-cookie": "a=b"}
    one.gateway.body = b"RIFFxxxx"
    form = {"model": "kokoro", "voice": "af", "text": "hi", "response_format": "wav", "speed": "2"}
    got = await one.client.post("/ui/try/speak", data=form)
    assert got.content == b"RIFFxxxx"
    assert got.headers["content-disposition"] == 'attachment; filename="speech.wav"'
    assert "set-cookie" not in got.headers
    assert one.gateway.asked == {
        "model": "kokoro",
        "input": "hi",
        "voice": "af",
        "response_format": "wav",
        "speed": 2.0,
    }


async def test_voices_are_listed_for_the_chosen_service(one: Try) -> None:
    """For a script as the fragment alone, also when that fails; for a form as the page."""
    one.gateway.says({"voices": ["af", HOSTILE]})
    form = {"model": "kokoro\r\nx-evil: 1", "text": "kept words"}
    got = await one.client.post("/ui/try/voices", data=form)
    assert (one.gateway.scopes[-1]["path"], one.gateway.scopes[-1]["method"]) == (
        "/v1/audio/voices",
        "GET",
    )
    assert one.gateway.scopes[-1]["query_string"] == b"model=kokoro%0D%0Ax-evil%3A+1"
    assert one.gateway.scopes[-1]["headers"] == []
    assert "kept words" in got.text
    assert '<option value="af" selected>' in got.text
    assert "<script>alert" not in got.text
    one.gateway.says({"error": {"message": "It is down."}}, 503)
    got = await one.client.post(
        "/ui/try/voices", data={"model": "kokoro"}, headers={"hx-request": "true"}
    )
    assert got.status_code == 200
    assert got.headers["x-spark-fragment"]
    assert "The voices could not be listed: It is down." in words(got.text)


async def test_two_texts_are_compared(one: Try) -> None:
    """Cosine, size and time."""
    one.gateway.says({"data": [{"embedding": [1.0, 0.0]}, {"embedding": [1.0, 1.0]}]})
    form = {"model": "bge-m3", "first": "a", "second": "b"}
    got = await one.client.post("/ui/try/compare", data=form)
    assert "0.7071 cosine similarity" in words(got.text)
    assert "2 numbers in each vector" in words(got.text)
    assert one.gateway.asked["input"] == ["a", "b"]


async def test_a_recording_of_a_form_is_heard_and_shown(one: Try) -> None:
    """It streams past the page, which then draws what was heard."""
    rows = [{"start": 61.5, "end": 62, "text": HOSTILE, "speaker": "S1"}]
    one.gateway.says({"text": "all", "segments": rows})
    file = {"file": ("a.wav", b"RIFF")}
    got = await one.client.post("/ui/try/transcribe", files=file, data={"model": "parakeet"})
    assert got.status_code == 200
    assert "1:01.5–1:02.0 S1" in words(got.text)
    assert "<script>alert" not in got.text
    assert "microphone=(self)" in got.headers["permissions-policy"]
    one.gateway.says({"error": {"message": "Too large."}}, 413)
    got = await one.client.post("/ui/try/transcribe", files=file)
    assert got.status_code == 413
    assert "Too large." in got.text


@pytest.mark.parametrize("kind", ["chat", "transcribe", "speak", "compare"])
async def test_the_code_follows_the_form(one: Try, kind: str) -> None:
    """Drawn from the same fields, for this address; a form in the making is told what it lacks."""
    form = {"model": "it's", "voice": "af", "text": "x", "message": "x"}
    origin = {"origin": "https://127.0.0.1:9999"}
    got = await one.client.post(f"/ui/try/code/{kind}", data=form, headers=origin)
    assert got.headers["x-spark-fragment"] == "try/code"
    assert "https://127.0.0.1:9999/v1/" in got.text
    assert "it&#39;s" in got.text
    wrong = await one.client.post(f"/ui/try/code/{kind}", data={})
    assert wrong.status_code == 200
    assert "model: choose who answers" in wrong.text
    assert not one.gateway.scopes


async def test_nothing_that_was_said_is_kept_by_the_server(one: Try) -> None:
    """Drawn pages are kept for other viewers; these are not."""
    await one.client.post("/ui/try/code/chat", data={"model": "m", "message": "a secret of mine"})
    one.gateway.says({"choices": [{"message": {"content": "an answer"}}]})
    await one.client.post("/ui/try/chat", data={"model": "m", "message": "a secret of mine"})
    import gc

    pens = [each for each in gc.get_objects() if type(each).__name__ == "Pen"]
    assert pens
    for pen in pens:
        assert all("secret" not in str(kept) for kept in pen._kept.values())
