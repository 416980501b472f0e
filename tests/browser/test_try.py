"""Trying what is served, in a real browser: each page, and the code beside it."""

import json
import os
import shutil
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.axe import violations_in_both_themes
from tests.browser.conftest import FLAGS, PROGRAMS, Visitor
from tests.browser.test_dashboard import overflow
from tests.e2e.running import ONE, TWO, House, until

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror='window.hurt = true'><script>window.hurt = true</script>"
ANSWER = "div.turn.assistant"


@pytest.fixture(scope="module")
def loaded(running: House) -> House:
    running.swap(ONE)
    return running


@pytest.fixture
def tried(loaded: House, visitor: Visitor) -> Iterator[Visitor]:
    """An engine that answers at its usual pace, whatever the test before left."""
    loaded.sim.scenario("spark-1", token_delay=0.05)
    yield visitor
    # A browser itself speaks of every answer that is an error.
    visitor.complaints[:] = [one for one in visitor.complaints if "status of 502" not in one]


def at(visitor: Visitor, path: str, **options: Any) -> Page:
    page = visitor.open(**options)
    page.goto(f"{visitor.url}{path}")
    return page


def say(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def aborted(house: House) -> int:
    """How many answers the engine ended because their reader left."""
    lines = house.http.get(f"/upstream/{ONE}/metrics").text.splitlines()
    return int(float(next(one for one in lines if 'reason="abort"' in one).split()[-1]))


def frames(*deltas: dict[str, Any], end: str = "data: [DONE]\n\n") -> str:
    chunks = ({"choices": [{"delta": delta}]} for delta in deltas)
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + end


def answering(page: Page, body: str, kind: str = "text/event-stream") -> None:
    """The next chats are answered with this, without a server."""

    def fulfil(route: Route) -> None:
        route.fulfill(status=200, body=body, content_type=kind)

    page.route("**/ui/try/v1/chat/completions", fulfil)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A hum: a recording in which nothing sounds is refused."""
    path = tmp_path / "a 'strange; name.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes((b"\x00\x10" * 20 + b"\x00\xf0" * 20) * (8000 * 90 // 40))
    return path


def test_a_chat_streams_is_measured_and_goes_on(tried: Visitor) -> None:
    """Enter sends, Shift+Enter does not; the second question knows the first."""
    page = at(tried, "/try")
    message = page.get_by_label("Message", exact=True)
    message.fill("first line")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("second line")
    page.keyboard.press("Enter")
    expect(page.locator(f"{ANSWER} .cost")).to_contain_text("tokens/s")
    expect(page.locator(f"{ANSWER} .cost")).to_contain_text("First token after")
    expect(page.locator("div.turn.user .said")).to_have_text("first line\nsecond line")
    expect(message).to_be_empty()
    with page.expect_request("**/ui/try/v1/chat/completions") as asked:
        say(page, "and now?")
    sent = json.loads(asked.value.post_data or "")
    assert [one["role"] for one in sent["messages"]] == ["user", "assistant", "user"]
    expect(page.locator(f"{ANSWER} .cost")).to_have_count(2)
    # What the page sends and what its code sends are one thing.
    expect(page.locator("#try-code")).to_contain_text("and now?")
    line = page.locator("#try-code pre").first.text_content() or ""
    assert json.loads(line.partition("-d '")[2].removesuffix("'")) == sent


def test_stop_ends_it_at_the_engine_and_asking_again_works(tried: Visitor, house: House) -> None:
    """What came stays; Escape is the same as the button."""
    house.sim.scenario("spark-1", token_delay=2)  # slow enough for any machine to stop it
    before = aborted(house)
    page = at(tried, "/try")
    say(page, "count to ten")
    expect(page.locator(f"{ANSWER} .said")).not_to_be_empty()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(f"{ANSWER} .cost")).to_contain_text("Stopped.")
    until(lambda: aborted(house) == before + 1, "the engine to see that its reader left")
    row = house.get("/activity", client="dashboard", limit=1)["requests"][0]
    assert (row["client"], row["error"]) == ("dashboard", "client_closed")
    page.get_by_role("button", name="Ask again").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    expect(page.locator(f"{ANSWER} .said")).not_to_be_empty()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    until(lambda: aborted(house) == before + 2, "the engine to see it again")
    expect(page.locator(ANSWER)).to_have_count(1)


def test_who_leaves_a_form_without_javascript_stops_the_engine_too(loaded: House) -> None:
    """The answer is awaited within the app; that a person waits for it is known all the same."""
    loaded.sim.scenario("spark-1", token_delay=0.5)
    before = aborted(loaded)
    form = {"model": ONE, "message": "count to ten"}
    own = {"sec-fetch-site": "same-origin"}
    with pytest.raises(httpx.ReadTimeout):
        loaded.http.post("/ui/try/chat", data=form, headers=own, timeout=1)
    until(lambda: aborted(loaded) == before + 1, "the engine to see that nobody reads")


def test_an_error_of_the_engine_is_told_in_words(tried: Visitor, house: House) -> None:
    """With its request id; what was typed is where it was, to be sent again."""
    house.sim.scenario("spark-1", answer="error")
    page = at(tried, "/try")
    say(page, "hello")
    alert = page.locator("#try-failure").get_by_role("alert")
    expect(alert).to_contain_text("failed with status 500")
    expect(alert).to_contain_text("Request req-")
    expect(page.locator("div.turn")).to_have_count(0)
    expect(page.get_by_label("Message", exact=True)).to_have_value("hello")
    house.sim.scenario("spark-1", answer="ok")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(f"{ANSWER} .cost")).to_have_count(1)
    expect(alert).to_have_count(0)


def test_an_answer_is_text_whatever_is_in_it(tried: Visitor) -> None:
    """HTML is shown and does nothing; code stands apart; thoughts are folded; a break is told."""
    page = at(tried, "/try")
    fence = f"```html\n{HOSTILE}\n```"
    answering(page, frames({"reasoning_content": HOSTILE}, {"content": f"{HOSTILE}\n{fence}\nend"}))
    say(page, HOSTILE)
    expect(page.locator(f"{ANSWER} .said pre")).to_have_text(HOSTILE)
    expect(page.locator(f"{ANSWER} .said .prose").first).to_have_text(HOSTILE)
    expect(page.locator(f"{ANSWER} .said .prose").last).to_have_text("end")
    thoughts = page.locator(f"{ANSWER} details.thoughts")
    expect(thoughts.locator(".prose")).to_be_hidden()
    thoughts.locator("summary").click()
    expect(thoughts.locator(".prose")).to_have_text(HOSTILE)
    expect(page.locator("#conversation img, #conversation script")).to_have_count(0)
    assert page.evaluate("window.hurt === undefined")
    page.get_by_role("button", name="New conversation").click()
    page.unroute("**/ui/try/v1/chat/completions")
    answering(page, frames({"content": "half an ans"}, end=""))
    say(page, "again")
    expect(page.locator("#try-failure")).to_contain_text("broke off before its end")
    expect(page.locator(f"{ANSWER} .said")).to_have_text("half an ans")
    page.unroute("**/ui/try/v1/chat/completions")
    error = {"message": f"It broke {HOSTILE}", "request_id": "req-9"}
    answering(
        page, frames(end=f": queued position=2 eta=9\n\ndata: {json.dumps({'error': error})}\n\n")
    )
    say(page, "again")
    expect(page.locator("#try-failure")).to_contain_text(f"It broke {HOSTILE}")


def test_a_model_that_is_not_loaded_says_what_asking_for_it_does(tried: Visitor) -> None:
    """Before it is asked."""
    page = at(tried, "/try")
    hint = page.locator("#try-hint")
    expect(hint).to_be_hidden()
    page.get_by_label("Model").select_option("gpt-oss-20b")
    expect(hint).to_contain_text("Sending starts a swap")
    page.get_by_label("Model").select_option(ONE)
    expect(hint).to_be_hidden()


def test_a_recording_is_heard_and_kept_as_subtitles(tried: Visitor, recording: Path) -> None:
    """From a chosen file, with what was heard as files."""
    page = at(tried, "/try/transcribe", width=360, height=740)
    page.locator("input[type=file]").set_input_files(recording)
    page.get_by_role("button", name="Transcribe").click()
    result = page.locator("#try-result")
    expect(result).to_contain_text("bytes of audio")
    expect(result).to_contain_text("0:00.0–1:30.0")
    with page.expect_download() as got:
        result.get_by_role("link", name="Download as srt").click()
    assert "00:00:00,000 --> 00:01:30,000" in Path(got.value.path()).read_text()
    assert overflow(page) <= 0
    page.get_by_label("Answer as").select_option("vtt")
    page.get_by_role("button", name="Transcribe").click()
    expect(result).to_contain_text("WEBVTT")


def changed(house: House, change: Callable[[dict[str, Any]], None]) -> str:
    """Another config.yaml; what it was before."""
    before = house.config.read_text()
    body = yaml.safe_load(before)
    change(body)
    house.config.write_text(yaml.safe_dump(body, sort_keys=False))
    return before


@contextmanager
def diarizing(house: House) -> Iterator[None]:
    """There is a service that tells who spoke."""

    def add(body: dict[str, Any]) -> None:
        like = next(one for one in body["services"] if one["kind"] == "asr")
        who = {"name": "who", "kind": "diarize", "host": like["host"], "port": like["port"]}
        body["services"].append(who)

    before = changed(house, add)
    try:
        until(lambda: len(house.get("/services")["services"]) == 5, "the service to be known")
        yield
    finally:
        house.config.write_text(before)
        until(lambda: len(house.get("/services")["services"]) == 4, "it to be forgotten")


def test_who_speaks_has_a_colour_and_the_name_that_it_is_given(
    tried: Visitor, house: House, recording: Path
) -> None:
    """As events come the page says how far it is; a name stands in the files too."""
    rows = [
        {"start": 0, "end": 5, "speaker": "A", "text": f"Hello {HOSTILE}"},
        {"start": 5, "end": 9, "speaker": "B", "text": "there --> you"},
    ]
    whole = {"text": "Hello there", "segments": rows, "gaps": [{"start": 9, "end": 12}]}
    told = [
        {"type": "spark.progress", "percent": 40.0, "part": 2, "parts": 5, "eta_seconds": 30.0},
        {"type": "transcript.text.delta", "delta": "Hello"},
        {"type": "transcript.text.done", "text": "Hello there", "transcript": whole},
    ]
    body = "".join(f"data: {json.dumps(one)}\n\n" for one in told)
    with diarizing(house):
        page = at(tried, "/try/transcribe", width=360, height=740)
    page.route(
        "**/ui/try/v1/audio/transcriptions",
        lambda route: route.fulfill(body=body, content_type="text/event-stream"),
    )
    page.locator("input[type=file]").set_input_files(recording)
    page.get_by_label("Tell who speaks").check()
    with page.expect_request("**/ui/try/v1/audio/transcriptions") as asked:
        page.get_by_role("button", name="Transcribe").click()
    for name in ("diarize", "stream", "progress"):
        assert f'name="{name}"\r\n\r\ntrue'.encode() in (asked.value.post_data_buffer or b"")
    expect(page.locator(".segments .voice-1")).to_contain_text("Hello")
    expect(page.locator(".segments .voice-2 strong")).to_have_text("B")
    expect(page.locator("#try-result").get_by_role("alert")).to_contain_text("0:09.0–0:12.0")
    page.get_by_label("A", exact=True).fill("Anne")
    page.keyboard.press("Tab")
    expect(page.locator(".segments .voice-1 strong")).to_have_text("Anne")
    with page.expect_download() as got:
        page.get_by_role("link", name="Download as vtt").click()
    kept = Path(got.value.path()).read_text()
    assert "Anne: Hello" in kept
    assert "B: there → you" in kept
    assert page.evaluate("window.hurt === undefined")
    assert overflow(page) <= 0
    assert violations_in_both_themes(page) == []


def test_two_channels_become_one_conversation(tried: Visitor, recording: Path) -> None:
    """The second file is asked for only then, and the code sends both."""
    page = at(tried, "/try/transcribe")
    expect(page.locator("input[type=file]")).to_have_count(1)
    page.get_by_label("What to do").select_option("label-merge")
    page.locator("#f-file").set_input_files(recording)
    page.locator("#f-system").set_input_files(recording)
    expect(page.locator("#try-code pre").first).to_contain_text("system=@")
    for printed in run_code(page, recording.parent):
        assert "bleed_ratio" in printed
    answer = json.dumps({"text": "x", "segments": [], "removed": [{"word": "echo"}]})
    page.route(
        "**/ui/try/v1/audio/label-merge",
        lambda route: route.fulfill(body=answer, content_type="application/json"),
    )
    page.get_by_role("button", name="Transcribe").click()
    expect(page.locator("#try-result")).to_contain_text("1 words of the loudspeaker")
    page.get_by_label("What to do").select_option("transcriptions")
    expect(page.locator("input[type=file]")).to_have_count(1)


def test_a_text_is_spoken_and_two_are_compared(tried: Visitor) -> None:
    """The voices are those of the service."""
    page = at(tried, "/try/speak")
    expect(page.locator("select#f-voice")).to_have_value("af_simulated")
    page.get_by_label("Text", exact=True).fill("Hello there.")
    page.get_by_role("button", name="Speak").click()
    link = page.locator("#try-result a")
    expect(link).to_contain_text("speech.wav")
    assert str(page.locator("audio").get_attribute("src")).startswith("blob:")
    expect(page.locator("#try-code")).to_contain_text("af_simulated")
    page.goto(f"{tried.url}/try/compare")
    page.get_by_label("First text").fill("the same")
    page.get_by_label("Second text").fill("the same")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("[data-cosine]")).to_have_text("1.0000")
    expect(page.locator("[data-about]")).to_contain_text("numbers in each vector")


def test_an_answer_of_the_wrong_kind_is_told(tried: Visitor, recording: Path) -> None:
    """Whatever answers at the address of a service, the page says what it is not."""
    for path, route, button, fill in (
        ("/try/speak", "audio/speech", "Speak", "text"),
        ("/try/compare", "embeddings", "Compare", "first second"),
        ("/try/transcribe", "audio/transcriptions", "Transcribe", ""),
    ):
        page = at(tried, path)
        page.route(
            f"**/ui/try/v1/{route}",
            lambda route: route.fulfill(body='{"x": 1}', content_type="application/json"),
        )
        if path == "/try/speak":
            expect(page.locator("select#f-voice")).to_have_value("af_simulated")
        for name in fill.split():
            page.locator(f"#f-{name}").fill("x")
        if not fill:
            page.locator("input[type=file]").set_input_files(recording)
        page.get_by_role("button", name=button).click()
        expect(page.locator("#try-failure")).to_contain_text("What came back is not")
        expect(page.locator("#try-result")).to_be_hidden()
        page.context.close()


def run_code(page: Page, folder: Path) -> list[str]:
    """What the curl command and the Python of the page print, run as they stand."""
    shown = page.locator("#try-code pre").all_text_contents()
    commands = (["bash", "-c", shown[0]], [sys.executable, "-W", "error", "-c", shown[1]])
    started = [
        subprocess.Popen(
            command,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "SPARK_KEY": "any"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for command in commands
    ]
    printed = []
    for one in started:
        out, err = one.communicate(timeout=90)
        assert one.returncode == 0, err
        printed.append(out)
    return printed


def test_the_code_of_every_page_runs_as_it_stands(
    tried: Visitor, recording: Path, tmp_path: Path
) -> None:
    """With real curl and the real client, whatever is in the form."""
    page = at(tried, "/try")
    page.get_by_label("Message", exact=True).fill("it's \"$HOME\" `id` \\ é\n')")
    expect(page.locator("#try-code")).to_contain_text("$HOME")
    by_curl, by_python = run_code(page, tmp_path)
    assert by_curl.rstrip().endswith("data: [DONE]")
    assert "simulated" in by_python

    page.goto(f"{tried.url}/try/transcribe")
    page.locator("input[type=file]").set_input_files(recording)
    expect(page.locator("#try-code")).to_contain_text("strange")
    for printed in run_code(page, recording.parent):
        assert "bytes of audio" in printed

    page.goto(f"{tried.url}/try/speak")
    page.get_by_label("Text", exact=True).fill("That's it.")
    expect(page.locator("#try-code")).to_contain_text("s it.")
    expect(page.locator("#try-code")).to_contain_text("af_simulated")
    run_code(page, tmp_path)
    assert (tmp_path / "speech.mp3").read_bytes()[:4] == b"RIFF"

    page.goto(f"{tried.url}/try/compare")
    page.get_by_label("First text").fill("a")
    page.get_by_label("Second text").fill("a")
    expect(page.locator("#try-code pre").last).to_contain_text("input=['a', 'a']")
    by_curl, by_python = run_code(page, tmp_path)
    assert len(json.loads(by_curl)["data"]) == 2
    assert float(by_python) == pytest.approx(1)


def test_who_spoke_when_is_told_by_a_service_for_that(
    tried: Visitor, house: House, recording: Path
) -> None:
    """The form offers it as soon as there is one, and its code runs as well."""
    page = at(tried, "/try/transcribe")
    expect(page.get_by_text("none is configured")).to_be_visible()
    with diarizing(house):
        page.reload()
        page.get_by_label("What to do").select_option("diarize")
        expect(page.get_by_label("Service")).to_have_value("who")
        page.locator("input[type=file]").set_input_files(recording)
        page.get_by_role("button", name="Transcribe").click()
        expect(page.locator("#try-result .segments")).to_contain_text("0:45.0–1:30.0 SPEAKER_01")
        expect(page.locator("#try-code pre").last).to_contain_text("/audio/diarize")
        expect(page.locator("#try-code pre").last).to_contain_text("strange")
        for printed in run_code(page, recording.parent):
            assert "SPEAKER_01" in printed


@pytest.fixture(scope="module")
def lan(browser: Browser) -> Iterator[Browser]:
    """A browser that has a microphone (which beeps) and reaches the app as box.lan too."""
    made = browser.browser_type.launch(
        executable_path=next(filter(None, map(shutil.which, PROGRAMS))),
        args=[
            *FLAGS,
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            "--host-resolver-rules=MAP box.lan 127.0.0.1",
        ],
    )
    yield made
    made.close()


def test_a_recording_of_the_microphone_is_a_wav_file(loaded: House, lan: Browser) -> None:
    """Sixteen bit, one channel: what every service reads."""
    context = lan.new_context(permissions=["microphone"])
    page = context.new_page()
    page.goto(f"{loaded.url}/try/transcribe")
    expect(page.locator("[data-record-why]")).to_be_hidden()
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.locator("[data-recorded]")).to_contain_text("Recording, 1 s")
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator("[data-recorded]")).to_contain_text("Recorded")
    page.get_by_role("button", name="Transcribe").click()
    # The simulated service reads the length from the head of a WAV file.
    expect(page.locator("#try-result .segments")).to_contain_text("0:00.0–0:0")
    expect(page.locator("audio[data-preview]")).to_be_visible()
    context.close()


def test_over_plain_http_it_works_and_says_why_nothing_is_recorded(
    loaded: House, lan: Browser
) -> None:
    """There browsers do not say whose page asks but by `Origin`, and give no microphone."""
    page = lan.new_page()
    page.goto(f"http://box.lan:{loaded.port}/try/transcribe")
    expect(page.locator("[data-record-why]")).to_be_visible()
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_disabled()
    page.goto(f"http://box.lan:{loaded.port}/try")
    say(page, "hello")
    expect(page.locator(f"{ANSWER} .cost")).to_contain_text("tokens")
    expect(page.locator("#try-code")).to_contain_text(f"http://box.lan:{loaded.port}/v1")
    page.context.close()


def test_no_barrier_in_either_theme_nor_on_a_phone(tried: Visitor) -> None:
    """With an answer on the page; without one it is among `test_every_page`."""
    page = at(tried, "/try", width=360, height=740)
    answering(page, frames({"reasoning_content": "hm"}, {"content": "a\n```\nx\n```\nb"}))
    say(page, "hello")
    expect(page.locator(f"{ANSWER} .cost")).to_be_visible()
    page.get_by_text("System prompt, temperature").click()
    assert overflow(page) <= 0
    assert violations_in_both_themes(page) == []


def test_without_javascript_and_with_keys_required_the_pages_work(
    tried: Visitor, house: House
) -> None:
    """The dashboard asks as itself, and programs are refused all the same."""
    before = changed(
        house, lambda body: body.update(gateway={**body.get("gateway", {}), "require_key": True})
    )
    try:
        until(lambda: house.http.get("/v1/models").status_code == 401, "keys to be required")
        page = at(tried, "/try", java_script_enabled=False)
        page.get_by_label("Message", exact=True).fill("hello <b>you</b>")
        page.get_by_role("button", name="Send").click()
        expect(page.locator(ANSWER)).to_contain_text("simulated")
        expect(page.locator("div.turn.user")).to_contain_text("hello <b>you</b>")
        page = at(tried, "/try")
        say(page, "hello")
        expect(page.locator(f"{ANSWER} .cost")).to_contain_text("tokens/s")
        got = house.http.post("/ui/try/v1/chat/completions", json={"model": ONE})
        assert got.status_code == 403
        used = house.get("/usage", by="key")["rows"]
        assert any(row["key"] == "dashboard" and row["completion_tokens"] for row in used)
    finally:
        house.config.write_text(before)
        until(lambda: house.http.get("/v1/models").status_code == 200, "keys to be let go")


def test_asking_for_a_model_that_is_not_loaded_loads_it(tried: Visitor, house: House) -> None:
    """The page says where it stands until the answer comes. Last: another is loaded then."""
    house.sim.scenario("spark-1", load_seconds=3)
    page = at(tried, "/try")
    page.get_by_label("Model").select_option(TWO)
    say(page, "hello")
    expect(page.locator("#try-now")).to_contain_text(TWO)
    expect(page.locator(f"{ANSWER} .cost")).to_contain_text("tokens/s", timeout=60_000)
    expect(page.locator("#try-now [data-served]")).to_contain_text([TWO])
    expect(page.locator("#try-hint")).to_be_hidden()
