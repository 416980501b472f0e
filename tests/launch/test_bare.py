"""The bare launcher with real processes: one engine, found again, never mistaken, really ended."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.base.clock import SystemClock
from server.base.errors import Conflict
from server.launch.model import LaunchFailed
from server.launch.service import Engines
from tests.launch.local_shell import LocalShells
from tests.launch.made import spec

VLLM = """#!/bin/sh
echo "engine starts: $*"
echo "$$" >>"$HOME/engines"
sleep 300 &
trap 'kill $!; exit 0' TERM
wait
"""
STUBBORN = """#!/bin/sh
trap '' TERM
echo "$$" >>"$HOME/engines"
while :; do sleep 0.2; done
"""


@pytest.fixture
async def shells(tmp_path: Path) -> AsyncIterator[LocalShells]:
    made = LocalShells(tmp_path)
    made.tool("vllm", VLLM)
    yield made
    await Engines(made, SystemClock()).stop(BARE)


@pytest.fixture
def engines(shells: LocalShells) -> Engines:
    return Engines(shells, SystemClock())


BARE = spec(launcher="bare", image="")


def started(shells: LocalShells) -> list[int]:
    """Pids of every engine that ever ran on the host."""
    path = shells.shell("spark-1").home / "engines"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False


async def until(shells: LocalShells, count: int) -> None:
    async with asyncio.timeout(10):
        while len(started(shells)) < count:  # noqa: ASYNC110 (another process writes it)
            await asyncio.sleep(0.01)


async def test_a_started_engine_is_found_with_what_it_was_started_for(
    engines: Engines, shells: LocalShells
) -> None:
    """Tag, model, fingerprint and identity come back from the host alone."""
    engine = await engines.start(BARE, tag="swap-1")
    found = await Engines(shells, SystemClock()).observe("spark-1")
    assert found == (engine,)
    assert engine.running
    assert (engine.tag, engine.model, engine.fingerprint) == ("swap-1", "tiny", "f1")
    assert engine.same(found[0])


async def test_the_same_tag_is_adopted_and_another_is_refused(
    engines: Engines, shells: LocalShells
) -> None:
    """Start is idempotent by its tag, and never replaces what runs."""
    first = await engines.start(BARE, tag="swap-1")
    assert await Engines(shells, SystemClock()).start(BARE, tag="swap-1") == first
    with pytest.raises(Conflict, match="tiny already runs"):
        await engines.start(BARE, tag="swap-2")
    await until(shells, 1)
    assert len(started(shells)) == 1


async def test_many_starts_at_once_make_one_engine(engines: Engines, shells: LocalShells) -> None:
    """The lock on the host, not luck, keeps a second engine away."""
    found = await asyncio.gather(*(engines.start(BARE, tag="swap-1") for _ in range(6)))
    assert len({(engine.ident, engine.started) for engine in found}) == 1
    await until(shells, 1)
    assert len(started(shells)) == 1


async def test_a_start_cut_off_at_any_moment_can_be_repeated(
    engines: Engines, shells: LocalShells
) -> None:
    """Killing the remote start program at many moments leaves none or one engine, never two."""
    for step in range(12):
        task = asyncio.create_task(engines.start(BARE, tag=f"swap-{step}"))
        await asyncio.sleep(0.004 * step)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        before = len(started(shells))
        engine = await engines.start(BARE, tag=f"swap-{step}")
        await until(shells, before)
        live = [pid for pid in started(shells) if lives(pid)]
        assert len(live) <= 1
        assert engine.running
        await engines.stop(BARE)
        assert await engines.observe("spark-1") == ()
    await until(shells, 1)
    assert not [pid for pid in started(shells) if lives(pid)]


async def test_stop_ends_the_whole_session_and_leaves_nothing(
    engines: Engines, shells: LocalShells
) -> None:
    """Children of the engine end with it."""
    engine = await engines.start(BARE, tag="swap-1")
    await until(shells, 1)
    await engines.stop(BARE, grace=5)
    assert await engines.observe("spark-1") == ()
    assert not lives(int(engine.ident))
    assert not lives(started(shells)[0])
    await engines.stop(BARE)


async def test_an_engine_deaf_to_term_is_killed_after_the_grace(
    engines: Engines, shells: LocalShells
) -> None:
    """Grace is an upper bound."""
    shells.tool("vllm", STUBBORN)
    await engines.start(BARE, tag="swap-1")
    await until(shells, 1)
    await engines.stop(BARE, grace=1)
    assert not lives(started(shells)[0])
    assert await engines.observe("spark-1") == ()


async def test_stop_leaves_the_kept_tag_alone(engines: Engines) -> None:
    """`keep_tag` protects the engine that a resumed swap has started already."""
    engine = await engines.start(BARE, tag="swap-1")
    await engines.stop(BARE, keep_tag="swap-1")
    assert await engines.observe("spark-1") == (engine,)


async def test_stopping_an_old_engine_does_not_hit_the_new_one(engines: Engines) -> None:
    """Given an engine, only that very engine goes."""
    old = await engines.start(BARE, tag="swap-1")
    await engines.stop(BARE)
    new = await engines.start(BARE, tag="swap-2")
    await engines.stop(old)
    assert await engines.observe("spark-1") == (new,)


async def test_a_start_that_arrives_after_the_stop_does_nothing(
    engines: Engines, shells: LocalShells
) -> None:
    """The fence: what was sent before a stop cannot act after it, however late it arrives."""
    early = Engines(shells, SystemClock())
    argv: list[tuple[str, ...]] = []
    shell = shells.shell("spark-1")
    run = shell.run

    async def held(words, **rest):  # type: ignore[no-untyped-def]
        argv.append(tuple(words))
        raise asyncio.CancelledError

    shell.run = held  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await early.start(BARE, tag="swap-1")
    shell.run = run  # type: ignore[method-assign]
    await engines.stop(BARE)
    late = await shell.run(argv[0], deadline=20)
    assert "==superseded" in late.stdout
    assert await engines.observe("spark-1") == ()
    assert started(shells) == []


async def test_a_live_caller_behind_the_fence_goes_above_it(
    engines: Engines, shells: LocalShells
) -> None:
    """A clock set back does not lock anybody out."""
    home = shells.shell("spark-1").home / ".spark-control" / "engines" / BARE.container
    home.mkdir(parents=True)
    (home / "fence").write_text("00000009999999999999\n")
    assert (await engines.start(BARE, tag="swap-1")).running


async def test_an_ended_engine_is_seen_with_its_exit_code(
    engines: Engines, shells: LocalShells
) -> None:
    """The wrapper outlives the engine just long enough to say how it ended."""
    shells.tool("vllm", "#!/bin/sh\necho boom\nexit 3\n")
    engine = await engines.start(BARE, tag="swap-1")
    async with engines.follow(engine) as lines:
        seen = [line async for line in lines]
    assert seen == ["boom"]
    (found,) = await engines.observe("spark-1")
    assert (found.running, found.exit_code, found.tag) == (False, 3, "swap-1")
    again = await engines.start(BARE, tag="swap-2")
    assert again.tag == "swap-2"


async def test_a_reused_pid_is_not_taken_for_the_engine(
    engines: Engines, shells: LocalShells
) -> None:
    """Identity is pid and start ticks and boot: our own test process is none of it."""
    await engines.start(BARE, tag="swap-1")
    await engines.stop(BARE)
    home = shells.shell("spark-1").home / ".spark-control" / "engines" / BARE.container
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (home / "pid").write_text(f"{os.getpid()} 1 {boot}\n")
    (found,) = await engines.observe("spark-1")
    assert not found.running
    await engines.stop(BARE, grace=0)
    assert lives(os.getpid())
    assert await engines.observe("spark-1") == ()


async def test_an_engine_of_another_boot_does_not_run(
    engines: Engines, shells: LocalShells
) -> None:
    """After a reboot the same pid and ticks mean nothing."""
    engine = await engines.start(BARE, tag="swap-1")
    home = shells.shell("spark-1").home / ".spark-control" / "engines" / BARE.container
    kept = (home / "pid").read_text()
    (home / "pid").write_text(f"{engine.ident} {kept.split()[1]} another-boot\n")
    assert not (await engines.observe("spark-1"))[0].running
    (home / "pid").write_text(kept)


async def test_the_log_is_followed_from_its_start_and_tailed(
    engines: Engines, shells: LocalShells
) -> None:
    """A follower that comes late misses nothing; it ends when the engine does."""
    engine = await engines.start(BARE, tag="swap-1")
    await until(shells, 1)
    async with engines.follow(engine, BARE) as lines:
        assert (await anext(lines)).startswith("engine starts: serve org/tiny")
        await engines.stop(BARE)
        assert [line async for line in lines] == []
    assert "engine starts" in await engines.tail(engine, BARE, lines=5)


async def test_an_overgrown_log_is_cut_and_the_engine_goes_on(
    engines: Engines, shells: LocalShells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is bounded, and its end stays readable."""
    monkeypatch.setattr("server.launch.service.LOG_LIMIT", 1000)
    monkeypatch.setattr("server.launch.service.LOG_KEEP", 100)
    shells.tool("vllm", '#!/bin/sh\nseq 1 1000\necho "$$" >>"$HOME/engines"\nexec sleep 300\n')
    engine = await engines.start(BARE, tag="swap-1")
    await until(shells, 1)
    await engines.observe("spark-1")
    home = shells.shell("spark-1").home / ".spark-control" / "engines" / BARE.container
    assert (home / "log").stat().st_size == 0
    assert (await engines.tail(engine, lines=1)).strip() == "1000"
    assert (await engines.observe("spark-1"))[0].running


async def test_the_engine_gets_its_argv_and_environment_intact(
    engines: Engines, shells: LocalShells
) -> None:
    """Nothing that a value holds is ever read by a shell."""
    shells.tool(
        "vllm",
        "#!/usr/bin/env python3\nimport json,os,sys,pathlib\n"
        'pathlib.Path(os.environ["HOME"],"got").write_text('
        'json.dumps([sys.argv[1:],os.environ["X"]]))\n',
    )
    nasty = ("serve", "a b", "$(touch x)", "`id`", "'", '"', "\\", ";", "--", "é", "*", '{"a":1}')
    made = spec(launcher="bare", argv=("vllm", *nasty), env=(("X", "$HOME;'\" x"),))
    engine = await engines.start(made, tag="swap-1")
    async with engines.follow(engine) as lines:
        assert [line async for line in lines] == []
    got = json.loads((shells.shell("spark-1").home / "got").read_text())
    assert got == [list(nasty), "$HOME;'\" x"]


async def test_no_vllm_is_said_in_words(engines: Engines, shells: LocalShells) -> None:
    """A missing command is named with the setting to change."""
    (shells.tools / "vllm").unlink()
    with pytest.raises(LaunchFailed, match="no vllm command on spark-1") as caught:
        await engines.start(BARE, tag="swap-1")
    assert "bare_venv" in (caught.value.advice or "")
    assert [finding.code for finding in await engines.check(BARE)] == ["vllm_missing"]


async def test_a_venv_comes_first(engines: Engines, shells: LocalShells, tmp_path: Path) -> None:
    """`engine.bare_venv` wins over PATH."""
    venv = tmp_path / "venv" / "bin"
    venv.mkdir(parents=True)
    (venv / "vllm").write_text('#!/bin/sh\necho "from $VIRTUAL_ENV"\n')
    (venv / "vllm").chmod(0o755)
    made = spec(launcher="bare", options=(("bare_venv", str(venv.parent)),))
    engine = await engines.start(made, tag="swap-1")
    async with engines.follow(engine) as lines:
        assert [line async for line in lines] == [f"from {venv.parent}"]


async def test_a_start_takes_one_round_trip(engines: Engines, shells: LocalShells) -> None:
    """Our overhead is one command per step."""
    await engines.start(BARE, tag="swap-1")
    assert shells.shell("spark-1").calls == 1
    await engines.stop(BARE)
    assert shells.shell("spark-1").calls == 2


async def test_a_state_folder_that_cannot_be_written_is_said(
    engines: Engines, shells: LocalShells
) -> None:
    """A full or read-only home is an error of its own, not a broken engine."""
    (shells.shell("spark-1").home / ".spark-control").write_text("in the way")
    with pytest.raises(Exception, match="cannot be written"):
        await engines.start(BARE, tag="swap-1")
    (shells.shell("spark-1").home / ".spark-control").unlink()
