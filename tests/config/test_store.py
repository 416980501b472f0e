"""The settings in force change whole, by hand or by a save, and no save loses anything."""

import asyncio
import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from server.base.errors import Conflict, InsufficientStorage, NotFound, Unavailable
from server.config.load import ConfigError
from server.config.marks import Origin
from server.config.model import Host, Service
from server.config.store import SettingsStore, Stale
from tests.disks import disk

TEXT = """\
# mine
hosts:
  - {name: spark-1, address: 192.0.2.11}  # left
  - {name: spark-2, address: 192.0.2.12}
# voice
services:
  - {name: kokoro, kind: tts, host: spark-2, port: 8880}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def store(file: Path) -> SettingsStore:
    return SettingsStore(file.parent, {})


def names(store: SettingsStore) -> list[str]:
    return [host.name for host in store.current.hosts]


async def test_a_host_is_added_changed_and_removed_with_every_comment_kept(
    store: SettingsStore, file: Path
) -> None:
    """The file after the three is the file before, byte for byte; settings follow at once."""
    await store.add_host(Host(name="spark-3", address="192.0.2.13"))
    assert names(store) == ["spark-1", "spark-2", "spark-3"]
    await store.replace_host("spark-3", Host(name="spark-4", address="192.0.2.14", port=2222))
    assert "  - {name: spark-4, address: 192.0.2.14, port: 2222}\n# voice\n" in file.read_text()
    await store.replace_host("spark-4", Host(name="spark-4", address="192.0.2.14"))
    assert store.current.hosts[2] == Host(name="spark-4", address="192.0.2.14")
    await store.remove_host("spark-4")
    assert file.read_text() == TEXT
    assert SettingsStore(file.parent, {}).current == store.current


async def test_services_and_sections_are_saved_too(store: SettingsStore, file: Path) -> None:
    """The same care for every part of the file."""
    await store.add_service(Service(name="q", kind="qdrant", host="spark-1", port=6333))
    await store.replace_service("q", Service(name="q", kind="qdrant", host="spark-1", port=6334))
    assert store.current.services[1].port == 6334
    await store.remove_service("q")
    await store.save_section("engine", {"port": 8001, "model_roots": ["/srv/models"]})
    assert store.current.engine.model_roots == ("/srv/models",)
    assert file.read_text() == TEXT + "engine:\n  port: 8001\n  model_roots: [/srv/models]\n"


async def test_names_that_clash_or_miss_are_refused(store: SettingsStore, file: Path) -> None:
    """Nothing is written when a save makes no sense."""
    with pytest.raises(Conflict, match="spark-1"):
        await store.add_host(Host(name="spark-1", address="x"))
    with pytest.raises(NotFound):
        await store.replace_host("nobody", Host(name="nobody", address="x"))
    with pytest.raises(NotFound):
        await store.remove_host("nobody")
    with pytest.raises(Conflict, match="spark-2"):
        await store.replace_host("spark-1", Host(name="spark-2", address="x"))
    assert file.read_text() == TEXT


async def test_a_host_in_use_is_not_removed(store: SettingsStore, file: Path) -> None:
    """The message says by whom it is used."""
    with pytest.raises(Conflict, match="service kokoro"):
        await store.remove_host("spark-2")
    with pytest.raises(Conflict, match="service kokoro"):
        await store.replace_host("spark-2", Host(name="renamed", address="x"))
    assert file.read_text() == TEXT


async def test_a_save_that_would_not_be_valid_is_refused_whole(
    store: SettingsStore, file: Path
) -> None:
    """The next start never fails because of a save."""
    with pytest.raises(ConfigError) as caught:
        await store.save_section("engine", {"port": 0, "default_host": "nobody"})
    assert len(caught.value.problems) == 2
    assert file.read_text() == TEXT
    assert store.current.engine.port == 8000


def test_an_edit_by_hand_is_picked_up(store: SettingsStore, file: Path) -> None:
    """Also one of the same size in the same instant."""
    version = store.version
    assert store.refresh() is False
    file.write_text(TEXT.replace("192.0.2.11", "192.0.2.99"))
    os.utime(file, ns=(0, 0))
    assert store.refresh() is True
    assert store.current.hosts[0].address == "192.0.2.99"
    assert store.version == version + 1
    file.write_text(file.read_text() + "# only a comment\n")
    assert store.refresh() is False


def test_a_broken_edit_keeps_the_last_good_settings(store: SettingsStore, file: Path) -> None:
    """The problem shows with its line until the file is right again."""
    before = store.current
    file.write_text(TEXT + "engine:\n  port: nope\n")
    assert store.refresh() is False
    assert store.current is before
    assert store.problems == (
        "config.yaml line 9: engine.port: must be a whole number from 1 to 65535, not 'nope'",
    )
    assert store.refresh() is False
    file.write_text("{")
    store.refresh()
    assert "line 1" in store.problems[0]
    file.write_text(TEXT)
    store.refresh()
    assert store.problems == ()
    file.write_text(TEXT + "engine: {port: 8001}\n")
    assert store.refresh() is True
    assert store.problems == ()


def test_a_file_caught_empty_is_looked_at_twice(store: SettingsStore, file: Path) -> None:
    """An editor that empties before it writes does not make all hosts vanish for a moment."""
    file.write_text("")
    assert store.refresh() is False
    assert names(store) == ["spark-1", "spark-2"]
    file.write_text(TEXT)
    assert store.refresh() is False
    file.write_text("")
    assert store.refresh() is False
    assert store.refresh() is True
    assert names(store) == []


def test_a_file_that_turns_unreadable_keeps_the_settings(store: SettingsStore, file: Path) -> None:
    """Whatever becomes of the file, what is in force stays."""
    file.unlink()
    file.mkdir()
    assert store.refresh() is False
    assert "cannot be read" in store.problems[0]
    assert names(store) == ["spark-1", "spark-2"]


async def test_a_save_never_writes_into_a_broken_file(store: SettingsStore, file: Path) -> None:
    """A person in the middle of an edit loses nothing."""
    file.write_text(TEXT + "engine: {port: nope}\n")
    with pytest.raises(Conflict, match=r"line 8: engine\.port"):
        await store.add_host(Host(name="spark-3", address="x"))
    assert file.read_text() == TEXT + "engine: {port: nope}\n"


async def test_a_save_builds_on_an_edit_by_hand_not_yet_seen(
    store: SettingsStore, file: Path
) -> None:
    """The file counts, not what was read from it earlier."""
    file.write_text(TEXT + "log: {level: debug}\n")
    await store.add_host(Host(name="spark-3", address="x"))
    assert store.current.log.level == "debug"
    assert "log: {level: debug}" in file.read_text()


async def test_what_the_environment_sets_is_not_saved_in_vain(file: Path) -> None:
    """A save that would have no effect is refused, with the variable that hides it."""
    store = SettingsStore(
        file.parent,
        {
            "SPARK_CONTROL_HOSTS": '[{"name": "spark-2", "address": "y"}]',
            "SPARK_CONTROL_ENGINE__PORT": "8005",
        },
    )
    with pytest.raises(Conflict, match="SPARK_CONTROL_HOSTS"):
        await store.add_host(Host(name="spark-3", address="x"))
    with pytest.raises(Conflict, match="SPARK_CONTROL_ENGINE__PORT"):
        await store.save_section("engine", {"port": 8001})
    await store.save_section("engine", {"image": "mine"})
    assert (store.current.engine.image, store.current.engine.port) == ("mine", 8005)


async def test_a_way_of_writing_that_cannot_be_edited_is_refused(file: Path) -> None:
    """With anchors a change in one place could change another: the person is asked to do it."""
    text = "hosts:\n  - &one {name: a, address: h}\n  - {<<: *one, name: b}\n"
    file.write_text(text)
    store = SettingsStore(file.parent, {})
    with pytest.raises(Conflict, match="cannot be changed from here"):
        await store.replace_host("a", Host(name="a", address="other"))
    assert file.read_text() == text


async def test_the_mode_of_the_file_is_kept_but_never_writable_for_others(
    store: SettingsStore, file: Path
) -> None:
    """A file that a backup program may read stays readable for it."""
    file.chmod(0o666)
    await store.add_host(Host(name="spark-3", address="x"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


async def test_a_first_file_is_made_for_us_alone(tmp_path: Path) -> None:
    """The first host of an empty directory."""
    store = SettingsStore(tmp_path, {})
    await store.add_host(Host(name="spark-1", address="192.0.2.11"))
    path = tmp_path / "config.yaml"
    assert path.read_text() == "hosts:\n  - {name: spark-1, address: 192.0.2.11}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_concurrent_saves_of_one_process_all_arrive(store: SettingsStore) -> None:
    """Two people on the settings page at once."""
    hosts = [Host(name=f"h{n}", address="x") for n in range(12)]
    await asyncio.gather(*(store.add_host(host) for host in hosts))
    assert set(names(store)) == {"spark-1", "spark-2", *(host.name for host in hosts)}


def _add(data: str, prefix: str, count: int) -> None:
    async def work() -> None:
        store = SettingsStore(Path(data), {})
        for number in range(count):
            await store.add_host(Host(name=f"{prefix}{number}", address="x"))

    asyncio.run(work())


def test_concurrent_saves_of_two_processes_lose_nothing(store: SettingsStore, file: Path) -> None:
    """A StartOS action and the settings page at once: lock, read, change, write."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_add, args=(str(file.parent), p, 10)) for p in ("a", "b")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    store.refresh()
    wanted = {f"{prefix}{number}" for prefix in "ab" for number in range(10)}
    assert set(names(store)) == {"spark-1", "spark-2", *wanted}
    assert "# left" in file.read_text()


async def test_a_full_disk_loses_nothing_and_heals() -> None:
    """507 while it is full; the file, the settings and later saves are whole."""
    with disk() as small:
        file = small.path / "config.yaml"
        file.write_text(TEXT)
        store = SettingsStore(small.path, {})
        await store.save_section("log", {"level": "info"})  # the lock file exists from here on
        saved = file.read_text()
        with small.full():
            with pytest.raises(InsufficientStorage, match=r"config\.yaml"):
                await store.add_host(Host(name="spark-3", address="x"))
            assert names(store) == ["spark-1", "spark-2"]
            assert file.read_text() == saved
            store.refresh()
            assert store.problems == ()
        await store.add_host(Host(name="spark-3", address="x"))
        assert names(store) == ["spark-1", "spark-2", "spark-3"]


async def test_a_read_only_directory_is_told_and_reading_goes_on() -> None:
    """503 on a save; the settings stay in force."""
    with disk() as small:
        file = small.path / "config.yaml"
        file.write_text(TEXT)
        file.chmod(0o644)
        store = SettingsStore(small.path, {})
        with small.read_only():
            with pytest.raises(Unavailable, match=r"config\.yaml"):
                await store.add_host(Host(name="spark-3", address="x"))
            assert store.refresh() is False
            assert names(store) == ["spark-1", "spark-2"]


# ---- what a saver has seen


async def test_a_save_over_what_somebody_else_changed_is_refused(
    store: SettingsStore, file: Path
) -> None:
    """A mark stands for what was seen: of a section, of one host. Comments do not count."""
    engine, host = store.mark("engine"), store.mark("hosts", "spark-1")
    file.write_text(file.read_text() + "# only a comment\n")
    await store.save_section("engine", {"port": 8001}, engine)
    await store.save_section("gateway", {"max_upload_mb": 5}, store.mark("gateway"))
    before = file.read_text()
    with pytest.raises(Stale, match="engine"):
        await store.save_section("engine", {"port": 8002}, engine)
    await store.replace_host("spark-2", Host(name="spark-2", address="192.0.2.22"))
    await store.replace_host("spark-1", Host(name="spark-1", address="192.0.2.21"), host)
    with pytest.raises(Stale, match="spark-1"):
        await store.replace_host("spark-1", Host(name="spark-1", address="192.0.2.31"), host)
    assert "8002" not in file.read_text()
    assert before.splitlines()[0] == file.read_text().splitlines()[0]


def test_where_a_value_comes_from_is_told(file: Path) -> None:
    """Environment before file before default; a list that the environment gives is told too."""
    file.write_text(TEXT + "engine: {port: 8001, image: mine}\n")
    environ = {"SPARK_CONTROL_ENGINE__PORT": "8002", "SPARK_CONTROL_HOSTS": "[]"}
    file.write_text(file.read_text().replace("host: spark-2, ", "host: x, "))
    with pytest.raises(ConfigError) as caught:
        SettingsStore(file.parent, environ)
    assert [where for where, _ in caught.value.found] == [("services", 0, "host")]
    file.write_text("engine: {port: 8001, image: mine}\n")
    store = SettingsStore(file.parent, environ)
    origins = store.origins("engine")
    assert origins["port"] == Origin("environment", "SPARK_CONTROL_ENGINE__PORT")
    assert origins["image"] == Origin("file")
    assert origins["launcher"] == Origin("default")
    assert store.variable("hosts") == "SPARK_CONTROL_HOSTS"
    assert store.variable("services") is None
