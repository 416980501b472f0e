"""The official `openai` and `anthropic` clients over the whole: gateway, engine, services.

They are the contract test: what they return and raise is what every program that uses them sees.
"""

import io
import json
import wave
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import anthropic
import httpx
import openai
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.audio.stream.made import frames, speech
from tests.e2e.running import ONE, TWO, House, running_house, until

pytestmark = pytest.mark.sim

HELLO = [{"role": "user", "content": "hello"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather of a place.",
        "parameters": {
            "type": "object",
            "properties": {"place": {"type": "string"}},
            "required": ["place"],
        },
    },
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    scenario = {"load_seconds": 0.3, "service_seconds": 0.0}
    settings = "gateway: {residency_seconds: 0}\n"
    directory = tmp_path_factory.mktemp("clients")
    with running_house(directory, settings=settings, **scenario) as made:
        assert made.swap(ONE)["state"] == "serving"
        yield made


@pytest.fixture(scope="module")
def client(house: House) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{house.url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def claude(house: House) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=house.url, api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(autouse=True)
def plain(house: House) -> Iterator[None]:
    yield
    for host in house.sim.hosts:
        house.sim.scenario(host, answer="ok", service_answer="ok", token_delay=0.0)


def sound(seconds: float = 1.0) -> tuple[str, bytes, str]:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(16_000)
        written.writeframes(b"\x00\x20\x00\xe0" * int(8_000 * seconds))  # a tone
    return "meeting.wav", buffer.getvalue(), "audio/wav"


def nothing_in_flight(house: House) -> None:
    """No lease is left behind: by the gateway's own gauge."""

    def idle() -> bool:
        text = house.http.get("/metrics").text
        rows = [line for line in text.splitlines() if line.startswith("spark_gateway_in_flight{")]
        return all(float(row.rsplit(" ", 1)[1]) == 0 for row in rows)

    until(idle, "nothing to be in flight")


# ---- chat


def test_chat_whole_and_streamed_say_the_same(client: openai.OpenAI) -> None:
    """With the usage that was asked for at the end of the stream."""
    whole = client.chat.completions.create(model=ONE, messages=HELLO, max_tokens=12)
    pieces, used = [], None
    with client.chat.completions.create(
        model=ONE,
        messages=HELLO,
        max_tokens=12,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        for chunk in stream:
            pieces += [choice.delta.content or "" for choice in chunk.choices]
            used = chunk.usage or used
    assert "".join(pieces) == whole.choices[0].message.content
    assert used == whole.usage


def test_a_tool_is_called(client: openai.OpenAI) -> None:
    """Whole and streamed."""
    whole = client.chat.completions.create(model=ONE, messages=HELLO, tools=[WEATHER])
    call = whole.choices[0].message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == (
        "weather",
        {"place": "simulated"},
    )
    with client.chat.completions.stream(model=ONE, messages=HELLO, tools=[WEATHER]) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].finish_reason == "tool_calls"


def test_completions_and_responses_answer(client: openai.OpenAI) -> None:
    """The older and the newer API of the same engine."""
    old = client.completions.create(model=ONE, prompt="hello", max_tokens=12)
    assert "[simulated]" in old.choices[0].text
    new = client.responses.create(model=ONE, input="hello", max_output_tokens=12)
    assert "[simulated]" in new.output_text
    with client.responses.create(model=ONE, input="hello", stream=True) as stream:
        kinds = [event.type for event in stream]
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


def test_a_client_that_leaves_frees_the_engine(house: House, client: openai.OpenAI) -> None:
    """The engine is told at once, and no lease is left."""
    house.sim.scenario("spark-1", token_delay=0.2)
    stream = client.chat.completions.create(model=ONE, messages=HELLO, stream=True)
    next(iter(stream))
    stream.close()
    nothing_in_flight(house)
    engine = house.sim.hosts["spark-1"].address
    metrics = f"http://{engine}:{house.sim.engine_port}/metrics"

    def stopped() -> bool:
        return 'num_requests_running{engine="0"' not in [
            line.split(",")[0]
            for line in httpx.get(metrics).text.splitlines()
            if line.startswith("vllm:num_requests_running") and not line.endswith(" 0.0")
        ]

    until(stopped, "the engine to stop")


# ---- what the services do


def test_embeddings_come_from_their_service(client: openai.OpenAI) -> None:
    """Under any name, as base64 (the client's own wish) and as numbers."""
    packed = client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    plain = client.embeddings.create(model="any", input=["a", "b"], encoding_format="float")
    assert len(packed.data) == 2
    assert packed.data[1].embedding == pytest.approx(plain.data[1].embedding, rel=1e-5)


@pytest.mark.parametrize("form", ["json", "text", "srt", "vtt", "verbose_json"])
def test_a_recording_is_transcribed(client: openai.OpenAI, form: str) -> None:
    """In every format that the client knows."""
    answer = client.audio.transcriptions.create(
        model="whisper-1", file=sound(), response_format=form
    )
    assert "[simulated]" in (answer if isinstance(answer, str) else answer.text)


def test_a_transcript_streams_and_a_translation_answers(client: openai.OpenAI) -> None:
    """The events of the API, in order."""
    with client.audio.transcriptions.create(model="whisper-1", file=sound(), stream=True) as stream:
        kinds = [event.type for event in stream]
    assert kinds[-1] == "transcript.text.done"
    assert set(kinds[:-1]) == {"transcript.text.delta"}
    with pytest.warns(DeprecationWarning, match="deprecated"):  # the client's own opinion
        translated = client.audio.translations.create(model="whisper-1", file=sound())
    assert "[simulated]" in translated.text


def test_a_text_is_spoken(client: openai.OpenAI) -> None:
    """Whole, and as it is made."""
    whole = client.audio.speech.create(model="tts-1", voice="af_simulated", input="one two")
    assert whole.content.startswith(b"RIFF")
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="af_simulated", input="one two", response_format="pcm"
    ) as answer:
        assert sum(len(piece) for piece in answer.iter_bytes()) > 10_000


def test_vectors_are_stored_and_found_through_the_one_address(house: House) -> None:
    """Qdrant keeps its own paths, methods and errors behind `/qdrant`."""
    made = house.http.put("/qdrant/collections/notes", json={"vectors": {"size": 2}})
    assert made.status_code == 200, made.text
    points = [{"id": 1, "vector": [1, 0]}, {"id": 2, "vector": [0, 1]}]
    house.http.put("/qdrant/collections/notes/points", json={"points": points})
    search = {"vector": [0, 1], "limit": 1}
    found = house.http.post("/qdrant/collections/notes/points/search", json=search)
    assert [row["id"] for row in found.json()["result"]] == [2]
    assert house.http.get("/qdrant/collections/none").status_code == 404


def test_anything_else_is_reached_by_the_name_of_its_service(house: House) -> None:
    """`/upstream/<service>/…`, and the engine by its model."""
    assert house.http.get("/upstream/kokoro/health").json()["service"] == "kokoro"
    assert house.http.get(f"/upstream/{ONE}/version").json()["version"].endswith("simulated")
    unknown = house.http.get("/upstream/nobody/health")
    assert (unknown.status_code, unknown.json()["error"]["source"]) == (404, "spark-control")


def test_a_text_is_scrubbed_by_ourselves(house: House) -> None:
    """No service is needed for it; it is a row of the activity like every request."""
    answer = house.http.post("/scrub", json={"text": "Write to ada@example.com"})
    assert answer.status_code == 200
    assert answer.json()["text"] == "Write to [EMAIL_1]"
    wrong = house.http.post("/scrub", json={"text": "Write to ada@example.com", "region": "X"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (422, "region")
    assert "ada" not in wrong.text
    rows = house.get("/activity")["requests"]
    assert [row["status"] for row in rows if row["route"] == "/scrub"] == [422, 200]


def test_transcripts_of_two_channels_are_merged_by_ourselves(house: House) -> None:
    """As subtitles with names, when that is asked for."""
    words = [{"word": "Hello", "start": 0, "end": 0.4}]
    body = {
        "mic": {"words": words, "speaker": "Ada"},
        "system": {"words": [{"word": "Hi.", "start": 1, "end": 1.3}], "speaker": "Bob"},
        "response_format": "srt",
    }
    answer = house.http.post("/v1/audio/label-merge", json=body)
    assert answer.status_code == 200
    assert [line for line in answer.text.splitlines() if ":" in line and "-->" not in line] == [
        "Ada: Hello",
        "Bob: Hi.",
    ]


def test_a_websocket_is_tunnelled(house: House) -> None:
    """Frames both ways as they are, and the close code of the far side."""
    address = house.url.replace("http", "ws") + "/upstream/parakeet/v1/audio/stream"
    with connect(address) as socket:
        socket.send(b"1234")
        assert json.loads(socket.recv())["bytes"] == 4
        socket.send(json.dumps({"type": "close", "code": 4001, "reason": "enough"}))
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "enough")
    nothing_in_flight(house)


def test_speech_is_written_down_while_it_is_spoken(house: House) -> None:
    """A service that only hears recordings is enough, and the stream is one request of its own."""
    said = speech(0.5, 12, 1.0)
    with connect(house.url.replace("http", "ws") + "/v1/audio/stream") as socket:
        for frame in frames(said.pcm):
            socket.send(frame)
        socket.send(json.dumps({"type": "stop"}))
        with suppress(ConnectionClosed):
            seen = [json.loads(socket.recv())]
            while True:
                seen.append(json.loads(socket.recv()))
    final = next(one for one in seen if one["type"] == "final")
    assert "simulated" in final["text"]
    assert seen[-1]["code"] == 1000

    def told() -> dict[str, Any] | None:
        rows = house.http.get("/api/v1/activity").json()["requests"]
        return next((row for row in rows if row["route"] == "/v1/audio/stream"), None)

    live = until(told, "the stream to be accounted for")
    assert live["audio_seconds"] == pytest.approx(len(said.pcm) / 32_000, abs=0.01)
    nothing_in_flight(house)


# ---- what they raise


def test_errors_are_the_clients_own(house: House, client: openai.OpenAI) -> None:
    """Each status as the exception that programs catch, with a request id to ask about."""
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert unknown.value.code == "model_not_found"
    assert unknown.value.request_id
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=ONE, messages=[], max_tokens=1)
    house.sim.scenario("spark-1", answer="error")
    with pytest.raises(openai.InternalServerError) as broken:
        client.chat.completions.create(model=ONE, messages=HELLO)
    assert broken.value.status_code == 502
    house.sim.scenario("spark-2", service_answer="busy")
    with pytest.raises(openai.InternalServerError) as busy:
        client.audio.speech.create(model="tts-1", voice="x", input="x")
    assert busy.value.status_code == 503


def test_a_body_that_is_no_sound_is_refused_in_words(house: House) -> None:
    """By the media type, before anything is sent on."""
    answer = house.http.post("/v1/audio/transcriptions", content=b"RIFF", headers={})
    assert answer.status_code == 415
    assert "multipart/form-data" in answer.json()["error"]["message"]


# ---- Anthropic's


def test_messages_whole_and_streamed_say_the_same(claude: anthropic.Anthropic) -> None:
    """By the client for another API, from the same engine."""
    whole = claude.messages.create(model=ONE, max_tokens=12, messages=HELLO)
    with claude.messages.stream(model=ONE, max_tokens=12, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
    assert text == whole.content[0].text
    assert "[simulated]" in text


def test_tokens_are_counted_and_models_listed(claude: anthropic.Anthropic) -> None:
    """In that API's own shapes."""
    assert claude.messages.count_tokens(model=ONE, messages=HELLO).input_tokens > 0
    assert ONE in [one.id for one in claude.models.list()]


def test_errors_are_the_other_clients_own(claude: anthropic.Anthropic) -> None:
    """The same tree, in the shape that it reads."""
    with pytest.raises(anthropic.NotFoundError) as unknown:
        claude.messages.create(model="claude-x", max_tokens=1, messages=HELLO)
    assert "claude-x" in str(unknown.value)


# ---- as other programs call


def test_a_chat_page_and_a_proxy_ask_in_their_own_way(house: House) -> None:
    """Unknown fields, a bearer that means nothing, a trailing slash, an alias of a path."""
    headers = {"Authorization": "Bearer sk-anything", "User-Agent": "litellm/1.0"}
    body = {"model": ONE, "messages": HELLO, "max_tokens": 4, "user": "u1", "metadata": {"a": "b"}}
    for path in ("/v1/chat/completions", "/v1/chat/completions/"):
        answer = house.http.post(path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
    listed = house.http.get("/v1/models", headers=headers).json()
    assert {"object", "data"} <= set(listed)
    assert {"parakeet", "kokoro", "embeddings"} <= {one["id"] for one in listed["data"]}


# ---- a model that is not loaded (last: it changes what is served)


def test_asking_for_another_model_brings_it(house: House, client: openai.OpenAI) -> None:
    """The request is held and answered; a stream hears that it waits."""
    answer = client.chat.completions.with_raw_response.create(
        model=TWO, messages=HELLO, max_tokens=12, timeout=60
    )
    assert float(answer.headers["x-spark-queue-seconds"]) > 0
    assert TWO in answer.parse().choices[0].message.content
    with suppress(openai.APIError):
        client.chat.completions.create(model=ONE, messages=HELLO, max_tokens=4, timeout=60)
    assert house.served() == ONE
