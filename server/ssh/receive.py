"""How a file arrives on a host: all of it or nothing. Pure.

Owns the script that writes what comes by stdin to a temporary file beside the target and renames
it, and the trailer that proves that everything came. A lost link closes the remote stdin just as
the end of the data does; only what ends with the trailer is renamed. A signal comes more than once
(from us, and passed on by `timeout`), so the second one is ignored while the first is obeyed.
"""

from collections.abc import AsyncIterable, AsyncIterator

TRAILER = b"@spark-control: that was the end"
_CHUNK = 256 * 1024

# $1 path, $2 mode (octal), $3 trailer, $4 its length, $5 what makes the temporary name unique. The
# name is known before the file exists, so that no moment is left in which a signal leaves litter.
RECEIVE = """\
export LC_ALL=C
umask 077
case $1 in */*) d=${1%/*}/;; *) d=./;; esac
[ -d "$d" ] || { echo "there is no directory $d" >&2; exit 1; }
t=$d.spark-control.$5
trap 'trap "" HUP INT TERM PIPE; rm -f -- "$t"' EXIT
trap 'trap "" HUP INT TERM PIPE; exit 1' HUP INT TERM PIPE
set -C
cat >"$t" || exit 1
[ "$(tail -c "$4" -- "$t")" = "$3" ] || { echo 'the data broke off' >&2; exit 1; }
truncate -s "-$4" -- "$t" && chmod "$2" -- "$t" && sync -- "$t" && mv -fT -- "$t" "$1" || exit 1
trap - EXIT
"""


def receive(path: str, mode: int, token: str) -> tuple[str, ...]:
    """The command that takes the file by stdin. `token` is unique among files being received."""
    octal = f"{mode & 0o7777:o}"
    return ("sh", "-c", RECEIVE, "put", path, octal, TRAILER.decode(), str(len(TRAILER)), token)


async def trailed(data: bytes | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The data in chunks, and the trailer."""
    if isinstance(data, bytes):
        for start in range(0, len(data), _CHUNK):
            yield data[start : start + _CHUNK]
    else:
        async for chunk in data:
            yield chunk
    yield TRAILER
