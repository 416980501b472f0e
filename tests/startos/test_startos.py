"""Install, update, restore, start: what the package asks of StartOS."""

import json
import sqlite3
from contextlib import closing

import pytest

from tests.startos.box import Box, Refused

TASKS = [
    ("configure-sparks", "important"),
    ("ssh-key", "important"),
    ("configure-services", "optional"),
]


def tasks(box: Box) -> list[tuple[str, str]]:
    return [(task["actionId"], task["severity"]) for task in box.called("action.createTask")]


def test_an_install_leads_to_the_first_three_actions(box: Box) -> None:
    """The version is noted, the interface bound, every action known, the first steps asked for."""
    box.ask("init", kind="install")
    assert tasks(box) == TASKS
    [bind] = box.called("bind")
    assert bind["internalPort"] == 9999
    assert bind["preferredExternalPort"] == 9999
    [interface] = box.called("exportServiceInterface")
    assert (interface["id"], interface["type"]) == ("ui", "ui")
    assert interface["addressInfo"]["internalPort"] == 9999
    exported = {action["id"] for action in box.called("action.export")}
    [kept] = box.called("action.clear")
    assert exported == set(kept["except"])
    assert {name for name, _ in TASKS} < exported
    assert box.called("setDependencies") == [{"dependencies": []}]
    assert box.ask("version") == "0.1.0:0"


@pytest.mark.parametrize("kind", ["update", "restore", None])
def test_the_first_steps_are_asked_for_once(box: Box, kind: str | None) -> None:
    """An update, a restore and a reboot find a service that is set up."""
    box.ask("setVersion", to="0.0.9:0")
    box.ask("init", kind=kind)
    assert tasks(box) == []
    assert box.called("bind")
    assert box.ask("version") == "0.1.0:0"


def test_the_app_runs_as_its_own_user_after_the_volume_was_given_to_it(box: Box) -> None:
    """Volumes are root's at first; the extra rows wait for the app."""
    assert box.ask("main") == [
        {"id": "own-data", "kind": "oneshot", "requires": []},
        {"id": "primary", "kind": "daemon", "requires": ["own-data"]},
        {"id": "hosts", "kind": "health", "requires": ["primary"]},
        {"id": "engine", "kind": "health", "requires": ["primary"]},
    ]
    own = box.ask("command", id="own-data")
    assert own == {"command": ["chown", "-R", "1000:1000", "/data"], "user": "root"}
    primary = box.ask("command", id="primary")
    assert primary["user"] == "1000:1000"
    assert primary["command"]["overridCmd"] == [
        "serve", "--host", "0.0.0.0", "--port", "9999", "--data", "/data",
    ]  # fmt: skip


def test_main_starts_over_a_config_that_is_no_yaml(box: Box) -> None:
    """Refusing it is the app's: its message names the line."""
    (box.data / "config.yaml").write_text("hosts: [\n")
    assert len(box.ask("main")) == 4


def test_before_the_app_answers_nothing_is_green_and_only_its_own_row_is_red(box: Box) -> None:
    """What cannot be asked is not known; that is no fault of a Spark."""
    box.ask("main")
    assert box.ask("ready", id="primary")["result"] == "failure"
    assert box.ask("ready", id="hosts")["result"] == "loading"
    assert box.ask("ready", id="engine")["result"] == "loading"


HOST = {"name": "spark-1", "health": "up", "reason": ""}


@pytest.mark.parametrize(
    ("hosts", "result", "says"),
    [
        ([], "disabled", "Configure Sparks"),
        ([HOST], "success", "spark-1"),
        ([HOST, {**HOST, "name": "b", "health": "unknown", "reason": "no answer"}], "loading", "b"),
        ([HOST, {**HOST, "name": "b", "health": "down", "reason": "no driver"}], "failure", "no d"),
    ],
)
def test_the_row_of_the_sparks(
    standing: Box, hosts: list[dict[str, str]], result: str, says: str
) -> None:
    """Unknown is amber, never red."""
    found = {"hosts": hosts, "problems": []}
    row = standing.ask("source", module="app/verdicts", name="hostsVerdict", args=[found])
    assert row["result"] == result
    assert says in row["message"]


SERVING = {"model": "qwen3", "host": "spark-1", "health": "up"}


@pytest.mark.parametrize(
    ("current", "result"),
    [
        ({"serving": None}, "disabled"),
        ({"serving": SERVING}, "success"),
        ({"serving": {**SERVING, "health": "unknown"}}, "loading"),
        ({"serving": {**SERVING, "health": "down", "reason": "it ended"}}, "failure"),
        ({"id": "swap-1", "model": "x", "stage": "Loading", "percent": 40.4}, "loading"),
        ({"id": "swap-1", "model": None, "stage": None, "percent": None}, "loading"),
    ],
)
def test_the_row_of_the_model(standing: Box, current: dict[str, object], result: str) -> None:
    """No model is no fault; a swap is progress."""
    row = standing.ask("source", module="app/verdicts", name="engineVerdict", args=[current])
    assert row["result"] == result
    assert row["message"]


def rows(path: object) -> list[tuple[str]]:
    with closing(sqlite3.connect(str(path))) as database:
        found: list[tuple[str]] = database.execute("SELECT id FROM swaps").fetchall()
        return found


def test_a_backup_of_a_running_service_is_whole_and_a_restore_brings_it_back(box: Box) -> None:
    """Rows that are only in the -wal file are in the backup; locks and temporary files are not."""
    live = sqlite3.connect(box.data / "spark-control.db")
    live.execute("PRAGMA journal_mode=WAL")
    live.execute("CREATE TABLE swaps (id TEXT)")
    live.execute("INSERT INTO swaps VALUES ('swap-1')")
    live.commit()
    for name in ("config.yaml", "config.yaml.lock", "spark-control.lock", ".x.part"):
        (box.data / name).write_text("log: {level: info}\n")
    for name in ("tmp/upload", "ssh/id_ed25519", "ssh/known_hosts"):
        (box.data / name).parent.mkdir(exist_ok=True)
        (box.data / name).write_text("x")
    box.store.write_text(json.dumps({"publicKey": "ssh-ed25519 AAAA"}))

    box.ask("backup")
    kept = {str(p.relative_to(box.backup)) for p in box.backup.rglob("*") if p.is_file()}
    assert kept == {
        "config.yaml", "spark-control.db.backup", "ssh/id_ed25519", "ssh/known_hosts",
    }  # fmt: skip
    assert rows(box.backup / "spark-control.db.backup") == [("swap-1",)]
    assert not (box.data / "spark-control.db.backup").exists()
    assert any("copy_database.py" in line and line.startswith("1000:1000 ") for line in box.ran)

    live.execute("INSERT INTO swaps VALUES ('swap-2')")
    live.commit()
    wal = (box.data / "spark-control.db-wal").read_bytes()
    live.close()
    (box.data / "spark-control.db-wal").write_bytes(wal)
    box.ask("init", kind="restore")
    assert not (box.data / "spark-control.db-wal").exists()
    assert rows(box.data / "spark-control.db") == [("swap-1",)]
    assert (box.data / "ssh" / "id_ed25519").read_text() == "x"
    assert tasks(box) == []


def test_a_backup_before_the_first_start_has_no_database_and_can_be_restored(box: Box) -> None:
    """There is nothing to copy, which is no fault."""
    (box.data / "config.yaml").write_text("log: {level: info}\n")
    box.ask("backup")
    box.ask("init", kind="restore")
    assert not (box.data / "spark-control.db").exists()


def test_a_database_that_cannot_be_copied_fails_the_backup(box: Box) -> None:
    """Better no backup than one that cannot be restored; the sentence says why."""
    (box.data / "spark-control.db").write_bytes(b"no database" * 1000)
    with pytest.raises(Refused, match="could not be copied for the backup"):
        box.ask("backup")
    assert not list(box.data.glob("*.backup*"))
