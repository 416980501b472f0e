"""The processes that open recordings: warm, bounded, ended when they are not needed or not well."""

import ast
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import psutil
import pytest

import server.audio
from server.audio.sound.child.fence import fence, version
from server.audio.sound.ear import Ear
from server.audio.sound.process import Child, command
from server.base.errors import (
    InvalidValue,
    PayloadTooLarge,
    SparkError,
    Unavailable,
    UnsupportedMediaType,
)
from tests.audio.sound import corpus

FAKE = """
import json, os, signal, sys
def killed(args):
    folder = args["folder"]
    dead = len(os.listdir(folder + "/dead"))
    if dead < args.get("most_seconds", args.get("times")):
        open(folder + "/dead/" + str(dead), "x").close()
        os.kill(os.getpid(), signal.SIGKILL)
def say(told):
    sys.stdout.write(told + "\\n"); sys.stdout.flush()
say("{}")
for line in sys.stdin:
    asked = json.loads(line)
    args = asked["args"]
    if asked["op"] == "who":
        say(json.dumps({"done": {"pid": os.getpid(), "environ": sorted(os.environ)}}))
    elif asked["op"] == "hang":
        with open(args["fifo"], "w") as fifo:
            fifo.write(str(os.getpid()))
        sys.stdin.read()
        os.read(os.pipe()[0], 1)
    elif asked["op"] == "crash":
        os.abort()
    elif asked["op"] == "killed":
        killed(args)
        say(json.dumps({"done": {"pid": os.getpid()}}))
    elif asked["op"] == "decode" and os.path.isdir(args["folder"] + "/dead"):
        file = args["folder"] + "/" + args["name"] + "-0"
        open(file, "x").close()
        killed(args)
        level = {"peak": 0, "rms": 0}
        told = {"channels": [file], "envelopes": [file], "levels": [level]}
        say(json.dumps({"done": told | {"seconds": 1, "broken": 0}}))
    elif asked["op"] == "say":
        say(args["line"])
"""
"""Speaks as the child does, and does what it is told to."""


@asynccontextmanager
async def faked(
    processes: int = 2, *, idle: float = 60.0, script: str = FAKE
) -> AsyncIterator[Ear]:
    argv = (sys.executable, "-c", script)
    ear = Ear(processes=processes, idle_seconds=idle, argv=argv)
    try:
        yield ear
    finally:
        await ear.close()


@pytest.fixture
def fifo(tmp_path: Path) -> Callable[[], Path]:
    """A new one each time: whoever reads from it waits until the child works."""
    made: list[Path] = []

    def new() -> Path:
        made.append(tmp_path / f"fifo-{len(made)}")
        os.mkfifo(made[-1])
        return made[-1]

    return new


async def who(ear: Ear) -> int:
    pid: int = (await ear.run("who", seconds=30, heavy=False))["pid"]
    return pid


async def working(ear: Ear, fifo: Path, seconds: float = 60) -> tuple[asyncio.Task[object], int]:
    """A question that is never answered, and the process that works on it."""
    task: asyncio.Task[object] = asyncio.create_task(
        ear.run("hang", seconds=seconds, fifo=str(fifo))  # type: ignore[arg-type]
    )
    return task, int(await asyncio.to_thread(fifo.read_text))


async def test_a_process_stays_warm() -> None:
    """The second question is answered by the one that answered the first."""
    async with faked() as ear:
        assert await who(ear) == await who(ear)


async def test_nothing_of_ours_is_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, no setting: only where the program lies."""
    monkeypatch.setenv("SPARK_CONTROL_AUTH__PASSWORD", "secret")
    async with faked() as ear:
        environ = (await ear.run("who", seconds=30))["environ"]
    ours = {"PYTHONPATH", "PATH", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "LC_ALL"}
    assert set(environ) - {"LC_CTYPE", "__CF_USER_TEXT_ENCODING"} == ours


async def test_leaving_ends_the_work(fifo: Callable[[], Path]) -> None:
    """A caller that is gone needs no answer; the next one gets a process of its own."""
    async with faked() as ear:
        task, pid = await working(ear, fifo())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not psutil.pid_exists(pid)
        assert await who(ear) != pid


async def test_a_late_answer_is_not_waited_for(fifo: Callable[[], Path]) -> None:
    """413: what a caller sent must not count against us."""
    async with faked() as ear:
        task, pid = await working(ear, fifo(), seconds=0.5)
        with pytest.raises(PayloadTooLarge, match="and then gave up"):
            await task
        assert not psutil.pid_exists(pid)
        await who(ear)


async def test_a_crash_is_an_error_of_the_recording() -> None:
    """And the next question is answered."""
    async with faked() as ear:
        pid = await who(ear)
        with pytest.raises(InvalidValue, match="ended over it"):
            await ear.run("crash", seconds=30)
        assert await who(ear) != pid


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the child keeps how often it was killed."""
    (tmp_path / "dead").mkdir()
    return tmp_path


async def test_one_that_is_killed_is_no_error_of_the_recording(folder: Path) -> None:
    """A kernel without memory takes whom it likes: another process is asked."""
    async with faked() as ear:
        pid = await who(ear)
        told = await ear.run("killed", seconds=30, folder=str(folder), times=1)
        assert told["pid"] != pid


async def test_two_that_are_killed_may_be_an_error_of_the_recording(folder: Path) -> None:
    """Nobody is asked for ever."""
    async with faked() as ear:
        with pytest.raises(InvalidValue, match="ended over it"):
            await ear.run("killed", seconds=30, folder=str(folder), times=3)
        assert len(list((folder / "dead").iterdir())) == 2
        await who(ear)


async def test_what_a_killed_one_has_written_is_in_nobodys_way(folder: Path) -> None:
    """New files are made, and none is left over."""
    async with faked() as ear:
        done = await ear.decode(
            folder / "a.wav", 0, 1, folder=folder, channels="mixed", most_seconds=1
        )
        assert list(folder.glob("sound-*")) == list(done.channels)


async def test_one_that_died_while_it_waited_is_replaced() -> None:
    """Nobody hears of it."""
    async with faked() as ear:
        pid = await who(ear)
        process = psutil.Process(pid)
        process.kill()
        await asyncio.gather(*(child._process.wait() for child in ear._all if child._process))
        assert await who(ear) != pid


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        ("what", InvalidValue, "ended over it"),
        ("[]", InvalidValue, "ended over it"),
        ('{"done": 1}', InvalidValue, "ended over it"),
        ('{"refused": {"kind": "type"}}', InvalidValue, "ended over it"),
        (
            '{"refused": {"kind": "type", "message": "Odd.", "advice": null, "number": 0}}',
            UnsupportedMediaType,
            "Odd",
        ),
        (
            '{"refused": {"kind": "x", "message": "Odd.", "advice": "Do.", "number": 0}}',
            InvalidValue,
            "Odd",
        ),
    ],
)
async def test_an_answer_is_checked(line: str, kind: type[SparkError], words: str) -> None:
    """What has read a hostile file may be its author's."""
    async with faked() as ear:
        with pytest.raises(kind, match=words):
            await ear.run("say", seconds=30, line=line)


async def test_figures_and_names_of_an_answer_are_checked(tmp_path: Path) -> None:
    """A length is a number, and files lie where they were asked for."""
    script = FAKE.replace('asked["op"] == "say"', "True").replace('args["line"]', "LINE")
    sound = {"container": "wav", "codec": "x", "seconds": 1, "channels": 1, "sample_rate": 1}
    for seconds in (None, "many", -1, 1e999):
        told = json.dumps({"done": {**sound, "seconds": seconds, "beyond": False}})
        async with faked(script=f"LINE = {told!r}\n{script}") as ear:
            with pytest.raises(InvalidValue):
                await ear.examine(tmp_path, 0, 1, 60)
    files = {"channels": ["/etc/passwd"], "envelopes": ["../../x"], "levels": [], "seconds": 1}
    told = json.dumps({"done": {**files, "broken": 0}})
    async with faked(script=f"LINE = {told!r}\n{script}") as ear:
        decoded = await ear.decode(
            tmp_path, 0, 1, folder=tmp_path, channels="mixed", most_seconds=60
        )
    assert decoded.channels == (tmp_path / "passwd",)
    assert decoded.envelopes == (tmp_path / "x",)


async def test_a_light_question_never_waits_for_a_heavy_one(fifo: Callable[[], Path]) -> None:
    """However many heavy ones there are."""
    async with faked(2) as ear:
        first, pid = await working(ear, fifo())
        second = asyncio.create_task(ear.run("hang", seconds=60, fifo=str(fifo())))
        assert await who(ear) != pid
        for task in (first, second):
            task.cancel()
        await asyncio.wait({first, second})


async def test_there_are_no_more_processes_than_asked_for() -> None:
    """The others wait for their turn."""
    async with faked(2) as ear:
        assert len(set(await asyncio.gather(*(who(ear) for _ in range(9))))) <= 2


async def test_after_a_while_without_a_question_it_ends() -> None:
    """The memory is worth more than the start of a process; the next question starts one."""
    async with faked(idle=0.0) as ear:
        pid = await who(ear)
        await asyncio.sleep(0)
        await asyncio.gather(*(child._process.wait() for child in ear._all if child._process))
        assert await who(ear) != pid


async def test_closing_ends_those_at_work_too(fifo: Callable[[], Path]) -> None:
    """Nothing is left behind, and nothing is begun any more."""
    async with faked() as ear:
        task, pid = await working(ear, fifo())
        await ear.close()
        with pytest.raises(InvalidValue):
            await task
        assert not psutil.pid_exists(pid)
        with pytest.raises(Unavailable, match="stopping"):
            await who(ear)


async def test_a_process_that_does_not_start_is_ours_to_tell() -> None:
    """503: it is no fault of the recording."""
    for script in ("raise SystemExit(1)", "import no_such_module_here"):
        async with faked(script=script) as ear:
            with pytest.raises(Unavailable, match="could not be started"):
                await who(ear)


async def test_it_ends_with_us() -> None:
    """When nobody can ask any more it reads the end of its input."""
    child = Child()
    await child.start(command(1 << 30, 1 << 30))
    process = child._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert await process.wait() == 0
    await child.end()


CONFINED = """
import json, os, resource, socket, subprocess, sys
from pathlib import Path
from server.audio.sound.child.confine import confine
from server.audio.sound.child.fence import fence, version
confine(300 << 20, 1000)
fenced = fence(Path(sys.argv[1]), version())
def tried(act):
    try:
        act()
    except (OSError, MemoryError) as error:
        return type(error).__name__
    return "done"
def fill():
    with open(sys.argv[1] + "/file", "wb") as file:
        file.write(bytes(2000))
def outside(mode):
    return tried(lambda: open(sys.argv[2], mode).close())
print(json.dumps({
    "socket": tried(lambda: socket.socket()),
    "program": tried(lambda: os.execv("/bin/true", ["true"])),
    "signal": tried(lambda: os.kill(os.getppid(), 0)),
    "memory": tried(lambda: bytes(400 << 20)),
    "file": tried(fill),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "nice": os.nice(0),
    "module": tried(lambda: __import__("wave")),
    "inside": tried(lambda: open(sys.argv[1] + "/file", "rb").close()),
    "read": outside("rb"),
    "write": outside("wb"),
    "list": tried(lambda: os.listdir(os.path.dirname(sys.argv[2]))),
    "fenced": fenced,
}))
"""


async def test_what_a_broken_library_could_do_is_bounded(tmp_path: Path) -> None:
    """No network, no program, no other process, no more memory, no larger file; and where the
    kernel has fences, no file of ours but those it works on."""
    secret, folder = tmp_path / "id_ed25519", tmp_path / "tmp"
    secret.write_bytes(b"secret")
    folder.mkdir()
    words = ("-c", CONFINED, str(folder), str(secret))
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=subprocess.PIPE)
    told = orjson.loads((await process.communicate())[0])
    assert told.pop("nice") >= 10
    outside = "PermissionError" if told.pop("fenced") else "done"
    assert told == {
        "socket": "PermissionError",
        "program": "PermissionError",
        "signal": "PermissionError",
        "memory": "MemoryError",
        "file": "OSError",
        "core": [0, 0],
        "module": "done",
        "inside": "done",
        "read": outside,
        "write": outside,
        "list": outside,
    }


async def test_behind_its_fence_it_works(tmp_path: Path) -> None:
    """A recording is examined and decoded in the folder that was given."""
    path = tmp_path / "body"
    recording = corpus.made("webm")
    path.write_bytes(recording)
    ear = Ear(tmp_path)
    try:
        assert (await ear.examine(path, 0, len(recording), 60)).codec == "opus"
        decoded = await ear.decode(
            path, 0, len(recording), folder=tmp_path, channels="each", most_seconds=60
        )
        assert decoded.channels[0].stat().st_size > 60_000
    finally:
        await ear.close()


def test_a_kernel_without_fences_is_told() -> None:
    """The other bounds hold there all the same."""
    assert not fence(Path("/"), 0)
    assert version() >= 0


async def test_the_real_one_says_nothing_of_a_recording(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What its libraries print goes nowhere."""
    path = tmp_path / "body"
    damaged = corpus.made("mp3")[:900] + bytes(5000) + corpus.made("mp3")[900:]
    path.write_bytes(damaged)
    ear = Ear()
    try:
        sound = await ear.examine(path, 0, len(damaged), 60)
        assert sound.codec == "mp3"
        with pytest.raises(InvalidValue, match="ended over it"):
            await ear.examine(tmp_path / "no such file", 0, 1, 60)
    finally:
        await ear.close()
    assert capfd.readouterr() == ("", "")


def test_recordings_are_opened_nowhere_else() -> None:
    """Who reads a hostile file can be broken by it: only the child imports the library."""
    found = []
    for path in Path(server.audio.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            if any(name.split(".")[0] in {"av", "soundfile"} for name in names):
                found.append(path.parent.name)
    assert set(found) == {"child"}
