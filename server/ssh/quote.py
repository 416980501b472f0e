"""How argv becomes the one string that SSH's `exec` takes. Pure.

Owns quoting and the wrapper around every remote command. sshd hands the string to the user's login
shell, whichever that is, so what is written here must mean the same to sh, bash, zsh and fish:

- a word is bare only when no shell gives any of its characters a meaning (zsh expands `=ls`, old
  fish `%self`); everything else is single-quoted by `shlex`;
- fish takes a backslash inside single quotes for an escape and the others do not, so a backslash is
  taken out of the single quotes and put into double ones, where all four agree.

The login shell only ever sees `sh -c SCRIPT sh WORDS…`; the script is a constant and the words
reach the command as `"$@"`, so they are quoted once and expanded by nobody.

The wrapper prints one line (`@spark-control PID TICKS`) and then becomes GNU `timeout`, which makes
itself the leader of a process group of its own, ends that group after the lifetime even when the
link is gone, and passes on the exit status or signal of the command. PID is thereby the group to
kill; TICKS, its start time, tells it from a later process with the same number.
"""

import re
import shlex
from collections.abc import Sequence
from enum import Enum

from server.base.errors import InvalidValue

# The kernel takes at most 128 KiB in one argument, and the whole command is one argument of the
# login shell.
MAX_COMMAND = 128 * 1024 - 1

_BARE = re.compile(r"[A-Za-z0-9_./:,+-][A-Za-z0-9_./:,+=@%-]*", re.ASCII)
_IDENTITY = 'f(){ echo "@spark-control $$ ${20}";};read -r s </proc/$$/stat;f ${s##*) };'

# Between the mark and `timeout` making its group there is only the process, hence the second kill.
# `live`: somebody of the group $1 is there who is no zombie (in a container nobody may bury them).
_KILL = (
    "live(){ kill -s 0 -- -$1||return 1;"
    "for p in /proc/[0-9]*/stat;do read -r s <$p||continue;s=${s##*) };"
    "case $s in [ZX]*)continue;;esac;s=${s#* };s=${s#* };"
    'case $s in "$1 "*)return 0;;esac;done;return 1;};'
    "wait_gone(){ n=$2;while [ $n -gt 0 ];do live $1||exit 0;sleep 0.02;n=$((n-1));done;};"
    "ticks(){ echo ${20};};"
    'if read -r s </proc/$1/stat;then [ "$(ticks ${s##*) })" = "$2" ]||exit 0;fi;'
    "kill -s TERM -- -$1||kill -s TERM $1||exit 0;wait_gone $1 $(($3*50));"
    "kill -s KILL -- -$1||exit 0;wait_gone $1 100;exit 1"
)


class Stderr(Enum):
    """What happens to the standard error of a command."""

    SEPARATE = ""
    MERGED = " 2>&1"
    DROPPED = " 2>/dev/null"


def quote(argv: Sequence[str]) -> str:
    """One line that sh, bash, zsh and fish all split into exactly `argv`."""
    return " ".join(_word(word) for word in argv)


def _word(word: str) -> str:
    if "\0" in word:
        raise InvalidValue(
            "A command, path or value for a host may not contain a NUL character.",
            advice="Remove the NUL character.",
        )
    try:
        word.encode()
    except UnicodeEncodeError:
        raise InvalidValue(
            "A command, path or value for a host must be valid Unicode text.",
            advice="Remove the broken character (a lone surrogate).",
        ) from None
    if _BARE.fullmatch(word):
        return word
    quoted = shlex.quote(word)
    if not quoted.startswith(("'", '"')):  # bare to shlex, but not to every login shell
        quoted = f"'{quoted}'"
    return quoted.replace("\\", "'\"\\\\\"'")


def wrap(
    argv: Sequence[str],
    lifetime: float,
    *,
    stdin: bool = False,
    stderr: Stderr = Stderr.SEPARATE,
    kill_grace: int = 2,
) -> str:
    """The command line that runs `argv` in a process group of its own for `lifetime` seconds.

    Without `stdin` the command reads from /dev/null, whatever the channel does.
    """
    if not argv or not argv[0]:
        raise InvalidValue("There is no command to run.")
    source = "" if stdin else " </dev/null"
    seconds = max(1, -int(-lifetime // 1))
    script = f'{_IDENTITY}exec timeout -k {kill_grace} {seconds} "$@"{source}{stderr.value}'
    return _bounded(quote(["sh", "-c", script, "sh", *argv]))


def kill_group(group: int, ticks: str, grace: int) -> str:
    """The command line that ends a process group: TERM, after `grace` seconds KILL.

    Does nothing when the leader is alive and started at another time: then it is not ours. Ends
    with 1 when somebody in the group outlives KILL, else with 0.
    """
    return quote(["sh", "-c", f"exec 2>/dev/null;{_KILL}", "sh", str(group), ticks, str(grace)])


def _bounded(command: str) -> str:
    if len(command.encode()) > MAX_COMMAND:
        raise InvalidValue(
            "A command for a host is longer than 128 KiB, more than one argument may be.",
            advice="Send the data by stdin or as a file.",
        )
    return command
