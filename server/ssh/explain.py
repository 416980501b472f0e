"""How an ended command is told to people. Pure.

Owns the sentence for an exit status and the errors made of it. Refuses to know about channels.
"""

import signal
from collections.abc import Sequence

from server.base.errors import DeadlineExceeded, InsufficientStorage, RemoteCommandFailed
from server.base.redact import one_line, redact, redact_argv
from server.base.units import size
from server.ssh.model import Result, Target
from server.ssh.quote import quote

TIMED_OUT = 124
NOT_EXECUTABLE = 126
NOT_FOUND = 127
SIGNALLED = 128

_SHOWN = 160
_FULL_DISK = ("No space left on device", "Disk quota exceeded")


def shown(argv: Sequence[str]) -> str:
    """The command as it may stand in a sentence: redacted, on one line, short."""
    return one_line(quote(redact_argv([word.replace("\0", "") for word in argv])), _SHOWN)


def ending(argv: Sequence[str], status: int) -> str:
    """What the status says, e.g. `ended with status 127: docker was not found`."""
    if status == NOT_FOUND:
        return f"ended with status 127: {one_line(argv[0], 80)} was not found"
    if status == NOT_EXECUTABLE:
        return f"ended with status 126: {one_line(argv[0], 80)} may not be executed"
    if status == TIMED_OUT:
        return "was ended on the host because its time was over (status 124)"
    if status > SIGNALLED:
        return f"was ended by {_signal(status - SIGNALLED)} (status {status})"
    return f"ended with status {status}"


def _signal(number: int) -> str:
    try:
        return f"the signal {signal.Signals(number).name}"
    except ValueError:
        return f"signal {number}"


def failed(target: Target, result: Result) -> RemoteCommandFailed:
    """The error of a command that ended with another status than 0."""
    where = f"`{shown(result.argv)}` on {target.name} {ending(result.argv, result.exit_status)}"
    said = _last_words(result)
    advice = None
    if result.exit_status == NOT_FOUND:
        advice = (
            f"Install {one_line(result.argv[0], 80)} on {target.name}, or put it on the PATH that "
            f"the user {target.user} has in a non-interactive shell."
        )
    elif result.exit_status == NOT_EXECUTABLE:
        advice = f"Check the permissions of the file for the user {target.user}."
    elif result.exit_status == SIGNALLED + signal.SIGKILL:
        advice = f"Look for the out-of-memory killer in the kernel log of {target.name} (dmesg)."
    return RemoteCommandFailed(
        f"{where}{': ' if said else '.'}{said}",
        exit_status=result.exit_status,
        stderr=redact(result.stderr),
        advice=advice,
        source=target.name,
    )


def _last_words(result: Result) -> str:
    text = result.stderr.strip() or result.stdout.strip()
    return one_line(redact(text.splitlines()[-1]), 300) if text else ""


def printed_too_much(target: Target, result: Result, cap: int) -> RemoteCommandFailed:
    return RemoteCommandFailed(
        f"`{shown(result.argv)}` on {target.name} printed more than {size(cap)} and was ended.",
        exit_status=result.exit_status,
        stderr=redact(result.stderr[:4000]),
        source=target.name,
    )


def too_late(target: Target, argv: Sequence[str], deadline: float) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"`{shown(argv)}` on {target.name} did not finish within {deadline:g} s and was ended.",
        advice=f"Check the load of {target.name}, or try again.",
        source=target.name,
    )


def full_disk(target: Target, path: str, stderr: str) -> InsufficientStorage | None:
    """The error for a file that found no room, or None when that was not the cause."""
    if not any(words in stderr for words in _FULL_DISK):
        return None
    return InsufficientStorage(
        f"{one_line(path, 200)} on {target.name} could not be written: the disk is full.",
        advice=f"Free space on {target.name} and try again.",
        source=target.name,
    )
