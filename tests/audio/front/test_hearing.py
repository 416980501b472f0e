"""A recording's way: limits, plain bytes, composed answers, and that nothing is left behind."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from starlette.types import Send

from server.audio.sound.ear import Ear
from tests.audio.front.made import TRANSCRIBE, fields_of, room, wav, words
from tests.gateway.running import Answer, Call, ScriptedEngine, begin, part, whole

pytestmark = pytest.mark.asyncio(loop_scope="module")

VERBOSE = {
    "task": "transcribe",
    "language": "en",
    "duration": 3.0,
    "text": "Hello there. Good morning.",
    "words": words("Hello", "there.", "Good", "morning."),
    "segments": [{"id": 0, "start": 0, "end": 2, "text": "Hello there. Good morning."}],
}
TURNS = {
    "segments": [
        {"speaker": "SPEAKER_07", "start": 0.0, "end": 0.95},
        {"speaker": "SPEAKER_03", "start": 0.95, "end": 3.0},
    ],
    "speakers": [
        {"id": "SPEAKER_07", "embedding": [1.0, 0.0]},
        {"id": "SPEAKER_03", "embedding": [0.0, 1.0]},
    ],
}


def engine(body: Any = VERBOSE, status: int = 200) -> ScriptedEngine:
    return ScriptedEngine(whole(body, status))


def by_format(answers: dict[str, Answer]) -> ScriptedEngine:
    """An engine that answers by `response_format`."""

    async def answer(call: Call, send: Send) -> None:
        wanted = fields_of(call.raw).get("response_format", ["json"])[0]
        await answers[wanted](call, send)

    return ScriptedEngine(answer)


# ---- plain


async def test_a_short_recording_goes_to_the_engine_as_it_came(ear: Ear, tmp_path: Path) -> None:
    """Byte for byte, and its answer comes back as it is."""
    asr = engine({"text": "hello"})
    async with room(ear, tmp_path, asr=asr) as here:
        got = await here.ask(wav(3), model="whisper", anything="else")
        assert (got.status, got.json) == (200, {"text": "hello"})
        assert fields_of(asr.calls[0].raw) == {"model": ["whisper"], "anything": ["else"]}
        assert wav(3) in asr.calls[0].raw
        passage = await here.running.passages.get()
        assert (passage.asked, passage.upstream, passage.status) == ("whisper", "ears", 200)
        assert passage.used.audio_seconds == pytest.approx(3, abs=0.01)
        assert passage.bytes_in > len(wav(3))


async def test_the_model_may_stand_behind_the_file(ear: Ear, tmp_path: Path) -> None:
    """As `curl -F file=@a.wav -F model=…` sends it."""
    asr, other = engine({"text": "one"}), engine({"text": "other"})
    async with room(ear, tmp_path, asr=asr, replica=other) as here:
        form = aiohttp.FormData()
        form.add_field("file", wav(1), filename="a.wav", content_type="audio/wav")
        form.add_field("model", "other")
        async with here.running.session.post(here.running.url + TRANSCRIBE, data=form) as got:
            assert await got.json() == {"text": "other"}
        assert (await here.running.passages.get()).asked == "other"
        await here.ask(wav(1), model="a\r\nx-evil: 1")
        assert all(call.header(b"x-evil") is None for call in (*asr.calls, *other.calls))


async def test_a_stream_of_the_engine_comes_through_at_once(ear: Ear, tmp_path: Path) -> None:
    """Its first event before its last one was made."""
    go_on = asyncio.Event()

    async def streaming(_call: Call, send: Send) -> None:
        await begin(send, "text/event-stream")
        await part(send, b'data: {"type":"transcript.text.delta","delta":"one"}\n\n')
        await go_on.wait()
        await part(send, b'data: {"type":"transcript.text.done","text":"one"}\n\n', last=True)

    async with (
        room(ear, tmp_path, asr=ScriptedEngine(streaming)) as here,
        here.posting(wav(1), stream="true") as got,
    ):
        first = await got.content.readuntil(b"\n\n")
        assert b"delta" in first
        go_on.set()
        assert b"done" in await got.read()


async def test_what_the_engine_refuses_is_told_in_its_words(ear: Ear, tmp_path: Path) -> None:
    asr = engine({"detail": "no such language"}, 400)
    async with room(ear, tmp_path, asr=asr) as here:
        got = await here.ask(wav(1), language="xx")
        assert (got.status, got.error["message"]) == (400, "no such language")
        assert got.error["source"] == "ears"
        assert len(asr.calls) == 1


async def test_another_replica_is_sent_the_same_recording(ear: Ear, tmp_path: Path) -> None:
    """It lies on the disk: also when the first one took all of it and then failed."""
    down, up = engine({"error": "x"}, 503), engine({"text": "hello"})
    async with room(ear, tmp_path, asr=down, replica=up) as here:
        for _ in range(2):
            got = await here.ask(wav(3))
            assert (got.status, got.json) == (200, {"text": "hello"})
        assert down.calls
        assert all(wav(3) in call.raw for call in (*down.calls, *up.calls))


# ---- limits and what is no recording


async def test_a_recording_over_the_limit_is_refused_before_anybody_is_asked(
    ear: Ear,
    tmp_path: Path,
) -> None:
    """By what is in it, with both figures; the speakers' limit where they are asked for."""
    asr, voices = engine(), engine(TURNS)
    limits = {"max_transcribe_seconds": 4, "max_diarize_seconds": 2}
    async with room(ear, tmp_path, asr=asr, diarizer=voices, audio=limits) as here:
        for seconds, path, fields, figure in (
            (6, TRANSCRIBE, {}, "4"),
            (3, TRANSCRIBE, {"diarize": "true"}, "2"),
            (3, "/v1/audio/diarize", {}, "2"),
            (3, "/v1/audio/diarize-chunk", {}, "2"),
        ):
            got = await here.ask(wav(seconds), path, **fields)
            assert got.status == 413
            assert got.error["code"] == "payload_too_large"
            assert f"{figure} s" in got.error["message"]
        assert (await here.ask(wav(3))).status == 200
        assert len(asr.calls) == 1
        assert not voices.calls


@pytest.mark.parametrize(
    ("recording", "status"),
    [
        (b"", 422),
        (b"nothing of a recording", 415),
        (wav(1, loud=0), 422),
        (wav(10)[:5000], 422),
        (b"PK\x03\x04" + bytes(100), 415),
    ],
)
async def test_what_cannot_be_heard_is_refused_before_anybody_is_asked(
    ear: Ear, tmp_path: Path, recording: bytes, status: int
) -> None:
    """Empty, no recording at all, silent, cut off."""
    asr = engine()
    async with room(ear, tmp_path, asr=asr) as here:
        for fields in ({}, {"scrub": "true"}):
            got = await here.ask(recording, **fields)
            assert (got.status, got.error["source"]) == (status, "spark-control")
        assert not asr.calls


async def test_a_form_without_a_recording_is_refused(ear: Ear, tmp_path: Path) -> None:
    async with room(ear, tmp_path, asr=engine()) as here:
        got = await here.ask(None, model="whisper", response_format="json")
        assert (got.status, got.error["param"]) == (400, "file")


async def test_a_mistake_in_the_form_names_its_field(ear: Ear, tmp_path: Path) -> None:
    async with room(ear, tmp_path, asr=engine()) as here:
        got = await here.ask(wav(1), response_format="diarized_json", prompt="names")
        assert (got.status, got.error["param"]) == (400, "prompt")


async def test_recordings_share_the_space_that_they_may_take(ear: Ear, tmp_path: Path) -> None:
    """What does not fit beside others is sent again later; alone it always fits."""
    held = asyncio.Event()

    async def slow(call: Call, send: Send) -> None:
        await held.wait()
        await whole({"text": "x"})(call, send)

    asr = ScriptedEngine(slow)
    async with room(ear, tmp_path, asr=asr) as here:
        here.desk.room.take(64 << 20)
        here.audio["spool_mb"] = 64
        got = await here.ask(wav(1))
        assert (got.status, got.error["code"]) == (429, "queue_full")
        assert int(got.headers["Retry-After"]) > 0
        here.desk.room.give_back(64 << 20)
        held.set()
        assert (await here.ask(wav(1))).status == 200


# ---- composed


@pytest.mark.parametrize(
    ("fields", "kind", "says"),
    [
        ({"response_format": "srt"}, "application/x-subrip", b"00:00:00,000 --> 00:00:00,900"),
        ({"response_format": "vtt"}, "text/vtt", b"WEBVTT\n\n00:00:00.000 --> 00:00:00.900"),
        ({"response_format": "text"}, "text/plain", b"Hello there. Good morning.\n"),
        (
            {"response_format": "verbose_json", "timestamp_granularities[]": "word"},
            "application/json",
            b'"words":[{"word":"Hello","start":0.0,"end":0.4}',
        ),
    ],
)
async def test_a_format_that_the_engine_lacks_is_written_here(
    ear: Ear, tmp_path: Path, fields: dict[str, str], kind: str, says: bytes
) -> None:
    """From what it is asked for instead: JSON with the times of words."""
    asr = engine()
    async with room(ear, tmp_path, asr=asr, services={"dialect": "parakeet"}) as here:
        got = await here.ask(wav(3), model="whisper", language="en", **fields)
        assert got.status == 200
        assert got.headers["Content-Type"].startswith(kind)
        assert says in got.body
        sent = fields_of(asr.calls[0].raw)
        assert (sent["model"], sent["language"]) == (["whisper"], ["en"])
        assert sent["response_format"] == ["verbose_json"]
        passage = await here.running.passages.get()
        assert passage.used.audio_seconds == pytest.approx(3.0, abs=0.1)
        assert (passage.status, passage.model, passage.upstream) == (200, "whisper", "ears")
        assert [one.request_id for one in here.seen] == [f"{passage.request_id}.0"]


async def test_speakers_are_found_by_another_service(ear: Ear, tmp_path: Path) -> None:
    """`diarized_json` of an engine that knows none: words by one, turns by the other."""
    asr, voices = engine(), engine(TURNS)
    async with room(ear, tmp_path, asr=asr, diarizer=voices) as here:
        got = await here.ask(wav(3), response_format="diarized_json")
        assert got.status == 200
        said = [(one["speaker"], one["text"]) for one in got.json["segments"]]
        assert said == [("A", "Hello there."), ("B", "Good morning.")]
        assert got.json["usage"] == {"type": "duration", "seconds": pytest.approx(3, abs=0.1)}
        assert voices.calls[0].path == "/v1/audio/diarize-chunk"
        words_too = await here.ask(
            wav(3),
            diarize="true",
            response_format="verbose_json",
            **{"timestamp_granularities[]": ["word", "segment"]},
        )
        assert [one["speaker"] for one in words_too.json["words"]] == ["A", "A", "B", "B"]
        assert words_too.json["segments"][0]["speaker"] == "A"


async def test_speakers_without_a_service_for_them(ear: Ear, tmp_path: Path) -> None:
    """`diarize` needs one; `diarized_json` is left to the engine, which may know them."""
    asr = engine({"text": "x", "segments": []})
    async with room(ear, tmp_path, asr=asr) as here:
        got = await here.ask(wav(1), diarize="true")
        assert got.status == 404
        assert "kind diarize" in got.error["message"]
        assert (await here.ask(wav(1), response_format="diarized_json")).json["text"] == "x"
        assert fields_of(asr.calls[0].raw)["response_format"] == ["diarized_json"]


async def test_a_diarizer_without_chunks_is_asked_for_the_whole(ear: Ear, tmp_path: Path) -> None:
    """And asked so the next time at once."""
    voices = ScriptedEngine(whole(TURNS))

    async def answer(call: Call, send: Send) -> None:
        known = call.path == "/v1/audio/diarize"
        await whole(TURNS if known else {"detail": "Not Found"}, 200 if known else 404)(call, send)

    voices.answer = answer
    async with room(ear, tmp_path, asr=engine(), diarizer=voices) as here:
        for _ in range(2):
            assert (await here.ask(wav(3), diarize="true")).status == 200
        assert [call.path.rpartition("/")[2] for call in voices.calls] == [
            "diarize-chunk",
            "diarize",
            "diarize",
        ]


async def test_what_is_private_is_taken_out(ear: Ear, tmp_path: Path) -> None:
    """Of the text, the words and the segments; who asks for it gets what stood there."""
    said = {"text": "", "words": words("Write", "to", "ann@example.com,", "please.")}
    async with room(ear, tmp_path, asr=engine(said)) as here:
        got = await here.ask(
            wav(3),
            scrub="true",
            response_format="verbose_json",
            **{"timestamp_granularities[]": ["word", "segment"]},
        )
        assert b"ann@example.com" not in got.body
        word = got.json["words"][2]
        assert word["word"].endswith(",")
        assert (word["start"], word["end"]) == (1.0, 1.4)
        (found,) = got.json["scrub"]["found"]
        assert (found["kind"], found["times"]) == ("email", [[1.0, 1.4]])
        assert "values" not in got.json["scrub"]
        told = await here.ask(wav(3), scrub="true", scrub_reversible="true")
        assert list(told.json["scrub"]["values"].values()) == ["ann@example.com"]


async def test_an_engine_that_does_not_know_verbose_json_is_asked_for_json(
    ear: Ear,
    tmp_path: Path,
) -> None:
    """It is remembered when the other request was answered, and only then."""
    refused = whole({"error": {"message": "response_format must be json"}}, 400)
    asr = by_format({"verbose_json": refused, "json": whole({"text": "Hello there."})})
    async with room(ear, tmp_path, asr=asr) as here:
        for _ in range(2):
            got = await here.ask(wav(3), scrub="true")
            assert (got.status, got.json["text"]) == (200, "Hello there.")
        formats = [fields_of(call.raw)["response_format"][0] for call in asr.calls]
        assert formats == ["verbose_json", "json", "json"]


async def test_a_refused_format_is_composed_and_remembered(ear: Ear, tmp_path: Path) -> None:
    """Of an engine of which nothing is known: plain first, then here."""
    refused = whole({"error": {"message": "not srt"}}, 400)
    asr = by_format({"srt": refused, "verbose_json": whole(VERBOSE)})
    async with room(ear, tmp_path, asr=asr) as here:
        for _ in range(2):
            got = await here.ask(wav(3), response_format="srt")
            assert (got.status, b"Hello there." in got.body) == (200, True)
        formats = [fields_of(call.raw)["response_format"][0] for call in asr.calls]
        assert formats == ["srt", "verbose_json", "verbose_json"]
        passages = [await here.running.passages.get() for _ in range(2)]
        assert [one.status for one in passages] == [200, 200]
        assert not any(one.error for one in passages)


async def test_a_container_that_the_engine_does_not_open_is_converted(
    ear: Ear, tmp_path: Path
) -> None:
    """415 for what it was sent, an answer to plain WAV."""

    async def answer(call: Call, send: Send) -> None:
        plain = b'filename="part.wav"' in call.raw
        body = VERBOSE if plain else {"detail": "cannot decode"}
        await whole(body, 200 if plain else 415)(call, send)

    asr = ScriptedEngine(answer)
    async with room(ear, tmp_path, asr=asr) as here:
        for _ in range(2):
            assert (await here.ask(wav(3))).json["text"] == "Hello there. Good morning."
        assert len(asr.calls) == 3


async def test_a_service_that_needs_a_language_is_told_one(ear: Ear, tmp_path: Path) -> None:
    asr = engine({"text": "Hello."})
    async with room(ear, tmp_path, asr=asr, services={"dialect": "nim"}) as here:
        assert (await here.ask(wav(1))).json["text"] == "Hello."
        sent = fields_of(asr.calls[0].raw)
        assert (sent["language"], sent["response_format"]) == (["en-US"], ["json"])


async def test_a_long_recording_is_heard_in_parts(ear: Ear, tmp_path: Path) -> None:
    """Each under the caller's name and of one request: it is counted once."""
    asr = engine({"text": "x", "words": [{"word": "tick", "start": 1.0, "end": 1.2}]})
    cuts = {"long_seconds": 10, "part_seconds": 10}
    async with room(ear, tmp_path, asr=asr, audio=cuts) as here:
        got = await here.ask(wav(32))
        assert got.status == 200
        assert got.json["text"].split() == ["tick"] * len(asr.calls)
        assert len(asr.calls) > 2
        passage = await here.running.passages.get()
        assert passage.used.audio_seconds == pytest.approx(32, abs=0.1)
        assert {one.request_id.rpartition(".")[0] for one in here.seen} == {passage.request_id}
        assert here.running.passages.empty()


async def test_a_composed_stream_tells_how_far_it_is(ear: Ear, tmp_path: Path) -> None:
    """Comments for everybody, events for who asks, then the text as the API has it."""
    async with room(ear, tmp_path, asr=engine(), services={"dialect": "parakeet"}) as here:
        got = await here.ask(wav(3), stream="true", progress="true")
        assert got.headers["Content-Type"].startswith("text/event-stream")
        assert b": progress percent=" in got.body
        assert b'event: spark.progress\ndata: {"type":"spark.progress"' in got.body
        assert b'"delta":"Hello there."' in got.body
        last = got.body.strip().rpartition(b"\n\n")[2]
        assert last.startswith(b'data: {"type":"transcript.text.done","text":"Hello there.')


async def test_an_error_after_the_first_word_is_an_event(ear: Ear, tmp_path: Path) -> None:
    async with room(
        ear, tmp_path, asr=engine({"detail": "broken"}, 400), services={"dialect": "parakeet"}
    ) as here:
        got = await here.ask(wav(3), stream="true", progress="true")
        assert got.status == 200
        assert b'"error":{' in got.body.strip().rpartition(b"\n\n")[2]
        assert (await here.running.passages.get()).error == "invalid_request"


async def test_turns_of_a_long_recording_are_linked(ear: Ear, tmp_path: Path) -> None:
    """The same voice by the same name in every part, as JSON and as RTTM."""
    voices = engine(TURNS)
    cuts = {"long_seconds": 10, "part_seconds": 10}
    async with room(ear, tmp_path, asr=engine(), diarizer=voices, audio=cuts) as here:
        got = await here.ask(wav(32), "/v1/audio/diarize")
        assert got.status == 200
        assert {one["speaker"] for one in got.json["segments"]} == {"SPEAKER_00", "SPEAKER_01"}
        assert len(got.json["speakers"]) == 2
        rttm = await here.ask(wav(32), "/v1/audio/diarize", response_format="rttm")
        assert rttm.body.startswith(b"SPEAKER recording 1 0.000 0.950 <NA> <NA> SPEAKER_00")
        short = await here.ask(wav(3), "/v1/audio/diarize")
        assert short.json == TURNS


# ---- leaving, closing, a full disk


async def test_who_leaves_ends_everything(ear: Ear, tmp_path: Path) -> None:
    """Of both ways: the engine is let go, the file is gone, the request is told as left."""

    async def never(call: Call, send: Send) -> None:
        await call.gone.wait()

    asr = ScriptedEngine(never)
    async with room(ear, tmp_path, asr=asr) as here:
        for fields in ({}, {"scrub": "true"}):
            asked = asyncio.create_task(here.ask(wav(3), **fields))
            call = await asr.came.get()
            asked.cancel()
            await asyncio.wait({asked})
            await call.gone.wait()
            passage = await here.running.passages.get()
            assert (passage.status, passage.error) == (499, "client_closed")
            assert here.running.inflight.count() == 0


async def test_closing_ends_what_is_under_way_with_a_reason(ear: Ear, tmp_path: Path) -> None:
    async def never(call: Call, send: Send) -> None:
        await call.gone.wait()

    asr = ScriptedEngine(never)
    async with room(ear, tmp_path, asr=asr) as here:
        asked = asyncio.create_task(here.ask(wav(3), scrub="true"))
        await asr.came.get()
        here.desk.close()
        got = await asked
        assert (got.status, got.error["code"]) == (503, "unavailable")


async def test_a_disk_that_takes_no_more_is_told(ear: Ear, tmp_path: Path) -> None:
    async with room(ear, tmp_path / "gone", asr=engine()) as here:
        got = await here.ask(wav(1))
        assert got.status in {503, 507}
        assert str(tmp_path) not in got.body.decode()


# ---- what an answer looks like


NEMO = {
    "text": "Hello there. Good morning.",
    "timestamp": {"word": words("Hello", "there.", "Good", "morning."), "segment": []},
}


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("srt", b"00:00:00,000 --> "),
        ("vtt", b"WEBVTT\n\n"),
        ("text", b"Hello there. Good morning.\n"),
        ("verbose_json", b'"segments":[{"id":0,"start":0.0'),
    ],
)
async def test_an_answer_in_another_format_is_written_anew(
    ear: Ear, tmp_path: Path, form: str, says: bytes
) -> None:
    """From the one answer that came: nobody is asked twice. Then it is known."""
    asr = engine(NEMO)
    async with room(ear, tmp_path, asr=asr) as here:
        got = await here.ask(wav(3), response_format=form)
        assert (got.status, says in got.body) == (200, True)
        assert int(got.headers["Content-Length"]) == len(got.body)
        assert len(asr.calls) == 1
        assert (await here.ask(wav(3), response_format=form)).body == got.body
        assert fields_of(asr.calls[1].raw)["response_format"] == ["verbose_json"]


async def test_a_stream_is_made_of_an_answer_that_is_none(ear: Ear, tmp_path: Path) -> None:
    """Of a service that ignores `stream`; then it is known."""
    asr = engine(NEMO)
    async with room(ear, tmp_path, asr=asr) as here:
        for _ in range(2):
            got = await here.ask(wav(3), stream="true")
            assert got.headers["Content-Type"].startswith("text/event-stream")
            assert b'"delta":"Hello there."' in got.body
            assert b"transcript.text.done" in got.body
        assert [fields_of(call.raw).get("response_format") for call in asr.calls] == [
            None,
            ["verbose_json"],
        ]


async def test_an_answer_as_it_was_asked_for_is_not_touched(ear: Ear, tmp_path: Path) -> None:
    """Neither what it says beyond the format, nor one that nobody can read."""
    odd = {**VERBOSE, "own": 1}
    async with room(ear, tmp_path, asr=engine(odd)) as here:
        for _ in range(2):
            assert (await here.ask(wav(3), response_format="verbose_json")).json == odd
    async with room(ear, tmp_path, asr=engine({"strange": 1})) as here:
        assert (await here.ask(wav(3))).json == {"strange": 1}
