"""No secret and no control character reaches a log, a page or an error."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.base.redact import (
    REDACTED,
    by_rules,
    escape_controls,
    is_secret_name,
    one_line,
    redact,
    redact_argv,
    strip_ansi,
)

SECRET = "s3cr3tValue99"
KEY = f"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blb{SECRET}\n-----END OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"authorization: Basic {SECRET}",
        f"bearer {SECRET}",
        f"curl -H 'X-API-Key: {SECRET}' http://h",
        f"token hf_{SECRET}AbCdEfGh1234567890 given",
        f"nvapi-{SECRET}",
        f"sk-{SECRET}",
        f"sk-proj-{SECRET}",
        f"HF_TOKEN={SECRET}",
        f"NGC_API_KEY='{SECRET} with blanks'",
        f'DB_PASSWORD="{SECRET}"',
        f"MY_KEY={SECRET},more",
        f"url?token={SECRET}&x=1",
        f"{{'api_key': '{SECRET}', 'port': 1}}",
        f'{{"client_secret": "{SECRET}"}}',
        f"--api-key {SECRET} --port 1",
        f"--hf-token={SECRET}",
        f"password: {SECRET}",
        f"postgresql+asyncpg://me:{SECRET}@db/x",
        f"postgresql://me:p@{SECRET}@db/x",
        f"https://{SECRET}@github.com/x",
        f"Set-Cookie: session={SECRET}; Path=/",
        KEY,
        KEY[:60],
        f"ghp_{SECRET}AbCdEfGh",
    ],
)
def test_what_looks_like_a_secret_is_replaced(text: str) -> None:
    """The shapes secrets come in, wherever they stand."""
    shown = redact(f"before {text} after")
    assert SECRET not in shown
    assert REDACTED in shown
    assert shown.startswith("before ")


@pytest.mark.parametrize(
    "text",
    [
        "vllm serve Qwen/Qwen3-32B --tokenizer-mode auto --max-num-batched-tokens 8192",
        "HF_HOME=/srv/hf HF_HUB_ENABLE_HF_TRANSFER=1 hf_transfer hf_overrides",
        "SSH_KEY_PATH=/data/ssh",
        "disk-usage of task-force-one-two-three",
        "max_tokens=100 tokens: 5",
        "http://192.0.2.11:8000/v1/models?limit=2",
        "ssh://ubuntu@192.0.2.11",
        "the key of host spark-1 has changed: SHA256:abcdef",
        "bus event key=spark-1",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """A redaction that eats ordinary words makes logs useless."""
    assert redact(text) == text


def test_known_secrets_are_found_whatever_they_look_like() -> None:
    """Longest first, so that a secret inside another leaves no rest; short ones are left alone."""
    assert redact("a hunter2 b hunter2000 c", ["hunter2", "hunter2000"]) == (
        f"a {REDACTED} b {REDACTED} c"
    )
    assert redact("a cat", ["a"]) == "a cat"


def test_the_word_after_a_secret_flag_is_hidden() -> None:
    """A command for the screen hides values given as a word of their own."""
    shown = redact_argv(["vllm", "--api-key", "abc", "--token", "--port", "1", "-e", "X_TOKEN=abc"])
    assert shown == [
        "vllm",
        "--api-key",
        REDACTED,
        "--token",
        "--port",
        "1",
        "-e",
        f"X_TOKEN={REDACTED}",
    ]


@pytest.mark.parametrize("name", ["token", "hf_token", "NGC_API_KEY", "password", "Authorization"])
def test_fields_with_a_secret_name_are_known(name: str) -> None:
    """Whatever the value looks like, the name gives it away."""
    assert is_secret_name(name)
    assert not is_secret_name(f"{name}_count")


def test_terminal_codes_and_newlines_are_inert() -> None:
    """One line, whatever a host or a client sends."""
    assert one_line("a\x1b[31mred\x1b[0m\nb\r\tc\x00\x07\x9b") == "ared\\nb\\r\\tc\\x00\\x07\\x9b"
    assert one_line("\x1b]0;title\x07x\x1b]8;;http://e\x1b\\y") == "xy"
    assert one_line("a\u202egnp\u2028\ud800") == "a\\u202egnp\\u2028\\ud800"
    assert one_line("héllo 模型 🚀") == "héllo 模型 🚀"
    assert "\x1b" not in strip_ansi("cut off in the middle \x1b[1;2")
    assert escape_controls("a\nb\x00", keep="\n") == "a\nb\\x00"


def test_a_long_line_is_cut_with_a_mark() -> None:
    """The limit holds, and the reader sees that something is missing."""
    assert one_line("x" * 501) == "x" * 499 + "…"
    assert one_line("x" * 500) == "x" * 500
    assert len(one_line("\x00" * 1_000_000, 80)) == 80


@given(st.text(max_size=300))
def test_one_line_is_always_one_printable_line(text: str) -> None:
    """No input gives a second line, a control character or text that UTF-8 cannot hold."""
    line = one_line(text)
    assert len(line) <= 500
    assert len(line.splitlines()) <= 1
    assert "\x1b" not in line
    line.encode()


@given(st.text(alphabet="abAB01_=:@/ '\"{}-.\nKEYTOKENhf_sk-", max_size=200))
def test_redacting_twice_changes_nothing(text: str) -> None:
    """What is redacted stays redacted and does not grow."""
    once = redact(text)
    assert redact(once) == once


PIECES = [
    *("api_key", "KEY", "toKen", "\u212aey", "pa\u017fswd", "secret", "passphrase", "credentials"),
    *(
        "Authorization",
        "author\u0131zation",
        "x-api-key",
        "set-cookie",
        "Bearer",
        "password",
        "TOKEN",
    ),
    *("hf_", "nvapi-", "sk-", "ghp_", "gho_", "ghs_", "ghu_", "github_pat_", "https", "://", "u@h"),
    *("-----BEGIN ", "PRIVATE KEY", "-----", "-----END ", "--", "-", "=", ":", " ", "'", '"', "\n"),
    *("abcdefghijklmnopqrstuvwxyzabcdef", "S3cr3tValue99aaaaaaaaaa", "x", "/", "&", "_", "\x1b[0m"),
]


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=12))
def test_the_quick_look_lets_nothing_by(pieces: list[str]) -> None:
    """What is passed over as harmless is what no rule would have changed."""
    text = "".join(pieces)
    assert redact(text) == by_rules(text)


def test_hostile_text_costs_no_more_than_its_length() -> None:
    """No pattern explodes: near misses cost time in proportion."""
    for piece in (
        "a",
        "a-",
        "key",
        "://",
        "a:",
        "token",
        "_",
        "http://a:",
        "'",
        "-----BEGIN ",
        "sk-",
    ):
        text = piece * (100_000 // len(piece))
        began = time.perf_counter()
        redact(strip_ansi(text))
        assert time.perf_counter() - began < 2, piece
