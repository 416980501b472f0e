"""What a sweep sends."""

import io
import json
import wave
from dataclasses import replace

import pytest

from server.base.errors import InvalidValue
from server.gateway.model import Upstream
from server.gateway.sweep.model import Wish
from server.gateway.sweep.payload import KINDS, payload
from server.sim.service.speech import form

UPSTREAM = Upstream("one", "llm", "http://192.0.2.1:8000", "spark-1")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_a_request_of_its_own(kind: str) -> None:
    """To the path of the kind, naming the model that the service is sent."""
    made = payload(replace(UPSTREAM, kind=kind, model_sent="mine"), Wish("one"))
    assert made.path.startswith("/v1/")
    assert b"mine" in made.body
    assert made.label


def test_a_store_of_vectors_cannot_be_swept() -> None:
    """There is no request that would be the same every time and harm nothing."""
    with pytest.raises(InvalidValue, match="kind qdrant"):
        payload(replace(UPSTREAM, kind="qdrant"), Wish("one"))


def test_the_made_up_recording_is_a_wav_that_says_so() -> None:
    """Five seconds at 16 kHz, not silent."""
    made = payload(replace(UPSTREAM, kind="asr"), Wish("one"))
    fields = form(made.headers[0][1].decode(), made.body)
    with wave.open(io.BytesIO(fields["file"])) as sound:
        assert sound.getnframes() / sound.getframerate() == 5.0
        assert max(sound.readframes(100_000)) > 0
    assert made.synthetic


def test_a_recording_of_ones_own_is_sent_as_it_is() -> None:
    """With the ending of its name and nothing else of it."""
    wish = Wish("one", payload=b"OggS...", filename="../../my meeting.ogg")
    made = payload(replace(UPSTREAM, kind="asr"), wish)
    assert form(made.headers[0][1].decode(), made.body)["file"] == b"OggS..."
    assert b'filename="sweep.ogg"' in made.body
    assert not made.synthetic


def test_a_body_of_ones_own_keeps_its_model() -> None:
    """And gets the service's when it names none."""
    upstream = replace(UPSTREAM, models=("mine",))
    given = payload(upstream, Wish("one", payload=b'{"model": "other", "messages": []}'))
    assert json.loads(given.body)["model"] == "other"
    given = payload(upstream, Wish("one", payload=b'{"messages": []}'))
    assert json.loads(given.body)["model"] == "mine"
    with pytest.raises(InvalidValue, match="JSON object"):
        payload(upstream, Wish("one", payload=b"[1]"))
