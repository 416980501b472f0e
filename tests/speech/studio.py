"""The product over the reference engine: both as processes of their own, asked over HTTP.

Owns starting and ending them, and the settings that these tests change. What is measured is what a
caller of the gateway gets.
"""

import io
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import yaml

from tests.e2e.running import ROOT, environment, free_port, until
from tests.speech.judge import Judge, running_judge
from tests.speech.room import RATE, Sound
from tests.speech.scene import pcm

LONG = 300.0
AS_IT_COMES: Mapping[str, Any] = MappingProxyType(
    {"long_seconds": 600, "part_seconds": 300, "referee": "off"}
)
"""What tests change of `audio`."""


def wav(*channels: Sound) -> bytes:
    """A RIFF file of 16 bit."""
    whole = [pcm(one) for one in channels]
    size = min(map(len, whole))
    frames = whole[0][:size]
    if len(whole) == 2:
        left, right = (memoryview(one[:size]).cast("h") for one in whole)
        mixed = memoryview(bytearray(size * 2)).cast("h")
        for at in range(len(left)):
            mixed[2 * at], mixed[2 * at + 1] = left[at], right[at]
        frames = mixed.tobytes()
    made = io.BytesIO()
    with wave.open(made, "wb") as out:
        out.setnchannels(len(whole))
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(frames)
    return made.getvalue()


class Studio:
    """`http` is a client of the gateway."""

    def __init__(self, http: httpx.Client, judge: Judge) -> None:
        self.http = http
        self.judge = judge

    def settings(self, **audio: Any) -> None:
        """These of `audio`, the others as they come. In force when this returns."""
        got = self.http.put("/api/v1/settings/audio", json={"values": {**AS_IT_COMES, **audio}})
        assert got.status_code == 200, got.text

    def heard(self, sound: bytes, **form: Any) -> Any:
        """A transcription, as JSON."""
        given = {"model": "ears", "response_format": "verbose_json", **form}
        return self._asked("transcriptions", {"file": ("a.wav", sound)}, given).json()

    def written(self, sound: bytes, form: str) -> str:
        files = {"file": ("a.wav", sound)}
        given = {"model": "ears", "response_format": form}
        return self._asked("transcriptions", files, given).text

    def told(self, sound: bytes, **form: Any) -> Any:
        """Who spoke when."""
        return self._asked("diarize", {"file": ("a.wav", sound)}, {"model": "who", **form}).json()

    def merged(self, mic: bytes, system: bytes, **form: Any) -> Any:
        """Two channels as one conversation."""
        files = {"mic": ("mic.wav", mic), "system": ("system.wav", system)}
        given = {"model": "ears", "response_format": "verbose_json", **form}
        return self._asked("label-merge", files, given).json()

    def said(self, text: str, voice: str, form: str = "wav") -> bytes:
        """Text as sound."""
        body = {"model": "voices", "input": text, "voice": voice, "response_format": form}
        got = self.http.post("/v1/audio/speech", json=body)
        assert got.status_code == 200, got.text
        return got.content

    def _asked(self, path: str, files: dict[str, Any], form: dict[str, Any]) -> httpx.Response:
        got = self.http.post(f"/v1/audio/{path}", files=files, data=form)
        assert got.status_code == 200, got.text
        return got


@contextmanager
def running_studio(folder: Path) -> Iterator[Studio]:
    port = free_port()
    with (
        running_judge() as judge,
        _running(["engine", "audio", "--port", str(port)], folder) as one,
    ):
        until(partial(_answers, one, f"http://127.0.0.1:{port}/health", folder), "the engine", LONG)
        body = _settings(port, judge.port)
        (folder / "config.yaml").write_text(yaml.safe_dump(body, sort_keys=False))
        with (
            running_app(folder) as (url, _),
            httpx.Client(base_url=url, timeout=LONG) as http,
        ):
            yield Studio(http, judge)


@contextmanager
def running_app(folder: Path) -> Iterator[tuple[str, int]]:
    """Spark Control over `folder`: its address and its process."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with _running(["serve", "--data", str(folder), "--port", str(port)], folder) as one:
        until(partial(_answers, one, f"{url}/livez", folder), "the app", LONG)
        yield url, one.pid


def _settings(engine: int, judge: int) -> dict[str, Any]:
    services = [
        {"name": name, "kind": kind, "host": "here", "port": port}
        for name, kind, port in (
            ("ears", "asr", engine),
            ("voices", "tts", engine),
            ("who", "diarize", engine),
            ("judge", "llm", judge),
        )
    ]
    return {
        "hosts": [{"name": "here", "address": "127.0.0.1", "port": 1, "user": "nobody"}],
        "services": services,
        # What is asked again is answered from the cache: each sound is heard once.
        "gateway": {"auto_swap": False, "cache_mb": 64},
    }


@contextmanager
def _running(verb: list[str], folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with (folder / "processes.log").open("ab") as out:
        one = subprocess.Popen(
            [sys.executable, "-m", "server.cli.main", *verb],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env=environment(),
        )
        try:
            yield one
        finally:
            _ended(one)


def _answers(one: "subprocess.Popen[bytes]", url: str, folder: Path) -> bool:
    if one.poll() is not None:
        log = (folder / "processes.log").read_text()
        raise AssertionError(f"a process ended:\n{log[-3000:]}")
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def _ended(one: "subprocess.Popen[bytes]") -> None:
    if one.poll() is None:
        one.send_signal(signal.SIGTERM)
        try:
            one.wait(15)
        except subprocess.TimeoutExpired:
            one.kill()
            one.wait()
