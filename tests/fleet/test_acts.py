"""Starting, stopping and restarting the container of a service: what docker is told, and its no."""

import asyncio
import os
from pathlib import Path

import pytest

from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.base.errors import (
    Conflict,
    InvalidValue,
    NotFound,
    RemoteCommandFailed,
    SparkError,
    Unavailable,
)
from server.config.model import Service
from server.fleet.acts import Act, Acts, act
from server.ssh.model import Shell, Target
from tests.fleet.fakes import LocalShell, shim

SERVICE = Service(
    name="kokoro", kind="tts", host="spark-2", port=8880, container="kokoro-tts", ssh_user="audio"
)


def shell(directory: Path, docker: str) -> LocalShell:
    shim(directory, "docker", docker)
    path = f"{directory}:{os.environ['PATH']}"
    return LocalShell(Target("spark-2", "127.0.0.1", 22, "audio"), {"PATH": path})


class Shells:
    """Always the same shell; remembers who was asked for."""

    def __init__(self, one: Shell) -> None:
        self.one = one
        self.asked: list[tuple[str, str | None]] = []

    def shell(self, host: str, user: str | None = None) -> Shell:
        self.asked.append((host, user))
        return self.one


async def ended(acts: Acts) -> Act:
    done = asyncio.get_running_loop().create_future()
    acts.ended = done.set_result
    async with asyncio.timeout(20):
        found: Act = await done
    return found


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        ("start", "start kokoro-tts"),
        ("stop", "stop -t 30 kokoro-tts"),
        ("restart", "restart -t 30 kokoro-tts"),
    ],
)
async def test_docker_is_told_once_as_the_services_user(
    verb: str, told: str, tmp_path: Path
) -> None:
    """And the bus hears both ends of it."""
    shells = Shells(shell(tmp_path, f'echo "$*" >> {tmp_path}/told'))
    bus = EventBus()
    acts = Acts(shells, bus, SystemClock())
    with bus.subscribe() as events:
        begun = acts.begin(SERVICE, verb, requested_by="test")  # type: ignore[arg-type]
        assert (begun.ended_at, acts.running()) == (None, (begun,))
        heard = await anext(events)
        assert (heard.kind, heard.data["verb"], heard.data["ended_at"]) == ("job", verb, None)
        over = await ended(acts)
        assert (await anext(events)).data["ended_at"]
    assert (over.error, acts.now("kokoro"), acts.running()) == ("", over, ())
    assert (tmp_path / "told").read_text() == f"{told}\n"
    assert shells.asked == [("spark-2", "audio")]
    await acts.close()


async def test_two_at_once_would_fight_and_no_container_is_no_act(tmp_path: Path) -> None:
    """The second one is told what goes on."""
    acts = Acts(Shells(shell(tmp_path, "exit 0")), EventBus(), SystemClock())
    acts.begin(SERVICE, "restart", requested_by="a")
    with pytest.raises(Conflict, match="told to restart already"):
        acts.begin(SERVICE, "stop", requested_by="b")
    with pytest.raises(Conflict, match="no container"):
        acts.begin(SERVICE.model_copy(update={"name": "x", "container": None}), "stop",
                   requested_by="a")  # fmt: skip
    await acts.close()


async def test_a_refusal_is_kept_in_words(tmp_path: Path) -> None:
    """It is still there for a page that is opened later; the next one may try again."""
    said = "Error response from daemon: No such container: kokoro-tts"
    acts = Acts(Shells(shell(tmp_path, f"echo {said!r} >&2; exit 1")), EventBus(), SystemClock())
    acts.begin(SERVICE, "restart", requested_by="a")
    over = await ended(acts)
    assert over.error == "There is no container kokoro-tts on spark-2."
    assert "services[].container" in over.advice
    acts.begin(SERVICE, "restart", requested_by="a")
    await acts.close()


@pytest.mark.parametrize(
    ("docker", "error", "words"),
    [
        ("echo permission denied >&2; exit 1", Unavailable, "may not use docker"),
        ("exit 127", Unavailable, "docker is not installed"),
        ("echo 'token=hf_abcdEFGH1234' >&2; exit 1", RemoteCommandFailed, "[redacted]"),
        ("exit 1", RemoteCommandFailed, "did not say why"),
        ("echo No such container: x >&2; exit 1", NotFound, "no container"),
    ],
)
async def test_each_failure_has_its_error(
    docker: str, error: type[SparkError], words: str, tmp_path: Path
) -> None:
    """What failed, where, and no secret."""
    with pytest.raises(error) as failed:
        await act(shell(tmp_path, docker), "x", "stop")
    assert words in failed.value.message
    assert "spark-2" in failed.value.message


@pytest.mark.parametrize("name", ["", "-a", "a;b", "$(id)", "a b", "a\nb"])
async def test_an_odd_name_never_reaches_the_host(name: str, tmp_path: Path) -> None:
    """Refused before anything is run."""
    with pytest.raises(InvalidValue):
        await act(shell(tmp_path, "exit 0"), name, "stop")
