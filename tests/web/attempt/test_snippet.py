"""The code beside a form: what is pasted into a shell or a file asks exactly what the form says."""

import ast
import json
import shlex
import subprocess
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.web.pages.attempt import ask
from server.web.pages.attempt.ask import (
    EXAMPLE,
    TASKS,
    ChatAsk,
    CompareAsk,
    HearAsk,
    SpeakAsk,
    Turn,
)
from server.web.pages.attempt.quoted import NEXT_LINE
from server.web.pages.attempt.snippet import LONGEST_ARGUMENT, code
from server.web.pages.draw import shown

BASE = "http://box.lan:9999"
# Everything UTF-8 can carry; what browsers send holds nothing else.
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
HARD = st.text(alphabet="'\"\\$`!\n\r\t ;,@#{}&|<>é\u202e\x00\x1b\x7f\U0001f642", max_size=40)
TEXT = st.one_of(ANY, HARD)
LINE = TEXT.filter(lambda text: text.isprintable() and bool(text))
TURNS = st.lists(st.builds(Turn, st.sampled_from(["user", "assistant"]), TEXT), max_size=3)
CHAT = st.builds(
    ChatAsk,
    LINE,
    TEXT,
    TURNS.map(tuple),
    TEXT,
    st.none() | st.floats(0, 2),
    st.none() | st.integers(1, 9999),
)
JSON_ASKS = st.one_of(
    CHAT, st.builds(SpeakAsk, LINE, TEXT, LINE), st.builds(CompareAsk, LINE, TEXT, TEXT)
)
HEARD = st.builds(
    HearAsk,
    LINE,
    st.sampled_from(TASKS),
    language=st.just("pt-BR"),
    filename=LINE.filter(str.strip),
    diarize=st.booleans(),
    second=LINE.filter(str.strip),
)


def unquoted(name: str) -> str:
    """As curl reads it."""
    if not name.startswith('"'):
        return name
    return name[1:-1].replace('\\"', '"').replace("\\\\", "\\")


def words(command: str) -> list[str]:
    """As a shell takes them, but for the key, which only a shell knows."""
    return shlex.split(command.replace(NEXT_LINE, " "))


def after(argv: list[str], flag: str) -> list[str]:
    return [value for name, value in pairwise(argv) if name == flag]


def body(one: ChatAsk | SpeakAsk | CompareAsk) -> dict[str, Any]:
    return one.body(stream=True) if isinstance(one, ChatAsk) else one.body


def arguments(python: str, function: str) -> dict[str, Any]:
    """The literal arguments of one call in the code."""
    for node in ast.walk(ast.parse(python)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == function:
            return {
                one.arg: ast.literal_eval(one.value)
                for one in node.keywords
                if one.arg and one.arg not in {"api_key", "file", "cast_to", "files"}
            }
    raise AssertionError(f"no {function} in:\n{python}")


@given(JSON_ASKS)
@settings(max_examples=200)
def test_the_shell_hands_curl_the_very_body(one: ChatAsk | SpeakAsk | CompareAsk) -> None:
    """Quotes, line breaks, controls and direction marks of a text do not change what is sent."""
    argv = words(code("any", one, BASE).curl)
    assert argv[0] == "curl"
    assert argv[1].startswith(f"{BASE}/v1/")
    (sent,) = after(argv, "-d")
    assert json.loads(sent) == body(one)
    assert "Authorization: Bearer $SPARK_KEY" in after(argv, "-H")


@given(JSON_ASKS)
@settings(max_examples=200)
def test_python_compiles_and_says_the_same(one: ChatAsk | SpeakAsk | CompareAsk) -> None:
    """Each text stands in it as its literal."""
    made = code("any", one, BASE).python
    functions = {
        ChatAsk: "client.chat.completions.create",
        SpeakAsk: "client.audio.speech.with_streaming_response.create",
        CompareAsk: "client.embeddings.create",
    }
    assert arguments(made, functions[type(one)]) == body(one)
    assert arguments(made, "OpenAI") == {"base_url": f"{BASE}/v1"}


@given(st.one_of(JSON_ASKS, HEARD))
@settings(max_examples=200)
def test_the_code_is_shown_as_it_is(one: ask.Ask) -> None:
    """The page makes hidden letters visible: in code there are none left to change."""
    made = code("any", one, BASE)
    assert shown(made.curl) == made.curl
    assert shown(made.python) == made.python


@given(HEARD)
@settings(max_examples=200)
def test_a_form_of_curl_has_the_fields_and_the_file(one: HearAsk) -> None:
    """A field is never taken for a file, whatever it begins with."""
    argv = words(code("any", one, BASE).curl)
    fields = dict(pair.partition("=")[::2] for pair in after(argv, "--form-string"))
    assert fields == one.fields
    sent = (pair.partition("=@") for pair in after(argv, "-F"))
    assert tuple((field, unquoted(name)) for field, _, name in sent) == one.files
    compile(code("any", one, BASE).python, "code", "exec")


@pytest.mark.parametrize(
    "text", ["it's $HOME `id` \\ !x", 'a "b"\nc', "é\u202e\x00\x1b[0m", "'; x"]
)
def test_a_real_shell_agrees(text: str) -> None:
    """`bash` gives back the body, and the key from its environment."""
    made = code("chat", ChatAsk("m", text), BASE).curl
    script = "curl() { printf '%s\\0' \"$@\"; }\n" + made
    got = subprocess.run(
        ["bash", "-c", script],
        env={"SPARK_KEY": "sk-spark-x"},
        capture_output=True,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    argv = got.stdout.decode().split("\0")
    assert json.loads(after(argv, "-d")[0])["messages"][0]["content"] == text
    assert after(argv, "-H")[0] == "Authorization: Bearer sk-spark-x"


def test_a_body_longer_than_an_argument_may_be_comes_by_standard_input() -> None:
    """Linux takes 128 KiB in one word."""
    long = ChatAsk("m", "x" * LONGEST_ARGUMENT)
    made = code("chat", long, BASE).curl
    script = "curl() { cat; }\n" + made
    got = subprocess.run(["bash"], input=script.encode(), capture_output=True, check=True, env={})
    assert json.loads(got.stdout) == long.body(stream=True)


def test_the_code_of_an_empty_form_asks_an_example() -> None:
    """It can be run as it stands."""
    asked = ask.chat({"model": "m"}, complete=False)
    assert asked.messages == [{"role": "user", "content": EXAMPLE}]


def test_after_an_answer_the_code_asks_the_last_question() -> None:
    """A conversation that ends with an answer is no request."""
    turns = (Turn("user", "a"), Turn("assistant", "b"))
    assert [one["content"] for one in ChatAsk("m", "", turns).messages] == ["a"]
    assert [one["content"] for one in ChatAsk("m", "c", turns).messages] == ["a", "b", "c"]


def test_a_question_without_an_answer_is_not_asked_together_with_the_next() -> None:
    """Many models refuse two questions in a row."""
    turns = (Turn("user", "a"), Turn("user", "b"))
    assert [one["content"] for one in ChatAsk("m", "c", turns).messages] == ["c"]
