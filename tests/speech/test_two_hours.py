"""A recording of two hours, heard in parts by a service that understands every whole word."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.speech import tones
from tests.speech.studio import running_app

HOURS = 2
WORDS = round(HOURS * 3600 / (tones.TONE + tones.GAP + (tones.PAUSE - tones.GAP) / tones.SENTENCE))
ABOVE_IDLE_MIB = 150

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tones") / "long.wav"
    tones.write_wav(path, tones.speech(WORDS))
    return path


@pytest.fixture
def app(tmp_path: Path) -> Iterator[tuple[httpx.Client, int]]:
    with tones.running_ears() as port:
        body = {
            "hosts": [{"name": "here", "address": "127.0.0.1", "port": 1, "user": "nobody"}],
            "services": [{"name": "ears", "kind": "asr", "host": "here", "port": port}],
        }
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(body))
        with running_app(tmp_path) as (url, pid), httpx.Client(base_url=url, timeout=300) as http:
            yield http, pid


def peak_mib(pid: int) -> float:
    """The most that the process ever had in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(one for one in lines if one.startswith("VmHWM")).split()[1]) / 1024


def test_no_word_of_two_hours_is_lost_or_doubled(
    app: tuple[httpx.Client, int], recording: Path
) -> None:
    """Each word once, in order, at its time, wherever it was cut; progress goes from none to all;
    and what the app needs of memory does not grow with the recording."""
    http, pid = app
    idle = peak_mib(pid)
    form = {
        "model": "ears",
        "response_format": "verbose_json",
        "timestamp_granularities[]": ["word", "segment"],
        "stream": "true",
        "progress": "true",
    }
    with recording.open("rb") as file:
        files = {"file": ("long.wav", file)}
        with http.stream("POST", "/v1/audio/transcriptions", files=files, data=form) as answer:
            assert answer.status_code == 200, answer.read()
            events = [
                json.loads(line[5:]) for line in answer.iter_lines() if line.startswith("data:")
            ]
    percents = [one["percent"] for one in events if one["type"] == "spark.progress"]
    assert percents == sorted(percents)
    assert len(percents) > 10
    found: dict[str, Any] = events[-1]["transcript"]
    assert not found.get("gaps")
    assert [one["word"] for one in found["words"]] == [tones.text(n) for n in range(WORDS)]
    step, more = tones.TONE + tones.GAP, tones.PAUSE - tones.GAP
    for number in range(0, WORDS, 500):
        meant = number * step + number // tones.SENTENCE * more
        assert found["words"][number]["start"] == pytest.approx(meant, abs=0.05)
    grown = peak_mib(pid) - idle
    print(f"\n  memory above idle: {grown:.0f} MiB")
    assert grown < ABOVE_IDLE_MIB
