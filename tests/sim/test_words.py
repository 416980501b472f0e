"""The pure parts: scenarios, command lines, templates, model files, chosen words."""

import json
import struct
from itertools import islice
from pathlib import Path

import pytest

from server.sim import models, scenario
from server.sim.docker import words as docker_words
from server.sim.docker.template import fill
from server.sim.docker.words import DockerError
from server.sim.engine import options, words
from server.sim.engine.directory import LoadError, open_directory, read_shard
from server.sim.engine.options import UsageError
from server.sim.families import config_for
from server.sim.launcher import options as launcher
from server.sim.memory import Claim, figures, meminfo
from server.sim.scenario import GIB, Scenario, ScenarioError


def test_a_scenario_names_every_mistake_at_once() -> None:
    """A misspelt key must not become a test that proves nothing."""
    with pytest.raises(ScenarioError) as caught:
        Scenario().changed({"fial": "oom", "load_seconds": -1, "disk_full": 1, "answer": "maybe"})
    for key in ("fial", "load_seconds", "disk_full", "answer"):
        assert key in str(caught.value)


def test_a_broken_scenario_file_is_an_error_and_an_absent_one_the_default(tmp_path: Path) -> None:
    """Half-written JSON is not the default scenario."""
    path = tmp_path / "scenario.json"
    assert scenario.read(path) == Scenario()
    path.write_text("{")
    with pytest.raises(ScenarioError, match="not JSON"):
        scenario.read(path)


def test_memory_that_is_claimed_pushes_out_the_page_cache_and_never_goes_below_nothing() -> None:
    """MemAvailable falls with claims, the cache gives way, and starving is told as pressure."""
    told = Scenario(page_cache_bytes=60 * GIB)
    idle = figures(told, [])
    claim = Claim(pid=1, ticks=1, bytes=100 * GIB, name="x", busy=True)
    full = figures(told, [claim, claim])
    one = figures(told, [claim])
    assert idle.cached == 60 * GIB
    assert one.cached < 20 * GIB
    assert idle.available - one.available > 95 * GIB
    assert (full.free, full.available, full.starving) == (0, 0, True)
    assert "MemTotal:       127611700 kB" in meminfo(idle)


@pytest.mark.parametrize(
    ("argv", "name", "flags", "rest"),
    [
        (
            "run -d --rm --name=a -e A=1 -eB=2 img cmd -d",
            "run",
            {"detach", "rm"},
            ("img", "cmd", "-d"),
        ),
        ("ps -aq --no-trunc -f name=x", "ps", {"all", "quiet", "no-trunc"}, ()),
        ("logs -f --tail 5 c", "logs", {"follow"}, ("c",)),
        ("container ls -a", "ps", {"all"}, ()),
        ("exec -i c sh -c -- x", "exec", {"interactive"}, ("c", "sh", "-c", "--", "x")),
        ("rm -fv c", "rm", {"force", "volumes"}, ("c",)),
    ],
)
def test_docker_command_lines_are_read_as_docker_reads_them(
    argv: str, name: str, flags: set[str], rest: tuple[str, ...]
) -> None:
    """Clusters, inline values, and options that belong to the command inside."""
    command = docker_words.parse(argv.split())
    assert (command.name, command.flags, command.words) == (name, flags, rest)


@pytest.mark.parametrize("argv", ["run --bogus x", "run -Z x", "logs", "run --name", "nonsense"])
def test_wrong_docker_command_lines_are_refused(argv: str) -> None:
    """With an exit code that is not 0."""
    with pytest.raises(DockerError) as caught:
        docker_words.parse(argv.split())
    assert caught.value.code in (1, 125)


def test_templates() -> None:
    """Fields, json, index, booleans and lists as Go prints them."""
    body = {"A": {"B": True, "C": [1, "x"], "D": None}}
    assert (
        fill("{{.A.B}} {{ json .A.C }} {{index .A.C 1}} {{.A.C}}", body) == 'true [1,"x"] x [1 x]'
    )
    for wrong in ("{{.A.X}}", "{{upper .A}}", "{{index .A.C 9}}"):
        with pytest.raises(DockerError):
            fill(wrong, body)


def test_vllm_flags_are_known_with_their_forms() -> None:
    """Inline and separate values, underscores, several names, human sizes, JSON, negation."""
    given = options.parse(
        [
            "org/model",
            "--max_model_len=32K",
            "--served-model-name", "a", "b",
            "-tp", "2",
            "--enable-prefix-caching",
            "--no-enable-chunked-prefill",
            "--speculative-config", '{"method": "mtp"}',
            "--compilation-config.level", "3",
        ]
    )  # fmt: skip
    assert given.model == "org/model"
    assert given.whole("max-model-len", 0) == 32768
    assert given.many["served-model-name"] == ["a", "b"]
    assert given.whole("tensor-parallel-size", 1) == 2
    assert given.toggles == {"enable-prefix-caching"}
    with pytest.raises(UsageError, match="--nope --no-such"):
        options.parse(["m", "--nope", "--no-such"])
    with pytest.raises(UsageError, match="invalid int value: 'many'"):
        options.parse(["m", "--port", "many"]).whole("port", 1)


def test_launcher_options_differ_by_age() -> None:
    """-e is new; an action became mandatory; words after exec are the command's."""
    given = launcher.parse(["--solo", "-e", "A=b", "-d", "exec", "vllm", "-d"], old=False)
    assert (given.flags, given.all("env"), given.command) == (
        {"--solo", "-d"},
        ["A=b"],
        ["vllm", "-d"],
    )
    assert launcher.parse([], old=True).action == "start"
    for argv, old in (([], False), (["--solo"], True), (["exec"], False), (["-n"], False)):
        with pytest.raises(launcher.UsageError):
            launcher.parse(argv, old=old)


def test_model_directories_are_whole_and_true_to_their_formats(tmp_path: Path) -> None:
    """Every shard of the index is a safetensors file; the family's numbers are in the config."""
    models.write_directory(tmp_path, "Qwen/Qwen3-32B-FP8")
    directory = open_directory(tmp_path, "x")
    assert directory.config["num_hidden_layers"] == 64
    assert directory.kv_bytes_per_token(2) == 2 * 64 * 8 * 128 * 2
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    total = sum(read_shard(tmp_path, shard).bytes for shard in directory.shards)
    assert total == index["metadata"]["total_size"]
    raw = (tmp_path / directory.shards[0]).read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    assert (8 + length) % 8 == 0
    assert "model.embed_tokens.weight" in json.loads(raw[8 : 8 + length])


@pytest.mark.parametrize("damage", [b"", b"1234567", b"\xff" * 64])
def test_damaged_shards_are_found(tmp_path: Path, damage: bytes) -> None:
    """Too short, or a header that points beyond the end."""
    (tmp_path / "a.safetensors").write_bytes(damage)
    with pytest.raises(LoadError) as caught:
        read_shard(tmp_path, "a.safetensors")
    assert caught.value.kind == "SafetensorError"


def test_a_cut_off_shard_is_found(tmp_path: Path) -> None:
    """As an interrupted copy leaves it."""
    models.write_directory(tmp_path, "Qwen/Qwen3-0.6B")
    shard = tmp_path / "model-00001-of-00003.safetensors"
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(LoadError, match="file not fully covered"):
        read_shard(tmp_path, shard.name)


def test_every_family_has_a_loadable_config(tmp_path: Path) -> None:
    """Repositories of the usual names, and one nobody knows."""
    for number, name in enumerate(("openai/gpt-oss-120b", "meta-llama/Llama-3.3-70B", "a/b")):
        path = tmp_path / str(number)
        models.write_directory(path, name)
        assert open_directory(path, name).context > 0
        assert config_for(name)["architectures"]


def test_an_answer_is_honest_and_the_same_for_the_same_prompt() -> None:
    """It begins by saying what it is; another prompt or seed gives other words."""
    vocabulary = ("one", "two", "three", "four", "five")

    def text(prompt: str, seed: int = 0) -> str:
        return "".join(islice(words.answer("m", prompt, vocabulary, seed), 40))

    assert text("hello").startswith("[simulated] This is a simulated engine serving m.")
    assert text("hello") == text("hello")
    assert len({text("hello"), text("other"), text("hello", 1)}) == 3
