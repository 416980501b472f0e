"""The actions: what is good is in config.yaml as the app reads it, what is bad changes nothing."""

import stat
import subprocess
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from server.config.gateway import Gateway
from server.config.load import load
from server.config.model import Settings
from tests.startos.box import Box, Refused

HOST = {
    "name": "spark-1",
    "address": "192.0.2.11",
    "port": 22,
    "user": "ubuntu",
    "cluster_address": None,
    "labels": ["llm"],
}
SERVICE = {
    "name": "parakeet",
    "kind": "asr",
    "host": "spark-1",
    "port": 8001,
    "scheme": "http",
    "container": "parakeet-asr",
    "ssh_user": "audio",
    "health_path": None,
    "max_in_flight": 2,
    "models": ["whisper-1"],
    "model_sent": None,
    "path_prefix": None,
    "dialect": "auto",
    "native_stream": False,
}


def settings(box: Box) -> Settings:
    """As the app takes it: the true judge of what an action wrote."""
    return load(box.data, {})


def sparks(box: Box, hosts: list[dict[str, Any]], **engine: Any) -> Any:
    """Open the form, change it, send it."""
    form = box.ask("form", id="configure-sparks")["value"]
    sent = {"hosts": hosts, "engine": {**form["engine"], **engine}}
    return box.ask("run", id="configure-sparks", input=sent)


def key(box: Box, selection: str, **value: str) -> Any:
    return box.run("ssh-key", {"key": {"selection": selection, "value": value}})


def test_sparks_are_saved_as_the_app_reads_them(box: Box) -> None:
    """All that the form has arrives; what equals a default is not written."""
    second = {**HOST, "name": "spark-2", "address": "192.0.2.12", "port": 2222, "user": "me"}
    roots = {
        "model_roots": ["/srv/models"],
        "launcher": "bare",
        "default_host": "spark-2",
    }
    sparks(box, [{**HOST, "cluster_address": "198.51.100.11"}, second], **roots)
    found = settings(box)
    assert [host.name for host in found.hosts] == ["spark-1", "spark-2"]
    assert found.hosts[0].cluster_address == "198.51.100.11"
    assert (found.hosts[1].port, found.hosts[1].user) == (2222, "me")
    assert found.engine.model_roots == ("/srv/models",)
    assert (found.engine.launcher, found.engine.default_host) == ("bare", "spark-2")
    assert "vllm-node" not in box.config
    [[written, *owner]] = box.ask("owned")
    assert written.endswith("config.yaml.part")
    assert owner == [1000, 1000]
    assert stat.S_IMODE((box.data / "config.yaml").stat().st_mode) == 0o600


def test_a_form_shows_what_is_in_force(box: Box) -> None:
    """Sent back unchanged it changes nothing, not a byte; comments and other sections stay."""
    text = (
        "# my cluster\n"
        "hosts:\n"
        "  # the one in the kitchen\n"
        "  - {name: spark-1, address: 192.0.2.11, labels: [llm]} # quiet\n"
        "engine:\n  image: my/vllm:1  # built by hand\n  drain_seconds: 5\n"
        "auth: {mode: open}\n"
    )
    (box.data / "config.yaml").write_text(text)
    form = box.ask("form", id="configure-sparks")["value"]
    assert form["hosts"] == [HOST]
    assert form["engine"]["image"] == "my/vllm:1"
    box.ask("run", id="configure-sparks", input=form)
    assert box.config == text
    sparks(box, [{**HOST, "port": 2222}])
    for comment in ("# my cluster", "# the one in the kitchen", "# quiet", "# built by hand"):
        assert comment in box.config
    assert settings(box).hosts[0].port == 2222
    assert settings(box).engine.drain_seconds == 5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"port": 0}, "hosts.0.port"),
        ({"port": 65536}, "hosts.0.port"),
        ({"port": 22.5}, "hosts.0.port"),
        ({"name": "Bad Name!"}, "lower-case letters"),
        ({"name": ""}, "hosts.0.name"),
        ({"address": "user@192.0.2.1"}, "hosts.0.address"),
        ({"address": "-oProxyCommand=x"}, "hosts.0.address"),
        ({"user": "root; reboot"}, "hosts.0.user"),
        ({"labels": ["ok", "no good"]}, "hosts.0.labels.1"),
    ],
)
def test_a_bad_spark_is_refused_and_nothing_is_saved(
    box: Box, change: dict[str, Any], says: str
) -> None:
    """The SDK lets these through; the message names the setting."""
    with pytest.raises(Refused, match=says):
        sparks(box, [{**HOST, **change}])
    assert not (box.data / "config.yaml").exists()


def test_no_spark_too_many_and_the_same_name_twice_are_refused(box: Box) -> None:
    """One to eight, each with a name of its own."""
    with pytest.raises(Refused, match="hosts"):
        sparks(box, [])
    with pytest.raises(Refused, match="hosts"):
        sparks(box, [{**HOST, "name": f"spark-{n}"} for n in range(9)])
    with pytest.raises(Refused, match="two Sparks are named 'spark-1'"):
        sparks(box, [HOST, HOST])
    assert not (box.data / "config.yaml").exists()


@pytest.mark.parametrize(
    "engine",
    [
        {"port": 0},
        {"model_roots": ["srv/models"]},
        {"model_roots": ["/srv/../etc"]},
        {"model_roots": ["/srv/models/"]},
        {"hf_home": "/a\u200bb"},
        {"image": "a//b"},
        {"container": "-rm"},
        {"eth_if": "eth0;reboot"},
        {"default_host": "spark-9"},
    ],
)
def test_a_bad_engine_is_refused(box: Box, engine: dict[str, Any]) -> None:
    """Also a default Spark that is none."""
    with pytest.raises(Refused, match="Not saved"):
        sparks(box, [HOST], **engine)
    assert not (box.data / "config.yaml").exists()


def test_services_are_saved_and_must_run_on_a_spark_that_is_there(box: Box) -> None:
    """And a Spark that a service runs on cannot be taken away under it."""
    with pytest.raises(Refused, match="not among the Sparks"):
        box.run("configure-services", {"services": [SERVICE]})
    sparks(box, [HOST, {**HOST, "name": "spark-2"}])
    box.run("configure-services", {"services": [SERVICE]})
    [service] = settings(box).services
    assert (service.ssh_user, service.port, service.max_in_flight) == ("audio", 8001, 2)
    assert box.ask("form", id="configure-services")["value"] == {"services": [SERVICE]}
    with pytest.raises(Refused, match="the service 'parakeet' names the host 'spark-1'"):
        sparks(box, [{**HOST, "name": "spark-2"}])
    box.run("configure-services", {"services": []})
    assert settings(box).services == ()


@pytest.mark.parametrize(
    "change",
    [
        {"port": 0},
        {"max_in_flight": 0},
        {"max_in_flight": 4},
        {"max_in_flight": 1025},
        {"models": ["a b"]},
        {"ssh_user": "a b"},
        {"health_path": "health"},
        {"container": "a/b"},
    ],
)
def test_a_bad_service_is_refused(box: Box, change: dict[str, Any]) -> None:
    """With the setting's name."""
    sparks(box, [HOST])
    with pytest.raises(Refused, match=rf"services\.0\.{next(iter(change))}"):
        box.run("configure-services", {"services": [{**SERVICE, **change}]})
    with pytest.raises(Refused, match="two services are named"):
        box.run("configure-services", {"services": [SERVICE, SERVICE]})
    assert settings(box).services == ()


def test_limits_are_saved_and_kept_in_bounds(box: Box) -> None:
    """The engine's other settings stay as they are."""
    sparks(box, [HOST], image="my/vllm")
    form = box.ask("form", id="limits")["value"]
    assert form["gateway"] == Gateway().model_dump()
    form["gateway"] |= {"max_upload_mb": 64, "auto_swap": False}
    form["audio"]["max_diarize_seconds"] = 60
    form["engine"] |= {"drain_seconds": 0.5, "on_death": "rollback"}
    box.ask("run", id="limits", input=form)
    found = settings(box)
    assert (found.gateway.max_upload_mb, found.gateway.auto_swap) == (64, False)
    assert found.audio.max_diarize_seconds == 60
    assert (found.engine.drain_seconds, found.engine.on_death) == (0.5, "rollback")
    assert found.engine.image == "my/vllm"
    before = box.config
    for section, name, bad in [
        ("gateway", "max_upload_mb", 0),
        ("gateway", "queue_seconds", -1),
        ("audio", "max_diarize_seconds", 10**9),
        ("engine", "restart_limit", 1.5),
        ("engine", "guard_bytes", 2**41),
    ]:
        with pytest.raises(Refused, match=rf"{section}\.{name}"):
            box.run("limits", {**form, section: {**form[section], name: bad}})
    assert box.config == before


def test_the_log_level_changes_and_main_starts_again(box: Box) -> None:
    """It is read at the start of the app; the file's other settings do not restart it."""
    sparks(box, [HOST])
    box.ask("main")
    sparks(box, [{**HOST, "port": 2222}])
    before = box.ask("retries")
    assert box.ask("form", id="log-level")["value"] == {"level": "info"}
    box.ask("run", id="log-level", input={"level": "debug"})
    assert settings(box).log.level == "debug"
    assert settings(box).hosts[0].port == 2222
    assert (before, box.ask("settled", more_than=before)) == (0, 1)
    with pytest.raises(Refused):
        box.run("log-level", {"level": "chatty"})


def test_a_password_is_set_without_being_seen(box: Box) -> None:
    """Only its hash is kept; what ran shows nothing of it. Empty keeps the present one."""
    secret = "correct horse battery"
    box.run("password", {"mode": "password", "password": secret})
    assert settings(box).auth.mode == "password"
    kept = (box.data / "password").read_text()
    assert kept.startswith("$argon2id$")
    assert secret not in "".join([kept, box.config, *box.ran])
    assert box.ask("form", id="password")["value"] == {"mode": "password", "password": None}
    box.run("password", {"mode": "open", "password": None})
    assert settings(box).auth.mode == "open"
    assert (box.data / "password").read_text() == kept


def test_a_weak_or_missing_password_is_refused(box: Box) -> None:
    """A readable sentence; nothing is changed, so nobody is locked out."""
    with pytest.raises(Refused, match="at least 10 characters"):
        box.run("password", {"mode": "password", "password": "short"})
    with pytest.raises(Refused, match="Set a password first"):
        box.run("password", {"mode": "password", "password": None})
    assert not (box.data / "config.yaml").exists()


def test_public_names_are_saved(box: Box) -> None:
    """What the guard against rebound names reads."""
    box.run("public-names", {"allowed_hosts": ["spark.example.org", "*"]})
    assert settings(box).web.allowed_hosts == ("spark.example.org", "*")
    with pytest.raises(Refused, match="allowed_hosts"):
        box.run("public-names", {"allowed_hosts": ["https://spark.example.org"]})


@pytest.mark.parametrize("word", ["no", "on", "yes", "null", "1e3", "0x10", "1_000", "012"])
def test_words_that_yaml_takes_for_something_else_stay_words(box: Box, word: str) -> None:
    """The app reads YAML 1.1, where a bare `no` is a switch and 012 is ten."""
    label = word.replace("_", "-") if word == "1_000" else word
    sparks(box, [{**HOST, "labels": [label]}])
    assert settings(box).hosts[0].labels == (label,)
    assert box.ask("form", id="configure-sparks")["value"]["hosts"][0]["labels"] == [label]


def test_a_config_that_is_no_yaml_is_named_and_left_alone(box: Box) -> None:
    """It is somebody's work; a form must not write over it."""
    (box.data / "config.yaml").write_text("hosts: [\n")
    for action in ("configure-sparks", "configure-services", "limits", "log-level"):
        with pytest.raises(Refused, match=r"config\.yaml has a mistake"):
            box.ask("form", id=action)
    assert box.config == "hosts: [\n"


def test_a_form_mends_its_own_section_and_keeps_what_it_does_not_know(box: Box) -> None:
    """A host with a mistake is shown as far as it goes, never dropped."""
    (box.data / "config.yaml").write_text(
        "hosts:\n- {name: spark-1, address: 192.0.2.11, port: ninety}\nfuture: {key: [1]}\n"
    )
    form = box.ask("form", id="configure-sparks")["value"]
    assert form["hosts"][0]["name"] == "spark-1"
    assert form["hosts"][0].get("port", 22) == 22
    sparks(box, [HOST])
    assert "port" not in box.config or "port: 22" in box.config
    assert "future: {key: [1]}" in box.config


# ---- the SSH key


def public(box: Box) -> str:
    return (box.data / "ssh" / "id_ed25519.pub").read_text().strip()


def private(box: Box) -> bytes:
    return (box.data / "ssh" / "id_ed25519").read_bytes()


def pem(folder: Path, *options: str) -> str:
    """A key as OpenSSH itself makes it."""
    place = folder / "own"
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-C", "mine", "-f", str(place), *options]
    subprocess.run(words, check=True, timeout=30, stdin=subprocess.DEVNULL)
    return place.read_text()


def test_a_key_is_made_once_and_shown(box: Box) -> None:
    """0600, as the app's user; opening the action again shows the same one."""
    told = key(box, "keep")
    line = told["result"]["value"]
    assert told["result"]["copyable"]
    assert line.startswith("ssh-ed25519 ")
    assert line == public(box)
    assert stat.S_IMODE((box.data / "ssh" / "id_ed25519").stat().st_mode) == 0o600
    assert asyncssh.import_private_key(private(box))
    assert [entry.split()[0] for entry in box.ran] == ["root", "1000:1000"]
    assert key(box, "keep")["result"]["value"] == line
    assert box.ask("form", id="ssh-key")["value"] is None
    assert len(box.ask("owned")) == 0


def test_a_new_key_replaces_the_old_one(box: Box) -> None:
    """And the app, which shows its public half, starts again."""
    old = key(box, "keep")["result"]["value"]
    box.ask("main")
    new = key(box, "new")["result"]["value"]
    assert new != old
    assert new == public(box)
    assert box.ask("settled", more_than=0) == 1


@pytest.mark.parametrize("breaks", ["\n", "\r\n", "\r"])
def test_a_pasted_key_is_taken_whatever_its_line_breaks(
    box: Box, tmp_path: Path, breaks: str
) -> None:
    """Browsers send CRLF and lose the last break. It travels by stdin, never as an argument."""
    text = pem(tmp_path, "-N", "")
    line = key(box, "import", pem="  \n" + text.strip().replace("\n", breaks))["result"]["value"]
    assert line == (tmp_path / "own.pub").read_text().strip()
    assert b"\r" not in private(box)
    assert stat.S_IMODE((box.data / "ssh" / "id_ed25519").stat().st_mode) == 0o600
    assert "PRIVATE" not in "\n".join(box.ran)
    assert "PRIVATE" not in (box.folder / "host.log").read_text()
    assert "PRIVATE" not in str(box.calls)


def test_what_is_no_usable_key_is_refused_and_the_old_one_kept(box: Box, tmp_path: Path) -> None:
    """Garbage, half a key, a public key, one behind a passphrase, nothing, far too much."""
    key(box, "keep")
    before = private(box), public(box)
    good = pem(tmp_path, "-N", "")
    (tmp_path / "locked").mkdir()
    locked = pem(tmp_path / "locked", "-N", "secret words")
    for text, says in [
        ("garbage", "not a private key"),
        (good[: len(good) // 2], "not a private key"),
        (good.replace("A", "B"), "not a private key"),
        ((tmp_path / "own.pub").read_text(), "is a public key"),
        (locked, "passphrase"),
        ("   \n", "paste a private key"),
        ("x" * 70_000, "key.value.pem"),
    ]:
        with pytest.raises(Refused, match=says) as refused:
            key(box, "import", pem=text)
        assert "secret words" not in str(refused.value)
        assert "Traceback" not in str(refused.value)
    assert (private(box), public(box)) == before
    with pytest.raises(Refused):
        key(box, "borrow")
