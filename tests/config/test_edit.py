"""Changes to the text of `config.yaml` keep every comment and every line not meant."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from server.config import edit

WRITTEN = """\
# My cluster
hosts:
  - {name: spark-1, address: 192.0.2.11}   # left
  # the loud one
  - {name: spark-2, address: 192.0.2.12}   # right

# Voice
services:
  - name: kokoro
    kind: tts
    host: spark-2   # has the speakers
    port: 8880
engine: {port: 8000, image: vllm-node}  # as built
gateway:
  auto_swap: yes   # handy
"""
NEW = {"name": "spark-3", "address": "192.0.2.13", "labels": ["llm"]}


def test_a_host_is_added_below_the_last_one_and_above_the_next_comment() -> None:
    """An appended item stands at the end of its own list, whatever comment follows that list."""
    text = edit.append_item(WRITTEN, "hosts", NEW)
    last = "  - {name: spark-2, address: 192.0.2.12}   # right\n"
    added = "  - {name: spark-3, address: 192.0.2.13, labels: [llm]}\n"
    assert text == WRITTEN.replace(last, last + added)


def test_an_item_is_added_in_the_style_of_its_neighbours() -> None:
    """A list written in blocks gets a block."""
    text = edit.append_item(
        WRITTEN, "services", {"name": "qdrant", "kind": "qdrant", "host": "spark-1", "port": 6333}
    )
    block = "  - name: qdrant\n    kind: qdrant\n    host: spark-1\n    port: 6333\n"
    assert text == WRITTEN.replace("    port: 8880\n", "    port: 8880\n" + block)


def test_an_item_is_removed_with_its_own_line_only() -> None:
    """Comments on lines of their own stay, also those around the removed item."""
    text = edit.remove_item(WRITTEN, "hosts", 1)
    assert text == WRITTEN.replace("  - {name: spark-2, address: 192.0.2.12}   # right\n", "")
    text = edit.remove_item(WRITTEN, "services", 0)
    assert "# Voice\nservices:\nengine:" in text


def test_a_value_is_changed_in_its_place_and_its_comment_stays() -> None:
    """Only the characters of the value are replaced."""
    text = edit.change_item(WRITTEN, "services", 0, {"host": "spark-1", "scheme": "https"})
    assert text == WRITTEN.replace("host: spark-2   #", "host: spark-1   #").replace(
        "    port: 8880\n", "    port: 8880\n    scheme: https\n"
    )
    text = edit.change_item(WRITTEN, "hosts", 0, {"address": "192.0.2.99", "port": 2222})
    assert "  - {name: spark-1, address: 192.0.2.99, port: 2222}   # left\n" in text


def test_keys_of_a_section_are_changed_in_both_styles() -> None:
    """A group in braces and a group in lines are both edited in their own style."""
    text = edit.change_section(WRITTEN, "engine", {"port": 8001, "launcher": "bare"})
    assert "engine: {port: 8001, image: vllm-node, launcher: bare}  # as built\n" in text
    text = edit.change_section(WRITTEN, "gateway", {"auto_swap": False, "queue_seconds": 5})
    assert text.endswith("gateway:\n  auto_swap: false   # handy\n  queue_seconds: 5\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing yet\n",
        "hosts:\n",
        "hosts:   # none yet\n",
        "hosts: []   # none yet\n",
        "hosts: null\n",
        "hosts: ~",
        "log: {level: debug}",
        "{}",
        '{"hosts": []}',
        '{"log": {"level": "debug"}}',
        "hosts:\n\nlog:\n  level: debug\n",
        "hosts:\r\n\r\nlog:\r\n  level: debug\r\n",
    ],
)
def test_the_first_host_finds_its_place_in_any_file(text: str) -> None:
    """Empty lists, absent sections and JSON are places to put a first host."""
    before = yaml.safe_load(text) or {}
    after = edit.append_item(text, "hosts", NEW)
    assert yaml.safe_load(after) == {**before, "hosts": [NEW]}
    assert all(comment in after for comment in ("# none yet",) if comment in text)
    assert ("\r\n" in text) == ("\r\n" in after)


def test_a_list_in_brackets_loses_and_gains_items() -> None:
    """Brackets keep their commas right wherever an item goes."""
    text = "hosts: [{name: a}, {name: b}, {name: c}] # three\n"
    for index in range(3):
        kept = [{"name": name} for i, name in enumerate("abc") if i != index]
        after = edit.remove_item(text, "hosts", index)
        assert yaml.safe_load(after) == {"hosts": kept}
        assert after.endswith("# three\n")
    assert yaml.safe_load(edit.append_item(text, "hosts", {"name": "d"}))["hosts"][3] == {
        "name": "d"
    }


def test_a_list_below_its_key_is_replaced_whole() -> None:
    """A value in a block (also one not indented) becomes a value on the line of its key."""
    for text in (
        "engine:\n  model_roots:\n  - /a\n  - /b\n  port: 1\n",
        "engine:\n  port: 1\n  model_roots:\n    - /a\n",
    ):
        after = edit.change_section(text, "engine", {"model_roots": ["/c", "/d"]})
        assert yaml.safe_load(after) == {"engine": {"port": 1, "model_roots": ["/c", "/d"]}}


words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12)
values = st.one_of(
    words, st.integers(-5, 70000), st.booleans(), st.none(), st.lists(words, max_size=3)
)
comments = st.sampled_from(["", "  # why", "\n  # own line", "\n"])


@st.composite
def files(draw: st.DrawFn) -> tuple[str, list[dict[str, object]]]:
    """A config file as a person could write it: any style of items, comments, blank lines."""
    items = draw(
        st.lists(
            st.dictionaries(st.sampled_from("abcd"), values, min_size=1, max_size=4), max_size=4
        )
    )
    lines = ["# head", f"hosts:{draw(st.sampled_from(['', '  # list']))}"]
    for item in items:
        if draw(st.booleans()):
            lines.append(f"  - {{{', '.join(f'{k}: {edit._flow(v)}' for k, v in item.items())}}}")
        else:
            pairs = [
                f"{k}: {edit._flow(v)}{draw(st.sampled_from(['', '  # c']))}"
                for k, v in item.items()
            ]
            lines.append("  - " + "\n    ".join(pairs))
        lines[-1] += draw(comments)
    lines += draw(
        st.sampled_from([[], ["", "# tail", "log: {level: info}"], ["log:", "  level: info"]])
    )
    return "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n"])), items


@settings(max_examples=150, deadline=None)
@given(
    file=files(), item=st.dictionaries(st.sampled_from("abcde"), values, min_size=1), data=st.data()
)
def test_any_edit_means_what_was_asked_and_keeps_every_comment(
    file: tuple[str, list[dict[str, object]]], item: dict[str, object], data: st.DataObject
) -> None:
    """Whatever the style, the edited text reads as the edited data; own-line comments stay."""
    text, items = file
    rest = {k: v for k, v in yaml.safe_load(text).items() if k != "hosts"}

    def means(after: str, expected: list[dict[str, object]]) -> None:
        assert yaml.safe_load(after) == {**rest, "hosts": expected or None}
        for comment in ("# head", "# own line", "# tail", "# list"):
            assert after.count(comment) == text.count(comment)

    means(edit.append_item(text, "hosts", item), [*items, item])
    if items:
        index = data.draw(st.integers(0, len(items) - 1))
        means(edit.remove_item(text, "hosts", index), items[:index] + items[index + 1 :])
        changed = [*items[:index], {**items[index], **item}, *items[index + 1 :]]
        means(edit.change_item(text, "hosts", index, item), changed)
