"""The tail of a swap's log: bounded, numbered, inert, and kept after the end."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.base.ansi import LOOKS, MOST_SEQUENCES, styled
from server.swap.log import LINE_LIMIT, MOST_LETTERS, MOST_LINES, SAVED_LETTERS, SwapLog
from tests.swap.made import T0, at
from tests.swap.test_service import House, house_at

RED, OFF = "\x1b[31m", "\x1b[0m"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_at(tmp_path) as made:
        yield made


def test_colours_become_words_and_the_text_is_plain() -> None:
    """A page draws them as classes; nothing of the sequence is left."""
    line = styled(f"{RED}ERROR{OFF} free {RED}\x1b[1mnow", 100)
    assert line.text == "ERROR free now"
    assert line.spans == ((0, 5, "red"), (11, 14, "bold red"))


def test_a_palette_is_read_and_a_true_colour_is_passed_over() -> None:
    """Their parameters are not taken for other codes."""
    assert styled("\x1b[38;5;9mred\x1b[38;2;1;4;31mplain", 100).spans[0] == (0, 3, "red")
    assert styled("\x1b[48;5;1mno\x1b[38;5;200mno", 100).spans == ()


def test_other_sequences_and_what_cannot_be_seen_do_nothing() -> None:
    """No cursor, no title, no turned direction, no invisible letters."""
    line = styled("\x1b]0;title\x07\x1b[2J\x1b[9;9Ha\u202eb\x07c\x00\td", 100)
    assert line.text == "a\\u202eb\\x07c\\x00    d"
    assert line.text.isprintable()


def test_a_secret_is_hidden_even_when_colours_cut_through_it() -> None:
    """The colours go, since they would count letters of another text."""
    line = styled(f"token {RED}hf_ABCDEFGH{OFF}12345678abcdef done", 200)
    assert "ABCDEFGH" not in line.text
    assert line.spans == ()


@given(st.text(alphabet=st.sampled_from("\x1b[0123456789;m\x9b\t\nab\u202e]J"), max_size=300))
def test_whatever_comes_the_text_is_inert_and_spans_lie_within(raw: str) -> None:
    """One printable line of bounded length; spans are ordered, apart, and of the known words."""
    line = styled(raw, 80)
    assert len(line.text) <= 80
    assert line.text.isprintable()
    end = 0
    for begin, stop, look in line.spans:
        assert end <= begin < stop <= len(line.text)
        assert set(look.split()) <= LOOKS
        end = stop


def test_only_the_newest_lines_are_kept_and_they_keep_their_numbers() -> None:
    """A load that writes for hours takes no more memory than one that writes for a minute."""
    log = SwapLog("now")
    for number in range(MOST_LINES + 10):
        log.hear(f"line {number}", T0)
    assert (log.first, log.next) == (10, MOST_LINES + 10)
    assert [line.text for line in log.after(log.next - 2)] == ["line 2008", "line 2009"]
    assert [line.number for line in log.after(0, 3)] == [2007, 2008, 2009]
    assert log.after(log.next) == ()
    assert len(log.after(0)) == MOST_LINES


def test_long_lines_count_by_their_letters() -> None:
    """Two thousand of the longest would be four megabytes per swap."""
    log = SwapLog("now")
    for _ in range(MOST_LINES):
        log.hear("x" * (1 << 20), T0)
    kept = log.after(0)
    assert all(len(line.text) == LINE_LIMIT for line in kept)
    assert sum(len(line.text) for line in kept) <= MOST_LETTERS


def test_what_is_saved_is_its_end_and_comes_back_the_same() -> None:
    """With numbers, times, colours and marks; bounded, since it stays."""
    log = SwapLog("run-1")
    log.mark("starting the engine: new on spark-1", T0)
    log.mark("starting the engine: new on spark-1", at(1))
    log.hear(f"{RED}loud{OFF}", at(2))
    again = SwapLog.from_saved(log.to_saved())
    assert again.after(0) == log.after(0)
    assert (again.run, again.next) == ("run-1", 2)
    assert again.texts() == ("loud",)
    for _ in range(MOST_LINES):
        log.hear("x" * LINE_LIMIT, T0)
    saved = log.to_saved()["lines"]
    assert sum(len(line["text"]) for line in saved) <= SAVED_LETTERS
    assert saved[-1]["number"] == log.next - 1


async def test_the_log_of_a_swap_is_kept_with_what_began_when(house: House) -> None:
    """Marks say which engine the lines are of, and how it ended; a restart does not lose it."""
    record = await house.swap("one")
    assert record.log_lines > 0
    await house.restart()
    kept = (await house.service.log(record.id)).after(0)
    assert [line.text for line in kept if line.mark] == [
        "starting the engine: one on spark-1",
        "serving",
    ]
    assert "Loading weights took 1 seconds" in [line.text for line in kept]
    assert (await house.service.log("swap-none")).after(0) == ()


def test_a_line_of_nothing_but_colours_is_plain_after_a_while() -> None:
    """Thousands of sequences in one line would hold up everybody else."""
    raw = "".join(f"\x1b[3{number % 7 + 1}mx" for number in range(2000))
    line = styled(raw, 2000)
    assert set(line.text) == {"x", "…"}
    assert len(line.spans) <= MOST_SEQUENCES + 1
