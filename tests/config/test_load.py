"""Settings come from three places in a fixed order, and every mistake is named at once."""

import itertools
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.config.load import ConfigError, load, settle
from server.config.model import Host, Settings

TEN = """\
hosts:
  - {name: spark_1, address: 192.0.2.11}
  - {name: spark-2, address: "192.0.2.12; reboot", port: 99999}
  - {name: spark-2, addres: 192.0.2.13}
engine:
  launcher: podman
  model_roots: [srv/models]
  stop_seconds: soon
services:
  - {name: kokoro, kind: tts, host: spark-9, port: 8880}
gatway: {auto_swap: true}
"""
ENVIRON = {"SPARK_CONTROL_LOG__LEVEL": "loud", "SPARK_CONTROL_ENGINE__PROT": "8000"}


def problems(text: str | bytes, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    raw = text.encode() if isinstance(text, str) else text
    with pytest.raises(ConfigError) as caught:
        settle(raw, environ or {})
    return caught.value.problems


def test_a_config_with_many_mistakes_gives_one_message_with_all_of_them(tmp_path: Path) -> None:
    """Each names the file and line (or the variable), the setting, what is wrong, what to do."""
    (tmp_path / "config.yaml").write_text(TEN)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, ENVIRON)
    wanted = [
        ("config.yaml line 2: hosts.0.name: ", "not a valid name: use lower-case letters"),
        ("config.yaml line 3: hosts.1.address: ", "use a DNS name"),
        ("config.yaml line 3: hosts.1.port: ", "whole number from 1 to 65535, not 99999"),
        ("config.yaml line 4: hosts.2.address: ", "is missing: add it"),
        ("config.yaml line 4: hosts.2.addres: ", "did you mean 'address'?"),
        ("config.yaml line 4: hosts.2.name: ", "'spark-2' is used twice"),
        ("config.yaml line 6: engine.launcher: ", "one of docker, launch-cluster, bare"),
        ("config.yaml line 7: engine.model_roots.0: ", "absolute"),
        ("config.yaml line 8: engine.stop_seconds: ", "a number from 0 to 600, not 'soon'"),
        ("config.yaml line 10: services.0.host: ", "names the host 'spark-9'"),
        ("config.yaml line 11: gatway: ", "did you mean 'gateway'?"),
        ("SPARK_CONTROL_ENGINE__PROT: ", "did you mean SPARK_CONTROL_ENGINE__PORT?"),
        ("SPARK_CONTROL_LOG__LEVEL: ", "one of debug, info, warning, error, not 'loud'"),
    ]
    found = caught.value.problems
    for place, what in wanted:
        assert any(line.startswith(place) and what in line for line in found), (place, found)
    assert len(found) == len(wanted)
    assert all(line in caught.value.message for line in found)
    assert str(tmp_path) not in caught.value.message
    assert "pydantic" not in caught.value.message


def test_no_file_and_no_variables_give_the_defaults(tmp_path: Path) -> None:
    """A first start works with an empty directory."""
    assert load(tmp_path, {}) == Settings()


def test_the_environment_wins_over_the_file_which_wins_over_the_defaults() -> None:
    """One precedence for all settings."""
    text = b"engine: {port: 8001, image: mine}\nlog: {level: debug}\n"
    settings = settle(text, {"SPARK_CONTROL_ENGINE__PORT": "8002"})
    assert settings.engine.port == 8002
    assert settings.engine.image == "mine"
    assert settings.log.level == "debug"
    assert settings.gateway == Settings().gateway


def test_variables_are_converted_by_the_schema() -> None:
    """Text becomes numbers and switches, JSON becomes lists, whatever the case of the name."""
    settings = settle(
        b"engine: {default_host: a, eth_if: eth0}\nhosts: [{name: a, address: h}]",
        {
            "SPARK_CONTROL_ENGINE__MODEL_ROOTS": '["/srv/models", "/mnt/m"]',
            "spark_control_gateway__auto_swap": "false",
            "SPARK_CONTROL_FLEET__SAMPLE_SECONDS": "2.5",
            "SPARK_CONTROL_ENGINE__ETH_IF": "null",
            "SPARK_CONTROL_ENGINE__PORT": "",
            "SPARK_CONTROL_HOSTS": '[{"name": "a", "address": "192.0.2.1"}]',
        },
    )
    assert settings.engine.model_roots == ("/srv/models", "/mnt/m")
    assert settings.gateway.auto_swap is False
    assert settings.fleet.sample_seconds == 2.5
    assert settings.engine.eth_if is None
    assert settings.engine.port == 8000
    assert settings.hosts == (Host(name="a", address="192.0.2.1"),)


def test_a_section_as_json_is_merged_and_a_named_key_wins() -> None:
    """`SPARK_CONTROL_ENGINE` is laid over the file; `SPARK_CONTROL_ENGINE__PORT` over both."""
    settings = settle(
        b"engine: {port: 1, image: a, container: c}",
        {
            "SPARK_CONTROL_ENGINE__PORT": "3",
            "SPARK_CONTROL_ENGINE": json.dumps({"port": 2, "image": "b"}),
        },
    )
    assert (settings.engine.port, settings.engine.image, settings.engine.container) == (3, "b", "c")


def test_other_peoples_variables_are_no_mistakes() -> None:
    """Only names that can be meant as a setting are ours (Kubernetes sets `…_PORT`, for one)."""
    environ = {
        "SPARK_CONTROL_PORT": "tcp://192.0.2.1:9999",
        "SPARK_CONTROL_SERVICE_HOST": "192.0.2.1",
        "SPARK_CONTROL_DATA": "/data",
        "SPARK_CONTROL_URL": "http://x",
        "PATH": "/bin",
    }
    assert settle(b"", environ) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("SPARK_CONTROL_ENGINE__MODEL_ROOTS", "/srv", "is not valid JSON: write it like"),
        ("SPARK_CONTROL_HOSTS", "[", "is not valid JSON"),
        ("SPARK_CONTROL_HOSTS", '[{"name": "a"}]', "hosts.0.address: is missing"),
        ("SPARK_CONTROL_HOSTS__0", "x", "give all of it as JSON in SPARK_CONTROL_HOSTS"),
        ("SPARK_CONTROL_ENGINE__PORT__X", "1", "engine has no setting"),
        ("SPARK_CONTROL_ENGIN__PORT", "1", "did you mean SPARK_CONTROL_ENGINE__PORT?"),
        ("SPARK_CONTROL_NOPE__X", "1", "there is no section 'nope'"),
        ("SPARK_CONTROL_ENGINE", "5", "group of settings"),
        ("SPARK_CONTROL_ENGINE__DEFAULT_HOST", "nobody", "names the host 'nobody'"),
        ("SPARK_CONTROL_ENGINE__PORT", "0", "from 1 to 65535"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str, what: str) -> None:
    """The message names the variable, not a place in a file that is right."""
    (line,) = problems("", {name: value})
    assert line.startswith(f"{name}: ")
    assert what in line


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("hosts:\n  - {name: a\n", 3, "not valid YAML"),
        ("log:\n\tlevel: info\n", 2, "not valid YAML"),
        ("log: {level: info}\n---\nlog: {}\n", 2, "not valid YAML"),
        ("a\n", 1, "settings written as"),
        ("- a\n", 1, "settings written as"),
        ("log:\n  level: info\n  level: debug\n", 3, "given twice (first on line 2)"),
        ("log: {}\nlog: {}\n", 2, "given twice"),
        ("engine: &a [*a]\n", 1, "repeats itself"),
        ("engine:\n  image: !!python/name:os.system\n", 2, "not a value that YAML knows"),
        ("engine:\n  image: 2024-13-45\n", 2, "not a value that YAML knows"),
        ("engine:\n  ? [a]\n  : b\n", 2, "a key that is not text"),
        ("engine:\n  port: yes\n", 2, "yes/no"),
        ("engine:\n  port:\n", 2, "is empty: give it a value"),
        ("engine:\n  image: 5\n", 2, "must be text, not 5: put it in quotes"),
        ("engine: 5\n", 1, "must be a group of settings"),
        ("hosts: {name: a}\n", 1, "must be a list"),
        ("hosts: [a]\n", 1, "must be a group"),
        ("engine:\n  model_roots: /srv\n", 2, "must be a list of text"),
        ("engine:\n  image: *nope\n", 2, "not valid YAML"),
        (b"log: {}\n# \xff\n", 2, "not UTF-8"),
        (b"log: {}\n# \x00\n", 2, "control character"),
    ],
)
def test_a_mistake_in_the_writing_is_named_with_its_line(
    text: str | bytes, line: int, what: str
) -> None:
    """What a YAML reader passes over or dies of is a sentence with a line here."""
    assert any(p.startswith(f"config.yaml line {line}: ") and what in p for p in problems(text))


@pytest.mark.parametrize("text", ["[" * 3000, "#" * (1 << 20) + "\n", "a: " + "{b: " * 2000])
def test_a_hostile_file_is_refused_and_not_followed(text: str) -> None:
    """Depth and size have ends."""
    (line,) = problems(text)
    assert line.startswith("config.yaml")


def test_anchors_that_explode_are_stopped() -> None:
    """Nine lines must not become a billion values."""
    names = "abcdefghi"
    rows = [f"{names[0]}: &{names[0]} [x, x, x, x, x, x, x, x, x]"]
    for before, name in itertools.pairwise(names):
        rows.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    assert any("repeats itself" in line for line in problems("\n".join(rows)))


def test_merge_keys_and_empty_sections_are_understood() -> None:
    """What people write in YAML works: `<<`, a section with all lines commented out, a BOM."""
    text = (
        "hosts:\n"
        "  - &one {name: a, address: h, user: me}\n"
        "  - {<<: *one, name: b}\n"
        "services:\n"
        "  # - {name: x}\n"
    )
    settings = settle(b"\xef\xbb\xbf" + text.encode(), {})
    assert [(h.name, h.user) for h in settings.hosts] == [("a", "me"), ("b", "me")]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A directory in its place, say."""
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(ConfigError, match=r"config\.yaml: cannot be read"):
        load(tmp_path, {})


def test_values_in_messages_are_inert() -> None:
    """A value that is echoed cannot drive the terminal it is shown on, nor flood it."""
    text = 'log: {level: "\\e[31mred\\nline\\u202e", format: "' + "x" * 5000 + '"}'
    for line in problems(text):
        assert line.isprintable()
        assert len(line) < 300


@given(
    raw=st.one_of(
        st.binary(max_size=200),
        st.text("hosts: enginport[]{}-,&*!|>'\"#\n\t1", max_size=120).map(str.encode),
    ),
    environ=st.dictionaries(
        st.sampled_from(
            [
                "SPARK_CONTROL_HOSTS",
                "SPARK_CONTROL_ENGINE",
                "SPARK_CONTROL_ENGINE__PORT",
                "SPARK_CONTROL_LOG__LEVEL",
                "SPARK_CONTROL_X__Y",
                "SPARK_CONTROL___",
            ]
        ),
        st.text(max_size=30),
        max_size=3,
    ),
)
def test_any_input_gives_settings_or_one_clear_error(raw: bytes, environ: dict[str, str]) -> None:
    """Never a traceback, whatever is in the file and the environment."""
    try:
        found = settle(raw, environ)
    except ConfigError as error:
        lines = error.problems
    else:
        lines = ("none",) if isinstance(found, Settings) else ()
    assert lines
    assert all(line.replace("\u200d", "").isprintable() for line in lines)


def test_names_must_be_safe_words() -> None:
    """What becomes part of a remote command is held to its alphabet here already."""
    for hostile in (
        "$(reboot)",
        "a;b",
        "-oProxyCommand=x",
        "a b",
        "a\nb",
        "\N{CYRILLIC SMALL LETTER A}",
        "..",
        "",
    ):
        text = json.dumps(
            {"hosts": [{"name": hostile, "address": hostile, "user": hostile or "-"}]}
        )
        assert len(problems(text)) >= 3, hostile
    for hostile in ("relative", "/a/../b", "/a//b", "/a/", "~/x", "/a\0b", "/a\nb", "/a\u202eb"):
        assert problems(json.dumps({"engine": {"model_roots": [hostile], "hf_home": hostile}}))
    for hostile in ("x/../y", "x//y", "-v", "X", "x y", "x;y"):
        assert problems(json.dumps({"engine": {"image": hostile}})), hostile


def test_the_program_reads_only_what_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment is an argument."""
    monkeypatch.setitem(os.environ, "SPARK_CONTROL_LOG__LEVEL", "loud")
    assert load(tmp_path, {}).log.level == "info"
