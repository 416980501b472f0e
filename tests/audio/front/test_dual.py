"""Label-merge with recordings: two channels in, one conversation out."""

import asyncio
import io
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import orjson
import pytest
from starlette.types import Send

from server.audio.front.dual import PATH
from server.audio.sound.ear import Ear
from tests.audio.echo.rooms import RATE, Speech, Wave, echo, moved, voice
from tests.audio.front.made import Room, Told, fields_of, room
from tests.gateway.made import service
from tests.gateway.running import Call, ScriptedEngine, serve, whole

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS = 20
FAR, NEAR = voice(SECONDS, 120, 1), voice(SECONDS, 210, 2)
NEAR.wave[: 12 * RATE] = 0
FAR.wave[13 * RATE : 17 * RATE] = 0
TURNS = {
    "segments": [
        {"speaker": "SPEAKER_07", "start": 0.0, "end": 8.0},
        {"speaker": "SPEAKER_03", "start": 8.0, "end": 20.0},
    ],
    "speakers": [
        {"id": "SPEAKER_07", "embedding": [1.0, 0.0]},
        {"id": "SPEAKER_03", "embedding": [0.0, 1.0]},
    ],
}


def file(*channels: Wave) -> bytes:
    """A WAV file."""
    out = io.BytesIO()
    whole_wave = np.stack(channels, axis=1)
    with wave.open(out, "wb") as made:
        made.setnchannels(len(channels))
        made.setsampwidth(2)
        made.setframerate(RATE)
        made.writeframes(np.round(np.clip(whole_wave, -1, 1) * 32767).astype("<i2").tobytes())
    return out.getvalue()


def microphone(level: float = -10.0) -> Wave:
    noise = np.random.default_rng(5).normal(0, 10 ** (-65 / 20), len(FAR.wave))
    return NEAR.wave + echo(FAR.wave, level) + noise


def said(speech: Speech, name: str, *pauses: tuple[float, float]) -> list[dict[str, Any]]:
    """Words that can be told apart, but for those in `pauses`."""
    return [
        {"word": f"{name}{number:02d}{name}", "start": start, "end": end}
        for number, (start, end) in enumerate(speech.words)
        if all(end < begin or start > over for begin, over in pauses)
    ]


FAR_WORDS, NEAR_WORDS = said(FAR, "far", (13, 17)), said(NEAR, "near", (0, 12))
ECHOED = said(FAR, "far", (11.9, 20))
"""The louder voice is what is heard where both speak."""
HEARD = [*(one | {"start": one["start"] + 0.02} for one in ECHOED), *NEAR_WORDS]


def hears(mic: Sequence[Any] = HEARD, system: Sequence[Any] = FAR_WORDS) -> ScriptedEngine:
    """Which channel a part is of is in its request id."""

    async def answer(call: Call, send: Send) -> None:
        side = (call.header(b"x-request-id") or b"").split(b".")[1]
        words = list(mic if side == b"mic" else system)
        body = {"task": "transcribe", "language": "en", "text": "", "words": words}
        await whole(body)(call, send)

    return ScriptedEngine(answer)


async def merged(here: Room, files: dict[str, bytes], **fields: str) -> Told:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        form.add_field(name, value)
    for name, raw in files.items():
        sound = io.BytesIO(raw)
        form.add_field(name, sound, filename=f"{name}.wav", content_type="audio/wav")
    async with here.running.session.post(here.running.url + PATH, data=form) as got:
        return Told(got.status, dict(got.headers), await got.read())


def words_of(got: Told, channel: str) -> list[str]:
    found = got.json["words"]
    return sorted(one["word"] for one in found if one["channel"] == channel)


def texts(words: Sequence[Any]) -> list[str]:
    return sorted(one["word"] for one in words)


BOTH = {"mic": file(microphone()), "system": file(FAR.wave)}


async def test_an_echo_is_taken_out_and_both_who_speak_at_once_are_kept(
    ear: Ear, tmp_path: Path
) -> None:
    """Every word once, with its speaker; what was taken out is listed, with its measure."""
    async with room(ear, tmp_path, asr=hears(), diarizer=ScriptedEngine(whole(TURNS))) as here:
        got = await merged(here, BOTH, response_format="verbose_json", mic_speaker="Ada")
        assert got.status == 200, got.body
        assert words_of(got, "system") == texts(FAR_WORDS)
        assert words_of(got, "mic") == texts(NEAR_WORDS)
        removed = got.json["removed"]
        assert texts(removed) == texts(ECHOED)
        assert {one["reason"] for one in removed} == {"echo"}
        assert sorted(one["suppressed_db"] for one in removed)[5] > 10
        assert {one["speaker"] for one in got.json["words"]} == {"A", "B", "Ada"}
        assert sum(one["overlapped"] for one in got.json["words"]) > 8
        told = got.json["echo"]
        assert told["on"] is True
        assert told["delay_ms"] == pytest.approx(20, abs=1)
        assert told["level_db"] == pytest.approx(-10, abs=2)
        assert "warnings" not in got.json
        passage = await here.running.passages.get()
        assert passage.used.audio_seconds == pytest.approx(2 * SECONDS, abs=0.1)
        assert passage.upstream == "ears"


async def test_one_stereo_file_is_both_channels(ear: Ear, tmp_path: Path) -> None:
    """In the order that the caller says; without a diarizer the far side is one speaker."""
    async with room(ear, tmp_path, asr=hears()) as here:
        got = await merged(
            here,
            {"file": file(FAR.wave, microphone())},
            channels="system,mic",
            names='{"system": "Bob", "mic": "Ada"}',
        )
        assert got.status == 200, got.body
        spoken = {one["speaker"]: one["text"].split() for one in got.json["segments"]}
        assert set(spoken) == {"Ada", "Bob"}
        assert len(got.json["removed"]) == len(ECHOED)
        assert got.json["echo"]["on"] is True


async def test_with_headphones_nothing_is_taken_out(ear: Ear, tmp_path: Path) -> None:
    """Also where both say the same words: no echo is found, and runs of text alone decide."""
    asr = hears(mic=NEAR_WORDS)
    async with room(ear, tmp_path, asr=asr) as here:
        got = await merged(here, BOTH | {"mic": file(microphone(-200))})
        assert (got.json["removed"], got.json["bleed_ratio"]) == ([], 0)
        assert got.json["echo"]["on"] is False
        assert "not found" in got.json["echo"]["reason"]


async def test_switched_off_only_the_text_is_looked_at(ear: Ear, tmp_path: Path) -> None:
    """By the field, or by the setting where the field is not there."""
    async with room(ear, tmp_path, asr=hears()) as here:
        got = await merged(here, BOTH, echo="off")
        assert got.json["echo"] == {"on": False, "reason": "switched off"}
        assert {one["reason"] for one in got.json["removed"]} == {"repeated"}
        here.audio["echo"] = "off"
        assert (await merged(here, BOTH)).json["echo"]["on"] is False
        assert (await merged(here, BOTH, echo="auto")).json["echo"]["on"] is True


async def test_recordings_that_began_apart_share_one_time(ear: Ear, tmp_path: Path) -> None:
    """The system's began five seconds later: its words are moved to where the other heard them."""
    late = [
        one | {"start": one["start"] - 5, "end": one["end"] - 5}
        for one in FAR_WORDS
        if one["start"] > 5
    ]
    heard = [one for one in HEARD if one["start"] > 5]
    async with room(ear, tmp_path, asr=hears(heard, late)) as here:
        system = file(moved(FAR.wave, -5 * RATE)[: 15 * RATE])
        got = await merged(here, BOTH | {"system": system}, response_format="verbose_json")
        assert got.status == 200, got.body
        assert words_of(got, "mic") == texts(NEAR_WORDS)
        there = {one["word"]: one["start"] for one in got.json["words"]}
        for one in FAR_WORDS:
            if one["start"] > 5:
                assert there[one["word"]] == pytest.approx(one["start"] + 0.02, abs=0.01)
        assert "did not begin together" in got.json["warnings"][0]


async def test_a_silent_channel_is_told_and_nobody_is_asked_about_it(
    ear: Ear, tmp_path: Path
) -> None:
    """A recogniser would make up words."""
    asr = hears()
    async with room(ear, tmp_path, asr=asr) as here:
        quiet = file(np.zeros(5 * RATE))
        got = await merged(here, {"mic": quiet, "system": BOTH["system"]})
        assert got.json["warnings"] == ["The microphone channel is silent."]
        assert len(asr.calls) == 1
        got = await merged(here, {"mic": quiet, "system": quiet})
        assert got.status == 422
        assert "silent" in got.error["message"]


async def test_one_channel_alone_is_a_transcript_of_it(ear: Ear, tmp_path: Path) -> None:
    """As it is for words that are sent."""
    async with room(ear, tmp_path, asr=hears()) as here:
        got = await merged(here, {"mic": BOTH["mic"]}, mic_speaker="Ada", response_format="text")
        assert got.status == 200
        assert got.body.decode().startswith("Ada: ")


async def test_swapped_channels_keep_every_word_and_are_told(ear: Ear, tmp_path: Path) -> None:
    """What would be removed is what the far side says."""
    async with room(ear, tmp_path, asr=hears(FAR_WORDS[:3], HEARD)) as here:
        got = await merged(here, {"mic": BOTH["system"], "system": BOTH["mic"]})
        assert "look swapped" in got.json["warnings"][0]
        assert got.json["echo"]["on"] is False
        assert got.json["removed"] == []


async def test_the_same_recording_twice_is_one_side_and_is_told(ear: Ear, tmp_path: Path) -> None:
    """Nothing is left of the microphone, which is right, and surprising."""
    async with room(ear, tmp_path, asr=hears(FAR_WORDS)) as here:
        got = await merged(here, dict.fromkeys(("mic", "system"), BOTH["system"]))
        assert {one["speaker"] for one in got.json["segments"]} == {"system"}
        assert len(got.json["removed"]) == len(FAR_WORDS)
        assert "sent twice" in got.json["warnings"][0]


async def test_what_is_scrubbed_is_in_no_list_either(ear: Ear, tmp_path: Path) -> None:
    """Words that were taken out keep their times and lose their text."""
    async with room(ear, tmp_path, asr=hears()) as here:
        got = await merged(here, BOTH, scrub="true", scrub_custom="far03far")
        assert got.status == 200, got.body
        assert b"far03far" not in got.body
        assert not any("word" in one for one in got.json["removed"])


async def test_what_is_left_of_a_number_in_the_microphone_is_scrubbed(
    ear: Ear, tmp_path: Path
) -> None:
    """The first four words are taken for the loudspeaker's: three parts of a card's number stay,
    which nobody knows as one without the first."""
    text = "please charge now 4111 1111 1111 1111 and mail ada@example.com"
    system = [
        {"word": word, "start": at / 2 + 1, "end": at / 2 + 1.4}
        for at, word in enumerate(text.split())
    ]
    later = [0.0] * 4 + [8.0] * 6
    mic = [
        one | {"start": one["start"] + by, "end": one["end"] + by}
        for one, by in zip(system, later, strict=True)
    ]
    async with room(ear, tmp_path, asr=hears(mic, system)) as here:
        stereo = {"file": file(microphone(), FAR.wave)}
        got = await merged(here, stereo, echo="off", scrub="true", response_format="verbose_json")
        assert got.status == 200, got.body
        assert b"1111" not in got.body
        words = [(one["channel"], one["word"]) for one in got.json["words"]]
        assert [word for side, word in words if side == "mic"] == [
            "[CARD_1]", "and", "mail", "[EMAIL_1]",
        ]  # fmt: skip
        assert len(got.json["removed"]) == 4


async def test_the_answer_may_come_as_events(ear: Ear, tmp_path: Path) -> None:
    """For recordings that take long: the last one holds what was found."""
    async with room(ear, tmp_path, asr=hears()) as here:
        got = await merged(here, BOTH, stream="true", progress="true")
        events = [
            orjson.loads(line[6:]) for line in got.body.splitlines() if line.startswith(b"data: ")
        ]
        done = events[-1]
        assert done["type"] == "transcript.text.done"
        assert len(done["removed"]) == len(ECHOED)


async def test_fields_of_ours_go_to_no_engine(ear: Ear, tmp_path: Path) -> None:
    """The others do, for both channels."""
    asr = hears()
    async with room(ear, tmp_path, asr=asr) as here:
        await merged(here, BOTH, model="whisper", echo="auto", mic_speaker="Ada", language="en")
        sent = [fields_of(call.raw) for call in asr.calls]
        assert len(sent) == 2
        for one in sent:
            assert one["model"] == ["whisper"]
            assert one["language"] == ["en"]
            assert not {"echo", "mic_speaker"} & one.keys()


@pytest.mark.parametrize(
    ("files", "fields", "told"),
    [
        ({}, {}, "needs the recordings"),
        ({"file": "mono"}, {}, "has 1 channel"),
        ({"file": "mono", "mic": "mono"}, {}, "needs the recordings"),
        ({"left": "mono"}, {}, "needs the recordings"),
        ({"mic": "mono"}, {"echo": "loud"}, "echo is"),
        ({"mic": "mono"}, {"names": "[1]"}, "names is a JSON object"),
        ({"mic": "mono"}, {"names": '{"A": 1}'}, "names is a name"),
        ({"mic": "mono"}, {"channels": "left,right"}, "channels is"),
        ({"mic": "mono"}, {"mic_speaker": "x" * 101}, "mic_speaker is"),
        ({"mic": "mono"}, {"diarize_mic": "perhaps"}, "diarize_mic is"),
        ({"mic": "mono"}, {"response_format": "docx"}, "response_format"),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_words_that_help(
    ear: Ear, tmp_path: Path, files: dict[str, str], fields: dict[str, str], told: str
) -> None:
    """Before anybody is asked."""
    asr = hears()
    async with room(ear, tmp_path, asr=asr) as here:
        mono = file(FAR.wave[:RATE])
        got = await merged(here, dict.fromkeys(files, mono), **fields)
        assert got.status in {400, 422}
        assert told in got.error["message"]
        assert not asr.calls


async def test_telling_apart_needs_a_service_where_it_was_asked_for(
    ear: Ear, tmp_path: Path
) -> None:
    """And nothing is heard in vain."""
    asr = hears()
    async with room(ear, tmp_path, asr=asr) as here:
        got = await merged(here, BOTH, diarize_system="true")
        assert got.status == 404
        assert not asr.calls


async def test_an_engine_that_refuses_one_channel_ends_all_of_it(ear: Ear, tmp_path: Path) -> None:
    """Its error is told, and nobody goes on hearing or looking for echo."""
    asr = ScriptedEngine(whole({"error": {"message": "no such language"}}, 400))
    async with room(ear, tmp_path, asr=asr) as here:
        got = await merged(here, BOTH)
        assert got.status == 400
        assert got.error["source"] == "ears"


async def test_a_channel_that_is_too_long_is_refused(ear: Ear, tmp_path: Path) -> None:
    """By the limit of transcription, or of telling speakers apart where that is done."""
    async with room(ear, tmp_path, asr=hears(), audio={"max_transcribe_seconds": 10}) as here:
        got = await merged(here, BOTH)
        assert (got.status, got.error["code"]) == (413, "payload_too_large")


async def test_a_service_of_that_name_gets_everything_as_it_came(ear: Ear, tmp_path: Path) -> None:
    """Forms and JSON alike."""
    theirs = ScriptedEngine(whole({"text": "theirs"}))
    async with room(ear, tmp_path, asr=hears()) as here, serve(theirs) as url:
        here.running.services = (service("label-merge", "other", url),)
        assert (await merged(here, BOTH)).json == {"text": "theirs"}
        body = {"mic": {"words": []}}
        async with here.running.session.post(here.running.url + PATH, json=body) as got:
            assert await got.json() == {"text": "theirs"}
        assert theirs.calls[1].body == body


async def test_it_is_ended_with_a_reason_when_the_app_ends(ear: Ear, tmp_path: Path) -> None:
    """As every other recording is: its parts would be refused, and it would wait for them."""

    async def never(call: Call, _send: Send) -> None:
        await call.gone.wait()

    asr = ScriptedEngine(never)
    async with room(ear, tmp_path, asr=asr) as here:
        asked = asyncio.create_task(merged(here, BOTH, echo="off"))
        await asr.came.get()
        here.desk.close()
        got = await asked
        assert (got.status, got.error["code"]) == (503, "unavailable")
