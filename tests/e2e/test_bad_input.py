"""Hostile words through the public API, ending in real shells on simulated hosts.

A canary is a file that only a shell would make: every payload tries to make one. What is refused
leaves nothing behind; what is taken reaches docker and vLLM as the very words that were given.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.e2e.running import BY_HAND, ONE, ROOT, House, running_house, until

pytestmark = pytest.mark.sim

CANARY = "canary-of-a-shell"
TOUCH = f"touch {CANARY}"

HOSTILE = (
    f"; {TOUCH}",
    f"x;{TOUCH};",
    f"$({TOUCH})",
    f"`{TOUCH}`",
    f"x' ; {TOUCH} ; '",
    f'x" ; {TOUCH} ; "',
    f"x\\' ; {TOUCH} #",
    f"x | {TOUCH}",
    f"x && {TOUCH}",
    f"x > {CANARY}",
    f"x\n{TOUCH}\n",
    f"x\r{TOUCH}",
    f"$IFS$9{TOUCH}",
    f"${{IFS}}{TOUCH}",
    "x\0y",
    "x\x1b[2Jy",
    "../../../etc/passwd",
    "x/../../y",
    "{{.Id}}",
    "x*?[a-z]",
    "\uff0d\uff0dconfig",  # fullwidth hyphens: -- to who reads it
    "x\u2011y",  # a hyphen that is another one
    "x\u202ey",  # what follows is drawn backwards
    "x\u200by",  # a space that cannot be seen
    "\u0430bc",  # a Cyrillic a
    "x\ud800",  # half of a pair: no UTF-8 has it
    "\uff1b" + TOUCH,  # a fullwidth semicolon
)
"""Refused in every field that ends on a command line."""

FLAGS = ("--", "-v", "--config=/etc/passwd", "--root-path", "-")
"""Words that are options where a name is meant."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running_house(tmp_path_factory.mktemp("bad"), load_seconds=0.05, settings=BY_HAND) as made:
        yield made


@pytest.fixture(autouse=True)
def no_canary(house: House) -> Iterator[None]:
    yield
    nests = (house.sim.dir, ROOT, ROOT.parent, Path.home(), Path("/"))
    deep = [path for path in house.sim.dir.rglob(f"*{CANARY}*") if path.name.startswith(CANARY)]
    assert deep + [nest / CANARY for nest in nests if (nest / CANARY).exists()] == []


def send(house: House, method: str, path: str, body: Any) -> httpx.Response:
    """As JSON in ASCII, so that half a surrogate pair can be sent as well."""
    return house.http.request(
        method,
        f"/api/v1{path}",
        content=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )


def assert_refused(answer: httpx.Response, what: object, *statuses: int) -> None:
    assert answer.status_code in (statuses or (422,)), f"{what!r}: {answer.text}"
    error = answer.json()["error"]
    assert error["message"], what
    assert "Traceback" not in answer.text
    assert error["source"] == "spark-control"
    assert error["request_id"] == answer.headers["x-request-id"]


def saved(house: House) -> tuple[bytes, bytes]:
    overrides = house.sim.dir / "models.override.yaml"
    return house.config.read_bytes(), overrides.read_bytes()


def model(**fields: Any) -> dict[str, Any]:
    return {"id": "hostile", "source": {"hf": "org/name"}} | fields


MODEL_FIELDS = {
    "id": lambda word: model(id=word),
    "source.hf": lambda word: model(source={"hf": f"org/{word}"}),
    "source.hf, whole": lambda word: model(source={"hf": word}),
    "source.revision": lambda word: model(source={"hf": "org/name", "revision": word}),
    "aliases": lambda word: model(aliases=[word]),
    "image": lambda word: model(image=word),
    "launcher": lambda word: model(launcher=word),
    "hosts": lambda word: model(hosts=[word]),
    "knob, text": lambda word: model(knobs={"tool_call_parser": word}),
    "knob, choice": lambda word: model(knobs={"dtype": word}),
    "knob, number": lambda word: model(knobs={"max_model_len": word}),
    "knob, name": lambda word: model(knobs={word: 1}),
    "knob, JSON key": lambda word: model(knobs={"hf_overrides": {word: {word: 1}}, word: 2}),
    "extra_args": lambda word: model(knobs={"extra_args": [word]}),
    "extra_args, flag": lambda word: model(knobs={"extra_args": [f"--{word}"]}),
    "extra_args, value": lambda word: model(knobs={"extra_args": ["--max-lora-rank", word]}),
    "extra_args, =value": lambda word: model(knobs={"extra_args": [f"--max-lora-rank={word}"]}),
    "env, name": lambda word: model(env={word: "1"}),
}


@pytest.mark.parametrize("field", MODEL_FIELDS)
def test_a_hostile_word_in_a_model_is_refused_and_nothing_is_saved(
    house: House, field: str
) -> None:
    before = saved(house)
    for number, word in enumerate((*HOSTILE, *FLAGS)):
        assert_refused(send(house, "POST", "/models", MODEL_FIELDS[field](word)), word)
        if number % 4:
            continue  # the other ways to the same rules need not hear every word
        changed = MODEL_FIELDS[field](word) | {"id": ONE} if field != "id" else {"id": word}
        assert_refused(send(house, "PUT", f"/models/{ONE}", changed), word)
        knobs = MODEL_FIELDS[field](word).get("knobs")
        if knobs:
            assert_refused(send(house, "PUT", f"/models/{ONE}/knobs", knobs), word)
    assert saved(house) == before


def test_a_hostile_path_is_refused_and_nothing_is_saved(house: House) -> None:
    """Absolute, normalised, under a root, and of characters that no mount option reads twice."""
    before = saved(house)
    root = house.sim.model("")
    paths = [f"{root}{word}" for word in HOSTILE]
    paths += ["/etc", "/", "", "relative", "~/models/x", f"/{root}x", f"{root}", f"{root}x/"]
    paths += [f"{root}x//y", f"{root}./x", f"{root}x/.", f"{root}a:b", f"{root}a,b", f"{root} a"]
    paths += [f"{root}a ", root.rstrip("/"), root.rstrip("/") + "-other/x", f"{root}{'x' * 2000}"]
    for path in paths:
        assert_refused(send(house, "POST", "/models", model(source={"path": path})), path)
    assert saved(house) == before


HOST_FIELDS = ("name", "address", "user", "cluster_address", "labels")


@pytest.mark.parametrize("field", HOST_FIELDS)
def test_a_hostile_word_in_a_host_is_refused_and_nothing_is_saved(house: House, field: str) -> None:
    before = saved(house)
    for word in (*HOSTILE, *FLAGS, "-oProxyCommand=touch " + CANARY, "a b", ""):
        body: dict[str, Any] = {"name": "spark-9", "address": "192.0.2.9"}
        body[field] = [word] if field == "labels" else word
        assert_refused(send(house, "POST", "/hosts", body), word)
        assert_refused(send(house, "PUT", "/hosts/spark-1", body), word)
    assert saved(house) == before


def test_a_hostile_name_in_an_address_is_nobody(house: House) -> None:
    """Of a host, model, swap, service or container: refused, or not found, and never run."""
    for word in (*HOSTILE, *FLAGS, "%"):
        if "\ud800" in word:
            continue  # no address can hold it
        name = httpx.URL("http://x", params={"n": word}).query.decode()[2:].replace("+", "%20")
        for path in ("hosts/{}", "hosts/{}/logs", "models/{}", "models/{}/command", "swaps/{}"):
            assert_refused(house.http.get(f"/api/v1/{path.format(name)}"), word, 404, 422)
        for path in ("services/{}/logs", "services/{}", "hosts/{}/samples", "hosts/{}/disk"):
            assert_refused(house.http.get(f"/api/v1/{path.format(name)}"), word, 404, 422)
        for path in ("hosts/{}/check", "models/{}/preflight", "swaps/{}/cancel"):
            answer = house.http.post(f"/api/v1/{path.format(name)}")
            assert_refused(answer, word, 404, 405, 422)
        logs = house.http.get(f"/api/v1/hosts/spark-1/logs?container={name}")
        assert_refused(logs, word)
        assert_refused(house.http.get(f"/api/v1/hosts/spark-1/logs?lines={name}"), word)


def test_a_hostile_model_in_a_swap_or_a_chat_is_not_found(house: House) -> None:
    swaps = house.get("/swaps")["swaps"]
    for word in (*HOSTILE, *FLAGS):
        assert_refused(send(house, "POST", "/swaps", {"model": word}), word, 404, 422)
        conflict = {"model": ONE, "on_conflict": word}
        assert_refused(send(house, "POST", "/swaps", conflict), word)
        chat = json.dumps({"model": word, "messages": []}).encode()
        answer = house.http.post(
            "/v1/chat/completions", content=chat, headers={"content-type": "application/json"}
        )
        assert_refused(answer, word, 400, 404, 422)
    assert house.get("/swaps")["swaps"] == swaps


def test_a_request_id_is_kept_only_when_it_is_sane(house: House) -> None:
    for word in (f"$({TOUCH})", "x y", "x" * 500, "<script>"):
        answer = house.http.get("/api/v1/hosts", headers={"x-request-id": word})
        assert answer.status_code == 200
        assert word not in answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[1]",
        b'"text"',
        b'{"id":',
        b'{"id": "\xff\xfe"}',
        b'{"id":' + b"[" * 50_000,
        b'{"id":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b'{"id":' + b"9" * 6_000 + b"}",
        b'{"knobs": {"max_model_len": ' + b"9" * 4_000 + b"}}",
        b'{"knobs": {"gpu_memory_utilization": NaN}}',
        b'{"id": 1e999}',
    ],
    ids=lambda body: body[:12].decode("latin-1"),
)
def test_a_body_that_is_no_request_is_a_clear_refusal(house: House, body: bytes) -> None:
    kind = {"content-type": "application/json"}
    for method, path in (
        ("POST", "/models"),
        ("PUT", f"/models/{ONE}"),
        ("PUT", f"/models/{ONE}/knobs"),
        ("POST", "/hosts"),
        ("PUT", "/hosts/spark-1"),
        ("POST", "/swaps"),
        ("POST", "/hosts/spark-1/accept-key"),
    ):
        answer = house.http.request(method, f"/api/v1{path}", content=body, headers=kind)
        assert_refused(answer, (path, body[:40]), 400, 422)


NASTY_WORDS = st.one_of(
    st.sampled_from((*HOSTILE, *FLAGS, "", "a", "1", ONE, "spark-1")),
    st.text(st.sampled_from("a-./ ;$`'\"\\\n\0\u200b\uff0d{}[]()|&<>*?~!#%=:,@+"), max_size=12),
    st.text(max_size=8),
)
TREES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), NASTY_WORDS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(NASTY_WORDS, inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = ("id", "name", "source", "knobs", "env", "aliases", "nodes", "image", "hosts", "address")
BODIES = st.dictionaries(st.one_of(st.sampled_from(KEYS), NASTY_WORDS), TREES, max_size=5)


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
@given(body=BODIES)
def test_no_body_at_all_makes_a_mistake_of_ours(house: House, body: dict[str, Any]) -> None:
    """Whatever is sent, the answer is a refusal in the documented shape or a real success."""
    for method, path in (("POST", "/models"), ("PUT", f"/models/{ONE}/knobs"), ("POST", "/hosts")):
        answer = send(house, method, path, body)
        assert answer.status_code in {200, 201, 400, 404, 409, 422}, answer.text
        if answer.status_code >= 400:
            assert_refused(answer, body, 400, 404, 409, 422)


SEEN = st.characters(exclude_categories=("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
VALUES = st.one_of(
    st.sampled_from(
        [word for word in HOSTILE if word.isprintable()]
        + [*FLAGS, "", " ", "'", '"', "\\", "$HOME", "~", "!!", "%s", "a=b", "日本語", "~/x", "#"]
    ),
    st.text(st.one_of(SEEN, st.sampled_from(" ;$`'\"\\{}[]()|&<>*?~!#%=:,@+-")), max_size=40),
)


def arrange(house: House, body: dict[str, Any]) -> None:
    """The entry `nasty`, as given, whatever it was before."""
    found = house.http.get("/api/v1/models/nasty").status_code == 200
    answer = (
        send(house, "PUT", "/models/nasty", body)
        if found
        else send(house, "POST", "/models", {"id": "nasty", **body})
    )
    assert answer.status_code in {200, 201}, answer.text


def copied(house: House, name: str) -> str:
    """A complete model directory of that name under the root."""
    target = Path(house.sim.model(name))
    if not target.exists():
        shutil.copytree(house.sim.model(ONE), target)
    return str(target)


def nul_words(path: Path) -> list[str]:
    return [os.fsdecode(word) for word in path.read_bytes().split(b"\0")[:-1]]


@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
@given(values=st.lists(VALUES, min_size=24, max_size=32))
def test_every_value_of_the_environment_arrives_as_it_was_given(
    house: House, values: list[str]
) -> None:
    """The words that docker got, and the environment that the engine's process really has."""
    env = {f"NASTY_{number}": value for number, value in enumerate(values)}
    arrange(house, {"source": {"path": house.sim.model(ONE)}, "env": env})
    record = house.swap("nasty", force=True)
    assert record["state"] == "serving", record["error"]
    seen = house.inspected("spark-1")
    assert {word for word in seen["Config"]["Env"] if word.startswith("NASTY_")} == {
        f"{name}={value}" for name, value in env.items()
    }
    process = nul_words(Path(f"/proc/{seen['State']['Pid']}/environ"))
    assert {word for word in process if word.startswith("NASTY_")} == {
        f"{name}={value}" for name, value in env.items()
    }


PATH_LETTERS = st.sampled_from("abzAZ09 ._+@=%~-/;$`'\"\\:,*\n\0é\u200b\uff0dｱ(){}")


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
@given(tail=st.text(PATH_LETTERS, min_size=1, max_size=24))
def test_a_path_that_is_taken_is_only_looked_at(house: House, tail: str) -> None:
    """The host is asked about that very path, in a real shell, and says that it is not there."""
    path = house.sim.model(tail)
    assume(not Path(path.replace("\0", "")).exists())
    answer = send(house, "POST", "/models", {"id": "nasty", "source": {"path": path}})
    if answer.status_code == 409:
        answer = send(house, "PUT", "/models/nasty", {"source": {"path": path}})
    if answer.status_code == 422:
        return
    assert answer.json()["source"]["path"] == path
    found = house.http.post("/api/v1/models/nasty/preflight")
    assert found.status_code == 200, found.text
    missing = [one for one in found.json()["findings"] if one["code"] == "files_missing"]
    assert missing, found.text


@pytest.mark.parametrize("name", ["--rm two words", "a=b@c+d%e~f", "modèle ünï"])
def test_a_directory_with_an_odd_name_is_loaded_by_docker_as_it_is(house: House, name: str) -> None:
    path = copied(house, name)
    arrange(house, {"source": {"path": path}, "name": "$(x) 'quoted' \"name\""})
    record = house.swap("nasty", force=True)
    assert record["state"] == "serving", record["error"]
    seen = house.inspected("spark-1")
    assert seen["Config"]["Cmd"][:2] == ["serve", path]
    mounts = {(m["Source"], m["Destination"], m["RW"]) for m in seen["Mounts"]}
    assert (path, path, False) in mounts
    assert house.chat("nasty").status_code == 200


KNOBS: dict[str, Any] = {
    "max_model_len": 4096,
    "gpu_memory_utilization": 0.5,
    "tool_call_parser": "hermes",
    "trust_remote_code": True,
    "override_generation_config": {"temperature": 0.5, "stop": 'it\'s "quoted" % # ! (x) [y]'},
    "limit_mm_per_prompt": '{ "image" : 2 }',
    "extra_args": ["--max-lora-rank", "8", "--scheduling-policy=priority", "--no-enable-lora"],
}
FLAGS_OF_KNOBS = [
    "--max-model-len",
    "4096",
    "--gpu-memory-utilization",
    "0.5",
    "--trust-remote-code",
    "--override-generation-config",
    '{"stop":"it\'s \\"quoted\\" % # ! (x) [y]","temperature":0.5}',
    "--limit-mm-per-prompt",
    '{"image":2}',
    "--tool-call-parser",
    "hermes",
    "--enable-auto-tool-choice",
    "--max-lora-rank",
    "8",
    "--scheduling-policy=priority",
    "--no-enable-lora",
]


def intended(house: House, path: str) -> list[str]:
    where = ["--host", "0.0.0.0", "--port", str(house.sim.engine_port)]
    names = ["--served-model-name", "nasty", "org/alias:1"]
    return ["serve", path, *where, *names, *FLAGS_OF_KNOBS]


@pytest.mark.parametrize("launcher", ["docker", "launch-cluster", "bare"])
def test_the_engine_gets_the_intended_words_and_no_other(house: House, launcher: str) -> None:
    """Through each launcher: docker's Cmd, and the real argv of the process that is vLLM."""
    path = copied(house, "two words") if launcher != "launch-cluster" else house.sim.model(ONE)
    arrange(
        house,
        {
            "source": {"path": path},
            "knobs": KNOBS,
            "aliases": ["org/alias:1"],
            "launcher": launcher,
            "env": {},
        },
    )
    record = house.swap("nasty", force=True)
    assert record["state"] == "serving", record["error"]
    wanted = intended(house, path)
    if launcher == "docker":
        assert house.inspected("spark-1")["Config"]["Cmd"] == wanted
    words = [nul_words(Path(f"/proc/{pid}/cmdline")) for pid in house.sim.processes("spark-1")]
    assert [argv for argv in words if argv[-len(wanted) :] == wanted], words


def test_what_launch_cluster_cannot_carry_is_refused_in_words(house: House) -> None:
    """Its script splits some words at spaces: such a path or value is never handed to it."""
    arrange(
        house,
        {
            "source": {"path": house.sim.model(ONE)},
            "launcher": "launch-cluster",
            "env": {"NASTY": f"x; {TOUCH}"},
        },
    )
    command = house.http.get("/api/v1/models/nasty/command")
    assert_refused(command, "command", 422)
    assert "launch-cluster" in command.json()["error"]["message"]
    record = house.swap("nasty")
    assert record["error"]["code"] == "cannot_be_started"
    assert "stopping" not in {step["name"] for step in record["steps"]}


def test_a_model_is_swapped_in_by_its_alias(house: House) -> None:
    arrange(
        house, {"source": {"path": house.sim.model(ONE)}, "aliases": ["tune:latest", "org/tune"]}
    )
    record = house.swap("org/tune")
    assert (record["state"], record["model"]) == ("serving", "nasty")
    assert house.chat("tune:latest").status_code == 200
    assert house.chat("nasty").status_code == 200


# ---- local paths, as they are on the host


def preflight_errors(house: House, path: str) -> list[dict[str, Any]]:
    arrange(house, {"source": {"path": path}})
    found = house.http.post("/api/v1/models/nasty/preflight").json()["findings"]
    return [one for one in found if one["severity"] == "error"]


def test_a_link_that_leaves_the_model_root_is_refused(house: House) -> None:
    """Also in the middle of the path; and `force` does not open it either."""
    outside = house.sim.dir / "outside" / "tune"
    if not outside.exists():
        shutil.copytree(house.sim.model(ONE), outside)
        Path(house.sim.model("escape")).symlink_to(outside)
        Path(house.sim.model("through")).symlink_to(outside.parent)
    for name in ("escape", "through/tune"):
        errors = preflight_errors(house, house.sim.model(name))
        assert [one["code"] for one in errors] == ["files_outside"], errors
        assert str(outside) in errors[0]["message"], errors
        record = house.swap("nasty", force=True)
        assert record["state"] in {"failed", "rolled_back"}
        assert record["error"]["code"] == "files_outside"


def test_a_link_within_the_model_root_is_followed(house: House) -> None:
    inside = Path(house.sim.model("inside"))
    if not inside.exists():
        inside.symlink_to(house.sim.model(ONE))
    assert preflight_errors(house, str(inside)) == []


def test_a_shard_that_leads_nowhere_is_named(house: House) -> None:
    path = Path(copied(house, "dangling"))
    shard = next(path.glob("*.safetensors"))
    shard.unlink()
    shard.symlink_to("../gone/blob")
    errors = preflight_errors(house, str(path))
    assert len(errors) == 1, errors
    assert shard.name in errors[0]["message"]
    assert house.swap("nasty")["state"] in {"failed", "rolled_back"}


# ---- settings with mistakes

MISTAKES = """\
hosts:
  - {name: "spark 1", address: 192.0.2.1}
  - {name: spark-2, address: "-oProxyCommand=x", user: "root;id"}
  - {name: spark-2, address: 192.0.2.3, port: 70000}
engine:
  launcher: podman
  port: none
  model_roots: [relative/path]
  drain_seconds: -1
services:
  - {name: asr, kind: nothing, host: spark-7, port: 8001}
gateway: {max_upload_mb: 0}
surprise: true
"""


def test_ten_mistakes_are_told_at_once_without_a_traceback() -> None:
    """Exit status 2, and one message that names every setting that is wrong."""
    with tempfile.TemporaryDirectory() as data:
        Path(data, "config.yaml").write_text(MISTAKES)
        ended = subprocess.run(
            [sys.executable, "-m", "server.cli.main", "serve", "--data", data, "--port", "1"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
            env={**os.environ, "SPARK_CONTROL_LOG__LEVEL": "shout"},
            check=False,
        )
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    for place in (
        "hosts.0.name",
        "hosts.1.address",
        "hosts.1.user",
        "hosts.2.port",
        "hosts.2.name",
        "engine.launcher",
        "engine.port",
        "engine.model_roots",
        "engine.drain_seconds",
        "services.0.kind",
        "services.0.host",
        "gateway.max_upload_mb",
        "surprise",
        "SPARK_CONTROL_LOG__LEVEL",
    ):
        assert place in ended.stderr, f"{place} is not told:\n{ended.stderr}"


def test_the_app_is_well_after_all_this(house: House) -> None:
    """Nothing above made a mistake of ours: no traceback in its log, and it still swaps."""
    assert "Traceback" not in house.log.read_text()
    assert house.swap(ONE)["state"] == "serving"
    until(lambda: house.chat(ONE).status_code == 200, "an answer")
