"""argv becomes one string, and every login shell makes the same argv of it again."""

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.base.errors import InvalidValue
from server.ssh.quote import Stderr, kill_group, quote, wrap

NASTY = [
    "; rm -rf /",
    "$(touch pwned)",
    "`touch pwned`",
    "'",
    '"',
    "'\"'\"'",
    "a\nb",
    "\n",
    "\r\n",
    "--",
    "-rf",
    "..",
    "../../etc/passwd",
    "*",
    "?[a-z]",
    "~",
    "~root",
    "a~b",
    "=ls",
    "=",
    "%self",
    "%1",
    "@",
    "#comment",
    "a#b",
    "!history",
    "!!",
    "{a,b}",
    "$HOME",
    "${HOME}",
    "\\",
    "\\\\",
    "\\'",
    "'\\",
    "\\n",
    "end\\",
    "\t",
    " ",
    "",
    "&",
    "|",
    ">out",
    "<in",
    "(sub)",
    "^up^",
    "a=b",
    "PATH=x",
    "\x01\x1b[31m",
    "\x7f",
    "\u202egnp.exe",
    "\u200b",
    "\ufeff",
    "\u2028",
    "\uff52\uff4d\uff1b",
    "é",
    "🜲",
    "\U0010ffff",
    "@spark-control 1 1",
]
SHELLS = [shell for shell in ("sh", "bash", "zsh", "fish") if shutil.which(shell)]
WORDS = st.lists(
    st.one_of(
        st.sampled_from(NASTY),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
        st.text("\\'\"$`;&|<>(){}[]*?~=%#!^@ \n\t-", max_size=12),
    ),
    max_size=6,
)


def run_in(shell: str, command: str, stdin: bytes | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [shell, "-c", command], input=stdin, capture_output=True, timeout=20, check=False
    )


def argv_seen(shell: str, argv: list[str]) -> list[str]:
    """What a real program, started through `shell` and our wrapper, gets as its arguments."""
    done = run_in(shell, wrap(["printf", "%s\\0", *argv], 10))
    assert done.returncode == 0, done.stderr
    mark, _, output = done.stdout.partition(b"\n")
    assert mark.startswith(b"@spark-control ")
    return output.decode().split("\0")[:-1]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_word_of_the_nasty_corpus_arrives_as_it_left(shell):
    """Nothing in a word means anything to any login shell."""
    assert argv_seen(shell, NASTY) == NASTY


@settings(deadline=None, max_examples=60)
@given(words=WORDS)
def test_any_words_arrive_as_they_left(words):
    """Property: wrap then sh is the identity on argv (an empty list prints one empty word)."""
    for shell in SHELLS:
        assert argv_seen(shell, words) == (words or [""])


@settings(deadline=None, max_examples=40)
@given(words=WORDS)
def test_a_quoted_line_splits_into_its_words(words):
    """Property: `quote` alone, put behind a command by hand, is the identity too."""
    done = run_in("sh", f"printf '%s\\0' {quote(words)}")
    assert done.stdout.decode().split("\0")[:-1] == (words or [""])


def test_a_plain_command_stays_readable():
    """People read command lines: what needs no quotes gets none."""
    argv = ["docker", "run", "--name=x", "-p", "8000:8000", "/srv/a.b,c"]
    assert quote(argv) == "docker run --name=x -p 8000:8000 /srv/a.b,c"


@pytest.mark.parametrize("word", ["\0", "a\0b", "\ud800", "x\udcff"])
def test_what_no_argument_can_hold_is_refused(word):
    """NUL ends an argument and a lone surrogate is not text: refused, not mangled."""
    with pytest.raises(InvalidValue):
        quote(["echo", word])
    with pytest.raises(InvalidValue):
        wrap(["echo", word], 5)


@pytest.mark.parametrize("argv", [[], [""], ["", "x"]])
def test_no_command_is_refused(argv):
    """An empty command is a mistake of the caller."""
    with pytest.raises(InvalidValue):
        wrap(argv, 5)


def test_a_command_longer_than_the_kernel_takes_is_refused():
    """The message says what to do instead of E2BIG from the far side."""
    with pytest.raises(InvalidValue, match="128 KiB"):
        wrap(["echo", "x" * 200_000], 5)
    assert wrap(["echo", "x" * 100_000], 5)


def test_the_longest_command_we_let_through_is_one_the_kernel_takes():
    """The bound is the kernel's: a command just under it really runs."""
    room = 128 * 1024 - 1 - len(wrap(["printf", "%s", ""], 5).encode())
    word = "x" * (room + 2)  # the empty word took two quotes
    done = run_in("sh", wrap(["printf", "%s", word], 5))
    assert done.stdout.endswith(word.encode())


def test_without_stdin_the_command_reads_nothing():
    """A prompt of a remote program gets the end of file, whatever stands in the channel."""
    done = run_in("sh", wrap(["cat"], 5), stdin=b"typed by nobody")
    assert b"typed" not in done.stdout
    done = run_in("sh", wrap(["cat"], 5, stdin=True), stdin=b"data")
    assert done.stdout.endswith(b"\ndata")


@pytest.mark.parametrize(
    ("stderr", "out", "err"),
    [
        (Stderr.SEPARATE, b"o\n", b"e\n"),
        (Stderr.MERGED, b"o\ne\n", b""),
        (Stderr.DROPPED, b"o\n", b""),
    ],
)
def test_stderr_goes_where_it_was_sent(stderr, out, err):
    """Merged on the far side, so that the order is that of the writes."""
    done = run_in("sh", wrap(["sh", "-c", "echo o; echo e >&2"], 5, stderr=stderr))
    assert done.stdout.split(b"\n", 1)[1] == out
    assert done.stderr == err


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("argv", "status"),
    [
        (["sh", "-c", "exit 7"], 7),
        (["no-such-program"], 127),
        (["/etc/passwd"], 126),
        (["sh", "-c", "kill -9 $$"], 137),
        (["sh", "-c", "kill -15 $$"], 143),
    ],
)
def test_the_status_passes_through_every_shell(shell, argv, status):
    """128 + n for signal n, whether the login shell died of it or only reports it."""
    code = run_in(shell, wrap(argv, 5)).returncode
    assert (code if code >= 0 else 128 - code) == status


def test_the_lifetime_ends_the_command_on_the_far_side():
    """The second belt: nobody is there to kill, and still it ends."""
    assert run_in("sh", wrap(["sleep", "60"], 0.2)).returncode == 124


def test_a_group_that_is_gone_is_not_an_error():
    """The command may end between the decision to kill it and the kill."""
    gone = subprocess.Popen(["true"], start_new_session=True)
    gone.wait()
    assert run_in("sh", kill_group(gone.pid, "1", 1)).returncode == 0


def test_a_process_that_only_inherited_the_number_is_spared():
    """After a reboot the number may belong to somebody else; the start time tells."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        assert run_in("sh", kill_group(other.pid, "1", 1)).returncode == 0
        assert other.poll() is None
        other.kill()
